"""A private fit from the command line: its ledger is shown, and what cannot be guaranteed ends with exit code 2."""

import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from private_worlds import declared_schema, forget_fits, made_cohort, quick_private
from pytorch_lightning.utilities import rank_zero_only

import longsynth as ls
from longsynth.cli import main
from longsynth.exceptions import ConfigError
from longsynth.schema.files import write_schema
from longsynth.schema.types import Channel, VisitTime

TABLES = ("--static", "static.csv", "--visits", "visits.csv", "--schema", "schema.yaml")
BUDGET = ("--epsilon", "8", "--delta", "1e-3")
N = 37


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A working folder with CSV tables and a schema that declares everything, or not."""
    path = tmp_path_factory.mktemp("private")
    train = made_cohort(declared_schema(), [3, 1, 2, 0, *[2] * (N - 4)], 3)
    ls.write_cohort(train, path, format="csv")
    write_schema(train.schema, path / "schema.yaml")
    channels = train.schema.channels | {"bili": Channel(kind="continuous")}
    open_schema = train.schema.model_copy(update={"channels": channels, "visit_time": VisitTime(column="day")})
    write_schema(open_schema, path / "open.yaml")
    return path


@pytest.fixture
def run(folder, monkeypatch, capsys) -> Callable[..., tuple[int, str, str]]:
    """Run the command line in the working folder; gives exit code, standard output and standard error."""
    monkeypatch.chdir(folder)
    quick_private(monkeypatch, noise=0.5)

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longsynth", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


def test_fit_and_show_print_the_ledger_and_no_exact_number(run, folder):
    code, out, err = run("fit", *TABLES, *BUDGET, "--max-visits", 2, "-o", "model")
    assert code == 0, err
    n_visits = pl.read_csv(folder / "visits.csv").height
    assert f"{N} patients" not in out and f"{n_visits} visits" not in out
    shown = run("show", "model")[1]
    for text in (out, shown):
        assert "epsilon = 8" in text and "delta = 0.001" in text
        assert "subsampled Gaussian" in text and text.count("Gaussian") == 3
    assert "seconds" not in shown and str(N) not in shown.split("training:")[1].split("plan:")[0].split()
    code, _, err = run("sample", "model", "-n", 20, "-o", "sampled")
    assert code == 0, err
    code, out, err = run("assess-privacy", "sampled", *TABLES[-2:], "--train", folder, "-o", "attacked")
    assert code == 0, err
    told = (folder / "attacked" / "privacy.json").read_text()
    assert all("outside this guarantee" in " ".join(text.split()) for text in (out, told))


def test_a_further_fit_counts_the_one_before(run):
    assert run("fit", *TABLES, *BUDGET, "-o", "first")[0] == 0
    code, _, err = run("fit", *TABLES, *BUDGET, "-o", "second")
    assert code == 2 and "search on private data" in " ".join(err.split())
    code, out, err = run("fit", *TABLES, "--epsilon", 12, "--delta", "1e-3", "--after", "first", "-o", "second")
    assert code == 0, err
    assert "earlier fits of the same patients included" in " ".join(out.split()) and out.count("Gaussian") == 6


def test_a_private_fit_is_not_replaced_by_one_that_does_not_count_it(run, folder):
    """Its ledger would be lost, and with it what the patients have cost."""
    assert run("fit", *TABLES, *BUDGET, "-o", "spent")[0] == 0
    forget_fits()
    before = (folder / "spent" / "record.json").read_bytes()
    for again in ((), ("--resume",), ("--seed", 1)):
        code, _, err = run("fit", *TABLES, *BUDGET, *again, "-o", "spent")
        assert code == 2 and "--after spent" in " ".join(err.split())
        assert (folder / "spent" / "record.json").read_bytes() == before
    larger = ("--epsilon", 12, "--delta", "1e-3", "--after", folder / "spent")
    code, out, err = run("fit", *TABLES, *larger, "-o", "spent")
    assert code == 0 and out.count("Gaussian") == 6, err


REFUSALS = {
    "epsilon 0": ((*TABLES, "--epsilon", "0", "--delta", "1e-3"), "above 0"),
    "epsilon nan": ((*TABLES, "--epsilon", "nan", "--delta", "1e-3"), "above 0"),
    "epsilon inf": ((*TABLES, "--epsilon", "inf", "--delta", "1e-3"), "finite"),
    "no delta": ((*TABLES, "--epsilon", "8"), "delta is missing"),
    "no epsilon": ((*TABLES, "--delta", "1e-3"), "--epsilon, which is missing"),
    "max visits alone": ((*TABLES, "--max-visits", "3"), "--epsilon, which is missing"),
    "max visits 0": ((*TABLES, *BUDGET, "--max-visits", "0"), "max_visits"),
    "delta too large": ((*TABLES, "--epsilon", "8", "--delta", "0.09"), "delta is too large"),
    "half precision": ((*TABLES, *BUDGET, "--precision", "bf16-true"), "32-true"),
    "open schema": ((*TABLES[:4], "--schema", "open.yaml", *BUDGET), "channels column 'bili': bounds"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_cannot_be_guaranteed_is_refused(name, run, folder):
    arguments, remedy = REFUSALS[name]
    code, _, err = run("fit", *arguments, "-o", "refused")
    assert code == 2
    assert remedy in err.replace("\n", " ").replace("  ", " ")
    assert not (folder / "refused").exists()
    assert not any(patient in err for patient in pl.read_csv(folder / "static.csv")["patient_id"])


def test_everything_that_is_open_is_listed(run):
    err = run("fit", *TABLES[:4], "--schema", "open.yaml", *BUDGET, "-o", "refused")[2]
    assert "channels column 'bili': bounds (lower and upper), decimals" in err
    assert "visit time 'day': decimals" in err


def test_noisy_counts_that_were_paid_for_are_kept_for_the_next_try(run, folder):
    checkpoints = folder / ".again.checkpoints"
    assert run("fit", *TABLES[:4], "--schema", "open.yaml", *BUDGET, "-o", "again")[0] == 2
    assert not checkpoints.exists()  # nothing was spent
    assert "--resume" in run("fit", *TABLES, "--epsilon", "8", "--delta", "0.09", "-o", "again")[2]
    paid = (checkpoints / "sizes.json").read_bytes()
    code, _, err = run("fit", *TABLES, "--epsilon", "8", "--delta", "0.09", "--resume", "-o", "again")
    assert code == 2 and "delta is too large" in err
    assert (checkpoints / "sizes.json").read_bytes() == paid
    code, out, err = run("fit", *TABLES, *BUDGET, "--resume", "-o", "again")
    assert code == 0, err
    assert out.count("Gaussian") == 3 and not checkpoints.exists()


def test_what_was_paid_for_survives_every_other_start(run, folder):
    """The fit that paid carries on; none from the start, with another seed, of other patients or without a budget."""
    checkpoints = folder / ".kept.checkpoints"
    ours = (*TABLES, *BUDGET, "-o", "kept")
    ls.write_cohort(made_cohort(declared_schema(), [2] * 30, 4), folder / "other", format="csv")
    theirs = ("--static", "other/static.csv", "--visits", "other/visits.csv", *TABLES[4:], *BUDGET, "-o", "kept")
    assert "delta is too large" in run("fit", *ours, "--delta", "0.09")[2]
    paid = {path.name: path.read_bytes() for path in checkpoints.iterdir()}
    refusals = {
        "another seed": ((*ours, "--seed", 1), "--resume"),
        "others": (theirs, "--resume"),
        "others carried on": ((*theirs, "--resume"), "another cohort"),
        "without a budget": ((*TABLES, "-o", "kept"), "another output folder"),
        "without a budget, carried on": ((*TABLES, "-o", "kept", "--resume"), "another output folder"),
    }
    for name, (arguments, remedy) in refusals.items():
        code, _, err = run("fit", *arguments)
        assert code == 2 and remedy in err, name
        assert {path.name: path.read_bytes() for path in checkpoints.iterdir()} == paid, name
    code, _, err = run("fit", *ours, "--resume")
    assert code == 0, err


def test_a_process_beside_the_first_one_removes_nothing_when_it_fails(run, folder, monkeypatch):
    def failing(_synthesizer, _train, *, work_dir, **_):
        work_dir.mkdir()
        (work_dir / "sizes.json").write_text("{}")  # by the first process
        raise ConfigError("this process cannot go on")

    monkeypatch.setattr(rank_zero_only, "rank", 1)
    monkeypatch.setattr(ls.Synthesizer, "fit", failing)
    code, out, err = run("fit", *TABLES, *BUDGET, "-o", "beside")
    assert code == 2 and "cannot go on" in err and out == ""
    assert (folder / ".beside.checkpoints" / "sizes.json").exists()


def test_a_result_close_to_noise_is_warned_of_in_one_plain_line(run):
    code, _, err = run("fit", *TABLES, "--epsilon", "1", "--delta", "1e-3", "-o", "noise")
    assert code == 0
    (line,) = [line for line in err.splitlines() if "noise" in line]
    assert line.startswith("Warning: about") and "UserWarning" not in err and ".py" not in err
