"""Fits of the same patients under budgets: each costs, so that a further one counts those before or is refused."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from longsynth.budget import PrivacyLedger, Spend
from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import PrivacyError
from longsynth.generators.folder import digest_of

Event = tuple[float, float, int]
"""Noise multiplier, sample rate and number of steps of one spend."""

_MADE: dict[str, list[PrivacyLedger]] = {}
"""Ledgers of the fits in this process, by hash of the tables."""


def spent_by(ledgers: Sequence[PrivacyLedger]) -> tuple[Spend, ...]:
    """Return what earlier fits spent, with what they had counted themselves; what is given twice counts twice."""
    found: list[Spend] = []
    for ledger in ledgers:
        found += [*ledger.earlier, *(replace(spend, what=f"earlier fit: {spend.what}") for spend in ledger.spends)]
    return tuple(found)


def check_unspent(ledger: PrivacyLedger) -> None:
    """Raise if a synthesizer has looked at patients before."""
    if ledger.spends:
        raise PrivacyError(
            "the budget is spent: this synthesizer has looked at patients before, and a second look would cost again. "
            "Use it as it is, or make a new Synthesizer with a budget of its own and add both epsilons. To carry on a "
            "fit that was cut off, make a new one with the same budget and fit in the same work_dir with resume=True, "
            "which costs nothing; without a work_dir there is nothing to carry on"
        )


def check_counted(train: Cohort, ledger: PrivacyLedger, paid: Sequence[Event] = ()) -> None:
    """Raise unless the budget covers every fit of these patients that this process has made.

    Parameters
    ----------
    train : Cohort
        The patients.
    ledger : PrivacyLedger
        Of the fit that is about to be made.
    paid : sequence of (float, float, int)
        What the fit that is carried on has spent already, which is not counted twice.

    Raises
    ------
    PrivacyError
        A search over settings on private data would cost more than any one of its budgets says.
    """
    made = _MADE.get(digest_of(train).hexdigest(), [])
    made = [one for one in made if not paid or not _begins_with(one, paid, ledger.earlier)]
    spent = Counter(event for one in made for event in replace(one, earlier=()).events)
    if spent - Counter(replace(ledger, spends=[]).events):
        epsilons = ", ".join(f"{one.epsilon:.3g}" for one in made)
        raise PrivacyError(
            f"these patients were fitted under a budget before (epsilon {epsilons}), and a further fit costs again: "
            "trying several settings is a search on private data. Give the ledgers of all fits before, "
            "Synthesizer(privacy=..., after=[first.ledger]): the budget then covers them and the new fit together. To "
            "carry on a fit that was cut off, use its work_dir with resume=True, which costs nothing"
        )


def remember(train: Cohort, ledger: PrivacyLedger) -> None:
    """Note what a fit has spent, also one that failed; a fit that was carried on takes the place of its beginning."""
    if not ledger.spends:
        return
    made = _MADE.setdefault(digest_of(train).hexdigest(), [])
    kept = [one for one in made if not _begins_with(ledger, replace(one, earlier=()).events, one.earlier)]
    made[:] = [*kept, replace(ledger, spends=list(ledger.spends))]


def _begins_with(ledger: PrivacyLedger, events: Sequence[Event], earlier: tuple[Spend, ...]) -> bool:
    """Whether a fit after the same earlier ones spent these first, at whatever budget."""
    return ledger.earlier == earlier and replace(ledger, earlier=()).events[: len(events)] == list(events)
