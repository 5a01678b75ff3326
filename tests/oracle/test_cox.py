"""The Cox model: lifelines on the same rows, simulated truth, coverage, and what has no value."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts
from lifelines import CoxPHFitter, CoxTimeVaryingFitter
from metric_worlds import world

from longsynth.cohort.simulate import SimulationTruth, simulate_cohort
from longsynth.evaluation.cox import fit_cox, fit_cox_each
from longsynth.evaluation.hazard_ratios import at_risk_intervals, baseline_hazard_ratios, channel_hazard_ratios
from longsynth.exceptions import NotComputableError

TO_THE_END = {"precision": 1e-14, "r_precision": 1e-17}  # lifelines stops early otherwise


def patients(n, n_covariates, seed, beta=0.5, decimals=0):
    """Durations with hazard ``exp(beta * first covariate) / 40``, ties if rounded, a third censored."""
    rng = np.random.default_rng(seed)
    x = rng.normal(3, rng.uniform(0.5, 20, n_covariates), (n, n_covariates))
    x[:, 0] = rng.normal(size=n)
    death, end = rng.exponential(40 * np.exp(-beta * x[:, 0])), rng.uniform(20, 80, n)
    durations = np.minimum(death, end).round(decimals) + 10.0**-decimals
    return x, durations, death <= end


def intervals(n, seed):
    """Rows (start, stop] of patients who enter late and whose two covariates change, with many ties."""
    rng = np.random.default_rng(seed)
    rows = []
    for patient in range(n):
        cuts = np.sort(rng.choice(np.arange(1, 40), rng.integers(2, 6), replace=False)) * 1.0
        values = rng.normal(size=(len(cuts) - 1, 2))
        dies = rng.random() < 1 / (1 + np.exp(-values[-1, 0]))
        rows += [
            (patient, cuts[j], cuts[j + 1], bool(dies and j == len(cuts) - 2), *values[j]) for j in range(len(cuts) - 1)
        ]
    return pl.DataFrame(rows, schema=["id", "start", "stop", "event", "x", "y"], orient="row")


@pytest.mark.parametrize("decimals", [0, 6])
@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_it_agrees_with_lifelines(decimals, ridge):
    x, durations, happened = patients(150, 4, seed=1, decimals=decimals)
    table = pl.DataFrame(x).with_columns(d=durations, e=happened).to_pandas()
    expected = CoxPHFitter(penalizer=ridge).fit(table, "d", "e", fit_options=TO_THE_END)
    fit = fit_cox(x, durations, happened, ridge=ridge)
    np.testing.assert_allclose(fit.coefficients, expected.params_, rtol=1e-8)
    np.testing.assert_allclose(fit.standard_errors, expected.standard_errors_, rtol=1e-8)
    np.testing.assert_allclose(fit.hazard, expected.baseline_cumulative_hazard_.iloc[:, 0].loc[fit.times], rtol=1e-8)


def test_rows_that_start_late_agree_with_lifelines():
    rows = intervals(120, seed=2)
    names = {"id_col": "id", "event_col": "event", "start_col": "start", "stop_col": "stop"}
    expected = CoxTimeVaryingFitter().fit(rows.to_pandas(), **names, fit_options=TO_THE_END)
    fit = fit_cox(rows.select("x", "y").to_numpy(), *(rows[name].to_numpy() for name in ("stop", "event", "start")))
    np.testing.assert_allclose(fit.coefficients, expected.params_, rtol=1e-8)
    np.testing.assert_allclose(fit.standard_errors, expected.standard_errors_, rtol=1e-8)


def test_each_covariate_alone_is_what_it_is_without_the_rows_where_it_is_missing():
    rng = np.random.default_rng(0)
    rows = intervals(150, seed=3)
    stop, happened, start = (rows[name].to_numpy() for name in ("stop", "event", "start"))
    x = np.column_stack([rows.select("x", "y").to_numpy(), rng.integers(0, 2, len(rows)), np.ones(len(rows))])
    x[rng.random(x.shape) < 0.3] = np.nan
    coefficients, errors = fit_cox_each(x, stop, happened, start)
    for j in range(3):
        known = ~np.isnan(x[:, j])
        alone = fit_cox(x[known, j : j + 1], stop[known], happened[known], start[known])
        assert coefficients[j] == pytest.approx(alone.coefficients[0], rel=1e-8)
        assert errors[j] == pytest.approx(alone.standard_errors[0], rel=1e-8)
    assert np.isnan(coefficients[3])


def test_two_groups_of_exponentials_have_the_ratio_of_their_rates_and_intervals_cover_it():
    rng, truth, covered, found = np.random.default_rng(0), np.log(2), 0, []
    group = np.repeat([0.0, 1.0], 75)[:, None]
    for _ in range(500):
        death, end = rng.exponential(1 / np.exp(truth * group[:, 0])), rng.uniform(0, 3, 150)
        fit = fit_cox(group, np.minimum(death, end), death <= end)
        covered += abs(fit.coefficients[0] - truth) < 1.96 * fit.standard_errors[0]
        found.append(fit.coefficients[0])
    assert 0.93 <= covered / 500 <= 0.97
    assert np.mean(found) == pytest.approx(truth, abs=3 * np.std(found) / np.sqrt(500) + 0.01)  # bias of order 1/events


@pytest.mark.parametrize(
    ("x", "happened", "why"),
    [
        (np.zeros((40, 1)), np.ones(40, bool), "vary"),
        (np.arange(40.0)[:, None], np.zeros(40, bool), "no"),
        ((np.arange(40.0) < 3)[:, None] * 1.0, np.arange(40) >= 3, "determined"),
        (np.arange(40.0)[:, None] * [1, 2], np.ones(40, bool), "determined|converge"),
        (-np.arange(40.0)[:, None], np.ones(40, bool), "converge|determined"),
    ],
    ids=["constant", "no events", "no event with a value", "collinear", "ordered"],
)
def test_what_is_not_determined_has_no_value(x, happened, why):
    with pytest.raises(NotComputableError, match=why):
        fit_cox(x, np.arange(40.0), happened)
    if x.shape[1] == 1 and happened.any():
        assert np.isnan(fit_cox_each(x, np.arange(40.0), happened)).all()


def test_intervals_are_those_of_the_counting_process_export():
    cohort = world(60, seed=1)
    ours = at_risk_intervals(cohort)
    export = cohort.to_counting_process().dropna(subset=["marker"])  # from the first visit on
    assert ours["(start)"].to_list() == export["start"].to_list()
    assert ours["(stop)"].to_list() == export["stop"].to_list()
    assert ours["(event)"].to_list() == (export["event"] > 0).to_list()
    assert ours["echo"].to_list() == pl.from_pandas(export["echo"]).fill_nan(None).to_list()


def test_channel_ratios_agree_with_lifelines_on_the_export():
    cohort = world(200, seed=1)
    rows = cohort.to_counting_process().dropna(subset=["echo"])
    rows = rows.assign(event=rows["event"] > 0)[["patient_id", "start", "stop", "event", "echo"]]
    expected = CoxTimeVaryingFitter().fit(rows, id_col="patient_id", event_col="event", fit_options=TO_THE_END)
    ratio = channel_hazard_ratios(cohort)["visits.echo"]
    assert ratio.log_ratio == pytest.approx(expected.params_.iloc[0], rel=1e-8)
    assert ratio.standard_error == pytest.approx(expected.standard_errors_.iloc[0], rel=1e-8)


def test_effects_on_the_hazard_are_recovered_from_a_simulated_cohort():
    truth, cohort = SimulationTruth(), simulate_cohort(4000, seed=1)
    rows = cohort.to_counting_process()  # the hazard between visits depends on the severity at the first, and the arm
    x = np.column_stack([np.log(rows["crp"]), rows["arm"]])
    fit = fit_cox(x, rows["stop"].to_numpy(), rows["event"].to_numpy() > 0, rows["start"].to_numpy())
    expected = (truth.hazard_severity, truth.hazard_arm)
    np.testing.assert_array_less(np.abs(fit.coefficients - expected), 3 * fit.standard_errors)


def test_baseline_ratios_have_a_part_for_each_attribute_and_level():
    ratios = baseline_hazard_ratios(world(300, seed=1))
    assert set(ratios) == {"static.arm", "static.age", *(f"static.site={s}" for s in ("north", "south", "west"))}
    assert ratios["static.arm"].scale == 1
    assert 6 < ratios["static.age"].scale < 8


def test_awkward_cohorts_have_finite_ratios_or_a_reason():
    for cohort in awkward_cohorts().values():
        for ratios_of in (baseline_hazard_ratios, channel_hazard_ratios):
            try:
                ratios = ratios_of(cohort)
            except NotComputableError:
                continue
            for ratio in ratios.values():
                assert np.isfinite([ratio.log_ratio, ratio.standard_error, ratio.scale]).all()
