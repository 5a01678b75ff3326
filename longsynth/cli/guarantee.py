"""The verbs that put a guarantee of differential privacy to the test."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longsynth.cli.cohorts import read_place
from longsynth.cli.limits import end_missed
from longsynth.cli.outputs import check_replaceable, counting, on_terminal, output_folder, say, waiting
from longsynth.cli.verbs import DropAfterEvent, SchemaFile, Seed, Static, Visits, app
from longsynth.exceptions import ConfigError

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
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for audit.json, audit.csv and README.")],
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
        (folder / "README.txt").write_text(f"{found.reading()}\n{INTERNAL}\n", encoding="utf-8")
    for attacker, sees, right, bound in found.rows():
        say(f"{attacker}: {right} guesses right, epsilon {bound} (sees {sees})")
    say(f"{found.reading()}\n{INTERNAL}\nWrote audit.json, audit.csv and README.txt to {output}.")
    end_missed([found.reading()] if found.is_refuted else [])


@app.command("trade-off")
def trade_off_command(
    schema: SchemaFile,
    train: Annotated[Path, typer.Option("--train", help="Folder of the train patients, as `split` writes it.")],
    holdout: Annotated[Path, typer.Option("--holdout", help="Folder of the patients held out.")],
    delta: Delta,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for tables, picture and README.")],
    epsilon: Annotated[
        str, typer.Option("--epsilon", help="Epsilons with commas; inf: no privacy. Smaller is stronger privacy.")
    ] = "1,3,8,inf",
    max_visits: MaxVisits = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="Fits an arm, for the error bars.")] = 3,
    seed: Seed = 0,
) -> None:
    """Measure quality and attack risk at several epsilons.

    Beside each private fit: the same network with clipping alone, with neither clipping nor noise, and the margins
    alone. The whole study is internal: it looks at the real patients, and its fits cost the sum of their epsilons.
    """
    check_replaceable(output)
    epsilons = _epsilons(epsilon)
    from longsynth.generators.trade_off import n_arms, trade_off
    from longsynth.report.figures import draw_trade_off, save_figure
    from longsynth.schema.files import read_schema

    with waiting("Reading and checking the tables"):
        described = read_schema(schema)
        members, control = (read_place(place, described, "real") for place in (train, holdout))
    n = n_arms(epsilons, seeds)
    with counting(f"Fitting and measuring {n} times", n) as on_progress:
        found = trade_off(
            members,
            control,
            epsilons,
            delta,
            max_visits=max_visits,
            n_seeds=seeds,
            seed=seed,
            on_progress=on_progress,
        )
    made_by = {"verb": "trade-off", "epsilon": epsilon, "delta": delta, "seeds": seeds, "seed": seed}
    with output_folder(output, {**made_by, "train": train, "holdout": holdout}) as folder:
        (folder / "trade_off.json").write_text(found.to_json() + "\n", encoding="utf-8")
        found.frame().write_csv(folder / "trade_off.csv")
        found.summary().write_csv(folder / "summary.csv")
        save_figure(draw_trade_off(found.summary(), found.warning()), folder / "trade_off.png")
        (folder / "README.txt").write_text(f"{found.warning()}\n", encoding="utf-8")
    _show(*found.table())
    say(f"{found.warning()}\nWrote trade_off.csv, .json and .png, summary.csv and README.txt to {output}.")


def _epsilons(text: str) -> list[float]:
    """The epsilons of a text such as ``1,3,8,inf``."""
    try:
        found = [float(part) for part in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(one > 0 for one in found):
        raise ConfigError(f"--epsilon {text!r}: write numbers above 0 with commas between them, such as 1,3,8,inf")
    return found


def _show(heads: list[str], rows: list[list[str]]) -> None:
    """Print mean and standard deviation of every measure, one line a measure."""
    columns = list(zip(heads, *rows, strict=True))
    widths = [max(len(line[place]) for line in columns) for place in range(len(rows) + 1)]
    for line in columns:
        say("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _read(static: Path | None, visits: Path | None, schema: Path, drop_after_event: bool) -> Cohort:
    from longsynth.cohort.formats import read_cohort

    with waiting("Reading and checking the tables"):
        return read_cohort(visits, static=static, schema=schema, drop_after_event=drop_after_event)
