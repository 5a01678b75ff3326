"""The lists of metrics and attacks in the documentation, from what is registered.

``python -m tests.cards`` writes them anew after a metric or an attack came or went.
"""

from pathlib import Path

import longsynth.evaluation.metrics
import longsynth.privacy.attacks  # noqa: F401
from longsynth.evaluation.base import METRICS
from longsynth.privacy.base import ATTACKS
from longsynth.report.sections import BLOCKS

DOCS = Path(__file__).parents[1] / "docs"
WORSE = {"higher": "higher", "lower": "lower", "both": "both ways"}

METRICS_PAGE = """# Metrics

Each metric compares a sample of patients with real ones. Its value says little by itself: two samples of real patients
differ as well. So every value stands beside its **ceiling**, the same statistic between two random samples of real
patients of the same size, with the band that holds 95 % of them; and it has a 95 % **interval** of its own, from halves
of the patients. The **distance** is (value - ceiling) in standard deviations of the ceiling. A value **differs** if it
lies beyond the band on the side that is worse.

Where something cannot be computed the result is "not assessed" with the reason, never a number. Metrics marked *costly*
train a model, which takes a second or more; those marked *strata* are also computed within strata. Each has a card
with its formula, what it sees and what it does not.
"""
ATTACKS_PAGE = """# Attacks

Each attack tries to learn something about real patients from a synthetic cohort. It is tried on **members**, whose
data the synthesizer saw, and on a **control**, patients held out from the fit: what succeeds on both alike is knowledge
about the population, not a leak. The **risk** is (members - control) / (1 - control), with a 95 % interval, beside the
smallest risk that would have been found. Without a holdout nothing is assessed. Attacks marked *slow* run when asked
for.
"""


def metrics_page() -> str:
    """The page of all metrics, by block of the report."""
    parts = [METRICS_PAGE]
    for block, title in BLOCKS.items():
        metrics = [METRICS[name] for name in METRICS if METRICS[name].block == block]
        if metrics:
            rows = [
                f"| [{one.name}]({one.name}.md) | {one.title} | {WORSE[one.worse]} | {_marks(one)} |" for one in metrics
            ]
            parts.append(_table(title, "| metric | what it is | worse | |", rows))
    return "\n".join(parts)


def attacks_page() -> str:
    """The page of all attacks, by criterion."""
    parts = [ATTACKS_PAGE]
    for criterion in dict.fromkeys(ATTACKS[name].criterion for name in ATTACKS):
        attacks = [ATTACKS[name] for name in ATTACKS if ATTACKS[name].criterion == criterion]
        rows = [f"| [{one.name}]({one.name}.md) | {one.title} | {'slow' if one.is_slow else ''} |" for one in attacks]
        parts.append(_table(criterion.replace("_", " ").capitalize(), "| attack | what it is | |", rows))
    return "\n".join(parts)


def _marks(metric) -> str:
    return ", ".join(["costly"] * metric.is_costly + ["strata"] * metric.by_stratum)


def _table(title: str, head: str, rows: list[str]) -> str:
    rule = "|---" * (head.count("|") - 1) + "|"
    return "\n".join([f"## {title}\n", head, rule, *rows, ""])


if __name__ == "__main__":
    for folder, page in (("metrics", metrics_page()), ("attacks", attacks_page())):
        (DOCS / folder).mkdir(exist_ok=True)
        (DOCS / folder / "index.md").write_text(page, encoding="utf-8")
