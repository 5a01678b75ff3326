"""The verb that attacks a synthetic cohort."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longsynth.cli.cohorts import read_ledger, read_place
from longsynth.cli.limits import Limit, end_missed, parse_limit
from longsynth.cli.outputs import check_replaceable, on_terminal, output_folder, say, waiting
from longsynth.cli.verbs import SchemaFile, Seed, app, listed
from longsynth.exceptions import ConfigError

if TYPE_CHECKING:
    from longsynth.privacy.base import Attack
    from longsynth.privacy.results import AttackResult, PrivacyAssessment

MOST_SHOWN = 20
LIMITED = ("risk", "risk_hi", "tpr", "tpr_hi", "auc", "auc_hi")


@app.command("assess-privacy")
def assess_privacy_command(
    synthetic: Annotated[
        list[Path], typer.Argument(help="Folder of a synthetic cohort, as `sample` writes it; several: several draws.")
    ],
    schema: SchemaFile,
    train: Annotated[Path, typer.Option("--train", help="Folder of the train patients, as `split` writes it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for privacy.json and privacy.csv.")],
    holdout: Annotated[
        Path | None, typer.Option("--holdout", help="Folder of the patients held out; without it nothing is assessed.")
    ] = None,
    attacks: Annotated[str | None, typer.Option("--attacks", help="Names with commas; all but the slow ones.")] = None,
    knowledge: Annotated[
        str | None, typer.Option("--knowledge", help="Presets with commas: glance, relative, lab_feed, full; all.")
    ] = None,
    seed: Seed = 0,
    require: Annotated[
        list[str] | None,
        typer.Option("--require", help="Limit such as linkage.risk_hi<=0.09; exit with 3 if it is missed. Repeatable."),
    ] = None,
) -> None:
    """Attack a synthetic cohort as someone would who wants to learn about the real patients behind it.

    Writes every result with its control to privacy.json and privacy.csv.
    """
    check_replaceable(output)
    asked, attackers = (listed(text) for text in (attacks, knowledge))
    limits = [parse_limit(text) for text in require or []]
    from longsynth.privacy.assess import assess_privacy, chosen_attacks
    from longsynth.schema.files import read_schema

    for limit in limits:
        _check_limit(limit, chosen_attacks(asked))
    with waiting("Reading and checking the tables"):
        described = read_schema(schema)
        draws = [read_place(folder, described, "synthetic") for folder in synthetic]
        reach = {ledger.reach: None for folder in synthetic if (ledger := read_ledger(folder)) is not None}
        members = read_place(train, described, "real")
        control = None if holdout is None else read_place(holdout, described, "real")
    assessment = assess_privacy(
        draws,
        members,
        control,
        attacks=asked,
        knowledge=attackers,
        seed=seed,
        progress=on_terminal(),
    )
    assessment = replace(assessment, notes=(*assessment.notes, *reach))
    missed = [line for limit in limits for line in missed_by(limit, assessment)]
    made_by = {"verb": "assess-privacy", "synthetic": list(map(str, synthetic)), "train": train, "holdout": holdout}
    with output_folder(output, {**made_by, "seed": seed, "require": list(map(str, limits))}) as folder:
        (folder / "privacy.json").write_text(assessment.to_json() + "\n", encoding="utf-8")
        assessment.frame().write_csv(folder / "privacy.csv")
    _show(assessment)
    say(f"Wrote privacy.json and privacy.csv to {output}.")
    end_missed(missed)


def missed_by(limit: Limit, assessment: PrivacyAssessment) -> list[str]:
    """Return what misses a limit, one line each; what was tried on all patients and could not be assessed misses it.

    Parameters
    ----------
    limit : Limit
        Its name is an attack, a criterion, or ``all``; its column one of risk, risk_hi, tpr, tpr_hi, auc, auc_hi.
    assessment : PrivacyAssessment
        Whose results for all patients must keep it.
    """
    of_scores = not limit.column.startswith("risk")
    everyone = [result for result in assessment.results if result.subset == "all"]
    named = [result for result in everyone if limit.name in ("all", result.attack, result.criterion)]
    tried = [one for one in named if one.n_members and (not of_scores or one.measure == "score")]
    if not tried:
        return [f"{limit}: not assessed: {named[0].reason or 'there is no such column for these attacks'}"]
    return [f"{limit}: {_what(one)}: {_value(one, limit)}" for one in tried if not _kept(one, limit)]


def _check_limit(limit: Limit, attacks: list[Attack]) -> None:
    """Raise `ConfigError` if a limit has no column, bounds it from below, or names nothing that is to be tried."""
    if not limit.column:
        raise ConfigError(f"--require {limit}: add the column to limit, for example {limit.name}.risk_hi<=0.09")
    if limit.column not in LIMITED:
        raise ConfigError(f"--require {limit}: there is no column {limit.column!r}; choose from {', '.join(LIMITED)}")
    if limit.sign == ">=":
        raise ConfigError(f"--require {limit}: a larger {limit.column} is a larger risk; write <= for >=")
    if limit.name != "all" and all(limit.name not in (attack.name, attack.criterion) for attack in attacks):
        names = ", ".join(["all", *(attack.name for attack in attacks)])
        raise ConfigError(f"--require {limit}: nothing called {limit.name!r} is to be tried; choose from {names}")


def _kept(result: AttackResult, limit: Limit) -> bool:
    value = getattr(result, limit.column)
    return result.state == "assessed" and value is not None and limit.holds(value)


def _value(result: AttackResult, limit: Limit) -> str:
    return f"not assessed: {result.reason}" if result.reason else f"{getattr(result, limit.column):.3f}"


def _what(result: AttackResult) -> str:
    return ", ".join(filter(None, (result.attack, result.part, result.knowledge)))


def _show(assessment: PrivacyAssessment) -> None:
    """Print the results that show a leak, or else the largest risks, and what stands beside them."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from longsynth.privacy.results import remarks

    assessed = [result for result in assessment.results if result.state == "assessed"]
    largest = sorted(assessed, key=lambda one: (not one.flagged, -(one.risk or 0.0)))[:MOST_SHOWN]
    table = Table(title=repr(assessment), title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("attack", "on", "members", "control", "risk (95 % interval)", ""):
        table.add_column(name, overflow="fold")
    for one in largest:
        rates = (f"{one.attack_rate:.3f}", f"{one.control_rate:.3f}")
        risk = f"{one.risk:.3f} ({one.risk_lo:.3f} to {one.risk_hi:.3f})"
        table.add_row(_what(one), one.subset, *rates, risk, "leak" if one.flagged else "")
    Console().print(table)
    if len(assessed) > len(largest):
        say(f"The {MOST_SHOWN} largest risks of {len(assessed)}; all are in privacy.csv.")
    for line in remarks(assessment):
        say(f"Note: {line}")
