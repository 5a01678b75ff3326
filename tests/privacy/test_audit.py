"""An audit refutes a false claim, and hardly ever a true one."""

import json
import sys
from dataclasses import replace
from functools import cache

import numpy as np
import polars as pl
import pytest
from scipy.stats import binom

import longsynth as ls
from longsynth.cli import main
from longsynth.exceptions import ConfigError, PrivacyError
from longsynth.generators import private_fit
from longsynth.generators.audit import audit
from longsynth.generators.audit_results import INTERNAL, Audit
from longsynth.generators.canaries import make_canaries, plant
from longsynth.privacy import one_run
from longsynth.privacy.one_run import p_value, right_guesses
from longsynth.schema.files import write_schema
from longsynth.schema.types import Channel, Constant, Monotone, Schema, StaticColumn, VisitTime
from longsynth.training import accounting
from longsynth.training.noise import SecretRandomness

epsilon_at_least = cache(one_run.epsilon_at_least)
N, CANARIES, CLAIM = 60, 160, ls.PrivacyBudget(epsilon=0.5, delta=1e-5)


class Repeatable(SecretRandomness):
    """The same noise and samples in each run; without noise if ``sd`` is 0."""

    def __init__(self, sd: float = 1.0) -> None:
        rng = np.random.default_rng(11)
        super().__init__(rng.bytes)
        self.sd = sd

    def normal(self, n: int) -> np.ndarray:
        return self.sd * super().normal(n)


@pytest.fixture(autouse=True, scope="module")
def _short():
    """Fits of half of the steps, with up to a twentieth more noise than the budget asks for."""
    plan = private_fit.private_plan
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(accounting, "_TOLERANCE", 0.05)
        patch.setattr(
            "opacus.accountants.rdp.RDPAccountant.DEFAULT_ALPHAS", list(range(2, 64))
        )  # quick, a little loose
        patch.setattr(private_fit, "private_plan", lambda *sizes: replace(plan(*sizes), n_steps=150))
        yield


@pytest.fixture(scope="module")
def train():
    return ls.simulate_cohort(N, seed=1)


# ------------------------------------------------------------------------------------------------------ statistics


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 1.5, 3.0])
def test_randomised_response_is_hardly_ever_refuted(epsilon):
    rng, rate, n_runs = np.random.default_rng(3), 1 / (1 + np.exp(-epsilon)), 400
    above, found = 0, []
    for _ in range(n_runs):
        included = rng.random(100) < 0.5
        told = included == (rng.random(100) < rate)
        right = right_guesses(told + rng.uniform(0, 0.1, 100), included, 100)
        found.append(epsilon_at_least(100, 100, right, delta=0.0))
        above += found[-1] > epsilon
    assert above <= binom.isf(0.001, n_runs, 0.05)
    assert np.median(found) >= 0.55 * epsilon - 0.2  # half of them are above a bound that is of some use


def test_a_gaussian_release_is_hardly_ever_refuted():
    rng, epsilon, delta = np.random.default_rng(4), 1.0, 1e-5
    sd, n_runs = np.sqrt(2 * np.log(1.25 / delta)) / epsilon, 300
    above = 0
    for _ in range(n_runs):
        included = rng.random(200) < 0.5
        right = right_guesses(included + sd * rng.normal(size=200), included, 100)
        above += epsilon_at_least(200, 100, right, delta) > epsilon
    assert above <= binom.isf(0.001, n_runs, 0.05)


def test_the_bound_without_delta_is_the_binomial_one():
    for right in (60, 80, 100):
        least = epsilon_at_least(100, 100, right, 0.0)
        assert binom.sf(right - 1, 100, 1 / (1 + np.exp(-least))) == pytest.approx(0.05, rel=1e-3)
    assert epsilon_at_least(50, 50, 50, 0.0) == pytest.approx(2.78, abs=0.01)  # of 1 / 0.05 ** (1 / 50) odds
    assert epsilon_at_least(100, 100, 50, 0.0) == 0.0


def test_delta_and_more_canaries_make_the_bound_smaller():
    bounds = [epsilon_at_least(200, 100, 90, delta) for delta in (0.0, 1e-5, 1e-3, 1e-2)]
    assert bounds == sorted(bounds, reverse=True) and bounds[0] > bounds[-1]
    assert epsilon_at_least(100, 100, 90, 1e-3) > epsilon_at_least(1000, 100, 90, 1e-3)
    # by hand, one guess that is right: q + 2 m delta P[W < 1] with i = 1
    assert p_value(3, 1, 1, 0.0, 0.01) == pytest.approx(0.5 + 2 * 3 * 0.01 * 0.5)


def test_guesses_are_of_the_highest_and_the_lowest():
    included = np.array([True, False, True, False, False, True])
    scores = np.array([5.0, 4.0, 3.0, 2.0, 1.0, 0.0])
    assert [right_guesses(scores, included, n) for n in (2, 4, 6)] == [1, 2, 4]
    with pytest.raises(ConfigError, match="more right guesses"):
        p_value(10, 5, 6, 1.0, 0.0)


# -------------------------------------------------------------------------------------------------------- canaries


def test_canaries_are_legal_unlike_patients_and_the_same_for_a_seed(train):
    canaries = make_canaries(train, 50, seed=2)
    assert canaries.schema == train.schema and canaries.n_patients == 50
    assert canaries.n_visits == 100
    again, other = make_canaries(train, 50, seed=2), make_canaries(train, 50, seed=3)
    assert canaries.visits.equals(again.visits) and not canaries.visits.equals(other.visits)
    assert canaries.visits["crp"].median() > 10 * train.visits["crp"].median()


def test_canaries_keep_constraints_and_need_no_event():
    schema = Schema(
        visit_time=VisitTime(column="day", decimals=0),
        static={"site": StaticColumn(kind="categorical", levels=("a", "b"))},
        channels={
            "dose": Channel(kind="continuous", bounds=(0, 10), decimals=0),
            "fixed": Channel(kind="binary", levels=(0, 1)),
        },
        constraints=(Monotone(channel="dose"), Constant(channel="fixed")),
    )
    patients = [{"patient_id": f"p{row}", "site": "ab"[row % 2]} for row in range(30)]
    visits = [
        {"patient_id": f"p{row}", "day": 10 * visit, "dose": visit, "fixed": row % 2}
        for row in range(30)
        for visit in range(3)
    ]

    cohort = ls.Cohort(pl.DataFrame(patients), pl.DataFrame(visits), schema=schema)
    assert make_canaries(cohort, 40).n_visits == 80


def test_only_the_included_canaries_are_planted(train):
    canaries = make_canaries(train, 30)
    included = np.arange(30) % 3 == 0
    planted = plant(train, canaries, included)
    assert planted.n_patients == N + 10 and planted.n_visits == train.n_visits + 20
    assert planted.origin == "real"


# ------------------------------------------------------------------------------------------------------ whole runs


@pytest.fixture(scope="module")
def correct(train):
    return audit(train, CLAIM, n_canaries=CANARIES, randomness=Repeatable())


def test_a_fit_without_noise_is_refuted_by_the_networks_and_by_the_sums(train):
    found = audit(train, CLAIM, n_canaries=CANARIES, randomness=Repeatable(sd=0.0))
    by_name = {bound.attacker: bound.epsilon_at_least for bound in found.bounds}
    assert found.is_refuted and by_name["likelihood"] > CLAIM.epsilon and by_name["sums"] > CLAIM.epsilon
    assert "The claim is false: epsilon is at least" in found.reading()


def test_a_correct_fit_is_not_refuted(correct):
    assert not correct.is_refuted and correct.epsilon_at_least <= CLAIM.epsilon
    assert "no proof of privacy" in correct.reading() and "Smaller epsilon" in correct.reading()


def test_the_result_goes_to_a_frame_and_to_text_and_back(correct):
    frame = correct.frame()
    assert frame["attacker"].to_list() == ["likelihood", "sums", "output"]
    assert set(frame["epsilon"]) == {0.5} and set(frame["n_canaries"]) == {CANARIES}
    assert Audit.from_json(correct.to_json()) == correct
    assert "at least" in correct._repr_html_() and INTERNAL in correct._repr_html_()


def test_what_cannot_be_audited_is_refused(train):
    with pytest.raises(ConfigError, match="20 or more"):
        audit(train, CLAIM, n_canaries=10)
    with pytest.raises(ConfigError, match="even"):
        audit(train, CLAIM, n_canaries=40, n_guesses=41)
    with pytest.raises(PrivacyError, match="decimals"):
        audit(ls.load_pbc(), CLAIM)


# ------------------------------------------------------------------------------------------------------- the verb


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, train, correct):
    """The verb in a folder of tables, with the audit that was already made."""
    ls.write_cohort(train, tmp_path)
    write_schema(train.schema, tmp_path / "schema.yaml")
    monkeypatch.chdir(tmp_path)
    asked = []

    def call(found, *more):
        monkeypatch.setattr("longsynth.generators.audit.audit", lambda *a, **k: asked.append((a, k)) or found)
        tables = ("--static", "static.parquet", "--visits", "visits.parquet", "--schema", "schema.yaml")
        monkeypatch.setattr(sys, "argv", ["longsynth", "audit", *tables, "--epsilon", "0.5", *more, "-o", "audit"])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), capsys.readouterr(), asked

    return call


def test_the_verb_writes_the_bounds_and_says_that_they_are_internal(run, correct, tmp_path):
    code, said, asked = run(correct, "--delta", "1e-5", "--canaries", "40")
    assert code == 0
    written = {path.name for path in (tmp_path / "audit").iterdir()}
    assert written == {"audit.json", "audit.csv", "README.txt", "longsynth.json"}
    assert "Keep this result internal" in (tmp_path / "audit" / "README.txt").read_text()
    assert Audit.from_json((tmp_path / "audit" / "audit.json").read_text()) == correct
    assert "internal" in said.out and "at least" in said.out
    ((train, privacy), options) = asked[0]
    assert train.n_patients == N and privacy == CLAIM and options["n_canaries"] == 40


def test_the_verb_ends_with_3_if_the_claim_is_false(run, correct, tmp_path):
    false = replace(correct, bounds=tuple(replace(bound, epsilon_at_least=1.2) for bound in correct.bounds))
    code, said, _ = run(false, "--delta", "1e-5")
    assert code == 3 and "The claim is false" in said.err
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())["epsilon"] == 0.5


def test_the_verb_asks_for_delta(run, correct):
    code, said, _ = run(correct)
    assert code == 2 and "--delta" in said.err
