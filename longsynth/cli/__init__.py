"""The command line: each verb calls one public function. Heavy libraries load only when a verb runs."""

from __future__ import annotations

from longsynth.cli import evaluation, guarantee, privacy  # noqa: F401  (they add verbs)
from longsynth.cli.outputs import plain_warnings, stop
from longsynth.cli.verbs import app
from longsynth.exceptions import LongsynthError


def main() -> None:
    """Run the command line. Exits with 0 when done, 1 for our fault, 2 for usage or data, 3 for a missed limit."""
    try:
        with plain_warnings():
            app()
    except LongsynthError as error:
        stop(str(error))
    except OSError as error:
        where = "" if error.filename is None else f"{error.filename}: "
        stop(f"{where}{error.strerror or error}. Nothing was left half-written; check permissions and free space.")
