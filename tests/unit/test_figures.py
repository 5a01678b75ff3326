"""Pictures show the numbers they claim to show, for every cohort there may be."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from awkward import awkward_cohorts, plain_schema
from lifelines import KaplanMeierFitter

import longsynth as ls
from longsynth.exceptions import ConfigError
from longsynth.report.figures import (
    COLOURS,
    draw_cohorts,
    draw_correlations,
    draw_lag_correlations,
    draw_survival,
    draw_trajectories,
    draw_visits,
    image,
    save_figure,
    style,
)
from longsynth.schema.types import Channel, Schema, StaticColumn, VisitTime


@pytest.fixture(scope="module")
def pbc():
    return ls.load_pbc()


def test_one_column_a_cohort_one_row_a_channel_and_survival_last(pbc):
    figure = draw_cohorts({"all": pbc, "again": pbc}, by="trt", channels=["bili", "albumin"])
    axes = np.array(figure.axes).reshape(3, 2)
    assert [axis.get_title() for axis in axes[0]] == ["all (312 patients)", "again (312 patients)"]
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["bili (mg/dL)", "albumin (g/dL)", "event-free share"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["trt = 0", "trt = 1"]
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


def in_pairs(draw):
    """A picture of two cohorts, drawn as one of cohorts by title."""
    return lambda cohorts: draw(*list(cohorts.values())[:2])


DRAWN = {
    "cohorts": draw_cohorts,
    "trajectories": draw_trajectories,
    "survival": draw_survival,
    "visits": draw_visits,
    "correlations": in_pairs(draw_correlations),
    "lag": in_pairs(draw_lag_correlations),
}


@pytest.mark.parametrize("name", awkward_cohorts())
def test_awkward_cohorts_are_drawn_or_refused(name, tmp_path):
    cohort = awkward_cohorts()[name]
    for draw in DRAWN.values():
        try:
            figure = draw({"real": cohort, "synthetic": cohort})
        except ConfigError as error:
            assert "nothing to draw" in str(error)
            continue
        assert figure.axes
    if cohort.schema.terminal_event is not None:
        assert save_figure(draw_cohorts({"real": cohort}), tmp_path / "picture.png").stat().st_size > 1000


def test_numbers_at_risk_are_those_of_lifelines(pbc):
    figure = draw_survival({"real": pbc, "again": pbc}, by="trt")
    for arm, axes in enumerate(figure.axes):
        patients = pbc.static.filter(pl.col("trt") == arm)
        table = KaplanMeierFitter().fit(patients["futime"], patients["status"]).event_table
        ticks = axes.get_xticks()
        written = [int(text.get_text().replace(",", "")) for text in axes.texts if text.get_text()[0].isdigit()]
        expected = [int((patients["futime"] >= tick).sum()) for tick in ticks]
        assert written == expected * 2
        assert expected[0] == table["at_risk"].iloc[0]
        assert axes.get_title() == f"trt = {arm}"


def test_heat_maps_show_correlations_between_and_within_patients(pbc):
    half = pbc.select(pbc.static["patient_id"].to_list()[:156])
    between, other, difference, within = (axes.images[0].get_array() for axes in draw_correlations(pbc, half).axes[:4])
    means = pbc.visits.group_by("patient_id").agg(pl.col("bili", "albumin").mean())
    place = list(pbc.schema.channels).index("bili"), list(pbc.schema.channels).index("albumin")
    np.testing.assert_allclose(between[place], means.select(pl.corr("bili", "albumin", method="spearman")).item())
    own = pl.col("bili", "albumin")
    deviations = pbc.visits.filter(pl.len().over("patient_id") > 1).select(own - own.mean().over("patient_id"))
    np.testing.assert_allclose(within[place], deviations.select(pl.corr("bili", "albumin", method="spearman")).item())
    np.testing.assert_allclose(difference, other - between)


def test_lag_heat_maps_pair_a_visit_with_the_next_one():
    """``a`` repeats what ``b`` was one visit before."""
    rng = np.random.default_rng(0)
    n, length = 60, 5
    schema = Schema(
        visit_time=VisitTime(column="time"),
        channels={"a": Channel(kind="continuous"), "b": Channel(kind="continuous")},
    )
    b = rng.normal(size=(n, length))
    a = np.column_stack([rng.normal(size=n), b[:, :-1]])
    patient = np.repeat(np.arange(n), length)
    visits = {"patient_id": patient, "time": np.tile(np.arange(length), n), "a": a.ravel(), "b": b.ravel()}
    cohort = ls.Cohort(pl.DataFrame({"patient_id": np.arange(n)}), pl.DataFrame(visits), schema=schema)
    values = draw_lag_correlations(cohort, cohort).axes[0].images[0].get_array()
    assert values[1, 0] == pytest.approx(1)  # from b to the next a
    assert abs(values[0, 1]) < 0.2


def test_visits_are_counted_and_shares_observed_shown(pbc):
    counts, _, shares = draw_visits({"real": pbc, "half": pbc.select(pbc.static["patient_id"].to_list()[:156])}).axes
    per_patient = pbc.visits.group_by("patient_id").len()["len"]
    line = counts.lines[0]
    at_five = line.get_ydata()[line.get_xdata() == 5].max()
    assert at_five == pytest.approx((per_patient <= 5).mean())
    names = [label.get_text() for label in shares.get_yticklabels()]
    seen = 1 - pbc.visits["chol"].null_count() / pbc.n_visits
    assert shares.lines[0].get_xdata()[names.index("chol")] == pytest.approx(seen)


def test_a_name_is_text_and_never_a_formula_or_markup():
    schema = Schema(
        visit_time=VisitTime(column="time"),
        static={"$arm$": StaticColumn(kind="binary", levels=("<a>", r"$\nonsense$"))},
        channels={r"$\nonsense{ per <script>": Channel(kind="continuous")},
    )
    levels = pl.Series(["<a>", r"$\nonsense$"] * 15)
    static = pl.DataFrame({"patient_id": np.arange(30), "$arm$": levels})
    visits = {"patient_id": np.arange(30), "time": 0.0, r"$\nonsense{ per <script>": np.arange(30.0)}
    cohort = ls.Cohort(static, pl.DataFrame(visits), schema=schema)
    kind, content = image(draw_trajectories({"a $ and $": cohort}, by="$arm$"))
    assert kind == "image/svg+xml"
    assert b"<script" not in content


def test_a_notebook_shows_a_picture_whatever_was_imported(pbc):
    assert draw_survival({"pbc": pbc})._repr_png_().startswith(b"\x89PNG")


def test_every_picture_is_one_that_a_notebook_shows():
    """None of them is made as a mere figure, which a notebook without pyplot shows as text."""
    folder = Path(style.__file__).parent
    assert not [path.name for path in folder.glob("*.py") if "= Figure(" in path.read_text()]


def test_a_picture_of_very_many_points_is_sent_as_png(monkeypatch, pbc):
    figure = draw_survival({"pbc": pbc})
    assert image(figure)[0] == "image/svg+xml"
    monkeypatch.setattr("longsynth.report.figures.style.MOST_SVG_PARTS", 10)
    assert image(figure)[1].startswith(b"\x89PNG")


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_the_same_figure_gives_the_same_bytes(pbc, tmp_path, suffix):
    first, second = (save_figure(draw_cohorts({"pbc": pbc}), tmp_path / f"{n}.{suffix}").read_bytes() for n in "ab")
    assert first == second


def test_what_cannot_be_drawn_is_refused(pbc):
    for arguments in ({"by": "age"}, {"by": "nothing"}, {"channels": ["stage"]}, {"channels": ["nothing"]}):
        with pytest.raises(ConfigError):
            draw_cohorts({"pbc": pbc}, **arguments)
    schema = plain_schema(visit_time=None, terminal_event=None, channels={})
    with pytest.raises(ConfigError, match="nothing to draw"):
        draw_cohorts({"bare": ls.Cohort(pl.DataFrame({"patient_id": [1], "age": [50.0], "arm": [1]}), schema=schema)})
