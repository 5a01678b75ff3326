"""Quality and attack risk by epsilon on a simulated cohort: a trade-off study with its picture.

python -m tests.benchmarks.private_trade_off --patients 5000 --seeds 3 --into docs/benchmarks.md

The study is written to ``<out>/trade_off-<n>.json`` and not made again where that is there. Smaller epsilon is stronger
privacy.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from tests.benchmarks.process import alone
from tests.benchmarks.rows import put_between

MARKS = ("<!-- trade-off table -->", "<!-- end of trade-off table -->")
PICTURE = Path("docs/images/trade_off.png")
EPSILONS, N_HOLDOUT, SEED = (1.0, 3.0, 8.0, float("inf")), 3000, 7000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=5000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path("runs/private"))
    parser.add_argument("--into", type=Path, help="a page whose table is replaced, with its picture beside it")
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / f"trade_off-{arguments.patients}.json"
    if not path.exists():
        path.write_text(alone(measure, arguments.patients, arguments.seeds))
    show(path.read_text(), arguments.into)


def measure(n: int, n_seeds: int) -> str:
    """The study as JSON."""
    from longsynth import simulate_cohort
    from longsynth.generators.trade_off import trade_off

    cohort = simulate_cohort(n + N_HOLDOUT, SEED)
    ids = cohort.static["patient_id"].to_list()
    train, holdout = cohort.select(ids[:n]), cohort.select(ids[n:])
    return trade_off(train, holdout, EPSILONS, 1 / (20 * n), n_seeds=n_seeds).to_json()


def show(text: str, page: Path | None) -> None:
    """Print the study's table; put it and the picture into the page."""
    from longsynth.generators.trade_off_results import TradeOff
    from longsynth.report.figures import draw_trade_off, save_figure

    found = TradeOff.from_json(text)
    table = _markdown(*found.table())
    print(table)
    if page is not None:
        put_between(page, MARKS, table + "\n")
        save_figure(draw_trade_off(found.summary(), "Simulated patients."), PICTURE)


def _markdown(heads: list[str], rows: list[list[str]]) -> str:
    lines: list[Any] = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


if __name__ == "__main__":
    main()
