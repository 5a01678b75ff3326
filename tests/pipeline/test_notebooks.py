"""The notebooks run from top to bottom, and say what their text says they do."""

from pathlib import Path

import jupytext
import pytest
from quick import make_quick

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def run(name: str) -> dict:
    """Run a notebook's code; gives its variables."""
    found: dict = {}
    exec(compile((NOTEBOOKS / f"{name}.py").read_text(), f"{name}.py", "exec"), found)
    return found


@pytest.fixture(autouse=True)
def quick(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    make_quick(monkeypatch)


def test_each_notebook_is_tested_here_and_is_a_notebook():
    assert {path.stem for path in NOTEBOOKS.glob("*.py")} == {"trial_design", "survival", "comparison"}
    for path in NOTEBOOKS.glob("*.py"):
        kinds = [cell.cell_type for cell in jupytext.read(path).cells]
        assert kinds.count("code") >= 3
        assert kinds.count("markdown") >= 3


def test_trial_design():
    found = run("trial_design")
    assert found["pool"].static["age"].is_between(40, 65).all()
    assert found["share_at_null"] < 0.1
    power = found["power"]
    assert (power["hazard ratio 0.6"] > power["hazard ratio 1.0"]).all()


def test_survival():
    found = run("survival")
    assert found["coefficients"].notna().all(axis=None)
    assert (found["trajectories"].loc["albumin", ["real, train", "real, held out"]] < 0).all()


def test_comparison():
    found = run("comparison")
    lag = found["whole"].filter(metric="autocorrelation_within").rows_by_key("model", named=True, unique=True)
    assert lag["shuffled"]["flagged"]
    assert not lag["copied"]["flagged"]
    leaks = {name: any(found["attacks"][name].frame()["flagged"].drop_nulls()) for name in found["cohorts"]}
    assert leaks["copied"]
    assert not leaks["synthetic"]
    assert found["picture"].exists()
    assert "Trial design" in found["comparison"]._repr_html_()
    assert found["report"].stat().st_size < 3_000_000
