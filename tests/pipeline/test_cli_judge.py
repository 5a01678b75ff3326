"""The verbs that judge: what they read and write, exit codes, and tables from other tools."""

import json
import sys

import polars as pl
import pytest
from metric_worlds import SCHEMA, shuffled_in_time, world

import longsynth as ls
from longsynth.cli import main
from longsynth.cohort.formats import write_cohort
from longsynth.evaluation.splits import Effort
from longsynth.schema.files import write_schema

CHEAP = ("--metrics", "ks,milestone_survival", "--strata", "")
REAL = ("--schema", "schema.yaml", "--train", "train", "--holdout", "holdout")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with real parts as `split` writes them, and two synthetic cohorts."""
    monkeypatch.chdir(tmp_path)
    train, holdout = ls.split(world(120, 1), 0.4, seed=0)
    write_schema(SCHEMA, "schema.yaml")
    for name, cohort in (("train", train), ("holdout", holdout), ("good", world(60, 2))):
        write_cohort(cohort, name)
    write_cohort(shuffled_in_time(world(60, 3)), "other", format="csv")
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys):
    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["longsynth", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


def test_evaluate_writes_numbers_and_a_report(folder, run):
    code, out, err = run("evaluate", "good", *REAL, *CHEAP, "-o", "judged")
    assert code == 0, err
    assert "(95 %" in out and "Note: " in out
    written = {path.name for path in (folder / "judged").iterdir()}
    assert written == {"evaluation.json", "evaluation.csv", "report.html", "longsynth.json"}
    frame = pl.read_csv("judged/evaluation.csv")
    assert frame["metric"].unique().sort().to_list() == ["ks", "milestone_survival"]
    found = ls.evaluate(
        ls.read_cohort("good/visits.parquet", static="good/static.parquet", schema="schema.yaml"),
        train=ls.read_cohort("train/visits.parquet", static="train/static.parquet", schema="schema.yaml"),
        holdout=ls.read_cohort("holdout/visits.parquet", static="holdout/static.parquet", schema="schema.yaml"),
        metrics=["ks", "milestone_survival"],
        strata=[],
    )
    assert (folder / "judged/evaluation.json").read_text() == found.to_json() + "\n"


@pytest.fixture
def quick(monkeypatch):
    """Reports without pictures, and little effort on ceilings; the first test has both in full."""
    effort = Effort(n_patients=40, n_splits=39, n_halves=10, n_draws=2)
    monkeypatch.setattr("longsynth.evaluation.evaluate.CHEAP", effort)
    monkeypatch.setattr("longsynth.report.html.write_report", lambda _, path, **cohorts: path.write_text(str(cohorts)))


@pytest.mark.usefixtures("quick")
def test_two_plain_tables_of_another_tool_are_enough(folder, run):
    (folder / "other/static.csv").rename(folder / "patients.csv")
    (folder / "other/visits.csv").rename(folder / "rows.csv")
    code, _, err = run("evaluate", "patients.csv,rows.csv", *REAL, *CHEAP, "-o", "judged")
    assert code == 0, err


@pytest.mark.usefixtures("quick")
def test_compare_says_what_a_use_case_makes_of_each(folder, run):
    options = (*REAL, *CHEAP, "--use-case", "exploratory_analysis", "-o", "judged")
    code, out, err = run("compare", "ours=good", "theirs=other", *options)
    assert code == 0, err
    assert "ours: fidelity " in out and "theirs: fidelity " in out and "privacy not assessed" in out
    written = {path.name for path in (folder / "judged").iterdir()}
    assert written == {"comparison.json", "comparison.csv", "verdict.csv", "report.html", "longsynth.json"}
    assert set(json.loads((folder / "judged/comparison.json").read_text())["evaluations"]) == {"ours", "theirs"}


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(("limit", "code"), [("ks<=0.9", 0), ("ks.z<=-50", 3), ("milestone_survival>=0.9", 3)])
def test_a_missed_limit_ends_with_3_after_all_is_written(limit, code, folder, run):
    found, _, err = run("evaluate", "good", *REAL, *CHEAP, "--require", limit, "-o", "judged")
    assert found == code and ("Missed: " in err) == (code == 3)
    assert (folder / "judged/evaluation.json").exists()


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("evaluate", "nowhere", *REAL, *CHEAP), "nowhere: there is no static.parquet"),
        (("evaluate", "a.csv,b.csv", *REAL, *CHEAP), "a.csv: there is no such file"),
        (("evaluate", "train", *REAL, *CHEAP), "every patient is a real one"),
        (("evaluate", "good", *REAL, *CHEAP, "--require", "ks<0.7"), "write a limit as"),
        (("evaluate", "good", *REAL, *CHEAP, "--require", "icc<=0.7"), "'icc' was not computed"),
        (("evaluate", "good", *REAL, *CHEAP, "--require", "ks.width<=0.7"), "no column 'width'"),
        (("evaluate", "good", *REAL, *CHEAP, "--use-case", "nothing"), "profiles are"),
        (("evaluate", "good", *REAL, *CHEAP, "--privacy", "nowhere"), "nowhere/privacy.json"),
        (("evaluate", "good", *REAL, "--metrics", "nothing"), "no metric called 'nothing'"),
        (("compare", "good", *REAL, *CHEAP), "write NAME=FOLDER"),
        (("compare", "a=good", "a=other", *REAL, *CHEAP), "given twice"),
    ],
)
def test_wrong_input_ends_with_2_and_writes_nothing(arguments, complaint, folder, run):
    code, _, err = run(*arguments, "-o", "judged")
    assert code == 2 and complaint in err
    assert not (folder / "judged").exists()
