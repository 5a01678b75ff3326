"""The command line around a fitted synthesizer: fit, sample, show, demo."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from quick import make_quick

import longsynth as ls
from longsynth.cli import main
from longsynth.schema.files import write_schema

TABLES = ("--static", "static.parquet", "--visits", "visits.parquet", "--schema", "schema.yaml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A working folder with the tables of a simulated cohort, their schema and a model that was fitted quickly."""
    path = tmp_path_factory.mktemp("work")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        make_quick(patch)
        cohort = ls.simulate_cohort(60, seed=0)
        ls.write_cohort(cohort, path)
        write_schema(cohort.schema, path / "schema.yaml")
        patch.setattr(sys, "argv", ["longsynth", "fit", *TABLES, "-o", "model/", "--seed", "0"])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code
    return path


@pytest.fixture
def run(folder, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in the working folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(folder)
    make_quick(monkeypatch)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longsynth", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# -------------------------------------------------------------------------------------------------------- fit


def test_fit_leaves_an_artifact_and_no_checkpoints(folder):
    assert "manifest.json" in listing(folder / "model")
    assert not [name for name in listing(folder) if "checkpoints" in name or "unfinished" in name]


def test_fit_again_gives_the_same_model_and_says_little(folder, run):
    code, out, err = run("fit", *TABLES, "-o", "again", "--seed", "0")
    assert code == 0
    assert "60 patients" in out
    assert err == ""
    for path in (folder / "model").glob("*.safetensors"):
        assert path.read_bytes() == (folder / "again" / path.name).read_bytes()
    assert run("fit", *TABLES, "-o", "other", "--seed", "1")[0] == 0
    weights = [(folder / name / "static_0.safetensors").read_bytes() for name in ("model", "other")]
    assert weights[0] != weights[1]


def test_fit_continues_after_a_kill(folder, run, monkeypatch):
    from longsynth.synthesizer import Synthesizer

    def killed(self, path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Synthesizer, "save", killed)
        assert run("fit", *TABLES, "-o", "resumed")[0] != 0
    assert ".resumed.checkpoints" in listing(folder)
    assert run("fit", *TABLES, "-o", "resumed", "--resume")[0] == 0
    for path in (folder / "model").glob("*.safetensors"):
        assert path.read_bytes() == (folder / "resumed" / path.name).read_bytes()
    assert ".resumed.checkpoints" not in listing(folder)


def test_fit_does_not_overwrite_what_is_no_artifact(folder, run):
    (folder / "data").mkdir()
    (folder / "data" / "thesis.txt").write_text("years of work")
    code, _, err = run("fit", *TABLES, "-o", "data")
    assert code == 2
    assert "not overwritten" in err
    assert listing(folder / "data") == {"thesis.txt"}


def test_too_few_patients_are_refused_with_the_reason(folder, run):
    few = ls.simulate_cohort(10, seed=0)
    ls.write_cohort(few, folder / "few")
    code, _, err = run(
        "fit", "--static", "few/static.parquet", "--visits", "few/visits.parquet", *TABLES[4:], "-o", "few_model"
    )
    assert code == 2
    assert "10 patients" in err
    assert "few_model" not in listing(folder)


@pytest.mark.parametrize("wrong", [("--accelerator", "abacus"), ("--precision", "3-bit"), ("--strategy", "hope")])
def test_wrong_hardware_settings_are_exit_2(folder, run, wrong):
    before = listing(folder)
    code, _, err = run("fit", *TABLES, "-o", "wrong", *wrong)
    assert code == 2
    assert wrong[1] in err
    assert listing(folder) == before


# ----------------------------------------------------------------------------------------------------- sample


def test_sample_writes_tables_with_the_names_and_types_of_the_input(folder, run):
    code, out, err = run("sample", "model/", "-n", "50", "-o", "out/", "--seed", "1")
    assert code == 0
    assert "50 synthetic patients" in out
    assert err == ""
    assert listing(folder / "out") == {"static.parquet", "visits.parquet", "longsynth.json"}
    for table in ("static", "visits"):
        real, synthetic = (pl.read_parquet(path / f"{table}.parquet") for path in (folder, folder / "out"))
        kept = [name for name in real.columns if name != "patient_id"]
        assert synthetic.columns == real.columns
        assert [synthetic.schema[name] for name in kept] == [real.schema[name] for name in kept]
    static = pl.read_parquet(folder / "out/static.parquet")
    assert static["patient_id"].str.contains("synthetic").all()
    assert static.height == 50


def test_sample_is_repeatable_and_csv_holds_the_same(folder, run):
    for output, options in (("a", ()), ("b", ("--format", "csv"))):
        assert run("sample", "model", "-n", "30", "-o", output, "--seed", "5", *options)[0] == 0
    assert (folder / "b" / "visits.csv").exists()
    schema = ls.read_schema(folder / "schema.yaml")
    cohorts = [
        ls.read_cohort(folder / name / f"visits.{suffix}", static=folder / name / f"static.{suffix}", schema=schema)
        for name, suffix in (("a", "parquet"), ("b", "csv"))
    ]
    assert cohorts[0].visits.rows() == cohorts[1].visits.rows()
    assert cohorts[0].static.rows() == cohorts[1].static.rows()


def test_sample_where_is_met_by_every_patient(folder, run):
    code, _, _ = run("sample", "model", "-n", "40", "--where", "sex == 'male' and age > 55", "-o", "chosen")
    assert code == 0
    static = pl.read_parquet(folder / "chosen/static.parquet")
    assert static.height == 40
    assert (static["sex"] == "male").all()
    assert (static["age"] > 55).all()


@pytest.mark.parametrize(
    ("where", "reason"),
    [
        ("sex = 'male'", "=="),
        ("sex == 'other'", "levels"),
        ("ageing > 50", "no static attribute"),
        ("age > 50 and age < 40", "condition"),
        ("__import__('os')", "only comparisons"),
    ],
)
def test_sample_refuses_a_condition_that_nobody_can_meet(folder, run, where, reason):
    before = listing(folder)
    code, _, err = run("sample", "model", "-n", "5", "--where", where, "-o", "nobody")
    assert code == 2
    assert reason in err
    assert listing(folder) == before


def test_sample_does_not_touch_real_tables(folder, run):
    real = (folder / "static.parquet").read_bytes()
    code, _, err = run("sample", "model", "-n", "5", "-o", folder / "few")
    assert code == 2
    assert "not written by longsynth" in err
    assert (folder / "static.parquet").read_bytes() == real


def test_sample_and_show_refuse_what_is_no_model(folder, run):
    for arguments in (("sample", "few", "-n", "5", "-o", "x"), ("show", "few"), ("show", "absent")):
        code, _, err = run(*arguments)
        assert code == 2
        assert "artifact" in err


# ---------------------------------------------------------------------------------------------------- show, demo


def test_show_tells_schema_settings_and_training(run):
    code, out, _ = run("show", "model/")
    assert code == 0
    for expected in ("patient_id:", "objective: hybrid", "n_patients: 60", "seed: 0"):
        assert expected in out


def test_demo_writes_everything_and_compares(folder, run):
    for _ in range(2):  # the second time it replaces what the first one wrote
        code, out, err = run("demo")
        assert code == 0
        assert err == ""
    made = {"train", "holdout", "synthetic", "model", "comparison.png", "report.html", "longsynth.json"}
    assert listing(folder / "demo") == made
    for said in (
        "lag-1",
        "outcome",
        "real, held out",
        "synthetic",
        "For trial design",
        "a fresh real sample",
        "report.html",
    ):
        assert said in out
    report = (folder / "demo/report.html").read_text(encoding="utf-8")
    assert len(report.encode()) < 3_000_000
    for section in ("verdict", "results", "pictures", "repairs", "quantiles", "privacy", "untested"):
        assert f'<section id="{section}">' in report
    assert pl.read_parquet(folder / "demo/synthetic/static.parquet").height == 1000
    assert json.loads((folder / "demo/longsynth.json").read_text())["verb"] == "demo"
    assert (folder / "demo/comparison.png").stat().st_size > 50_000
