"""Whether each type of event comes when it does in real patients, where several types compete."""

from __future__ import annotations

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import MANY_PATIENTS, Setting, metric
from longsynth.evaluation.survival import area_between, common_horizon, cumulative_incidence, kaplan_meier, outcome
from longsynth.exceptions import NotComputableError


@metric(
    block="survival",
    level="survival",
    title="Mean distance between the cumulative incidences of an event type",
    most_patients=MANY_PATIENTS,
    is_share=True,
)
def incidence_distance(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Mean distance between Aalen-Johansen curves: ``int_0^tau |F_kS(t) - F_kR(t)| dt / tau`` of each event type k.

    tau as in `longsynth.evaluation.metrics.survival.km_distance`. With one event type it would be that distance.

    Sees: event types exchanged, one type that comes too early, too late, too often or too rarely.
    Does not see: censoring that has changed alone, which patients have the event, anything about visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        By name of the event type, those that happen in either cohort; in [0, 1], lower is better.

    Raises
    ------
    NotComputableError
        Without a terminal event or follow-up, or if fewer than two types of event happen.

    Notes
    -----
    Assumes that censoring is independent of the events; the types may depend on each other.

    References
    ----------
    Aalen and Johansen (1978), https://www.jstor.org/stable/4615704.
    Putter, Fiocco and Geskus (2007), Tutorial in biostatistics: competing risks and multi-state models,
    doi:10.1002/sim.2712.
    """
    (made_end, made_type), (real_end, real_type) = outcome(sample), outcome(reference)
    event = reference.schema.terminal_event
    names = {} if event is None else event.event_types
    happening = {code: name for code, name in names.items() if (made_type == code).any() or (real_type == code).any()}
    if len(happening) < 2:
        raise NotComputableError("it needs two types of event that happen; for one type see km_distance")
    curves = kaplan_meier(made_end, made_type > 0), kaplan_meier(real_end, real_type > 0)
    horizon = common_horizon(real_end, *curves)
    return {
        name: area_between(
            cumulative_incidence(made_end, made_type, code),
            cumulative_incidence(real_end, real_type, code),
            horizon,
            start=0.0,
        )
        for code, name in happening.items()
    }
