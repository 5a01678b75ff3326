"""The artifact: a folder of JSON documents and safetensors files that holds a fitted synthesizer.

``manifest.json`` names every other file with its size and SHA-256, so a damaged, truncated or edited folder is refused
instead of half read. Nothing in an artifact is ever executed: there is no pickle, and names cannot leave the folder.
The checksums detect damage and careless edits; they are no signature, so whoever can rewrite the whole folder can also
rewrite the manifest.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import secrets
import shutil
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from longsynth import __version__
from longsynth.exceptions import ArtifactError, CohortError

Json: TypeAlias = Any
Tensors: TypeAlias = Mapping[str, Mapping[str, np.ndarray]]

FORMAT = "longsynth-artifact"
FORMAT_VERSION = 1
MANIFEST = "manifest.json"
MAX_MANIFEST_BYTES = 1_000_000
MAX_FILE_BYTES = 1_000_000_000
DTYPES = ("bool", "uint8", "int32", "int64", "float32", "float64")

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")
_FILE_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}\.(json|safetensors)")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_REMEDY = "Restore the folder from a copy, or fit and save the synthesizer again."


def write_artifact(folder: str | Path, documents: Mapping[str, Json], tensors: Tensors) -> Path:
    """Write an artifact, whole or not at all.

    Everything is written to a new folder beside ``folder``, which then takes its place in one rename.

    Parameters
    ----------
    folder : str or Path
        Where the artifact goes. An artifact that is there already is replaced; anything else is left alone.
    documents : mapping of str to JSON
        Each becomes ``<name>.json``. Numbers must be finite.
    tensors : mapping of str to mapping of str to ndarray
        Each becomes ``<name>.safetensors``. Floats must be finite.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    ArtifactError
        If ``folder`` holds something other than an artifact, or the content cannot be stored.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     folder = write_artifact(parent + "/model", {"about": {"n": 1}}, {"weights": {"w": np.ones(3)}})
    ...     read_artifact(folder)
    ({'about': {'n': 1}}, {'weights': {'w': array([1., 1., 1.])}})
    """
    folder = Path(folder).resolve()
    files = _encode(documents, tensors)
    with new_folder(folder) as unfinished:
        for name, content in files.items():
            _write(unfinished / name, content)
        check_writable(folder)
    return folder


def read_artifact(folder: str | Path) -> tuple[dict[str, Json], dict[str, dict[str, np.ndarray]]]:
    """Read an artifact and check every byte of it.

    Parameters
    ----------
    folder : str or Path
        A folder that :func:`write_artifact` wrote.

    Returns
    -------
    documents : dict of str to JSON
    tensors : dict of str to dict of str to ndarray

    Raises
    ------
    ArtifactError
        If the folder is no artifact, comes from a newer longsynth, or was damaged or altered in any way.
    """
    folder = Path(folder)
    declared = _read_manifest(folder)["files"]
    _check_listing(folder, set(declared))
    documents: dict[str, Json] = {}
    tensors: dict[str, dict[str, np.ndarray]] = {}
    for name, facts in declared.items():
        content = _read_regular(folder / name, limit=MAX_FILE_BYTES)
        if _facts(content) != facts:
            raise ArtifactError(f"artifact {folder}: {name} is damaged or was altered. {_REMEDY}")
        stem, kind = name.split(".")
        if kind == "json":
            documents[stem] = _parse_json(content, folder / name)
        else:
            tensors[stem] = _parse_tensors(content, folder / name)
    return documents, tensors


@contextmanager
def new_folder(folder: Path) -> Iterator[Path]:
    """Give an empty folder to fill, which takes the place of ``folder`` if the block ends well and vanishes if not.

    Parameters
    ----------
    folder : Path
        The final place. What is there when the block ends is replaced, so check before whether it may be.

    Yields
    ------
    Path
        The folder to fill, beside the final place.

    Raises
    ------
    ArtifactError
        If ``folder`` is the current folder or one above it.
    CohortError, OSError
        If something cannot be written, for example because the disk is full; the message names ``folder``, not the
        folder beside it.
    """
    given, folder = folder, folder.resolve()
    if Path.cwd().is_relative_to(folder):
        raise ArtifactError(f"{folder} is the current folder or above it. Choose a new folder to write to.")
    folder.parent.mkdir(parents=True, exist_ok=True)
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.unfinished")
    try:
        unfinished.mkdir()
        yield unfinished
        _put_in_place(unfinished, folder)
    except CohortError as error:
        raise CohortError(str(error).replace(str(unfinished), str(given))) from error
    except OSError as error:
        if error.filename is None or Path(str(error.filename)).is_relative_to(unfinished):
            raise OSError(error.errno, error.strerror or str(error), str(given)) from error
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def check_writable(folder: str | Path) -> None:
    """Raise unless :func:`write_artifact` may write to ``folder``: it is absent, empty, or an artifact and no more.

    Parameters
    ----------
    folder : str or Path
        Where an artifact is to go.

    Raises
    ------
    ArtifactError
        If something else is there.
    """
    folder = Path(folder)
    if not folder.exists():
        return
    if not folder.is_dir():
        raise ArtifactError(f"{folder} is a file, not a folder. Choose another name for the artifact.")
    present = {entry.name for entry in folder.iterdir()}
    if not present:
        return
    try:
        ours = {MANIFEST, *_read_manifest(folder)["files"]}
    except ArtifactError as error:
        raise ArtifactError(
            f"{folder} holds something other than an artifact of this version and is not overwritten. "
            "Choose another folder, or delete it first."
        ) from error
    if present - ours:
        raise ArtifactError(
            f"{folder} holds an artifact and {len(present - ours)} other files, which would be lost. "
            "Choose another folder, or move those files away."
        )


def _encode(documents: Mapping[str, Json], tensors: Tensors) -> dict[str, bytes]:
    """Return the bytes of every file by name, the manifest last."""
    files: dict[str, bytes] = {}
    for name, document in documents.items():
        files[f"{_checked_name(name)}.json"] = _dump_json(document, name)
    for name, group in tensors.items():
        files[f"{_checked_name(name)}.safetensors"] = save_tensors(_storable(group, name))
    if MANIFEST in files:
        raise ArtifactError("a document cannot be called 'manifest': the artifact has its own.")
    files[MANIFEST] = _manifest({name: _facts(content) for name, content in files.items()})
    return files


def _facts(content: bytes) -> dict[str, Json]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}


def _manifest(files: Mapping[str, Json], *, format_version: int = FORMAT_VERSION, version: str = __version__) -> bytes:
    """Return the only byte string that is a manifest with this content; it ends with its own checksum."""
    content = {
        "format": FORMAT,
        "format_version": format_version,
        "longsynth_version": version,
        "files": dict(sorted(files.items())),
    }
    checksum = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return (json.dumps({**content, "sha256": checksum}, indent=1) + "\n").encode()


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ArtifactError("a file of an artifact is named in lower-case letters, digits and underscores.")
    return name


def _dump_json(document: Json, name: str) -> bytes:
    try:
        return json.dumps(document, allow_nan=False, ensure_ascii=False, indent=1).encode()
    except (ValueError, TypeError) as error:
        raise ArtifactError(f"document {name} cannot be stored as JSON: {error}.") from error


def _storable(group: Mapping[str, np.ndarray], name: str) -> dict[str, np.ndarray]:
    arrays = {key: np.array(array, order="C") for key, array in group.items()}
    for key, array in arrays.items():
        if array.dtype.name not in DTYPES:
            raise ArtifactError(f"tensor {key} of {name} has dtype {array.dtype}; use one of {', '.join(DTYPES)}.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ArtifactError(f"tensor {key} of {name} is not finite; the fit has diverged.")
    return arrays


def _write(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _put_in_place(finished: Path, folder: Path) -> None:
    """Rename ``finished`` to ``folder``; what was there is back in its place if that fails."""
    if not folder.exists():
        finished.rename(folder)
        return
    former = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}.former")
    folder.rename(former)
    try:
        finished.rename(folder)
    except OSError:
        former.rename(folder)
        raise
    shutil.rmtree(former)


def _read_manifest(folder: Path) -> dict[str, Any]:
    if not folder.is_dir():
        raise ArtifactError(f"there is no artifact folder at {folder}. Give the folder of a saved synthesizer.")
    path = folder / MANIFEST
    if not path.exists():
        raise ArtifactError(
            f"{folder} is not an artifact: it has no {MANIFEST}. Give the folder of a saved synthesizer."
        )
    content = _read_regular(path, limit=MAX_MANIFEST_BYTES)
    manifest = _parse_json(content, path)
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ArtifactError(f"{folder} is not an artifact: its {MANIFEST} is not one of longsynth's.")
    version = manifest.get("format_version")
    if type(version) is int and version > FORMAT_VERSION:
        raise ArtifactError(
            f"artifact {folder} has format version {version}; this longsynth ({__version__}) reads up to "
            f"{FORMAT_VERSION}. Upgrade longsynth."
        )
    if version != FORMAT_VERSION or not _well_formed(manifest) or content != _rebuilt(manifest):
        raise ArtifactError(f"artifact {folder}: {MANIFEST} is damaged or was altered. {_REMEDY}")
    return manifest


def _well_formed(manifest: dict[str, Any]) -> bool:
    files = manifest.get("files")
    return (
        isinstance(manifest.get("longsynth_version"), str)
        and isinstance(files, dict)
        and all(_FILE_NAME.fullmatch(name) and name != MANIFEST and _is_facts(facts) for name, facts in files.items())
    )


def _is_facts(facts: Any) -> bool:
    return (
        isinstance(facts, dict)
        and facts.keys() == {"bytes", "sha256"}
        and type(facts["bytes"]) is int
        and 0 <= facts["bytes"] <= MAX_FILE_BYTES
        and isinstance(facts["sha256"], str)
        and _SHA256.fullmatch(facts["sha256"]) is not None
    )


def _rebuilt(manifest: dict[str, Any]) -> bytes:
    return _manifest(manifest["files"], version=manifest["longsynth_version"])


def _check_listing(folder: Path, declared: set[str]) -> None:
    present = {entry.name for entry in folder.iterdir()} - {MANIFEST}
    missing, extra = declared - present, present - declared
    if missing:
        raise ArtifactError(f"artifact {folder} lacks {', '.join(sorted(missing))}. {_REMEDY}")
    if extra:
        raise ArtifactError(
            f"artifact {folder} holds {len(extra)} files that its {MANIFEST} does not list. Remove them, or save again."
        )


def _read_regular(path: Path, limit: int) -> bytes:
    """Return the content of an ordinary file (no link, pipe or folder) of at most ``limit`` bytes."""
    facts = path.lstat()
    if not stat.S_ISREG(facts.st_mode):
        raise ArtifactError(f"{path} is not an ordinary file; links are not followed. {_REMEDY}")
    if facts.st_size > limit:
        raise ArtifactError(f"{path} is larger than any file of an artifact can be ({limit} bytes). {_REMEDY}")
    with path.open("rb") as file:
        return file.read(limit)


def _parse_json(content: bytes, path: Path) -> Json:
    try:
        return json.loads(content, parse_constant=_refuse_constant, parse_float=_finite, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        raise ArtifactError(f"{path} is not valid JSON. {_REMEDY}") from error


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is not a finite number")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is too large")
    return value


def _unique(pairs: list[tuple[str, Json]]) -> dict[str, Json]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key is used twice")
    return result


def _parse_tensors(content: bytes, path: Path) -> dict[str, np.ndarray]:
    try:
        arrays = load_tensors(content)
    except (SafetensorError, KeyError, ValueError) as error:
        raise ArtifactError(f"{path} is not a readable safetensors file. {_REMEDY}") from error
    for array in arrays.values():
        if array.dtype.name not in DTYPES or (array.dtype.kind == "f" and not np.isfinite(array).all()):
            raise ArtifactError(f"{path} holds a tensor that is not finite or has a foreign dtype. {_REMEDY}")
    return {name: array.copy() for name, array in sorted(arrays.items())}
