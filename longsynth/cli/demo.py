"""The demonstration: from the cohort that ships with the package to a report."""

from __future__ import annotations

from pathlib import Path

import polars as pl
from rich import box
from rich.console import Console
from rich.table import Table

from longsynth.cli.outputs import check_replaceable, on_terminal, output_folder, say, waiting
from longsynth.cohort.datasets import load_pbc
from longsynth.cohort.formats import write_cohort
from longsynth.cohort.split import split
from longsynth.evaluation.results import headline, shown
from longsynth.privacy.assess import assess_privacy
from longsynth.report.comparison import Comparison, compare
from longsynth.report.figures import draw_cohorts, save_figure
from longsynth.report.html import write_report
from longsynth.report.summary import describe_columns
from longsynth.synthesizer import Synthesizer

N_PATIENTS = 1000
HELD_OUT, SYNTHETIC = "real, held out", "synthetic"
USE_CASE = "trial_design"
ARM = "trt"


def run_demo(output: Path, seed: int) -> None:
    """Fit, sample, judge, attack, and write everything to ``output``.

    Parameters
    ----------
    output : Path
        Folder for ``train/``, ``holdout/``, ``synthetic/``, ``model/``, ``comparison.png`` and ``report.html``.
    seed : int
        Of the split, the fit, the sample, the comparison and the attacks.
    """
    check_replaceable(output)
    train, holdout = split(load_pbc(), holdout=0.3, seed=seed)
    say(f"Fitting {train.n_patients} patients with {train.n_visits:,} visits of a trial in primary biliary cirrhosis.")
    synthesizer = Synthesizer(seed=seed).fit(train, progress=on_terminal())
    with waiting(f"Sampling {N_PATIENTS:,} patients"):
        synthetic = synthesizer.sample(N_PATIENTS, seed=seed)
    say(f"Comparing {N_PATIENTS:,} synthetic patients with {holdout.n_patients} held out, and attacking them.")
    attacked = assess_privacy(synthetic, train, holdout, seed=seed, progress=on_terminal())
    comparison = compare(
        {SYNTHETIC: synthetic},
        train=train,
        holdout=holdout,
        use_case=USE_CASE,
        privacy={SYNTHETIC: attacked},
        arm=ARM,
        seed=seed,
        progress=on_terminal(),
    )
    with waiting("Writing the report"), output_folder(output, {"verb": "demo", "seed": seed}) as folder:
        for name, cohort in (("train", train), ("holdout", holdout), ("synthetic", synthetic)):
            write_cohort(cohort, folder / name)
        synthesizer.save(folder / "model")
        save_figure(draw_cohorts({HELD_OUT: holdout, SYNTHETIC: synthetic}, by=ARM), folder / "comparison.png")
        write_report(comparison, folder / "report.html", synthetic=synthetic, train=train, holdout=holdout)
    columns = describe_columns({HELD_OUT: holdout, SYNTHETIC: synthetic})
    _show("What the cohorts hold: median (10 % to 90 %), or share", columns)
    _show_differences(comparison)
    say(f"Wrote train/, holdout/, synthetic/, model/, comparison.png and report.html to {output}.")


def _show_differences(comparison: Comparison) -> None:
    """Print the verdict, and the metrics that differ from a fresh real sample, each beside its ceiling."""
    verdict = comparison.verdict()
    (states,) = verdict.states().values()
    found = ", ".join(f"{group}: {state}" for group, state in states.items())
    say(f"For {verdict.profile.title.lower()}: {found}.")
    results = headline(comparison.evaluations[SYNTHETIC])
    assessed = [result for result in results if result.value is not None]
    differing = [result for result in assessed if result.flagged]
    say(f"{len(differing)} of {len(assessed)} numbers differ from what a fresh real sample gives.")
    rows = [(f"{one.title}{': ' if one.part else ''}{one.part}", *shown(one)[:2]) for one in differing]
    heads = ["what", "value (95 % interval)", "two real samples (95 % band)"]
    if rows:
        _show("What differs", pl.DataFrame(rows, schema=heads, orient="row"))


def _show(title: str, frame: pl.DataFrame) -> None:
    """Print a frame as a table; the columns ``section`` and ``what`` become headings and row names."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in frame.columns:
        if name != "section":
            table.add_column("" if name == "what" else name, overflow="fold")
    shown_section = None
    for row in frame.iter_rows(named=True):
        section = row.pop("section", None)
        if section != shown_section:
            table.add_row(f"[bold]{section}[/bold]")
            shown_section = section
        table.add_row(*row.values())
    Console().print(table)
