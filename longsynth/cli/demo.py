"""The demonstration: from the cohort that ships with the package to a comparison on the screen and in a picture."""

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
from longsynth.report.figures import draw_cohorts, save_figure
from longsynth.report.summary import describe_columns, measure_distances
from longsynth.synthesizer import Synthesizer

N_PATIENTS = 1000
HELD_OUT, FRESH, SYNTHETIC = "real, held out", "real, train", "synthetic"


def run_demo(output: Path, seed: int) -> None:
    """Fit, sample, compare, and write everything to ``output``.

    Parameters
    ----------
    output : Path
        Folder for ``train/``, ``holdout/``, ``synthetic/``, ``model/`` and ``comparison.png``.
    seed : int
        Of the split, the fit and the sample.
    """
    check_replaceable(output)
    train, holdout = split(load_pbc(), holdout=0.3, seed=seed)
    say(f"Fitting {train.n_patients} patients with {train.n_visits:,} visits of a trial in primary biliary cirrhosis.")
    synthesizer = Synthesizer(seed=seed).fit(train, progress=on_terminal())
    with waiting(f"Sampling {N_PATIENTS:,} patients and comparing them with {holdout.n_patients} held out"):
        synthetic = synthesizer.sample(N_PATIENTS, seed=seed)
        cohorts = {HELD_OUT: holdout, FRESH: train, SYNTHETIC: synthetic}
        columns = describe_columns({HELD_OUT: holdout, SYNTHETIC: synthetic})
        distances = measure_distances({FRESH: train, SYNTHETIC: synthetic}, holdout)
        figure = draw_cohorts(cohorts, by="trt")
        with output_folder(output, {"verb": "demo", "seed": seed}) as folder:
            for name, cohort in (("train", train), ("holdout", holdout), ("synthetic", synthetic)):
                write_cohort(cohort, folder / name)
            synthesizer.save(folder / "model")
            save_figure(figure, folder / "comparison.png")
    _show("What the cohorts hold: median (10 % to 90 %), or share", columns)
    _show("Distance to the real patients held out (real, train: what can be reached)", distances)
    say(f"Wrote train/, holdout/, synthetic/, model/ and comparison.png to {output}.")


def _show(title: str, frame: pl.DataFrame) -> None:
    """Print a frame as a table; the columns ``section`` and ``what`` become headings and row names."""
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in frame.columns:
        if name != "section":
            table.add_column("" if name == "what" else name, overflow="fold")
    shown = None
    for row in frame.iter_rows(named=True):
        section = row.pop("section", None)
        if section != shown:
            table.add_row(f"[bold]{section}[/bold]")
            shown = section
        table.add_row(*row.values())
    Console().print(table)
