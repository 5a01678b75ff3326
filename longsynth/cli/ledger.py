"""The privacy ledger as text."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from longsynth.budget import HEADS, OUTSIDE, PrivacyLedger
from longsynth.exceptions import ArtifactError, PrivacyError


def ledger_text(ledger: PrivacyLedger) -> str:
    """Return the guarantee, the spends as a table and what was taken as public."""
    rows = [HEADS, *ledger.rows()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    public = "\n".join(f"- {fact}" for fact in ledger.public)
    return f"{ledger.statement}\n\n{table}\n\nTaken as known without the patients:\n{public}\n{OUTSIDE}"


def check_kept(output: Path, after: Sequence[Path]) -> None:
    """Raise if a private fit to ``output`` would replace another one, and with it the only account of what that cost.

    Parameters
    ----------
    output : Path
        Where the new fit goes.
    after : sequence of Path
        The fits that the new one counts, so that its ledger keeps theirs.
    """
    from longsynth.artifact import read_artifact

    if not output.exists() or output.resolve() in {folder.resolve() for folder in after}:
        return
    try:
        ledger = read_artifact(output)[0].get("record", {}).get("privacy")
    except ArtifactError:  # nothing that could be counted
        return
    if ledger is not None:
        raise PrivacyError(
            f"{output} holds a private fit, and what it spent is known from there alone. If it was fitted to these "
            f"patients, a further fit costs again: count it with --after {output}, under an epsilon that covers both. "
            "If to others, give another output folder"
        )
