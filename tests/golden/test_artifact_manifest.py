"""An artifact of format version 1, written once and kept: it must stay readable, and be written byte for byte alike."""

import datetime as dt
import json
from pathlib import Path

import numpy as np
import polars as pl

import longsynth as ls
from longsynth.artifact import MANIFEST, _manifest, read_artifact, write_artifact

GOLDEN = Path(__file__).parent / "artifact_v1"
CALENDAR_DATES = Path(__file__).parent / "artifact_calendar_dates"
DOCUMENTS = {"schema": {"version": 1, "static": {"trt": {"kind": "binary", "levels": [0, 1]}}}}
TENSORS = {"weights": {"bias": np.array([0.5, -1.5], dtype=np.float32), "steps": np.array(7)}}


def test_the_golden_artifact_is_still_readable():
    documents, tensors = read_artifact(GOLDEN)
    assert documents == DOCUMENTS
    assert set(tensors) == {"weights"}
    for name, array in TENSORS["weights"].items():
        np.testing.assert_array_equal(tensors["weights"][name], array)


def test_the_same_content_is_written_byte_for_byte(tmp_path):
    folder = write_artifact(tmp_path / "model", DOCUMENTS, TENSORS)
    for path in GOLDEN.iterdir():
        if path.name != MANIFEST:
            assert (folder / path.name).read_bytes() == path.read_bytes()
    golden = json.loads((GOLDEN / MANIFEST).read_bytes())
    written = json.loads((folder / MANIFEST).read_bytes())
    assert _manifest(written["files"], version=golden["longsynth_version"]) == (GOLDEN / MANIFEST).read_bytes()


def test_an_artifact_that_learnt_calendar_dates_still_gives_them():
    """Written before dates followed their visit (decision 0013): its dates are classes of calendar days."""
    synthesizer = ls.load(CALENDAR_DATES)
    scans = synthesizer.sample(200, seed=0).visits["scan"]
    lower, upper = synthesizer.schema.channels["scan"].bounds
    assert scans.is_between(lower, upper).all() and scans.n_unique() > 100
    assert dt.date(2020, 6, 1) < scans.cast(pl.Datetime).median().date() < dt.date(2022, 6, 1)
