"""Inference sees copies as leaks, tells learning apart from leaking, and its baselines are what they should be."""

import numpy as np
import polars as pl
import pytest
from attack_worlds import CONTROL, FRESH, MEMBERS, by_part, copies, is_flagged, rates, release, risk, table_of_levels
from metric_worlds import with_visits, world

from longsynth.privacy import guessing
from longsynth.privacy.attacks.inference import ATTACKERS, inference
from longsynth.privacy.base import Knowledge, prepare_release
from longsynth.privacy.secrets import Secret, secrets_of

KNOWN = Knowledge(k=2, static=("arm", "age"))
NEAREST, MODEL = ATTACKERS
SECRETS = [
    *(f"next {name}" for name in ("marker", "echo", "count", "sign", "grade")),
    "arm",
    "age",
    "site",
    "event ahead",
]


def found(synthetic, knowledge=KNOWN, seed=0):
    return by_part(inference(release(synthetic), knowledge, seed))


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(guessing, "N_TREES", 5)


@pytest.fixture(scope="module")
def ladder():
    return [found(copies(share)) for share in (0, 0.5, 1)]


def test_every_secret_is_tried_by_both_attackers(ladder):
    assert list(ladder[0]) == [f"{secret}, {how}" for secret in SECRETS for how in ATTACKERS]


def test_copies_leak_and_more_copies_leak_more(ladder):
    for secret in SECRETS:
        part = f"{secret}, {NEAREST}"
        assert rates(ladder[-1][part])[0] > 0.9, secret
        assert is_flagged(ladder[-1][part]), secret
        risks = [risk(rung[part]) for rung in ladder]
        assert risks[0] < risks[1] < risks[2]


def test_fresh_patients_do_not_leak(ladder):
    flagged = [part for part, outcome in ladder[0].items() if is_flagged(outcome)]
    assert len(flagged) <= 2  # of 18 at 2.5 % each; more has a chance of 1 %


def test_what_the_population_teaches_is_no_leak(monkeypatch):
    """The sign follows the marker, so a model guesses it for everybody: control above naive, members no better."""
    monkeypatch.setattr(guessing, "N_TREES", 30)
    made, members, control = (world(600, seed) for seed in (21, 22, 23))
    parts = by_part(inference(prepare_release(made, members, control), Knowledge(k=2), 0))
    sign = parts[f"next sign, {MODEL}"]
    assert rates(sign)[1] > sign.naive + 0.1
    assert not is_flagged(sign)


def test_the_baseline_of_a_fair_coin_is_one_half():
    made, members, control = (table_of_levels(800, seed) for seed in (1, 2, 3))
    parts = by_part(inference(prepare_release(made, members, control), Knowledge(k=1), 0))
    for how in ATTACKERS:
        coin = parts[f"coin, {how}"]
        assert coin.naive == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(1600))
        assert rates(coin)[1] == pytest.approx(0.5, abs=4 * 0.5 / np.sqrt(800))


def test_negative_numbers_are_judged_as_positive_ones():
    """All markers below zero: every guess must not count as right, and the rates are those of the markers mirrored."""

    def shifted(cohort, sign):
        marker = sign * (pl.col("marker") - pl.col("marker").max() - 1)
        return with_visits(cohort, cohort.visits.with_columns(marker.round(3)))

    both = [
        by_part(
            inference(prepare_release(*(shifted(one, sign) for one in (FRESH, MEMBERS, CONTROL))), Knowledge(k=2), 0)
        )
        for sign in (1, -1)
    ]
    for parts in both:
        assert rates(parts[f"next marker, {NEAREST}"])[0] < 0.3
        assert parts[f"next marker, {MODEL}"].naive < 0.3
    nearest = [rates(parts[f"next marker, {NEAREST}"])[0] for parts in both]
    assert nearest[0] == pytest.approx(
        nearest[1], abs=4 * np.sqrt(0.2 / len(both[0][f"next marker, {NEAREST}"].members))
    )


def test_the_direct_attacker_carries_the_last_value_forward():
    constant = pl.col("marker").first().over("patient_id")
    cohorts = [with_visits(one, one.visits.with_columns(marker=constant)) for one in (FRESH, MEMBERS, CONTROL)]
    parts = by_part(inference(prepare_release(*cohorts), Knowledge(k=2), 0))
    assert parts[f"next marker, {NEAREST}"].direct == 1
    assert parts[f"arm, {NEAREST}"].direct is None
    unknown = by_part(inference(prepare_release(*cohorts), Knowledge(k=2, channels=("count",)), 0))
    assert unknown[f"next marker, {NEAREST}"].direct is None


def test_a_secret_is_not_among_what_is_known():
    """The arm is a coin: with all static attributes known it can still not be guessed."""
    parts = found(FRESH, Knowledge(k=1, static=None))
    for how in ATTACKERS:
        assert rates(parts[f"arm, {how}"])[1] < 0.7


def test_tolerance_and_typical_value_come_from_the_synthetic_side():
    draws = release(FRESH).coded_synthetic
    secrets = {secret.name: secret for secret in secrets_of(draws, 1)}
    ages = FRESH.static.join(FRESH.visits, on="patient_id")["age"].to_numpy()  # each stretch of one visit counts
    assert secrets["age"].typical == pytest.approx(np.median(ages))
    assert secrets["age"].tolerance == pytest.approx(0.1 * np.subtract(*np.quantile(ages, [0.75, 0.25])))
    assert secrets["arm"].tolerance == 0
    guess = Secret("x", "static", 0, True, tolerance=0.5)
    assert guess.is_right(np.array([-1.0, -1.6, 2.0]), np.array([-1.5, -1.0, -2.0])).tolist() == [1, 0, 0]


def test_censored_patients_have_no_event_to_guess():
    draw = release(FRESH).coded_synthetic[0]
    event = secrets_of([draw], 1)[-1]
    first = draw.records.start[:-1][draw.records.n_visits > 0]
    values = event.values(draw, first, 1)
    duration = draw.records.static[draw.patient[first], -2] - draw.records.time[first]
    died = draw.records.static[draw.patient[first], -1] > 0
    np.testing.assert_array_equal(np.isnan(values), ~died & (duration <= event.horizon))
    np.testing.assert_array_equal(values == 1, died & (duration <= event.horizon))


def test_a_secret_of_one_value_is_guessed_and_flags_nothing():
    cohorts = [with_visits(one, one.visits.with_columns(sign=pl.lit(1))) for one in (FRESH, MEMBERS, CONTROL)]
    parts = by_part(inference(prepare_release(*cohorts), Knowledge(k=2), 0))
    for how in ATTACKERS:
        assert rates(parts[f"next sign, {how}"]) == (1, 1)


def test_a_channel_without_values_has_its_reason():
    empty = [with_visits(one, one.visits.with_columns(echo=pl.lit(None, pl.Float64))) for one in (FRESH, MEMBERS)]
    parts = by_part(inference(prepare_release(empty[0], empty[1], CONTROL), Knowledge(k=2), 0))
    assert "no synthetic patient" in parts[f"next echo, {NEAREST}"].reason
    parts = by_part(inference(prepare_release(FRESH, empty[1], CONTROL), Knowledge(k=2), 0))
    assert "no target" in parts[f"next echo, {NEAREST}"].reason
