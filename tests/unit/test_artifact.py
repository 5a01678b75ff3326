"""The artifact survives a round trip unchanged and refuses every kind of damage and attack."""

import errno
import hashlib
import json
import os
import pickle
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from longsynth import artifact
from longsynth.artifact import FORMAT_VERSION, MANIFEST, check_writable, read_artifact, write_artifact
from longsynth.exceptions import ArtifactError

DOCUMENTS = {"schema": {"b": 1, "a": [0.1, None, True, "é"]}, "record": {}}
TENSORS = {
    "static": {"w": np.arange(6, dtype=np.float32).reshape(2, 3).T, "n": np.array(3), "flags": np.array([True, False])},
    "sequence": {"big_endian": np.arange(3, dtype=">f8"), "empty": np.zeros((0, 4))},
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "model", DOCUMENTS, TENSORS)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def seal(folder: Path, **changes: object) -> None:
    """Write a manifest that agrees with the files, as an attacker with the source code could."""
    names = [path.name for path in folder.iterdir() if path.name != MANIFEST and path.is_file()]
    facts = {name: artifact._facts((folder / name).read_bytes()) for name in names}
    (folder / MANIFEST).write_bytes(artifact._manifest(facts, **changes))


def replace_content(folder: Path, name: str, content: bytes) -> None:
    (folder / name).write_bytes(content)
    seal(folder)


def test_round_trip_keeps_values_shapes_dtypes_and_key_order(folder):
    documents, tensors = read_artifact(folder)
    assert documents == DOCUMENTS
    assert list(documents["schema"]) == ["b", "a"]
    assert {name: set(group) for name, group in tensors.items()} == {
        name: set(group) for name, group in TENSORS.items()
    }
    for name, group in TENSORS.items():
        for key, array in group.items():
            read = tensors[name][key]
            np.testing.assert_array_equal(read, array)
            assert read.shape == array.shape
            assert read.dtype == array.dtype.newbyteorder("=")
            assert read.flags.writeable


def test_writing_twice_gives_the_same_bytes(folder, tmp_path):
    again = write_artifact(tmp_path / "again", DOCUMENTS, TENSORS)
    assert contents(folder) == contents(again)


def test_an_artifact_is_replaced_and_nothing_else_is_left(folder):
    write_artifact(folder, {"other": 1}, {})
    assert read_artifact(folder) == ({"other": 1}, {})
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_missing_parents_are_made_and_an_empty_folder_is_used(tmp_path):
    (tmp_path / "empty").mkdir()
    for target in (tmp_path / "a" / "b" / "model", tmp_path / "empty"):
        assert read_artifact(write_artifact(target, {"x": 1}, {}))[0] == {"x": 1}


def test_a_folder_that_is_no_artifact_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ArtifactError, match="not overwritten"):
        write_artifact(tmp_path, DOCUMENTS, TENSORS)
    assert contents(tmp_path) == {"thesis.txt": b"years of work"}


def test_the_current_folder_is_not_pulled_away(tmp_path, monkeypatch):
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    for target in (tmp_path / "below", tmp_path):
        with pytest.raises(ArtifactError, match="current folder"):
            write_artifact(target, {}, {})


def test_a_file_is_left_alone(tmp_path):
    (tmp_path / "model").write_text("mine")
    with pytest.raises(ArtifactError, match="is a file"):
        check_writable(tmp_path / "model")


def test_own_notes_inside_an_artifact_are_not_lost(folder):
    (folder / "notes.txt").write_text("mine")
    before = contents(folder)
    with pytest.raises(ArtifactError, match="1 other files"):
        write_artifact(folder, {}, {})
    assert contents(folder) == before


def test_a_full_disk_leaves_the_former_artifact_and_no_rubbish(folder, monkeypatch):
    before = contents(folder)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as raised:
        write_artifact(folder, {"other": 1}, {})
    assert raised.value.filename == str(folder)
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


def test_a_failing_rename_brings_the_former_artifact_back(folder, monkeypatch):
    before = contents(folder)
    rename = Path.rename

    def failing(self: Path, target: Path) -> Path:
        if self.name.endswith(".unfinished"):
            raise OSError(errno.EIO, "Input/output error")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", failing)
    with pytest.raises(OSError, match="Input/output"):
        write_artifact(folder, {"other": 1}, {})
    assert contents(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["model"]


@pytest.mark.parametrize(
    ("documents", "tensors", "message"),
    [
        ({"x": float("nan")}, {}, "cannot be stored as JSON"),
        ({"x": {1, 2}}, {}, "cannot be stored as JSON"),
        ({"../x": 1}, {}, "lower-case letters"),
        ({"Schema": 1}, {}, "lower-case letters"),
        ({"manifest": {}}, {}, "its own"),
        ({}, {"w": {"a": np.array([np.inf])}}, "not finite"),
        ({}, {"w": {"a": np.array(["text"])}}, "dtype"),
        ({}, {"w": {"a": np.array([object()])}}, "dtype"),
        ({}, {"w": {"a": np.zeros(2, dtype=np.complex64)}}, "dtype"),
    ],
)
def test_what_cannot_be_read_back_is_not_written(tmp_path, documents, tensors, message):
    with pytest.raises(ArtifactError, match=message):
        write_artifact(tmp_path / "model", documents, tensors)
    assert not list(tmp_path.iterdir())


# ------------------------------------------------------------------------------------------------- damage


def test_any_flipped_byte_in_any_file_is_noticed(folder):
    rng = np.random.default_rng(0)
    for path in folder.iterdir():
        original = path.read_bytes()
        positions = {0, len(original) - 1, *rng.integers(len(original), size=40).tolist()}
        for position in positions:
            damaged = bytearray(original)
            damaged[position] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            with pytest.raises(ArtifactError):
                read_artifact(folder)
        path.write_bytes(original)
    read_artifact(folder)


def test_any_truncated_or_lengthened_file_is_noticed(folder):
    for path in folder.iterdir():
        original = path.read_bytes()
        for content in (b"", original[: len(original) // 2], original[:-1], original + b"\n"):
            path.write_bytes(content)
            with pytest.raises(ArtifactError):
                read_artifact(folder)
        path.write_bytes(original)


def test_a_missing_file_is_named(folder):
    (folder / "static.safetensors").unlink()
    with pytest.raises(ArtifactError, match=r"lacks static\.safetensors"):
        read_artifact(folder)


def test_an_extra_file_is_refused(folder):
    (folder / "static.pkl").write_bytes(pickle.dumps("boom"))
    with pytest.raises(ArtifactError, match="does not list"):
        read_artifact(folder)


def test_a_missing_folder_a_file_and_a_foreign_folder(tmp_path):
    for path in (tmp_path / "absent", Path(__file__)):
        with pytest.raises(ArtifactError, match="no artifact folder"):
            read_artifact(path)
    with pytest.raises(ArtifactError, match="has no manifest"):
        read_artifact(tmp_path)
    (tmp_path / MANIFEST).write_text('{"name": "a web page"}')
    with pytest.raises(ArtifactError, match="not one of longsynth's"):
        read_artifact(tmp_path)


def test_a_newer_format_says_upgrade(folder):
    seal(folder, format_version=FORMAT_VERSION + 1)
    with pytest.raises(ArtifactError, match="Upgrade longsynth"):
        read_artifact(folder)


# ---------------------------------------------------------------- attacks: the manifest agrees with the files


def test_the_seal_of_these_tests_is_a_valid_one(folder):
    seal(folder)
    read_artifact(folder)


@pytest.mark.parametrize("name", ["../../etc/passwd.json", "/etc/passwd.json", "a/b.json", "..json", "x.pkl", "X.json"])
def test_names_cannot_leave_the_folder(folder, name):
    content = b"{}"
    facts = {name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}}
    for path in folder.iterdir():
        path.unlink()
    (folder / MANIFEST).write_bytes(artifact._manifest(facts))
    with pytest.raises(ArtifactError, match="damaged or was altered"):
        read_artifact(folder)


@pytest.mark.parametrize(
    "facts",
    [
        {"bytes": 10**12, "sha256": "0" * 64},
        {"bytes": -1, "sha256": "0" * 64},
        {"bytes": True, "sha256": "0" * 64},
        {"bytes": 1.0, "sha256": "0" * 64},
        {"bytes": 1, "sha256": "not a checksum"},
        {"bytes": 1},
        [],
    ],
)
def test_nonsense_in_the_manifest_is_refused(folder, facts):
    (folder / MANIFEST).write_bytes(artifact._manifest({"x.json": facts}))
    with pytest.raises(ArtifactError, match="damaged or was altered"):
        read_artifact(folder)


def test_links_are_not_followed(folder, tmp_path):
    secret = tmp_path / "secret.json"
    (folder / "record.json").rename(secret)
    (folder / "record.json").symlink_to(secret)
    with pytest.raises(ArtifactError, match="not an ordinary file"):
        read_artifact(folder)


def test_a_pipe_does_not_block(folder):
    (folder / "record.json").unlink()
    os.mkfifo(folder / "record.json")
    with pytest.raises(ArtifactError, match="not an ordinary file"):
        read_artifact(folder)


def test_huge_files_are_refused_before_they_are_read(folder):
    for name, limit in (("record.json", artifact.MAX_FILE_BYTES), (MANIFEST, artifact.MAX_MANIFEST_BYTES)):
        original = (folder / name).read_bytes()
        os.truncate(folder / name, limit + 1)
        with pytest.raises(ArtifactError, match="larger than"):
            read_artifact(folder)
        (folder / name).write_bytes(original)


@pytest.mark.parametrize(
    "content",
    [b"NaN", b"[1e999]", b"-Infinity", b'{"a": 1, "a": 2}', b"[" * 100_000, b"\xff\xfe", b"", b"9" * 10_000, b"{} {}"],
    ids=["nan", "overflow", "infinity", "duplicate", "deep", "encoding", "empty", "digits", "trailing"],
)
def test_bad_json_is_refused(folder, content):
    replace_content(folder, "record.json", content)
    with pytest.raises(ArtifactError, match="not valid JSON"):
        read_artifact(folder)


def tensor_file(header: object, data: bytes = b"", declared: int | None = None) -> bytes:
    encoded = json.dumps(header).encode()
    return struct.pack("<Q", len(encoded) if declared is None else declared) + encoded + data


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"w": [1, 2, 3]}),
        tensor_file({}, declared=2**63),
        tensor_file({"w": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 4]}}, b"\0" * 4),
        tensor_file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 400]}}, b"\0" * 4),
        tensor_file({"w": {"dtype": "F32", "shape": [2**62, 4], "data_offsets": [0, 0]}}),
        tensor_file({"w": {"dtype": "BF16", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
        tensor_file({"w": {"dtype": "F16", "shape": [2], "data_offsets": [0, 4]}}, b"\0" * 4),
        tensor_file({"w": {"dtype": "C64", "shape": [1], "data_offsets": [0, 8]}}, b"\0" * 8),
        tensor_file({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}, struct.pack("<f", float("nan"))),
    ],
    ids=["pickle", "long header", "huge shape", "offsets", "overflow", "bf16", "f16", "complex", "nan"],
)
def test_bad_tensors_are_refused(folder, content):
    replace_content(folder, "static.safetensors", content)
    with pytest.raises(ArtifactError, match="safetensors"):
        read_artifact(folder)


def test_reading_needs_no_torch(folder):
    """Whoever only looks into an artifact does not pay for torch."""
    script = (
        f"import sys; from longsynth.artifact import read_artifact; read_artifact({str(folder)!r}); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "polars", "pandas"} & set(loaded)
