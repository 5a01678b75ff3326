"""A fitted synthesizer is fitted again to its own patients, with nothing but what it holds."""

import pytest
from private_worlds import declared_schema, made_cohort, quick_private
from quick import make_quick

import longsynth as ls
from longsynth.exceptions import ConfigError, NotFittedError

BUDGET = ls.PrivacyBudget(epsilon=8, delta=1e-3, max_visits=6)


@pytest.fixture
def train():
    return made_cohort(declared_schema(), [0, 1, 2, 3, 4] * 8, 0)


@pytest.mark.parametrize("after", [0, 1])
def test_refits_of_a_private_fit_keep_its_budget_and_cost_nothing(train, monkeypatch, tmp_path, after):
    quick_private(monkeypatch)
    first = [ls.Synthesizer(privacy=BUDGET).fit(train).ledger for _ in range(after)]
    ls.Synthesizer(seed=3, privacy=BUDGET, after=first).fit(train).save(tmp_path / "model")
    synthesizer = ls.load(tmp_path / "model")
    before = synthesizer.ledger.to_json()
    refits = list(synthesizer.refits(40, n_refits=2, seed=1))
    next(synthesizer.refits(40, seed=1))  # the same patients once more
    next(synthesizer.refits(200))  # more than delta would allow of real ones
    assert synthesizer.ledger.to_json() == before
    assert len(refits) == 2
    for refit in refits:
        assert refit.ledger.budget == BUDGET
        assert len(refit.ledger.earlier) == 3 * after
        assert refit.schema == train.schema
        refit.save(tmp_path / "again")


def test_refits_are_of_patients_drawn_from_the_fit(train, monkeypatch):
    make_quick(monkeypatch)
    synthesizer = ls.Synthesizer(seed=3, objective="likelihood").fit(train)
    seen, learn = [], ls.Synthesizer._learn

    def watched(self, drawn, *told, **options):
        seen.append(drawn)
        return learn(self, drawn, *told, **options)

    monkeypatch.setattr(ls.Synthesizer, "_learn", watched)
    one, two = synthesizer.refits(30, n_refits=2, seed=1)
    again = next(synthesizer.refits(30, seed=1))
    assert [drawn.origin for drawn in seen] == ["synthetic"] * 3
    assert [drawn.n_patients for drawn in seen] == [30] * 3
    assert seen[0].static.equals(seen[2].static)
    assert not seen[0].static.equals(seen[1].static)
    assert one.objective == two.objective == "likelihood"
    assert one.ledger is None
    assert one.sample(20, seed=0).static.equals(again.sample(20, seed=0).static)
    assert not one.sample(20, seed=0).static.equals(two.sample(20, seed=0).static)


def test_what_cannot_be_fitted_again_is_refused(train, monkeypatch):
    make_quick(monkeypatch)
    with pytest.raises(NotFittedError):
        ls.Synthesizer().refits(40)
    synthesizer = ls.Synthesizer(objective="likelihood").fit(train)
    for n_patients, n_refits, seed in [(19, 2, 0), (-5, 2, 0), (40, 0, 0), (40, 2, -1)]:
        with pytest.raises(ConfigError, match="n_patients"):
            synthesizer.refits(n_patients, n_refits, seed)


def test_refits_on_a_second_process_are_refused_at_once(train, monkeypatch):
    quick_private(monkeypatch)
    synthesizer = ls.Synthesizer(privacy=BUDGET).fit(train)
    monkeypatch.setattr("longsynth.synthesizer.is_main_process", lambda: False)
    with pytest.raises(ConfigError, match="several processes"):
        next(synthesizer.refits(40))


def test_a_fit_close_to_noise_warns_where_it_was_called(train, monkeypatch):
    quick_private(monkeypatch)
    with pytest.warns(UserWarning, match="close to noise") as warned:
        ls.Synthesizer(privacy=ls.PrivacyBudget(epsilon=1, delta=1e-3)).fit(train)
    assert [one.filename for one in warned if "noise" in str(one.message)] == [__file__]
