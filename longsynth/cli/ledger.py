"""The privacy ledger as text."""

from __future__ import annotations

from longsynth.budget import HEADS, OUTSIDE, PrivacyLedger


def ledger_text(ledger: PrivacyLedger) -> str:
    """Return the guarantee, the spends as a table and what was taken as public."""
    rows = [HEADS, *ledger.rows()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADS))]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    public = "\n".join(f"- {fact}" for fact in ledger.public)
    return f"{ledger.statement}\n\n{table}\n\nTaken as known without the patients:\n{public}\n{OUTSIDE}"
