"""Privacy metrics: a copy of train is caught, a fresh real draw is not, and a dose of copies moves them by the dose."""

import numpy as np
import polars as pl
import pytest
from metric_worlds import SCHEMA, halves, relabelled, shuffled_in_time, with_static, with_visits, world

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import NotComputableError
from longsynth.privacy import measure_privacy
from longsynth.privacy.duplicates import copied_static, copied_windows, holdout_windows, windows
from longsynth.privacy.membership import mia_auc
from longsynth.privacy.precision import reporting_decimals
from longsynth.schema.types import Channel, Column, Schema, VisitTime


@pytest.fixture(scope="module")
def real() -> tuple[Cohort, Cohort]:
    return halves(world(400, seed=1))


def test_train_itself_is_caught_by_all(real):
    train, holdout = real
    values, reasons = measure_privacy(relabelled(train), train, holdout)
    assert reasons == {}
    assert values == {
        "mia_auc": 1.0, "copied_windows": 1.0, "holdout_windows": 0.0, "copied_static": 1.0, "holdout_static": 0.0,
    }  # fmt: skip


def test_a_fresh_real_draw_is_caught_by_none(real):
    values, _ = measure_privacy(world(200, seed=2), *real)
    assert abs(values.pop("mia_auc") - 0.5) < 3 * 0.029  # standard error of an AUC, 200 a side
    assert set(values.values()) == {0.0}


def test_the_attack_tells_members_from_others_and_not_the_reverse(real):
    train, holdout = real
    assert mia_auc(holdout, train, holdout) == 0
    assert mia_auc(relabelled(train, seed=3), train, holdout) == mia_auc(train, train, holdout) == 1


def test_more_noise_on_a_copy_makes_members_harder_to_tell(real):
    train, holdout = real
    rng = np.random.default_rng(0)
    found = []
    for sd in (0.1, 0.5, 2.0):
        noisy = train.visits.with_columns(
            pl.col("marker", "echo") + pl.Series(rng.normal(0, sd, train.n_visits)).round(3)
        )
        found.append(mia_auc(with_visits(train, noisy), train, holdout))
    assert found[0] > 0.95
    assert found[0] >= found[1] > found[2]


def test_a_dose_of_copies_is_measured_as_that_dose(real):
    train, holdout = real
    fresh, copied = world(180, seed=2), train.select(train.static["patient_id"][:20])
    mixed = Cohort(pl.concat([fresh.static, copied.static]), pl.concat([fresh.visits, copied.visits]), schema=SCHEMA)
    assert copied_static(mixed, train) == 20 / 200
    assert copied_windows(mixed, train, holdout) == len(windows(copied, train)) / len(windows(mixed, train))
    assert copied_static(mixed, holdout) == holdout_windows(mixed, train, holdout) == 0


def test_windows_by_hand():
    schema = Schema(visit_time=VisitTime(column="t"), channels={"x": Channel(kind="continuous")})

    def cohort(**patients: list[float | None]) -> Cohort:
        rows = [{"patient_id": p, "t": float(k), "x": x} for p, xs in patients.items() for k, x in enumerate(xs)]
        visits = pl.DataFrame(rows, schema={"patient_id": pl.String, "t": pl.Float64, "x": pl.Float64})
        return Cohort(visits.select("patient_id").unique(), visits, schema=schema)

    train = cohort(a=[1.0, 2.0, 3.0, 4.0], b=[5.0, None, 5.0], shared=[7.0, 7.0, 7.0], empty=[None, None, None])
    holdout = cohort(c=[9.0, 9.0, 8.0], shared=[7.0, 7.0, 7.0], d=[3.0, 4.0, 5.0])
    made = cohort(
        one=[2.04, 3.0, 3.96, 5.0],  # 2 3 4 of train, and 3 4 5 of the holdout, at reporting precision
        two=[5.0, None, 5.0],  # of train, with its missing value
        three=[7.0, 7.0, 7.0],  # of both
        four=[None, None, None],  # nothing observed: no window
        five=[3.0, 4.0],  # too short, and the next patient's visit does not complete it
        six=[5.0, 5.0, 5.0],  # of nobody
    )
    assert len(windows(made, train)) == 5
    assert copied_windows(made, train, holdout) == 2 / 5
    assert holdout_windows(made, train, holdout) == 1 / 5


def test_windows_do_not_depend_on_times_and_do_on_order(real):
    train, holdout = real
    later = with_static(train, train.static.with_columns(futime=pl.col("futime") + 999))
    later = with_visits(later, later.visits.with_columns(day=pl.col("day") + 999))
    assert copied_windows(later, train, holdout) == 1
    assert copied_windows(shuffled_in_time(train), train, holdout) < 0.5


def test_static_rows_are_copies_only_with_their_outcome(real):
    train, _ = real
    assert copied_static(with_static(train, train.static.with_columns(futime=pl.col("futime") + 999)), train) == 0
    assert copied_static(with_static(train, train.static.with_columns(status=1 - pl.col("status"))), train) < 0.05


def test_constant_and_missing_features_do_not_break_the_attack(real):
    train, holdout = real
    constant = with_visits(train, train.visits.with_columns(marker=pl.lit(0.0), echo=pl.lit(None, pl.Float64)))
    assert mia_auc(constant, train, holdout) > 0.9  # the static rows are still copies
    without_visits = Cohort(train.static, train.visits.clear(), schema=SCHEMA, origin="synthetic")
    assert mia_auc(without_visits, train, holdout) == 1


def test_what_cannot_be_computed_is_none_with_a_reason(real):
    static_only = SCHEMA.model_copy(update={"channels": {}, "visit_time": None, "terminal_event": None})
    train, holdout = (Cohort(cohort.static, schema=static_only) for cohort in real)
    values, reasons = measure_privacy(train, train, holdout)
    assert set(reasons) == {"copied_windows", "holdout_windows", "copied_static", "holdout_static"}
    assert values["mia_auc"] > 0.9
    single = world(30, seed=1, n_visits=2)
    with pytest.raises(NotComputableError, match="three consecutive"):
        copied_windows(single, single, single)


@pytest.mark.parametrize(
    ("values", "declared", "expected"),
    [
        ([1.0, 2.0], None, 0),
        ([1.5, 2.0, None], None, 1),
        ([0.125] + [1.0] * 99, None, 0),
        ([1 / 3] * 10, None, 6),
        ([1.25], 1, 1),
        ([None], None, 0),
    ],
)
def test_reporting_decimals(values, declared, expected):
    column = Column(kind="continuous", decimals=declared)
    assert reporting_decimals(pl.Series(values, dtype=pl.Float64), column) == expected
