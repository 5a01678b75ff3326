"""The verbs of the command line."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from longsynth.cli.ledger import check_kept, ledger_text
from longsynth.cli.outputs import check_replaceable, counting, on_terminal, output_folder, say, waiting, write_text
from longsynth.exceptions import ConfigError, LongsynthError

if TYPE_CHECKING:
    from longsynth.budget import PrivacyBudget, PrivacyLedger
    from longsynth.cohort.cohort import Cohort
    from longsynth.synthesizer import Synthesizer

TimeUnit = Literal["minutes", "hours", "days", "weeks", "months", "years"]

app = typer.Typer(
    help="Synthetic longitudinal patient cohorts: baseline attributes, irregular visits and terminal events.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Static = Annotated[Path | None, typer.Option("--static", help="Table with one row a patient (.csv or .parquet).")]
Visits = Annotated[Path | None, typer.Option("--visits", help="Table with one row a visit (.csv or .parquet).")]
SchemaFile = Annotated[Path, typer.Option("--schema", help="Schema file (YAML), as infer-schema writes it.")]
DropAfterEvent = Annotated[
    bool, typer.Option("--drop-after-event", help="Drop visits after the end of follow-up instead of refusing them.")
]
Seed = Annotated[int, typer.Option("--seed", min=0, help="The same seed gives the same result.")]
Format = Annotated[Literal["parquet", "csv"], typer.Option("--format", help="Format of the tables.")]


@app.command()
def demo(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for everything the demo makes.")] = Path(
        "demo"
    ),
    seed: Seed = 0,
) -> None:
    """Fit, sample and compare with the cohort included here.

    Fits its train patients, samples 1,000 and compares them with the patients held out.
    """
    from longsynth.cli.demo import run_demo

    run_demo(output, seed)


@app.command("infer-schema")
def infer_schema_command(
    patient_id: Annotated[str, typer.Option("--patient-id", help="Column that identifies a patient.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The schema file to write.")],
    static: Static = None,
    visits: Visits = None,
    visit_time: Annotated[str | None, typer.Option("--visit-time", help="Column with the time of a visit.")] = None,
    duration: Annotated[str | None, typer.Option("--duration", help="Column with the length of follow-up.")] = None,
    event: Annotated[str | None, typer.Option("--event", help="Column with the event type; 0 = censored.")] = None,
    time_unit: Annotated[TimeUnit, typer.Option("--time-unit", help="Unit of visit times and durations.")] = "days",
) -> None:
    """Propose a schema from tables, for you to edit."""
    from longsynth.cohort.columns import counted
    from longsynth.cohort.formats import read_table
    from longsynth.schema.files import schema_text
    from longsynth.schema.infer import propose

    with waiting("Reading the tables"):
        schema, comments = propose(
            None if static is None else read_table(static),
            None if visits is None else read_table(visits),
            patient_id=patient_id,
            visit_time=visit_time,
            duration=duration,
            event=event,
            time_unit=time_unit,
        )
    write_text(output, schema_text(schema, comments=comments))
    for section in ("static", "channels"):
        for left_out in comments.get((section,), ()):
            say(f"Note: {section}: {left_out}")
    attributes, channels = counted(len(schema.static), "static attribute"), counted(len(schema.channels), "channel")
    say(f"Wrote {output}: {attributes}, {channels}. Read and edit it.")


@app.command()
def check(
    schema: SchemaFile, static: Static = None, visits: Visits = None, drop_after_event: DropAfterEvent = False
) -> None:
    """Check that the tables form a cohort under their schema."""
    from longsynth.cohort.columns import counted

    cohort = _read(static, visits, schema, drop_after_event)
    for note in cohort.notes:
        say(f"Note: {note}")
    say(f"{counted(cohort.n_patients, 'patient')} with {counted(cohort.n_visits, 'visit')} form a cohort.")


@app.command()
def split(
    schema: SchemaFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for train/ and holdout/.")],
    static: Static = None,
    visits: Visits = None,
    holdout: Annotated[float, typer.Option("--holdout", help="Share of the patients to hold out.")] = 0.3,
    seed: Seed = 0,
    format: Format = "parquet",
    drop_after_event: DropAfterEvent = False,
) -> None:
    """Split a cohort by patient into train and holdout."""
    from longsynth.cohort.formats import write_cohort
    from longsynth.cohort.split import split as split_cohort

    check_replaceable(output)
    train, held_out = split_cohort(_read(static, visits, schema, drop_after_event), holdout=holdout, seed=seed)
    with output_folder(output, {"verb": "split", "holdout": holdout, "seed": seed}) as folder:
        write_cohort(train, folder / "train", format=format)
        write_cohort(held_out, folder / "holdout", format=format)
    say(f"Wrote {train.n_patients:,} patients to {output}/train and {held_out.n_patients:,} to {output}/holdout.")


@app.command()
def fit(
    schema: SchemaFile,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for the fitted synthesizer.")],
    static: Static = None,
    visits: Visits = None,
    seed: Seed = 0,
    objective: Annotated[
        Literal["hybrid", "likelihood", "adversarial"],
        typer.Option("--objective", help="What is optimised; hybrid refines likelihood by an adversarial stage."),
    ] = "hybrid",
    backbone: Annotated[
        Literal["recurrent", "transformer"], typer.Option("--backbone", help="Network over the visits.")
    ] = "recurrent",
    epsilon: Annotated[
        float | None,
        typer.Option("--epsilon", help="Differential privacy for the whole patient; smaller is stronger."),
    ] = None,
    delta: Annotated[
        float | None, typer.Option("--delta", help="Delta beside --epsilon: at most 1 / (10 n), such as 1e-6.")
    ] = None,
    max_visits: Annotated[
        int | None,
        typer.Option("--max-visits", help="With --epsilon: visits of a patient that are used; else by noisy counts."),
    ] = None,
    after: Annotated[
        list[Path] | None,
        typer.Option("--after", help="With --epsilon: a private fit of these patients that it covers too. Repeatable."),
    ] = None,
    accelerator: Annotated[
        str, typer.Option("--accelerator", help="auto, cpu, gpu, ...; passed to Lightning.")
    ] = "auto",
    devices: Annotated[str, typer.Option("--devices", help="How many devices, or which; passed to Lightning.")] = "1",
    strategy: Annotated[str, typer.Option("--strategy", help="auto, ddp, ...; passed to Lightning.")] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", help="32-true, bf16-mixed, ...; passed to Lightning.")
    ] = "32-true",
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue a fit to the same folder that was cut off.")
    ] = False,
    drop_after_event: DropAfterEvent = False,
) -> None:
    """Fit a synthesizer to the train patients of a cohort.

    An interrupted fit leaves its checkpoints beside the output folder, and so does one that fails after it has spent
    some of a privacy budget; --resume continues from them.
    """
    from longsynth.artifact import check_writable

    check_writable(output)
    privacy = _budget(epsilon, delta, max_visits)
    if privacy is not None:
        check_kept(output, after or ())
    cohort = _read(static, visits, schema, drop_after_event)
    from longsynth.synthesizer import Synthesizer, load
    from longsynth.training.expected import expected_text
    from longsynth.training.trainer import is_main_process

    if privacy is not None and is_main_process():
        say(expected_text(privacy.epsilon))
    synthesizer = Synthesizer(
        seed=seed,
        objective=objective,
        backbone=backbone,
        privacy=privacy,
        after=[_ledger_of(folder, load(folder)) for folder in after or ()],
        accelerator=accelerator,
        devices=int(devices) if devices.isdecimal() else devices,
        strategy=strategy,
        precision=precision,
    )
    checkpoints = output.resolve().with_name(f".{output.resolve().name}.checkpoints")
    is_new = not checkpoints.exists()
    try:
        synthesizer.fit(cohort, work_dir=checkpoints, resume=resume, progress=on_terminal())
    except (LongsynthError, OSError) as error:
        is_paid_for = synthesizer.ledger is not None and bool(synthesizer.ledger.spends)
        if is_new and not is_paid_for and is_main_process():
            shutil.rmtree(checkpoints, ignore_errors=True)
        if isinstance(error, OSError):  # it names a file that nobody asked for
            raise OSError(error.errno, error.strerror or str(error), str(output)) from error
        raise
    synthesizer.save(output)
    if not is_main_process():
        return
    shutil.rmtree(checkpoints)
    if synthesizer.ledger is None:
        say(f"Fitted {cohort.n_patients:,} patients with {cohort.n_visits:,} visits; the synthesizer is in {output}.")
    else:  # exact numbers of patients and visits are no part of what the budget pays for
        say(f"Fitted under a budget; the synthesizer is in {output}.\n\n{ledger_text(synthesizer.ledger)}")


@app.command()
def sample(
    model: Annotated[Path, typer.Argument(help="Folder of a fitted synthesizer.")],
    n: Annotated[int, typer.Option("-n", min=1, help="Number of patients.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder for static and visits tables.")],
    where: Annotated[
        str | None, typer.Option("--where", help="Condition on static attributes: \"age >= 50 and sex == 'f'\".")
    ] = None,
    seed: Seed = 0,
    format: Format = "parquet",
) -> None:
    """Sample synthetic patients from a fitted synthesizer."""
    check_replaceable(output)
    from longsynth.cohort.where import parse_where
    from longsynth.synthesizer import load

    synthesizer = load(model)
    condition = None if where is None else parse_where(where, synthesizer.schema)
    ledger = synthesizer.ledger
    made_by = {"verb": "sample", "model": model, "n": n, "where": where, "seed": seed}
    made_by["privacy"] = None if ledger is None else ledger.to_json()
    with output_folder(output, made_by) as folder, counting(f"Sampling {n:,} patients", n) as on_progress:
        synthesizer.sample_to_files(n, folder, where=condition, seed=seed, format=format, on_progress=on_progress)
    say(f"Wrote {n:,} synthetic patients to {output}.")


@app.command()
def show(model: Annotated[Path, typer.Argument(help="Folder of a fitted synthesizer.")]) -> None:
    """Show what a synthesizer was fitted to, and how."""
    from longsynth.schema.files import schema_text
    from longsynth.schema.yaml_text import yaml_text
    from longsynth.synthesizer import load

    synthesizer = load(model)
    say(schema_text(synthesizer.schema))
    settings = {name: getattr(synthesizer, name) for name in ("seed", "objective", "backbone")}
    say(yaml_text({"settings": settings, "training": synthesizer.training_record}))
    if synthesizer.ledger is not None:
        say(ledger_text(synthesizer.ledger))


def listed(text: str | None) -> list[str] | None:
    """Return the names in a text with commas; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def _budget(epsilon: float | None, delta: float | None, max_visits: int | None) -> PrivacyBudget | None:
    """The budget that the options ask for, or None."""
    from longsynth.budget import PrivacyBudget

    if epsilon is not None:
        return PrivacyBudget(epsilon, delta, max_visits)
    if delta is not None or max_visits is not None:
        raise ConfigError("--delta and --max-visits go with --epsilon, which is missing")
    return None


def _ledger_of(folder: Path, earlier: Synthesizer) -> PrivacyLedger:
    if earlier.ledger is None:
        raise ConfigError(f"--after {folder}: it was fitted without a budget, so that no epsilon covers it")
    return earlier.ledger


def _read(static: Path | None, visits: Path | None, schema: Path, drop_after_event: bool) -> Cohort:
    from longsynth.cohort.formats import read_cohort

    with waiting("Reading and checking the tables"):
        return read_cohort(visits, static=static, schema=schema, drop_after_event=drop_after_event)
