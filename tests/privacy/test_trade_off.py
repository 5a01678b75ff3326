"""The trade-off study: its arms, what they cost, and what it leaves behind."""

import itertools
import sys
from dataclasses import replace

import numpy as np
import polars as pl
import pytest
from matplotlib.figure import Figure

import longsynth as ls
from longsynth.cli import main
from longsynth.exceptions import CohortError, ConfigError, PrivacyError
from longsynth.generators import private_fit, trade_off_results, without_noise
from longsynth.generators.likelihood import log_likelihood, margins_alone, record_log_likelihood
from longsynth.generators.trade_off import n_arms, trade_off
from longsynth.generators.trade_off_results import MEASURES, TradeOff, TradeOffRow
from longsynth.generators.without_noise import fit_without_noise
from longsynth.report.figures import draw_trade_off
from longsynth.schema.files import write_schema
from longsynth.schema.types import Schema, StaticColumn
from longsynth.training import accounting, dp_sgd
from longsynth.training.noise import SecretRandomness

INFINITE = float("inf")


@pytest.fixture(autouse=True, scope="module")
def _short():
    """Fits of a fifth of the steps, and a quick, a little loose accountant."""
    plan = private_fit.private_plan
    with pytest.MonkeyPatch.context() as patch:
        for module in (private_fit, without_noise):
            patch.setattr(module, "private_plan", lambda *sizes: replace(plan(*sizes), n_steps=60))
        patch.setattr(accounting, "_TOLERANCE", 0.05)
        patch.setattr("opacus.accountants.rdp.RDPAccountant.DEFAULT_ALPHAS", list(range(2, 64)))
        yield


@pytest.fixture(scope="module")
def cohorts():
    return ls.split(ls.simulate_cohort(240, seed=1), holdout=0.4, seed=0)


@pytest.fixture(scope="module")
def study(cohorts):
    """One seed, one epsilon, and everything beside it."""
    counts = []
    found = trade_off(*cohorts, [8, INFINITE], 1e-5, n_seeds=1, seed=4, on_progress=counts.append)
    assert counts == list(range(1, n_arms([8, INFINITE], 1) + 1))
    return found


@pytest.fixture(scope="module")
def made():
    """A study of made-up numbers: three epsilons, three seeds, one measure without a value."""
    rng, rows = np.random.default_rng(0), []
    arms = [("private", 1.0), ("private", 3.0), ("private", 8.0), ("clip only", None), ("no privacy", None)]
    for arm, epsilon in [*arms, ("margins only", None)]:
        for seed in range(3):
            for name in MEASURES:
                value = None if name == "km_area" else float(rng.uniform(0.5, 0.6) + 0.01 * (epsilon or 9))
                rows.append(TradeOffRow(arm, epsilon, seed, name, value))
    return TradeOff(tuple(rows), 1e-5, 300, 200, "0")


def test_every_arm_has_every_measure(study):
    frame = study.frame()
    arms = frame.select("arm", "epsilon").unique(maintain_order=True).rows()
    assert arms == [("private", 8.0), ("clip only", None), ("no privacy", None), ("margins only", None)]
    assert frame.height == 4 * len(MEASURES) and set(frame["measure"]) == set(MEASURES)
    assert frame["value"].null_count() == 0 and set(frame["seed"]) == {4}


def test_training_gains_and_margins_alone_do_not(study):
    gains = {row.arm: row.value for row in study.rows if row.measure == "likelihood_gain"}
    assert gains["margins only"] == 0
    assert gains["no privacy"] > 1 and gains["clip only"] > 1


def test_without_noise_is_without_noise_and_clips_only_if_told(cohorts, monkeypatch):
    seen = []
    sum_of_clipped = dp_sgd.sum_of_clipped

    def watched(gradients, max_grad_norm):
        seen.append(max_grad_norm)
        return sum_of_clipped(gradients, max_grad_norm)

    monkeypatch.setattr(dp_sgd, "sum_of_clipped", watched)
    sampled = [SecretRandomness(np.random.default_rng(5).bytes) for _ in range(2)]
    models = [fit_without_noise(cohorts[0], 8, clip=True, seed=1, randomness=one) for one in sampled]
    assert max(seen) < 1e3  # and the two are equal only if no noise was added
    assert np.array_equal(*(log_likelihood(model, cohorts[1]) for model in models))
    seen.clear()
    fit_without_noise(cohorts[0], 8, clip=False, seed=1, randomness=SecretRandomness())
    assert min(seen) > 1e6


def test_the_likelihood_is_that_of_patients_in_any_order(cohorts):
    model = fit_without_noise(cohorts[0], 4, clip=True, seed=1, randomness=SecretRandomness())
    start = margins_alone(model)
    ids = cohorts[1].static["patient_id"].to_list()
    first = log_likelihood(start, cohorts[1].select(ids[:10]))
    assert np.allclose(first, log_likelihood(start, cohorts[1])[:10], atol=1e-3)
    assert (log_likelihood(start, cohorts[1]) < 0).all()


def test_the_likelihood_of_records_does_not_depend_on_how_they_are_cut_into_classes():
    """An even distribution has one likelihood, whether each of 1,000 values is a class or 4 classes hold 250 each."""
    schema = Schema(static={"x": StaticColumn(kind="continuous", bounds=(0, 999), decimals=0)})
    cohort = ls.Cohort(pl.DataFrame({"patient_id": range(1000), "x": np.arange(1000.0)}), schema=schema)
    few, many = (fit_without_noise(cohort, 1, clip=True, seed=1, randomness=SecretRandomness()) for _ in range(2))
    codec = few.encoder.static_items[0].codec
    half = len(codec.cumulative) // 2
    merged = replace(codec, cumulative=codec.cumulative[[0, half, -1]], knots=_ends(codec.knots, half))
    few.encoder.static_items = [replace(few.encoder.static_items[0], codec=merged)]
    models = [margins_alone(few), margins_alone(many)]
    for model in models:
        assert record_log_likelihood(model, cohort).mean() == pytest.approx(-np.log(1000), abs=0.01)
    assert log_likelihood(models[0], cohort).mean() > log_likelihood(models[1], cohort).mean() + 1


def _ends(knots: np.ndarray, half: int) -> np.ndarray:
    """Knots of two classes that hold those below and from ``half`` on."""
    borders = [knots[0, 0], knots[half, 0], knots[-1, -1]]
    return np.stack([np.linspace(*pair, knots.shape[1]) for pair in itertools.pairwise(borders)])


def test_the_cost_is_the_sum_of_all_private_fits(study, made):
    assert study.epsilon_spent == 8
    assert made.epsilon_spent == 3 * (1 + 3 + 8)
    assert made.delta_spent == pytest.approx(9 * made.delta)
    assert "Internal" in made.warning() and f"epsilon = 36 and delta = {9 * made.delta:g}" in made.warning()
    assert "Smaller epsilon means stronger privacy" in made.warning()


def test_the_summary_has_mean_and_scatter_over_seeds(made):
    row = made.summary().row(0, named=True)
    values = [one.value for one in made.rows if (one.arm, one.epsilon, one.measure) == ("private", 1.0, row["measure"])]
    assert row["mean"] == pytest.approx(np.mean(values)) and row["sd"] == pytest.approx(np.std(values, ddof=1))
    assert (row["n_seeds"], row["side"], row["better"]) == (3, "quality", "higher")
    heads, rows = made.table()
    assert [line[0] for line in rows][:4] == ["epsilon 1", "epsilon 3", "epsilon 8", "clip only"]
    assert rows[0][1 + list(MEASURES).index("km_area")] == "-" and len(heads) == len(rows[0])
    assert "Internal" in made._repr_html_()


def test_the_study_goes_to_text_and_back(made):
    assert TradeOff.from_json(made.to_json()) == made


def test_the_picture_has_a_panel_a_measure_and_says_which_way_is_stronger(made):
    figure = draw_trade_off(made.summary(), made.warning())
    assert isinstance(figure, Figure)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert len(titles) == len(MEASURES) - 1  # one has no value
    assert figure.axes[0].get_xlabel() == "epsilon (← stronger privacy)"
    assert "Internal" in figure.get_supxlabel().replace("\n", " ")
    ticks = [label.get_text() for label in figure.axes[0].get_xticklabels()]
    assert ticks == ["1", "3", "8", "clip\nonly", "no\nprivacy"]
    with pytest.raises(ConfigError, match="nothing to draw"):
        draw_trade_off(made.summary().clear(), "")


def test_what_cannot_be_studied_is_refused(cohorts):
    with pytest.raises(ConfigError, match="one epsilon"):
        trade_off(*cohorts, [], 1e-5)
    with pytest.raises(PrivacyError, match="epsilon must be above 0"):
        trade_off(*cohorts, [-1], 1e-5)
    with pytest.raises(PrivacyError, match="decimals"):
        trade_off(*ls.split(ls.load_pbc()), [1], 1e-5)


def test_a_holdout_with_train_patients_is_refused_before_anything_is_spent(cohorts, monkeypatch):
    monkeypatch.setattr("longsynth.generators.trade_off.fit_internally", None)
    with pytest.raises(CohortError, match="id of a train patient"):
        trade_off(cohorts[0], cohorts[0], [1], 1e-5)


@pytest.fixture
def run(tmp_path, monkeypatch, capsys, cohorts, made):
    for name, cohort in zip(("train", "holdout"), cohorts, strict=True):
        ls.write_cohort(cohort, tmp_path / name)
    write_schema(cohorts[0].schema, tmp_path / "schema.yaml")
    monkeypatch.chdir(tmp_path)
    asked = []
    monkeypatch.setattr("longsynth.generators.trade_off.trade_off", lambda *a, **k: asked.append((a, k)) or made)

    def call(*more):
        fixed = ("--schema", "schema.yaml", "--train", "train", "--holdout", "holdout", "--delta", "1e-5")
        monkeypatch.setattr(sys, "argv", ["longsynth", "trade-off", *fixed, *more, "-o", "study"])
        with pytest.raises(SystemExit) as stopped:
            main()
        return int(stopped.value.code or 0), capsys.readouterr(), asked

    return call


def test_the_verb_writes_tables_picture_and_warning(run, made, tmp_path):
    code, said, asked = run("--epsilon", "1,3,8,inf", "--seeds", "3")
    assert code == 0
    files = {path.name for path in (tmp_path / "study").iterdir()}
    tables = {"trade_off.json", "trade_off.csv", "summary.csv"}
    assert files == tables | {"trade_off.png", "README.txt", "longsynth.json"}
    assert "Internal" in said.out and "Internal" in (tmp_path / "study" / "README.txt").read_text()
    assert TradeOff.from_json((tmp_path / "study" / "trade_off.json").read_text()) == made
    (_, _, epsilons, delta), options = asked[0]
    assert epsilons == [1, 3, 8, INFINITE] and delta == 1e-5 and options["n_seeds"] == 3


@pytest.mark.parametrize("text", ["", "1,x", "0,1", "1,nan"])
def test_the_verb_refuses_what_is_no_epsilon(run, text):
    code, said, asked = run("--epsilon", text)
    assert code == 2 and "1,3,8,inf" in said.err and not asked


def test_measures_are_of_both_sides():
    assert {measure.side for measure in trade_off_results.MEASURES.values()} == {"quality", "risk"}
