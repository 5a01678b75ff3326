"""A search over settings on private data costs: a further fit of the same patients counts those before it."""

import pytest
from private_worlds import declared_schema, made_cohort, quick_private

import longsynth as ls
from longsynth.exceptions import ConfigError, PrivacyError
from longsynth.generators import private_fit

COUNTS = [0, 12, *[1, 2, 3, 4] * 10]
TRAIN = made_cohort(declared_schema(), COUNTS, 2)
BUDGET = ls.PrivacyBudget(epsilon=8, delta=1e-3)
LARGER = ls.PrivacyBudget(epsilon=12, delta=1e-3)


@pytest.fixture
def quick(monkeypatch):
    quick_private(monkeypatch)


def test_a_further_fit_of_the_same_patients_is_refused_and_spends_nothing(quick):
    ls.Synthesizer(privacy=BUDGET).fit(TRAIN)
    again = ls.Synthesizer(seed=1, privacy=LARGER)
    with pytest.raises(PrivacyError, match="search on private data") as refused:
        again.fit(made_cohort(declared_schema(), COUNTS, 2))
    assert "after=[first.ledger]" in str(refused.value) and again.ledger.spends == []
    ls.Synthesizer(privacy=BUDGET).fit(made_cohort(declared_schema(), COUNTS, 3))


def test_a_budget_covers_the_fits_before(quick, monkeypatch, tmp_path):
    """Whoever asks how much noise a budget takes tells of the fits before."""
    first, asked = ls.Synthesizer(privacy=BUDGET).fit(TRAIN), []

    def noise_for(epsilon, delta, events):
        asked.append(events(1.0))
        return 2.0

    monkeypatch.setattr(private_fit, "noise_for", noise_for)
    both = ls.Synthesizer(privacy=LARGER, after=[first.ledger]).fit(TRAIN)
    assert len(asked) == 3 and all(events[:3] == first.ledger.events for events in asked)
    assert both.ledger.events[:3] == first.ledger.events and len(both.ledger.events) == 6
    assert "earlier fits" in both.ledger.statement and len(list(both.ledger.rows())) == 6
    both.save(tmp_path / "both")
    assert ls.load(tmp_path / "both").ledger == both.ledger


def test_a_ledger_that_counts_others_stands_for_them(quick):
    first = ls.Synthesizer(privacy=BUDGET).fit(TRAIN)
    second = ls.Synthesizer(privacy=LARGER, after=[first.ledger]).fit(TRAIN)
    with pytest.raises(PrivacyError, match="search on private data"):
        ls.Synthesizer(privacy=LARGER, after=[first.ledger]).fit(TRAIN)
    ls.Synthesizer(privacy=LARGER, after=[second.ledger]).fit(TRAIN)


def test_a_fit_that_failed_after_it_had_paid_counts_and_one_carried_on_does_not(quick, monkeypatch, tmp_path):
    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(private_fit, "train_model", lambda *_: (_ for _ in ()).throw(RuntimeError))
        ls.Synthesizer(privacy=BUDGET).fit(TRAIN, work_dir=tmp_path)
    with pytest.raises(PrivacyError, match="search on private data"):
        ls.Synthesizer(privacy=BUDGET).fit(TRAIN)
    carried_on = ls.Synthesizer(privacy=BUDGET).fit(TRAIN, work_dir=tmp_path, resume=True)
    ls.Synthesizer(privacy=LARGER, after=[carried_on.ledger]).fit(TRAIN)


def test_a_fit_is_not_carried_on_past_another_one_that_it_does_not_count(quick, monkeypatch, tmp_path):
    """Both together would have cost more than either of them says."""
    cut_off = ls.Synthesizer(privacy=BUDGET)
    with monkeypatch.context() as broken, pytest.raises(RuntimeError):
        broken.setattr(private_fit, "train_model", lambda *_: (_ for _ in ()).throw(RuntimeError))
        cut_off.fit(TRAIN, work_dir=tmp_path)
    ls.Synthesizer(privacy=LARGER, after=[cut_off.ledger]).fit(TRAIN)
    with pytest.raises(PrivacyError, match="search on private data"):
        ls.Synthesizer(privacy=BUDGET).fit(TRAIN, work_dir=tmp_path, resume=True)


def test_a_first_release_that_another_budget_takes_over_counts_once(quick, monkeypatch, tmp_path):
    with monkeypatch.context() as refused, pytest.raises(PrivacyError, match="delta is too large"):
        refused.setattr(private_fit, "noise_for", lambda *_: 0.1)
        ls.Synthesizer(privacy=ls.PrivacyBudget(epsilon=9, delta=0.09)).fit(TRAIN, work_dir=tmp_path)
    monkeypatch.setattr(private_fit, "epsilon_of", lambda events, delta: 0.1 * len(events) + delta)
    whole = ls.Synthesizer(privacy=BUDGET).fit(TRAIN, work_dir=tmp_path, resume=True)
    ls.Synthesizer(privacy=LARGER, after=[whole.ledger]).fit(TRAIN)


def test_what_cannot_be_counted_is_refused():
    with pytest.raises(ConfigError, match="give privacy="):
        ls.Synthesizer(after=[ls.Synthesizer(privacy=BUDGET).ledger])
    for after in ([BUDGET], ls.Synthesizer(privacy=BUDGET).ledger, None):
        with pytest.raises(ConfigError, match="ledgers of earlier"):
            ls.Synthesizer(privacy=BUDGET, after=after)
