"""The command line: the forms people type, exit codes, clear errors, and nothing left half-written."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from longsynth.cli import main

SECRET = "Jane-Doe"


def tables() -> tuple[pl.DataFrame, pl.DataFrame]:
    """A small trial whose patient ids must never be printed."""
    n = 40
    static = pl.DataFrame(
        {
            "patient_id": [f"{SECRET}-{i}" for i in range(n)],
            "trt": [i % 2 for i in range(n)],
            "age at entry": [30.5 + 1.25 * i for i in range(n)],
            "sex": ["f" if i % 3 else "m" for i in range(n)],
            "futime": [100 + 10 * i for i in range(n)],
            "status": [int(i % 4 == 0) for i in range(n)],
        }
    )
    visits = pl.DataFrame(
        [
            {"patient_id": f"{SECRET}-{i}", "time": 30 * k, "bili": round(0.5 + 0.37 * ((7 * i + 3 * k) % 23), 2)}
            for i in range(n)
            for k in range(1 + i % 4)
        ]
    )
    return static, visits


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working folder with static.csv, visits.csv and their schema."""
    monkeypatch.chdir(tmp_path)
    static, visits = tables()
    static.write_csv("static.csv")
    visits.write_csv("visits.csv")
    return tmp_path


@pytest.fixture
def run(monkeypatch, capsys):
    """Run the command line in this process; gives exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["longsynth", *map(str, arguments)])
        with pytest.raises(SystemExit) as stopped:
            main()
        captured = capsys.readouterr()
        assert SECRET not in captured.out + captured.err
        assert "Traceback" not in captured.err
        return int(stopped.value.code or 0), captured.out, captured.err

    return call


TABLES = ("--static", "static.csv", "--visits", "visits.csv")
INFER = ("infer-schema", *TABLES, "--patient-id", "patient_id", "--visit-time", "time")
EVENT = ("--duration", "futime", "--event", "status")


@pytest.fixture
def schema(folder, run):
    assert run(*INFER, *EVENT, "-o", "schema.yaml")[0] == 0
    return folder / "schema.yaml"


def test_infer_schema_makes_the_folder_it_writes_to(folder, run):
    assert run(*INFER, "-o", "new/folder/schema.yaml")[0] == 0
    assert listing(folder / "new" / "folder") == {"schema.yaml"}


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ------------------------------------------------------------------------------------------------------- help


@pytest.mark.multi_process
@pytest.mark.parametrize("arguments", [["--help"], ["fit", "--help"]])
def test_help_is_quick_and_loads_nothing_heavy(arguments):
    script = (
        "import sys; from longsynth.cli import main; sys.argv[0] = 'longsynth'\n"
        "try: main()\nfinally: print('LOADED', *sys.modules)"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 2  # 0.3 s on a quiet machine
    help_text, loaded = done.stdout.split("LOADED")
    assert "longsynth" in help_text
    assert not {"torch", "polars", "pandas", "numpy", "matplotlib"} & set(loaded.split())


def test_all_verbs_are_listed(run):
    code, out, _ = run("--help")
    assert code == 0
    listed = re.findall(r"^  ([a-z-]+)  ", out.split("Commands:")[1], re.MULTILINE)
    assert listed[:9] == ["demo", "infer-schema", "check", "split", "fit", "sample", "show", "evaluate", "compare"]
    assert listed[9:] == ["audit", "trade-off", "assess-privacy"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["frobnicate"],
        ["fit", "--schema", "schema.yaml"],
        ["sample", "model", "-n", "0", "-o", "out"],
        ["sample", "model", "-n", "many", "-o", "out"],
        ["sample", "model", "-n", "5", "-o", "out", "--format", "xlsx"],
        ["fit", *TABLES, "--schema", "s.yaml", "-o", "m", "--objective", "magic"],
        ["fit", *TABLES, "--schema", "s.yaml", "-o", "m", "--seed", "-1"],
    ],
)
def test_wrong_usage_is_exit_2(run, arguments):
    code, _, err = run(*arguments)
    assert code == 2
    assert "Error" in err


# ------------------------------------------------------------------------------------------- infer-schema, check


def test_infer_schema_reads_types_off_csv_text(schema):
    text = schema.read_text()
    assert "levels: [0, 1]" in text
    assert re.search(r"age at entry:\n\s+kind: continuous", text)
    assert "terminal_event:" in text


def test_infer_schema_gives_parquet_the_same_schema_as_csv(schema, run):
    static, visits = tables()
    static.write_parquet("static.parquet")
    visits.write_parquet("visits.parquet")
    arguments = [str(part).replace(".csv", ".parquet") for part in INFER]
    assert run(*arguments, *EVENT, "-o", "from_parquet.yaml")[0] == 0
    assert Path("from_parquet.yaml").read_text() == schema.read_text()


def test_infer_schema_without_an_event(folder, run):
    assert run(*INFER, "-o", "schema.yaml")[0] == 0
    assert "terminal_event:" not in Path("schema.yaml").read_text()


def test_an_edited_schema_is_not_overwritten(schema, run):
    again = (*INFER, *EVENT, "-o", "schema.yaml")
    assert run(*again)[0] == 0
    schema.write_text(schema.read_text() + "# my edit\n")
    code, _, err = run(*again)
    assert code == 2
    assert "edits of yours" in err
    assert schema.read_text().endswith("# my edit\n")


def test_check_accepts_what_infer_schema_proposed(schema, run):
    code, out, _ = run("check", *TABLES, "--schema", "schema.yaml")
    assert code == 0
    assert "40 patients with 100 visits" in out


def spoil(table: str, **columns: pl.Expr) -> Callable[[], None]:
    """Overwrite columns of one table."""
    return lambda: tables()[table == "visits"].with_columns(**columns).write_csv(f"{table}.csv")


def spoil_bytes(old: bytes, new: bytes) -> Callable[[], None]:
    path = Path("static.csv")
    return lambda: path.write_bytes(path.read_bytes().replace(old, new)) and None


STATIC, VISITS = tables()
DAMAGE = {
    "duplicate visits": (lambda: pl.concat([VISITS, VISITS.head(2)]).write_csv("visits.csv"), "2 "),
    "unknown patients": (lambda: STATIC.head(35).write_csv("static.csv"), "static"),
    "visits after the end": (spoil("visits", time=pl.col("time") + 400), "drop"),
    "negative duration": (spoil("static", futime=-pl.col("futime")), "futime"),
    "text for a number": (spoil("visits", bili=pl.lit("high")), "bili"),
    "infinite values": (spoil("visits", bili=pl.lit(float("inf"))), "bili"),
    "missing column": (lambda: VISITS.drop("bili").write_csv("visits.csv"), "bili"),
    "not UTF-8": (spoil_bytes(b",f,", b",\xe9,"), "UTF-8"),
    "empty file": (lambda: Path("visits.csv").write_bytes(b""), "empty"),
    "no such file": (lambda: Path("visits.csv").unlink(), "no such file"),
}


@pytest.mark.parametrize("name", DAMAGE)
@pytest.mark.parametrize("verb", ["check", "split", "fit"])
def test_bad_tables_are_exit_2_with_the_reason_and_nothing_written(schema, folder, run, name, verb):
    spoil_it, reason = DAMAGE[name]
    spoil_it()
    before = listing(folder)
    code, out, err = run(verb, *TABLES, "--schema", "schema.yaml", *(() if verb == "check" else ("-o", "out")))
    assert code == 2
    assert out == ""
    assert reason in err
    assert listing(folder) == before


def test_drop_after_event_is_an_explicit_choice(schema, run):
    late = tables()[1].with_columns(pl.when(pl.col("time") == 30).then(100_000).otherwise("time").alias("time"))
    late.write_csv("visits.csv")
    arguments = ("check", *TABLES, "--schema", "schema.yaml")
    assert run(*arguments)[0] == 2
    code, out, _ = run(*arguments, "--drop-after-event")
    assert code == 0
    assert "70 visits" in out


# ------------------------------------------------------------------------------------------------------ split


def test_split_writes_two_cohorts_that_share_no_patient(schema, folder, run):
    arguments = ("split", *TABLES, "--schema", "schema.yaml", "-o", "parts", "--holdout", "0.25", "--seed", "3")
    code, out, _ = run(*arguments)
    assert code == 0
    assert "30 patients" in out
    assert "10" in out
    ids = {
        part: set(pl.read_parquet(folder / "parts" / part / "static.parquet")["patient_id"])
        for part in ("train", "holdout")
    }
    assert len(ids["train"]) == 30
    assert len(ids["holdout"]) == 10
    assert not ids["train"] & ids["holdout"]
    first = (folder / "parts/train/static.parquet").read_bytes()
    assert run(*arguments)[0] == 0
    assert (folder / "parts/train/static.parquet").read_bytes() == first


def test_other_peoples_files_are_not_overwritten(schema, folder, run):
    (folder / "parts").mkdir()
    (folder / "parts" / "thesis.txt").write_text("years of work")
    arguments = ("split", *TABLES, "--schema", "schema.yaml", "-o")
    code, _, err = run(*arguments, "parts")
    assert code == 2
    assert "not written by longsynth" in err
    assert listing(folder / "parts") == {"thesis.txt"}
    code, _, err = run(*arguments, "static.csv")
    assert code == 2
    assert "is a file" in err
    assert run(*arguments, "fresh")[0] == 0
    (folder / "fresh" / "elsewhere").symlink_to(folder / "parts")
    (folder / "fresh" / "train" / "notes.txt").write_text("mine")
    code, _, err = run(*arguments, "fresh")
    assert code == 2
    assert "2 files" in err


def test_the_record_says_how_the_folder_was_made(schema, folder, run):
    assert run("split", *TABLES, "--schema", "schema.yaml", "-o", "parts", "--seed", "7")[0] == 0
    record = json.loads((folder / "parts" / "longsynth.json").read_text())
    assert record["verb"] == "split"
    assert record["seed"] == 7


FULL_DISK = """
import resource
from longsynth.cli import main
import longsynth.cohort.formats, longsynth.cohort.split, longsynth.schema.infer
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
main()
"""


@pytest.mark.multi_process
@pytest.mark.parametrize(
    "arguments",
    [
        ("split", *TABLES, "--schema", "schema.yaml", "-o", "parts"),
        ("split", *TABLES, "--schema", "schema.yaml", "-o", "parts", "--format", "csv"),
        (*INFER, "-o", "proposed.yaml"),
    ],
    ids=["parquet", "csv", "schema"],
)
def test_a_full_disk_is_exit_2_and_leaves_nothing(schema, folder, arguments):
    """Files may not grow beyond 512 bytes: every write beyond fails as on a full disk."""
    before = listing(folder)
    command = [sys.executable, "-B", "-c", FULL_DISK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("Error: ")
    assert "Traceback" not in done.stderr
    assert "too large" in done.stderr.lower()
    assert listing(folder) == before
