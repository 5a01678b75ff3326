"""A disk that is full while a verb writes: exit 2, the user's own folder in the message, and nothing left."""

import errno
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from longsynth.cli import main

FULL_DISK = """
import resource, sys
from longsynth.cli import main
import longsynth.cohort.formats, longsynth.cohort.split, longsynth.schema.infer
resource.setrlimit(resource.RLIMIT_FSIZE, (512, 512))
main()
"""
TABLES = ("--static", "static.csv", "--visits", "visits.csv")
NAMES = ("--patient-id", "patient_id", "--visit-time", "time", "--duration", "futime", "--event", "status")


@pytest.fixture
def folder(tmp_path):
    """A folder with a small cohort and its schema."""
    ids = [f"p{i:02d}" for i in range(40)]
    static = {"patient_id": ids, "age": [30 + i for i in range(40)], "futime": [900] * 40, "status": [0, 1] * 20}
    visits = {"patient_id": sorted(ids * 3), "time": [0, 90, 200] * 40, "bili": [i / 10 for i in range(120)]}
    pl.DataFrame(static).write_csv(tmp_path / "static.csv")
    pl.DataFrame(visits).write_csv(tmp_path / "visits.csv")
    schema = "visit_time: {column: time}\nterminal_event: {duration: futime, event: status}\n"
    schema += "static: {age: {kind: count}}\nchannels: {bili: {kind: continuous}}\n"
    (tmp_path / "schema.yaml").write_text(schema)
    return tmp_path


@pytest.mark.multi_process
@pytest.mark.parametrize(
    ("place", "arguments"),
    [
        ("parts", ("split", *TABLES, "--schema", "schema.yaml", "-o", "parts")),
        ("parts", ("split", *TABLES, "--schema", "schema.yaml", "-o", "parts", "--format", "csv")),
        ("proposed.yaml", ("infer-schema", *TABLES, *NAMES, "-o", "proposed.yaml")),
    ],
    ids=["parquet", "csv", "schema"],
)
def test_the_message_names_the_place_that_was_asked_for(folder, place, arguments):
    before = {path.name for path in folder.iterdir()}
    command = [sys.executable, "-B", "-c", FULL_DISK, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith(f"Error: {place}")
    assert "unfinished" not in done.stderr and "too large" in done.stderr.lower()
    assert str(Path(folder)) not in done.stderr
    assert {path.name for path in folder.iterdir()} == before


def test_a_fit_names_its_own_folder_too(folder, monkeypatch, capsys):
    """Checkpoints are written by way of temporary files elsewhere."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "/tmp/elsewhere")

    monkeypatch.setattr("longsynth.synthesizer.Synthesizer.fit", full)
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["longsynth", "fit", *TABLES, "--schema", "schema.yaml", "-o", "model"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert capsys.readouterr().err.startswith("Error: model: No space left on device.")
