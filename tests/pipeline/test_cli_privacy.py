"""The verb assess-privacy: what it writes, its exit codes, and what it refuses."""

import json
import shutil
import sys

import polars as pl
import pytest
from attack_worlds import CONTROL, FRESH, MEMBERS
from metric_worlds import SCHEMA

from longsynth.cli import main
from longsynth.cohort.formats import write_cohort
from longsynth.privacy.results import COLUMNS, PrivacyAssessment
from longsynth.schema.files import schema_text


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """A folder with train, holdout, a copy of train, and a fresh cohort."""
    folder = tmp_path_factory.mktemp("parts")
    for name, cohort in {"train": MEMBERS, "holdout": CONTROL, "copy": MEMBERS, "fresh": FRESH}.items():
        write_cohort(cohort, folder / name)
    (folder / "schema.yaml").write_text(schema_text(SCHEMA))
    return folder


@pytest.fixture
def run(parts, tmp_path, monkeypatch, capsys):
    """Call the verb in the folder and return exit code, output and errors."""
    monkeypatch.chdir(parts)

    def call(*arguments: str) -> tuple[int, str, str]:
        fixed = ["--schema", "schema.yaml", "--train", "train", "--attacks", "duplicates", "-o", str(tmp_path / "out")]
        monkeypatch.setattr(sys, "argv", ["longsynth", "assess-privacy", *arguments, *fixed])
        with pytest.raises(SystemExit) as stopped:
            main()
        printed = capsys.readouterr()
        return stopped.value.code or 0, printed.out, printed.err

    return call


def test_results_are_written_and_shown(run, tmp_path):
    code, out, _ = run("copy", "--holdout", "holdout")
    assert code == 0
    assert "6 show a leak" in out
    assert "1.000 (0.9" in out
    assert "Note: full knows: 3 consecutive visits" in out
    found = PrivacyAssessment.from_json((tmp_path / "out/privacy.json").read_text())
    table = pl.read_csv(tmp_path / "out/privacy.csv")
    assert table.columns == list(COLUMNS)
    assert table.height == len(found.results)
    assert json.loads((tmp_path / "out/longsynth.json").read_text())["verb"] == "assess-privacy"


def test_a_missed_limit_is_exit_code_3_and_a_kept_one_0(run):
    code, _, err = run("copy", "--holdout", "holdout", "--require", "duplicates.risk_hi<=0.09")
    assert code == 3
    assert "Missed: duplicates.risk_hi<=0.09: duplicates, 3 visits" in err
    assert run("fresh", "--holdout", "holdout", "--require", "duplicates.risk_hi<=0.09")[0] == 0


def test_what_was_not_assessed_misses_every_limit(run):
    code, _, err = run("fresh", "--require", "all.risk_hi<=0.09")
    assert code == 3
    assert "no holdout" in err


def test_several_draws(run, tmp_path):
    assert run("copy", "fresh", "--holdout", "holdout")[0] == 0
    assert set(pl.read_csv(tmp_path / "out/privacy.csv").filter(pl.col("n_members") > 0)["n_draws"]) == {2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["fresh", "--holdout", "train"], "id of a train patient"),
        (["fresh", "--holdout", "nowhere"], "no static.parquet"),
        (["fresh", "--holdout", "holdout", "--require", "duplicates<0.1"], "NAME.COLUMN<=NUMBER"),
        (["fresh", "--holdout", "holdout", "--require", "duplicates<=0.1"], "duplicates.risk_hi<=0.09"),
        (["fresh", "--holdout", "holdout", "--require", "duplicates.risk_hi>=0.1"], "write <= for >="),
        (["nowhere", "--require", "linkage.risk<=0.1"], "nothing called 'linkage' is to be tried"),
        (["fresh", "--holdout", "holdout", "--require", "duplicates.power<=0.1"], "no column 'power'"),
        (["fresh", "--holdout", "holdout", "--knowledge", "nobody"], "no attacker called 'nobody'"),
        (["fresh", "--holdout", "holdout", "--knowledge", ""], "there is no attacker; choose from glance"),
        (["fresh", "--holdout", "holdout", "--knowledge", "glance, glance"], "give each preset once"),
    ],
)
def test_usage_errors_are_exit_code_2(run, tmp_path, arguments, said):
    code, _, err = run(*arguments)
    assert code == 2
    assert said in err
    assert not (tmp_path / "out").exists()


def test_two_tables_of_one_name_are_refused(run, parts, tmp_path):
    shutil.copytree(parts / "fresh", tmp_path / "both")
    (tmp_path / "both/static.csv").write_text("patient_id\n")
    code, _, err = run(str(tmp_path / "both"), "--holdout", "holdout")
    assert code == 2
    assert "2 static tables" in err
