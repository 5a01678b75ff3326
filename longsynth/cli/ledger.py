"""The privacy ledger as text."""

from __future__ import annotations

from longsynth.budget import SMALLER_IS_STRONGER, PrivacyLedger

_TITLES = ("what", "mechanism", "sensitivity", "noise multiplier", "sample rate", "steps", "epsilon so far")


def ledger_text(ledger: PrivacyLedger) -> str:
    """Return the guarantee, the spends as a table and what was taken as public."""
    budget = ledger.budget
    rows = [_TITLES, *ledger.rows()]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_TITLES))]
    table = "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    public = "\n".join(f"- {fact}" for fact in ledger.public)
    return (
        f"Differential privacy: epsilon = {budget.epsilon:g}, delta = {budget.delta:g} for adding or removing one "
        f"patient (static row, all visits and terminal event). {SMALLER_IS_STRONGER}\n\n{table}\n\n"
        f"Taken as known without the patients:\n{public}\n"
        "Reports that compare with the real patients are outside this guarantee: keep them internal."
    )
