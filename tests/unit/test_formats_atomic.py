import resource
import signal
from contextlib import contextmanager

import pytest
from awkward import awkward_cohorts

from longsynth.cohort.formats import read_cohort, write_cohort
from longsynth.cohort.formats.atomic import replacing
from longsynth.exceptions import CohortError

COHORT = awkward_cohorts()["plain"]


@contextmanager
def full_disk():
    """Files cannot grow past a few bytes, as on a disk that is full; pytest's own output neither, so keep it short."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)


@pytest.mark.parametrize("format", ["parquet", "csv"])
def test_a_full_disk_leaves_what_was_there(format, tmp_path):
    static, visits = write_cohort(COHORT, tmp_path, format)
    before = {path: path.read_bytes() for path in (static, visits)}
    with full_disk(), pytest.raises(CohortError, match=r"cannot be written: .*; nothing was changed there"):
        write_cohort(COHORT.select(["p03"]), tmp_path, format)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_an_existing_cohort_is_replaced(tmp_path):
    write_cohort(COHORT, tmp_path)
    static, visits = write_cohort(COHORT.select(["p03"]), tmp_path)
    assert read_cohort(visits, static=static, schema=COHORT.schema).n_patients == 1


def test_a_folder_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(CohortError, match="cannot be written"):
        write_cohort(COHORT, tmp_path / "out")


def test_nothing_is_left_and_nothing_replaced_after_any_error(tmp_path):
    targets = [tmp_path / "a", tmp_path / "b"]
    targets[0].write_text("old")
    with pytest.raises(KeyError), replacing(targets) as parts:
        parts[0].write_text("new")
        raise KeyError
    assert [path.name for path in tmp_path.iterdir()] == ["a"] and targets[0].read_text() == "old"


def test_old_files_stay_until_all_new_ones_are_complete(tmp_path):
    targets = [tmp_path / "a", tmp_path / "b"]
    targets[0].write_text("old")
    with replacing(targets) as parts:
        for part in parts:
            part.write_text("new")
            assert targets[0].read_text() == "old" and not targets[1].exists()
    assert [path.read_text() for path in targets] == ["new", "new"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
