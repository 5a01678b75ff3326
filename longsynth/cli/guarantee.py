"""The verbs that put a guarantee of differential privacy to the test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longsynth.cli.limits import end_missed
from longsynth.cli.outputs import check_replaceable, on_terminal, output_folder, say, waiting
from longsynth.cli.verbs import DropAfterEvent, SchemaFile, Seed, Static, Visits, app

if TYPE_CHECKING:
    from longsynth.cohort.cohort import Cohort

Delta = Annotated[float, typer.Option("--delta", help="At most 1 / (10 n) for n patients, such as 1e-6.")]
MaxVisits = Annotated[
    int | None, typer.Option("--max-visits", help="Visits of a patient that are used; else paid for.")
]


@app.command("audit")
def audit_command(
    schema: SchemaFile,
    epsilon: Annotated[float, typer.Option("--epsilon", help="The claim to refute; smaller is stronger privacy.")],
    delta: Delta,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for audit.json and audit.csv.")],
    static: Static = None,
    visits: Visits = None,
    max_visits: MaxVisits = None,
    canaries: Annotated[int, typer.Option("--canaries", help="Made-up patients to plant, at least 20.")] = 200,
    guesses: Annotated[int | None, typer.Option("--guesses", help="Even; half of the canaries.")] = None,
    seed: Seed = 0,
    drop_after_event: DropAfterEvent = False,
) -> None:
    """Try to refute a claim of differential privacy with one more fit.

    Plants canaries by the toss of a coin, fits under the budget, and guesses the coins; right guesses prove that
    epsilon is at least so much. The fit costs its epsilon once more; it is not kept, and neither it nor the result may
    be released. Exit with 3 if the claim is shown to be false.
    """
    check_replaceable(output)
    from longsynth.budget import PrivacyBudget
    from longsynth.generators.audit import audit
    from longsynth.generators.audit_results import INTERNAL

    privacy = PrivacyBudget(epsilon, delta, max_visits)
    train = _read(static, visits, schema, drop_after_event)
    found = audit(train, privacy, n_canaries=canaries, n_guesses=guesses, seed=seed, progress=on_terminal())
    made_by = {"verb": "audit", "epsilon": epsilon, "delta": delta, "canaries": canaries, "seed": seed}
    with output_folder(output, made_by) as folder:
        (folder / "audit.json").write_text(found.to_json() + "\n", encoding="utf-8")
        found.frame().write_csv(folder / "audit.csv")
    for attacker, sees, right, bound in found.rows():
        say(f"{attacker}: {right} guesses right, epsilon {bound} (sees {sees})")
    say(f"{found.reading()}\n{INTERNAL}\nWrote audit.json and audit.csv to {output}.")
    end_missed([found.reading()] if found.is_refuted else [])


def _read(static: Path | None, visits: Path | None, schema: Path, drop_after_event: bool) -> Cohort:
    from longsynth.cohort.formats import read_cohort

    with waiting("Reading and checking the tables"):
        return read_cohort(visits, static=static, schema=schema, drop_after_event=drop_after_event)
