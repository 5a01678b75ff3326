"""Several cohorts in one comparison: one frame, JSON, a notebook table, a verdict."""

import json

import polars as pl
import pytest
from metric_worlds import halves, shuffled_in_time, world

import longsynth as ls
from longsynth.budget import PrivacyBudget, PrivacyLedger, Spend
from longsynth.cli.cohorts import read_ledger
from longsynth.evaluation.base import Metric
from longsynth.exceptions import CohortError, ConfigError
from longsynth.report.html import write_report
from longsynth.training.accounting import epsilon_of


def mean_age(sample, reference, _setting):
    return {"": sample.static["age"].mean() - reference.static["age"].mean()}


METRIC = Metric("mean_age", "marginal", "static", "Mean age", mean_age, worse="both", unit="years")
OWN = {
    "name": "own", "title": "Own & only", "version": 1, "statement": "s",
    "checks": {
        "age": {
            "group": "fidelity", "title": "t", "rule": "excess", "metrics": ["mean_age"], "limit": 5, "source": "s",
        }
    },
}  # fmt: skip


class Assessment:
    def frame(self):
        return pl.DataFrame({"criterion": ["none"], "measure": ["rate"], "subset": ["all"]})


@pytest.fixture(scope="module")
def cohorts():
    train, holdout = halves(world(160, 1))
    return {"train": train, "holdout": holdout, "good": world(80, 2), "shuffled": shuffled_in_time(world(80, 3))}


@pytest.fixture(scope="module")
def comparison(cohorts):
    made = {name: cohorts[name] for name in ("good", "shuffled")}
    return ls.compare(
        made,
        train=cohorts["train"],
        holdout=cohorts["holdout"],
        metrics=[METRIC],
        strata=[],
        use_case=OWN,
        privacy={"good": Assessment()},
        budgets={"good": (1.0, 1e-5)},
    )


def test_one_frame_has_the_model_in_front(comparison):
    frame = comparison.frame()
    assert frame.columns[0] == "model" and frame["model"].to_list() == ["good", "shuffled"]
    assert frame["ceiling"].n_unique() == 1  # equally large cohorts share it


def test_a_cohort_scores_the_same_alone(comparison, cohorts):
    alone = ls.evaluate(
        cohorts["shuffled"], train=cohorts["train"], holdout=cohorts["holdout"], metrics=[METRIC], strata=[]
    )
    assert alone == comparison.evaluations["shuffled"]


def test_the_verdict_is_that_of_the_use_case_or_of_another(comparison):
    assert comparison.verdict().states()["good"] == {
        "fidelity": "pass", "utility": "not assessed", "privacy": "not assessed",
    }  # fmt: skip
    assert comparison.verdict("external control arm").profile.name == "external_control_arm"


def test_json_holds_everything_and_is_the_same_twice(comparison):
    document = json.loads(comparison.to_json())
    assert set(document) == {"evaluations", "privacy", "budgets", "verdict"}
    assert document["verdict"]["states"]["good"]["fidelity"] == "pass"
    assert comparison.to_json() == comparison.to_json()


def test_the_notebook_shows_verdict_and_table(comparison):
    html = comparison._repr_html_()
    assert "Own &amp; only" in html and "two real samples" in html and html.count("<table>") == 2


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"cohorts": {}}, "no cohort to compare"),
        ({"cohorts": ["good"]}, "give a mapping from names to cohorts"),
        ({"privacy": {"other": Assessment()}}, "privacy names other"),
        ({"budgets": {"other": (1.0, 1e-5)}}, "budgets names other"),
        ({"use_case": "nothing"}, "profiles are"),
    ],
)
def test_wrong_arguments_are_refused_before_any_work(changes, complaint, cohorts):
    given = {"cohorts": {"good": cohorts["good"]}} | changes
    with pytest.raises(ConfigError, match=complaint):
        ls.compare(given.pop("cohorts"), train=cohorts["train"], holdout=cohorts["holdout"], metrics=[METRIC], **given)


def test_no_use_case_means_no_verdict(cohorts):
    found = ls.compare({"good": cohorts["good"]}, train=cohorts["train"], metrics=[METRIC], strata=[])
    assert "verdict" not in json.loads(found.to_json())
    with pytest.raises(ConfigError, match="name the use case"):
        found.verdict()


def test_a_ledger_is_a_budget_and_stands_in_the_report(cohorts, tmp_path):
    spend = Spend("margins of everything", "Gaussian", 2.0, 1.5, 1.0, 1, 1.9)
    ledger = PrivacyLedger(PrivacyBudget(2.0, 1e-5), [spend])
    told = {name: cohorts[name] for name in ("train", "holdout")}
    found = ls.compare({"good": cohorts["good"]}, metrics=[METRIC], budgets={"good": ledger}, **told)
    assert found.budgets == {"good": (2.0, 1e-5)}
    assert "epsilon = 2" in found.evaluations["good"].notes[-1] and "outside" in found.evaluations["good"].notes[-1]
    assert "outside this guarantee" in found.to_json()
    page = write_report(found, tmp_path / "report.html", synthetic={"good": cohorts["good"]}, **told).read_text()
    for text in ("epsilon = 2, delta = 1e-05", "Smaller epsilon means stronger privacy", "margins of everything"):
        assert text in page


def test_the_ledger_travels_in_the_folder_of_a_sample(tmp_path):
    assert read_ledger(tmp_path) is None
    spend = Spend("counts", "Gaussian", 2.0, 2.5, 1.0, 1, epsilon_of([(2.5, 1.0, 1)], 1e-5))
    ledger = PrivacyLedger(PrivacyBudget(2.0, 1e-5), [spend])
    (tmp_path / "longsynth.json").write_text(json.dumps({"privacy": ledger.to_json()}))
    assert read_ledger(tmp_path) == ledger
    (tmp_path / "longsynth.json").write_text(json.dumps({"privacy": {"budget": 3}}))
    with pytest.raises(CohortError, match="damaged"):
        read_ledger(tmp_path)
