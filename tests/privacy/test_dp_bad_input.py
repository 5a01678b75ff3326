"""What cannot be guaranteed is refused with the remedy, and no message shows a patient."""

import datetime as dt
import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from private_worlds import declared_schema, made_cohort, quick_epsilon, quick_private

import longsynth as ls
from longsynth import artifact
from longsynth.budget import PrivacyLedger, Spend
from longsynth.cohort.cohort import Cohort
from longsynth.encoding.declared import check_declared, undeclared
from longsynth.exceptions import ArtifactError, ConfigError, PrivacyError
from longsynth.schema.infer import infer_schema
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime
from longsynth.training.accounting import epsilon_of

BUDGET = ls.PrivacyBudget(epsilon=8, delta=1e-3)


@pytest.fixture(autouse=True)
def quick_load(monkeypatch):
    monkeypatch.setattr("longsynth.synthesizer.epsilon_of", quick_epsilon)


@pytest.fixture(scope="module")
def train() -> Cohort:
    return made_cohort(declared_schema(), [0, *[1, 2, 3] * 10], 3)


@pytest.fixture(scope="module")
def model(train, tmp_path_factory) -> Path:
    """A private synthesizer, saved."""
    folder = tmp_path_factory.mktemp("private") / "model"
    with pytest.MonkeyPatch.context() as patch:
        quick_private(patch)
        ls.Synthesizer(0, privacy=BUDGET, accelerator="cpu").fit(train).save(folder)
    return folder


# -------------------------------------------------------------------------------------------------------------- budget


@pytest.mark.parametrize("epsilon", [0, -1, float("nan"), float("inf"), float("-inf")])
def test_an_epsilon_that_is_no_bound_is_refused(epsilon):
    with pytest.raises(PrivacyError, match=r"above 0.*stronger"):
        ls.PrivacyBudget(epsilon=epsilon, delta=1e-6)


def test_a_missing_delta_is_refused():
    with pytest.raises(PrivacyError, match=r"delta is missing.*1e-6"):
        ls.PrivacyBudget(epsilon=3)


@pytest.mark.parametrize("delta", [0, -1e-6, 0.5, 1, float("nan")])
def test_a_delta_outside_its_range_is_refused(delta):
    with pytest.raises(PrivacyError, match=r"1 / \(10 n\)"):
        ls.PrivacyBudget(epsilon=3, delta=delta)


@pytest.mark.parametrize("told", [("3", 1e-6), (None, 1e-6), (True, 1e-6), (3, "1e-6"), (3, False), ([3], 1e-6)])
def test_what_is_no_number_is_refused(told):
    with pytest.raises(ConfigError, match="must be a number"):
        ls.PrivacyBudget(*told)


def test_numbers_of_other_libraries_are_taken_and_can_be_written():
    budget = ls.PrivacyBudget(np.float32(3), np.float64(1e-6), np.int64(4))
    assert json.dumps(PrivacyLedger(budget).to_json()) == json.dumps(
        PrivacyLedger(ls.PrivacyBudget(3, 1e-6, 4)).to_json()
    )


@pytest.mark.parametrize("delta", [1e-15, 9e-13, 1e-300])
def test_a_delta_that_the_accountant_cannot_resolve_is_refused(delta):
    with pytest.raises(ConfigError, match=r"too small.*1e-12 or more"):
        ls.PrivacyBudget(3, delta)


@pytest.mark.parametrize("max_visits", [0, -3, 2.5, True])
def test_a_contribution_bound_is_a_whole_number(max_visits):
    with pytest.raises(PrivacyError, match="max_visits"):
        ls.PrivacyBudget(epsilon=3, delta=1e-6, max_visits=max_visits)


def test_a_budget_is_no_bare_number():
    with pytest.raises(ConfigError, match=r"PrivacyBudget\(epsilon"):
        ls.Synthesizer(privacy=3.0)


@pytest.mark.parametrize("precision", ["bf16-true", "16-mixed", "16-true"])
def test_a_precision_in_which_clipping_is_inexact_is_refused(precision):
    with pytest.raises(ConfigError, match="32-true"):
        ls.Synthesizer(privacy=BUDGET, precision=precision)


def test_a_delta_that_lets_one_patient_be_shown_is_refused(train, monkeypatch):
    quick_private(monkeypatch, noise=0.5)
    synthesizer = ls.Synthesizer(privacy=ls.PrivacyBudget(epsilon=8, delta=0.05))
    with pytest.raises(PrivacyError, match=r"delta is too large.*Give a smaller one.*temporary") as refused:
        synthesizer.fit(train)
    assert "resume" not in str(refused.value)  # there is nothing to carry on
    assert synthesizer.ledger.spends  # the noisy number of patients has been paid for


def test_a_spend_that_the_budget_does_not_cover_is_refused():
    ledger = PrivacyLedger(BUDGET)
    with pytest.raises(PrivacyError, match=r"epsilon above 8\.101, or .*empty work_dir"):
        ledger.add(Spend("all", "Gaussian", 1.0, 0.1, 1.0, 1, 8.1003))
    assert ledger.spends == []


# -------------------------------------------------------------------------------------------------------------- schema


def test_everything_undeclared_is_listed_at_once():
    schema = Schema(
        visit_time=VisitTime(column="day"),
        terminal_event=TerminalEvent(duration="end", event="status", inferred=("event_types",)),
        static={
            "age": StaticColumn(kind="continuous"),
            "arm": StaticColumn(kind="binary", levels=(0, 1), inferred=("kind", "levels")),
            "born": StaticColumn(kind="date"),
        },
        channels={
            "bili": Channel(kind="continuous", bounds=(0, None), decimals=1),
            "flares": Channel(kind="count", bounds=(0, 9), inferred=("bounds",)),
            "grade": Channel(kind="ordinal", levels=("a", "b")),
        },
    )
    with pytest.raises(PrivacyError, match="Declare them in the schema") as refused:
        check_declared(schema)
    assert [line.removeprefix("  - ") for line in str(refused.value).splitlines()[1:]] == [
        "static column 'age': bounds (lower and upper), decimals",
        "static column 'arm': kind, levels",
        "static column 'born': bounds (lower and upper)",
        "channels column 'bili': bounds (lower and upper)",
        "channels column 'flares': bounds (lower and upper)",
        "visit time 'day': decimals",
        "duration 'end': decimals",
        "event 'status': event_types",
    ]


@pytest.mark.parametrize(
    ("unit", "kind", "decimals", "wanted"),
    [
        ("days", "date", None, []),
        ("months", "date", None, ["time_unit: days"]),
        ("hours", "datetime", None, ["decimals"]),
        ("hours", "datetime", 0, []),
    ],
)
def test_times_that_are_dates_say_how_finely_they_are_counted(unit, kind, decimals, wanted):
    time = VisitTime(column="day", kind=kind, origin="entry", decimals=decimals)
    entry = StaticColumn(kind="date", bounds=("2020-01-01", "2021-01-01"))
    found = undeclared(Schema(time_unit=unit, visit_time=time, static={"entry": entry}))
    assert len(found) == len(wanted) and all(part in line for part, line in zip(wanted, found, strict=True))


def test_a_baseline_that_was_read_off_the_dates_is_refused():
    """Which date is the baseline may hang on one patient's first visit."""
    day = dt.date(2020, 1, 1)
    static = pl.DataFrame({"patient_id": range(30), "seen": [day] * 30, "end": [day] * 30, "status": [0, 1] * 15})
    visits = pl.DataFrame({"patient_id": range(30), "visit": [day] * 30})
    schema = infer_schema(static, visits, patient_id="patient_id", visit_time="visit", duration="end", event="status")
    assert schema.visit_time.inferred == ("kind", "origin") and "kind" in schema.terminal_event.inferred
    found = undeclared(schema)
    assert "visit time 'visit': kind, origin" in found and "duration 'end': kind" in found


def test_a_schema_read_off_the_data_is_refused_to_the_last_fact():
    """Also the decimals of times, which have no bounds or levels to be marked by."""
    visits = pl.DataFrame({"id": [1, 1, 2, 2, 3], "day": [0, 7, 0, 9, 0]})
    static = pl.DataFrame({"id": [1, 2, 3], "end": [8.5, 9.0, 4.0], "status": [0, 1, 0]})
    schema = infer_schema(static, visits, patient_id="id", visit_time="day", duration="end", event="status")
    assert undeclared(schema) == [
        "visit time 'day': decimals",
        "duration 'end': decimals",
        "event 'status': event_types",
    ]


def test_an_undeclared_schema_costs_nothing(train):
    synthesizer = ls.Synthesizer(privacy=BUDGET)
    schema = train.schema.model_copy(update={"visit_time": VisitTime(column="day")})
    with pytest.raises(PrivacyError, match="visit time 'day': decimals"):
        synthesizer.fit(Cohort(train.static, train.visits, schema=schema))
    assert synthesizer.ledger.spends == []


def test_no_message_shows_a_patient(train):
    """Ids and values of the cohort occur in no refusal."""
    ids = set(train.static["patient_id"])
    loose = train.schema.model_copy(update={"channels": {"bili": Channel(kind="continuous")}, "constraints": ()})
    cohort = Cohort(train.static, train.visits, schema=loose)
    with pytest.raises(PrivacyError) as refused:
        ls.Synthesizer(privacy=BUDGET).fit(cohort)
    assert not any(patient in str(refused.value) for patient in ids)


# ------------------------------------------------------------------------------------------------------------ artifact


def test_a_private_synthesizer_comes_back_with_its_ledger(model):
    ledger = ls.load(model).ledger
    assert ledger.budget == BUDGET
    assert [spend.mechanism for spend in ledger.spends] == ["Gaussian", "Gaussian", "subsampled Gaussian"]
    assert PrivacyLedger.from_json(json.loads(json.dumps(ledger.to_json())), quick_epsilon) == ledger


def test_a_ledger_whose_epsilons_are_not_those_of_its_spends_is_refused():
    events = [(4.0, 1.0, 1), (3.0, 0.05, 30)]
    spends = [
        Spend("all", "Gaussian", 1.0, *event, epsilon_of(events[: i + 1], 1e-6)) for i, event in enumerate(events)
    ]
    ledger = PrivacyLedger(ls.PrivacyBudget(8, 1e-6), spends)
    assert PrivacyLedger.from_json(ledger.to_json(), epsilon_of) == ledger
    for place, epsilon in ((1, 0.9 * spends[1].epsilon), (0, 1.1 * spends[1].epsilon), (1, float("nan"))):
        told = ledger.to_json()
        told["spends"][place]["epsilon"] = epsilon
        with pytest.raises(PrivacyError, match="not those of its spends"):
            PrivacyLedger.from_json(told, epsilon_of)


@pytest.mark.filterwarnings("ignore:.*close to noise")
def test_a_fit_cannot_take_the_ledger_of_another_one(model, train, tmp_path, monkeypatch):
    quick_private(monkeypatch)
    dear, cheap = ls.load(model), ls.Synthesizer(0, privacy=ls.PrivacyBudget(0.5, 1e-3), accelerator="cpu").fit(train)
    with pytest.raises(AttributeError):
        dear.ledger = cheap.ledger
    dear._ledger = cheap.ledger
    with pytest.raises(PrivacyError, match="not of the same fit"):
        dear.save(tmp_path / "model")


def tampered(model: Path, folder: Path, change: Any) -> Path:
    """The artifact with changed documents and a manifest that fits them."""
    documents, tensors = artifact.read_artifact(model)
    change(documents)
    return artifact.write_artifact(folder, documents, tensors)


TAMPERINGS = {
    "a ledger taken off": lambda documents: documents["record"].update(privacy=None),
    "an encoder that says it is not private": lambda documents: documents["encoder"].update(is_private=False),
    "a ledger without spends": lambda documents: documents["record"]["privacy"].update(spends=[]),
    "a budget below what was spent": lambda documents: documents["record"]["privacy"]["budget"].update(epsilon=0.01),
    "a budget below what was asked for": lambda documents: documents["record"]["privacy"]["budget"].update(epsilon=1),
    "another noise than was added": lambda documents: documents["record"]["privacy"]["spends"][0].update(
        noise_multiplier=9.0
    ),
    "an epsilon below what was spent": lambda documents: documents["record"]["privacy"]["spends"][2].update(
        epsilon=0.25
    ),
    "a budget that is none": lambda documents: documents["record"]["privacy"]["budget"].update(delta=None),
}


@pytest.mark.parametrize("name", TAMPERINGS)
def test_an_artifact_whose_ledger_and_encoder_disagree_is_refused(name, model, tmp_path):
    with pytest.raises(ArtifactError):
        ls.load(tampered(model, tmp_path / "model", TAMPERINGS[name]))


def test_a_fit_without_a_budget_does_not_leave_under_a_private_label(model, tmp_path):
    private = ls.load(model)
    public = ls.Synthesizer(0)
    public._model, public._ledger = private._model, private.ledger
    public._model.encoder.is_private = False
    with pytest.raises(PrivacyError, match="Fit again under the budget"):
        public.save(tmp_path / "model")
    public._model.encoder.is_private, public._ledger = True, None
    with pytest.raises(PrivacyError, match="Fit again under the budget"):
        public.save(tmp_path / "model")
