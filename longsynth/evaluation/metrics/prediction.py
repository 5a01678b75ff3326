"""Whether a prognosis learnt from the sample holds for real patients."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from longsynth.cohort.cohort import Cohort
from longsynth.evaluation import risk_model
from longsynth.evaluation.base import MANY_PATIENTS, WHOLE, Setting, metric
from longsynth.evaluation.risk_model import brier_score, fit_risk_model
from longsynth.evaluation.survival import common_horizon, kaplan_meier, known_until, outcome, step
from longsynth.exceptions import NotComputableError

N_TIMES = 20
RISK_GROUPS = ("low risk", "middle risk", "high risk")
FEWEST_EXPECTED = 5.0


@metric(
    block="survival",
    level="survival",
    title="Concordance in real patients of a prognosis learnt from the sample",
    best=1.0,
    worse="lower",
    most_patients=MANY_PATIENTS,
    is_share=True,
)
def cindex_tstr(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Harrell's C on the reference of a Cox model trained on the sample: ``P(the one at higher risk has it earlier)``.

    The model uses what is known at baseline, static attributes and first values
    (`longsynth.evaluation.risk_model.fit_risk_model`). Its ceiling is the same model trained on real patients.

    Sees: event times permuted, covariates whose effect is gone or reversed.
    Does not see: events that come earlier or later in all patients alike (see `calibration`), censoring, later visits.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        `WHOLE` in [0, 1], higher is better, 0.5 for no information. Nobody reaches 1; the ceiling tells what can be.

    Raises
    ------
    NotComputableError
        Without a terminal event or a covariate, or if a cohort has fewer than 5 events.

    Notes
    -----
    Assumes that censoring is independent given the covariates.

    References
    ----------
    Harrell et al. (1982), Evaluating the yield of medical tests, doi:10.1001/jama.1982.03320430047030.
    """
    return {WHOLE: risk_model.cindex_tstr(sample, reference)}


@metric(
    block="survival",
    level="survival",
    title="Integrated Brier score in real patients of a prognosis learnt from the sample",
    most_patients=MANY_PATIENTS,
)
def brier_tstr(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Mean over time of the Brier score on the reference of a Cox model trained on the sample.

    `longsynth.evaluation.risk_model.brier_score` at 20 evenly spaced times within tau, averaged by the trapezoidal
    rule; the model is that of `cindex_tstr`, tau as in `longsynth.evaluation.metrics.survival.km_distance`, for the
    reference alone.

    Sees: what `cindex_tstr` sees; weakly events that come earlier or later in all patients (better: `calibration`).
    Does not see: censoring that has changed alone, visits after the first.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        `WHOLE`, lower is better. Nobody reaches 0; the ceiling tells what can be.

    Raises
    ------
    NotComputableError
        Without a terminal event or a covariate, or if a cohort has fewer than 5 events.

    Notes
    -----
    Assumes that censoring is independent of event and covariates.

    References
    ----------
    Graf, Schmoor, Sauerbrei and Schumacher (1999),
    doi:10.1002/(SICI)1097-0258(19990915/30)18:17/18<2529::AID-SIM274>3.0.CO;2-5.
    """
    durations, happened = _checked_outcome(reference)
    horizon = common_horizon(durations, kaplan_meier(durations, happened))
    times = np.linspace(0, horizon, N_TIMES + 2)[1:-1]
    predicted = fit_risk_model(sample).survival(reference, times)
    scores = brier_score(predicted, durations, happened, times)
    return {WHOLE: float(np.trapezoid(scores, times) / (times[-1] - times[0]))}


@metric(
    block="survival",
    level="survival",
    title="Observed over expected events of a prognosis learnt from the sample",
    best=1.0,
    worse="both",
    most_patients=MANY_PATIENTS,
)
def calibration(sample: Cohort, reference: Cohort, _setting: Setting) -> dict[str, float]:
    """Observed over expected risk in the reference, predicted by a Cox model trained on the sample.

    ``(1 - S_KM(t)) / mean(1 - S_i(t))`` at the reference's median duration t, of all its patients and of thirds of them
    by predicted risk. The model is that of `cindex_tstr`.

    Sees: events that come earlier, later, too often or too rarely; by the risk groups, effects that are too strong or
    turned round.
    Does not see: event times permuted (a prognosis that tells nobody apart may be calibrated: see `cindex_tstr`),
    censoring that has changed alone, visits after the first.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to float
        `WHOLE`, ``low risk``, ``middle risk`` and ``high risk``, those with 5 expected events; 1 is best, above 1 the
        sample makes the risk look smaller than it is.

    Raises
    ------
    NotComputableError
        Without a terminal event or a covariate, if a cohort has fewer than 5 events, or if fewer than 5 are expected.

    Notes
    -----
    Assumes that censoring is independent of the event within groups.

    References
    ----------
    Crowson, Atkinson and Therneau (2016), Assessing calibration of prognostic risk scores,
    doi:10.1177/0962280213497434.
    """
    durations, happened = _checked_outcome(reference)
    time = float(np.median(durations))
    risk = 1 - fit_risk_model(sample).survival(reference, np.array([time]))[:, 0]
    group = np.searchsorted(np.quantile(risk, [1 / 3, 2 / 3]), risk, side="left")
    members = {WHOLE: np.ones(len(risk), bool)} | {name: group == rank for rank, name in enumerate(RISK_GROUPS)}
    ratios = {part: _observed_over_expected(durations, happened, risk, who, time) for part, who in members.items()}
    found = {part: ratio for part, ratio in ratios.items() if ratio is not None}
    if not found:
        raise NotComputableError("fewer than 5 events are expected until half of the patients have ended")
    return found


def _checked_outcome(reference: Cohort) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    durations, types = outcome(reference)
    risk_model.require_events(types, "reference")
    return durations, types > 0


def _observed_over_expected(
    durations: NDArray[np.float64],
    happened: NDArray[np.bool_],
    risk: NDArray[np.float64],
    who: NDArray[np.bool_],
    time: float,
) -> float | None:
    """Return the ratio in some patients; None if too few events are expected or they are not followed long enough."""
    if risk[who].sum() < FEWEST_EXPECTED:
        return None
    curve = kaplan_meier(durations[who], happened[who])
    if time > known_until(curve):
        return None
    return float((1 - step(curve, np.array([time]), 1.0)[0]) / risk[who].mean())
