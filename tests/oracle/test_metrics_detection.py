"""Detection: the registered metrics are the plain functions, and the repair list names what was damaged."""

import polars as pl
import pytest
from metric_worlds import column_permuted, halves, relabelled, with_visits, world

from longsynth.evaluation import detection
from longsynth.evaluation.base import METRICS, WHOLE, Setting
from longsynth.evaluation.detection import explain_detection
from longsynth.evaluation.metrics import detection as registered
from longsynth.exceptions import NotComputableError


@pytest.mark.parametrize("name", ["detect_patient", "detect_transition"])
def test_the_registered_metric_is_the_plain_function(name):
    made, real = world(40, seed=2), world(40, seed=3)
    expected = getattr(detection, name)(made, real, seed=4, n_repeats=1)
    assert METRICS[name].is_costly
    assert getattr(registered, name)(made, real, Setting(seed=4)) == {WHOLE: expected}


def test_the_repair_list_starts_with_what_was_damaged():
    made, real = halves(world(160, seed=1))
    fine = explain_detection(made, real)
    louder = with_visits(made, made.visits.with_columns((pl.col("echo") * 2).round(3)))
    found = explain_detection(louder, real)
    first = found.row(0, named=True)
    assert first["column"] == "visits.echo"
    assert first["column_importance"] > 0.1 > fine["column_importance"].max()
    spread = found.row(by_predicate=pl.col("feature") == "echo.sd", named=True)
    assert spread["synthetic_median"] > 1.5 * spread["real_median"]


def test_the_repair_list_has_every_feature_and_its_column_once():
    made, real = world(20, seed=2), world(15, seed=3)
    found = explain_detection(made, real)
    assert found["feature"].n_unique() == found.height
    columns = [f"visits.{name}" for name in real.schema.channels] + [f"static.{name}" for name in real.schema.static]
    assert set(found["column"]) == {"visits", "event.duration", "event.type", *columns}
    assert found.equals(explain_detection(relabelled(made), relabelled(real)))


def test_the_repair_list_of_too_few_patients_is_refused():
    with pytest.raises(NotComputableError, match="usable patients"):
        explain_detection(world(9, seed=1), column_permuted(world(30, seed=2), "echo"))
