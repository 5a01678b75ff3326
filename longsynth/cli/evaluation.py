"""The verbs that judge synthetic cohorts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from longsynth.cli.cohorts import read_ledger, read_place
from longsynth.cli.limits import Limit, end_missed, parse_limit
from longsynth.cli.outputs import check_replaceable, on_terminal, output_folder, say, waiting
from longsynth.cli.verbs import SchemaFile, Seed, app, listed
from longsynth.exceptions import ConfigError

if TYPE_CHECKING:
    from longsynth.evaluation.results import Evaluation
    from longsynth.privacy.results import PrivacyAssessment
    from longsynth.report.comparison import Comparison
    from longsynth.report.profiles import Verdict

SYNTHETIC = "synthetic"
LIMITED = ("value", "lo", "hi", "z")
PLACE = "folder with static and visits tables, or STATIC,VISITS"

Train = Annotated[str, typer.Option("--train", help=f"Real patients behind it: {PLACE}.")]
Holdout = Annotated[str | None, typer.Option("--holdout", help="Real patients held out; without them train is taken.")]
Output = Annotated[Path, typer.Option("--output", "-o", help="Folder for results and report.html.")]
Metrics = Annotated[str | None, typer.Option("--metrics", help="Names with commas; all of them if not given.")]
Arm = Annotated[str | None, typer.Option("--arm", help="Static attribute with the treatment arm.")]
Strata = Annotated[str | None, typer.Option("--strata", help="Static attributes with commas; '' for none.")]
UseCase = Annotated[
    str | None, typer.Option("--use-case", help="What it is for: a profile such as trial_design, or a YAML file.")
]
Privacy = Annotated[
    list[str] | None,
    typer.Option("--privacy", help="NAME=FOLDER of results that assess-privacy wrote; NAME= only if several cohorts."),
]
Require = Annotated[
    list[str] | None,
    typer.Option("--require", help="Limit such as detect_patient<=0.7; exit with 3 if it is missed. Repeatable."),
]


@app.command()
def evaluate(
    synthetic: Annotated[str, typer.Argument(help=f"A synthetic cohort: {PLACE}.")],
    schema: SchemaFile,
    train: Train,
    output: Output,
    holdout: Holdout = None,
    metrics: Metrics = None,
    arm: Arm = None,
    strata: Strata = None,
    use_case: UseCase = None,
    privacy: Privacy = None,
    seed: Seed = 0,
    require: Require = None,
) -> None:
    """Judge whether a synthetic cohort, of any tool, is as good as a fresh sample of the real population.

    Writes every number beside what two real samples score to evaluation.json, evaluation.csv and report.html.
    """
    privacy = [one if "=" in one else f"{SYNTHETIC}={one}" for one in privacy or []]
    real = {"train": train, "holdout": holdout}
    asked = {"metrics": metrics, "arm": arm, "strata": strata, "use_case": use_case}
    _judge("evaluate", {SYNTHETIC: synthetic}, schema, output, privacy, require or [], seed, **real, **asked)


@app.command()
def compare(
    cohorts: Annotated[list[str], typer.Argument(help=f"NAME=PLACE of each synthetic cohort; PLACE: {PLACE}.")],
    schema: SchemaFile,
    train: Train,
    output: Output,
    holdout: Holdout = None,
    metrics: Metrics = None,
    arm: Arm = None,
    strata: Strata = None,
    use_case: UseCase = None,
    privacy: Privacy = None,
    seed: Seed = 0,
    require: Require = None,
) -> None:
    """Judge several synthetic cohorts side by side, each as evaluate does.

    Writes comparison.json, comparison.csv and report.html.
    """
    real = {"train": train, "holdout": holdout}
    asked = {"metrics": metrics, "arm": arm, "strata": strata, "use_case": use_case}
    _judge("compare", _named(cohorts), schema, output, privacy or [], require or [], seed, **real, **asked)


def _judge(
    verb: str,
    places: dict[str, str],
    schema: Path,
    output: Path,
    privacy: list[str],
    require: list[str],
    seed: int,
    **options: str | None,
) -> None:
    """Read, compare, write and show; options are the real cohorts and what is asked about, as texts."""
    check_replaceable(output)
    limits = [parse_limit(text) for text in require]
    from longsynth.report.comparison import compare as compare_cohorts
    from longsynth.report.html import write_report
    from longsynth.schema.files import read_schema

    with waiting("Reading and checking the tables"):
        described = read_schema(schema)
        synthetic = {name: read_place(place, described, "synthetic") for name, place in places.items()}
        real = read_place(str(options["train"]), described)
        holdout = options["holdout"]
        control = None if holdout is None else read_place(holdout, described)
        attacked = {name: _assessment(Path(folder)) for name, folder in _named(privacy).items()}
        ledgers = {name: ledger for name, place in places.items() if (ledger := read_ledger(place)) is not None}
    comparison = compare_cohorts(
        synthetic,
        train=real,
        holdout=control,
        use_case=options["use_case"],
        privacy=attacked,
        budgets=ledgers,
        metrics=listed(options["metrics"]),
        arm=options["arm"],
        strata=listed(options["strata"]),
        seed=seed,
        progress=on_terminal(),
    )
    missed = [line for limit in limits for line in missed_by(limit, comparison)]
    made_by = {"verb": verb, "synthetic": places, "schema": schema, **options, "seed": seed, "require": require}
    with output_folder(output, made_by) as folder:
        _write(comparison, folder, is_one=verb == "evaluate")
        with waiting("Writing the report"):
            write_report(comparison, folder / "report.html", synthetic=synthetic, train=real, holdout=control)
    for name, evaluation in comparison.evaluations.items():
        _show(name, evaluation)
    if comparison.use_case is not None:
        _show_verdict(comparison.verdict())
    say(f"Wrote report.html and all numbers to {output}.")
    end_missed(missed)


def missed_by(limit: Limit, comparison: Comparison) -> list[str]:
    """Return what misses a limit, one line each; what could not be assessed misses it.

    Parameters
    ----------
    limit : Limit
        Its name is a metric; its column value (if it has none), lo, hi or z.
    comparison : Comparison
        Whose values for all patients must keep it; each part, where a metric has no value for the whole.

    Raises
    ------
    ConfigError
        If there is no such column or metric.
    """
    from longsynth.evaluation.results import headline

    column = limit.column or LIMITED[0]
    if column not in LIMITED:
        raise ConfigError(f"--require {limit}: there is no column {column!r}; choose from {', '.join(LIMITED)}")
    lines = []
    for name, evaluation in comparison.evaluations.items():
        results = [result for result in headline(evaluation) if result.metric == limit.name]
        if not results:
            raise ConfigError(f"--require {limit}: the metric {limit.name!r} was not computed")
        for result in results:
            value = getattr(result, column)
            what = f"{limit}: {' '.join(filter(None, (name, result.part)))}"
            if value is None:
                lines.append(f"{what}: not assessed: {result.reason or result.note}")
            elif not limit.holds(value):
                lines.append(f"{what}: {value:.3g}, two real samples {result.ceiling:.3g}")
    return lines


def _named(texts: list[str]) -> dict[str, str]:
    """Return what stands behind each ``NAME=``."""
    found: dict[str, str] = {}
    for text in texts:
        name, _, value = text.partition("=")
        if not name or not value:
            raise ConfigError(f"{text!r}: write NAME=FOLDER, with a name for the report")
        if name in found:
            raise ConfigError(f"{name}: the name is given twice; give each cohort its own")
        found[name] = value
    return found


def _assessment(folder: Path) -> PrivacyAssessment:
    from longsynth.privacy.results import PrivacyAssessment

    return PrivacyAssessment.from_json((folder / "privacy.json").read_text(encoding="utf-8"))


def _write(comparison: Comparison, folder: Path, is_one: bool) -> None:
    """Write the numbers of one cohort as an evaluation, else as a comparison; and the verdict, if there is one."""
    if is_one:
        evaluation = comparison.evaluations[SYNTHETIC]
        (folder / "evaluation.json").write_text(evaluation.to_json() + "\n", encoding="utf-8")
        evaluation.frame().write_csv(folder / "evaluation.csv")
    else:
        (folder / "comparison.json").write_text(comparison.to_json() + "\n", encoding="utf-8")
        comparison.frame().write_csv(folder / "comparison.csv")
    if comparison.use_case is not None:
        comparison.verdict().frame().write_csv(folder / "verdict.csv")


def _show(name: str, evaluation: Evaluation) -> None:
    """Print the results for all patients, each beside its ceiling, and the notes."""
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from longsynth.evaluation.results import headline, shown

    table = Table(title=f"{name}: {evaluation!r}", title_justify="left", box=box.SIMPLE_HEAD)
    for head in ("", "metric", "value (95 % interval)", "two real samples (95 % band)", "reading"):
        table.add_column(head, overflow="fold")
    block = ""
    for result in headline(evaluation):
        title = f"{result.title}: {result.part}" if result.part else result.title
        table.add_row("" if result.block == block else result.block, title, *shown(result))
        block = result.block
    Console().print(table)
    for note in evaluation.notes:
        say(f"Note: {note}")


def _show_verdict(verdict: Verdict) -> None:
    say(f"{verdict.profile.title}. {verdict.profile.statement}")
    for override in verdict.profile.overrides:
        say(f"Changed by the user: {override}")
    for model, states in verdict.states().items():
        say(f"{model}: {', '.join(f'{group} {state}' for group, state in states.items())}")
