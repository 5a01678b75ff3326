"""What a verb leaves behind: whole folders with a record of how they were made, and never another person's files."""

from __future__ import annotations

import json
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import typer

from longsynth.exceptions import ConfigError

RECORD = "longsynth.json"


def stop(message: str) -> NoReturn:
    """Print one message on standard error and exit with code 2."""
    typer.secho(f"Error: {message}", err=True)
    sys.exit(2)


@contextmanager
def plain_warnings() -> Iterator[None]:
    """Show what a user is warned of as one line on standard error, without a place in the source."""
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Warning | str, category: type[Warning], *told: Any, **more: Any) -> None:
            if category is UserWarning:
                typer.echo(f"Warning: {message}", err=True)
            else:
                usual(message, category, *told, **more)

        warnings.showwarning = show
        yield


def say(message: str) -> None:
    """Print a line on standard output."""
    typer.echo(message)


def on_terminal() -> bool:
    """Whether a person watches, so that progress is worth showing."""
    return sys.stderr.isatty()


@contextmanager
def waiting(message: str) -> Iterator[None]:
    """Show a spinner with a message on a terminal, and nothing elsewhere."""
    from rich.console import Console

    with Console(stderr=True).status(message):
        yield


@contextmanager
def counting(message: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a progress bar on a terminal, and nothing elsewhere.

    Parameters
    ----------
    message : str
        What is going on.
    total : int
        The count at the end.

    Yields
    ------
    callable
        To be called with the count reached.
    """
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True, disable=not on_terminal()) as progress:
        bar = progress.add_task(message, total=total)
        yield lambda done: progress.update(bar, completed=done)


def write_text(path: Path, text: str) -> None:
    """Write a file that a person may have edited: an existing one is replaced only by the same text.

    Parameters
    ----------
    path : Path
        The file.
    text : str
        All of it.

    Raises
    ------
    ConfigError
        If ``path`` exists with another content.
    """
    if path.is_file() and path.read_bytes() == text.encode():
        return
    if path.exists():
        raise ConfigError(f"{path} exists and may hold edits of yours. Delete it, or choose another file with -o.")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_bytes(text.encode())
        unfinished.rename(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        unfinished.unlink(missing_ok=True)


@contextmanager
def output_folder(path: Path, made_by: Mapping[str, Any]) -> Iterator[Path]:
    """Give a folder to write to, which appears at ``path`` whole, with a record of how it was made, or not at all.

    Parameters
    ----------
    path : Path
        The final place: absent, empty, or a folder that longsynth made before and nobody added to.
    made_by : mapping
        The verb and its arguments, for the record.

    Yields
    ------
    Path
        The folder to fill.

    Raises
    ------
    ConfigError
        If something else is at ``path``.
    """
    from longsynth import __version__
    from longsynth.artifact import new_folder

    check_replaceable(path)
    with new_folder(path) as folder:
        yield folder
        record = {"longsynth_version": __version__, **made_by, "files": _files(folder)}
        (folder / RECORD).write_text(json.dumps(record, indent=1, default=str) + "\n", encoding="utf-8")
        check_replaceable(path)


def check_replaceable(path: Path) -> None:
    """Raise unless ``path`` is absent, an empty folder, or holds only what longsynth wrote there."""
    if not path.exists():
        return
    if not path.is_dir():
        raise ConfigError(f"{path} is a file, not a folder. Choose another place with -o.")
    present = set(_files(path))
    if not present:
        return
    if RECORD not in present:
        raise ConfigError(f"{path} is not empty and was not written by longsynth. Choose another folder with -o.")
    others = present - {RECORD} - _recorded(path / RECORD)
    if others:
        raise ConfigError(
            f"{path} holds {len(others)} files that longsynth did not write, which would be lost. "
            "Move them away, or choose another folder with -o."
        )


def _files(folder: Path) -> list[str]:
    paths = (path for path in folder.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted(path.relative_to(folder).as_posix() for path in paths)


def _recorded(path: Path) -> set[str]:
    try:
        return set(json.loads(path.read_text(encoding="utf-8"))["files"])
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is damaged. Choose another folder with -o.") from error
