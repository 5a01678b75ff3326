"""The page on privacy is true, and epsilon is never shown without its direction."""

import re
from pathlib import Path

import pytest

from longsynth.privacy.rates import patients_needed

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/tutorials/privacy.md"
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])


def test_the_python_of_the_page_runs_as_written():
    code = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    found: dict = {}
    exec("\n".join(code), found)
    flagged = found["frame"].filter("flagged")
    assert {"duplicates", "membership"} <= set(flagged["attack"])


def test_the_numbers_of_patients_of_the_page():
    text = PAGE.read_text()
    for control in (0.02, 0.1):
        for risk in (0.03, 0.05, 0.09):
            assert f"{patients_needed(risk, control):,}" in text


@pytest.mark.parametrize("page", PAGES, ids=[page.relative_to(ROOT).as_posix() for page in PAGES])
def test_epsilon_is_never_shown_without_its_direction(page):
    text = re.sub(r"\s+", " ", page.read_text()).lower()
    if re.search(r"\bepsilon\b", text):
        assert re.search(r"smaller epsilon (is|means) stronger privacy", text)
