"""Results: no value without its ceiling, no missing value without its reason, and round trips."""

import json
from dataclasses import fields, replace

import pytest

from longsynth.evaluation.results import COLUMNS, Evaluation, MetricResult, Provenance, shown
from longsynth.exceptions import ConfigError

VALUE = MetricResult(
    "marginal", "cohort", "ks_mean", "Marginals <KS>", "", "", 0.0, "higher", None, 0.2, 0.15, 0.25, 0.1, 0.05, 0.12,
    0.02, 5.0, True, 100, 79, 1,
)  # fmt: skip
NONE = MetricResult("survival", "survival", "km_area", "Kaplan-Meier", "", "", 0.0, "higher", reason="no event")
EVALUATION = Evaluation(
    (VALUE, NONE), Provenance(100, 200, None, None, ("ks_mean", "km_area"), (), ("visits",), 0, "0.1.0"), ("hm",)
)


def test_a_value_without_its_ceiling_cannot_be_made():
    with pytest.raises(ConfigError, match="ceiling"):
        replace(VALUE, ceiling=None)


def test_a_missing_value_has_a_reason_and_a_value_has_none():
    with pytest.raises(ConfigError, match="reason"):
        replace(NONE, reason=None)
    with pytest.raises(ConfigError, match="reason"):
        replace(VALUE, reason="no")


def test_the_frame_has_a_column_for_everything_a_result_holds():
    assert set(COLUMNS) == {field.name for field in fields(MetricResult)} | {"seed", "version"}
    frame = EVALUATION.frame()
    assert frame.columns == list(COLUMNS)
    assert frame["value"].to_list() == [0.2, None]
    assert frame["version"].unique().to_list() == ["0.1.0"]


def test_json_reads_back_equal():
    assert Evaluation.from_json(EVALUATION.to_json()) == EVALUATION


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": 1}', '{"format": 99}'])
def test_other_texts_are_refused(text):
    with pytest.raises(ConfigError):
        Evaluation.from_json(text)


def test_json_of_an_unknown_attribute_is_refused():
    document = json.loads(EVALUATION.to_json())
    document["results"][0]["score"] = 1
    with pytest.raises(ConfigError, match="no evaluation"):
        Evaluation.from_json(json.dumps(document))


def test_a_number_is_shown_with_its_ceiling_or_not_at_all():
    assert shown(VALUE) == ("0.2 (0.15 to 0.25)", "0.1 (0.05 to 0.12)", "differs")
    assert shown(NONE) == ("-", "-", "not assessed: no event")


def test_the_notebook_shows_a_table_with_escaped_text():
    html = EVALUATION._repr_html_()
    assert "Marginals &lt;KS&gt;" in html and "0.1 (0.05 to 0.12)" in html and "<li>hm</li>" in html
