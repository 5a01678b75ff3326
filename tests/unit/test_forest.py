"""Forest plot and quality-privacy plane: every mark stands where its number says."""

import numpy as np
import pytest
from made_results import NO_VALUE, made_assessment, made_evaluation, made_provenance, made_result

from longsynth.evaluation.results import Evaluation
from longsynth.exceptions import ConfigError
from longsynth.report.figures import draw_forest, draw_quality_privacy, image


def forest(*results, **options):
    return draw_forest({"": Evaluation(results, made_provenance())}, **options).axes[0]


def marks(axes, marker):
    """Places of all marks of one shape."""
    return [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() == marker]


def ends(axes):
    """Left and right ends of the interval."""
    return next(np.sort(line.get_xdata()) for line in axes.lines if len(line.get_xdata()) == 2 and line.get_lw() == 1.4)


FACTS = {"value": 0.15, "lo": 0.11, "hi": 0.17, "ceiling": 0.09, "ceiling_lo": 0.05, "ceiling_hi": 0.13}


def test_values_intervals_and_bands_are_in_standard_deviations_of_the_ceiling():
    axes = forest(made_result(**FACTS, ceiling_sd=0.02), limits={"ks": [0.14]})
    assert marks(axes, "o") == pytest.approx([3.0])
    np.testing.assert_allclose(ends(axes), [1.0, 4.0])
    np.testing.assert_allclose(marks(axes, "|"), [2.5])
    corners = axes.collections[0].get_paths()[0].vertices[:, 0]
    np.testing.assert_allclose([corners.min(), corners.max()], [-2.0, 2.0])


def test_worse_is_to_the_right_also_where_lower_is_worse():
    axes = forest(made_result(**FACTS | {"value": 0.03, "lo": 0.01, "hi": 0.05}, ceiling_sd=0.02, worse="lower"))
    assert marks(axes, "o") == pytest.approx([3.0])
    np.testing.assert_allclose(ends(axes), [2.0, 4.0])


def test_what_differs_is_filled_and_several_cohorts_have_several_shapes():
    several = {
        name: Evaluation((made_result(flagged=flagged),), made_provenance())
        for name, flagged in {"a": True, "b": False}.items()
    }
    points = [
        line for line in draw_forest(several).axes[0].lines if line.get_marker() in "os" and line.get_ls() == "None"
    ]
    assert [point.get_marker() for point in points] == ["o", "s"]
    assert points[0].get_mfc() == points[0].get_mec()
    assert points[1].get_mfc() == "white"


def test_every_metric_has_a_row_whether_or_not_it_has_a_value():
    axes = forest(
        made_result("a"),
        made_result("b", part="visits.x"),
        made_result("b", part="visits.y", worse="both"),
        made_result("c", **NO_VALUE, reason="it needs visits"),
        made_result("d", ceiling_sd=0.0, z=None),
    )
    labels = [label.get_text() for label in axes.get_yticklabels()]
    assert labels == ["Title of a", "Title of b: visits.x", "Title of b: visits.y ↔", "Title of c", "Title of d"]
    assert [text.get_text() for text in axes.texts] == ["not assessed", "ceiling does not vary"]


def test_one_block_alone_and_none_at_all():
    axes = draw_forest({"": made_evaluation()}, block="survival").axes[0]
    assert len(axes.get_yticks()) == 3
    with pytest.raises(ConfigError, match="nothing to draw"):
        draw_forest({"": made_evaluation()}, block="trial")
    with pytest.raises(ConfigError, match="ceiling that varies"):
        forest(made_result("d", ceiling_sd=0.0, z=None))


def test_the_plane_shows_the_metric_and_the_largest_risk_of_all_patients():
    evaluations = {"a": made_evaluation(), "b": made_evaluation(shift=0.1), "no attacks": made_evaluation()}
    frames = {"a": made_assessment(risk=0.02).frame(), "b": made_assessment(risk=0.3).frame()}
    axes = draw_quality_privacy(evaluations, frames).axes[0]
    points = [(bars[0].get_xdata()[0], bars[0].get_ydata()[0]) for bars in axes.containers]
    np.testing.assert_allclose(points, [(0.95, 0.02), (0.95, 0.3)])
    assert [text.get_text().split("\n")[0] for text in axes.texts] == ["a", "b"]
    with pytest.raises(ConfigError, match="nothing to draw"):
        draw_quality_privacy(evaluations, {})


def test_a_plot_of_very_many_metrics_stays_small():
    results = [made_result(f"metric_{number}", title="A title of several words " * 3) for number in range(40)]
    cohorts = {f"cohort {number}": Evaluation(tuple(results), made_provenance()) for number in range(4)}
    kind, content = image(draw_forest(cohorts))
    assert kind == "image/png" and len(content) < 200_000
