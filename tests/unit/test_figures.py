"""Pictures show the numbers they claim to show, for every cohort there may be."""

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts, plain_schema
from lifelines import KaplanMeierFitter

import longsynth as ls
from longsynth.exceptions import ConfigError
from longsynth.report.figures import COLOURS, draw_cohorts, save_figure
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime


@pytest.fixture(scope="module")
def pbc():
    return ls.load_pbc()


def test_one_column_a_cohort_one_row_a_channel_and_survival_last(pbc):
    figure = draw_cohorts({"all": pbc, "again": pbc}, by="trt", channels=["bili", "albumin"])
    axes = np.array(figure.axes).reshape(3, 2)
    assert [axis.get_title() for axis in axes[0]] == ["all (312 patients)", "again (312 patients)"]
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["bili (mg/dL)", "albumin (g/dL)", "event-free share"]
    assert [text.get_text() for text in axes[0, 0].get_legend().get_texts()] == ["trt = 0", "trt = 1"]
    assert axes[0, 0].get_yscale() == "log"
    assert axes[1, 0].get_yscale() == "linear"


def test_ribbons_are_quantiles_by_arm_and_time():
    rng = np.random.default_rng(0)
    n = 200
    schema = Schema(
        visit_time=VisitTime(column="time"),
        static={"arm": StaticColumn(kind="binary", levels=("a", "b"))},
        channels={"x": Channel(kind="continuous")},
    )
    static = pl.DataFrame({"patient_id": np.arange(n), "arm": np.where(np.arange(n) < n // 2, "a", "b")})
    values = rng.normal(size=(2, n)) + 10 * np.arange(2)[:, None] + 100 * (np.arange(n) >= n // 2)
    visits = pl.DataFrame(
        {"patient_id": np.tile(np.arange(n), 2), "time": np.repeat([0.0, 50.0], n), "x": values.ravel()}
    )
    axes = draw_cohorts({"c": ls.Cohort(static, visits, schema=schema)}, by="arm").axes[0]
    for line, ribbon, patients in zip(axes.lines, axes.collections, (slice(0, 100), slice(100, 200)), strict=True):
        low, middle, high = np.quantile(values[:, patients], [0.1, 0.5, 0.9], axis=1)
        np.testing.assert_allclose(line.get_xdata(), [0, 50])
        np.testing.assert_allclose(line.get_ydata(), middle)
        corners = ribbon.get_paths()[0].vertices
        np.testing.assert_allclose(corners[corners[:, 0] == 0][:, 1].min(), low[0])
        np.testing.assert_allclose(corners[corners[:, 0] == 50][:, 1].max(), high[1])


def test_survival_curves_agree_with_lifelines(pbc):
    axes = draw_cohorts({"pbc": pbc}, by="trt").axes[-1]
    for arm, line in enumerate(axes.lines):
        patients = pbc.static.filter(pl.col("trt") == arm)
        fitted = KaplanMeierFitter().fit(patients["futime"], patients["status"]).survival_function_
        np.testing.assert_allclose(line.get_xdata(), fitted.index)
        np.testing.assert_allclose(line.get_ydata(), fitted["KM_estimate"])


def test_arms_differ_in_colour_and_in_dashes(pbc):
    first, second = draw_cohorts({"pbc": pbc}, by="trt").axes[0].lines
    assert first.get_color() in COLOURS
    assert first.get_color() != second.get_color()
    assert first.get_linestyle() != second.get_linestyle()


@pytest.mark.parametrize("name", awkward_cohorts())
def test_awkward_cohorts_are_drawn_or_refused(name, tmp_path):
    try:
        figure = draw_cohorts({"real": awkward_cohorts()[name]})
    except ConfigError as error:
        assert "nothing" in str(error) or "neither" in str(error)
        return
    assert save_figure(figure, tmp_path / "picture.png").stat().st_size > 1000


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_figure_gives_the_same_bytes(pbc, tmp_path, suffix):
    first, second = (save_figure(draw_cohorts({"pbc": pbc}), tmp_path / f"{n}.{suffix}").read_bytes() for n in "ab")
    assert first == second


def test_what_cannot_be_drawn_is_refused(pbc):
    for arguments in ({"by": "age"}, {"by": "nothing"}, {"channels": ["stage"]}, {"channels": ["nothing"]}):
        with pytest.raises(ConfigError):
            draw_cohorts({"pbc": pbc}, **arguments)
    schema = plain_schema(visit_time=None, terminal_event=None, channels={})
    with pytest.raises(ConfigError, match="neither"):
        draw_cohorts({"bare": ls.Cohort(pl.DataFrame({"patient_id": [1], "age": [50.0], "arm": [1]}), schema=schema)})
