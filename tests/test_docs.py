"""What README and documentation say is true: links lead somewhere, commands and names exist, examples run."""

import re
import shlex
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml
from cards import attacks_page, metrics_page
from quick import make_quick
from typer.main import get_command

import longsynth as ls
from longsynth.cli import app, main
from longsynth.cohort.cohort import Cohort
from longsynth.evaluation.base import METRICS
from longsynth.privacy.base import ATTACKS
from longsynth.schema.files import parse_schema

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]
each_page = pytest.mark.parametrize("page", PAGES, ids=NAMES)
HEADS = {
    "metrics": ("What", "Formula", "Reading", "Sees", "Does not see", "Pitfalls", "Reference"),
    "attacks": ("What", "Formula", "Attacker", "Reading", "Sees", "Does not see", "Pitfalls", "Reference"),
}
COMMANDS = get_command(app).commands


def blocks(page: Path, language: str) -> list[str]:
    """Code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> list[list[str]]:
    """Lines of shell blocks that call longsynth, as arguments."""
    lines = "\n".join(blocks(page, "bash")).splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("longsynth ")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder as README expects it: the PBC cohort as patients.csv and visits.csv."""
    path = tmp_path_factory.mktemp("readme")
    static, visits = ls.load_pbc().tables()
    static.write_csv(path / "patients.csv")
    visits.write_csv(path / "visits.csv")
    return path


@pytest.fixture
def quick(folder, monkeypatch):
    monkeypatch.chdir(folder)
    make_quick(monkeypatch)


@each_page
def test_links_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?://|#)([^)#]+)", page.read_text())
    missing = [target for target in targets if not (page.parent / target).exists()]
    assert missing == []


@each_page
def test_commands_and_their_options_exist(page):
    text = page.read_text()
    for verb in re.findall(r"`longsynth ([a-z-]+)", text):
        assert verb in COMMANDS
    for arguments in commands(page):
        known = {option for parameter in COMMANDS[arguments[0]].params for option in parameter.opts}
        assert {part for part in arguments if re.fullmatch(r"--?[a-z-]+", part)} <= known
    for row in re.findall(r"^\| `longsynth ([a-z-]+)([^|]*)", text, re.MULTILINE):
        known = {option for parameter in COMMANDS[row[0]].params for option in parameter.opts}
        assert set(re.findall(r"(?<![\w-])--?[a-z][a-z-]*", row[1])) <= known


@each_page
def test_python_names_exist(page):
    for name in re.findall(r"\bls\.(\w+)", "\n".join(blocks(page, "python"))):
        assert name in ls.__all__


@each_page
def test_make_targets_exist(page):
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^|`)make ([a-z]+)", page.read_text(), re.MULTILINE)) <= targets


@each_page
def test_nothing_is_called_anonymous(page):
    assert not re.search(r"\banonym(ous|ously|ity|i[sz]ed?)\b", page.read_text().lower())


def test_the_command_line_page_lists_every_verb():
    listed = re.findall(r"^\| `longsynth ([a-z-]+)", (ROOT / "docs/reference/cli.md").read_text(), re.MULTILINE)
    assert listed == list(COMMANDS)


def test_the_python_page_lists_every_public_name_but_types():
    listed = set(re.findall(r"^::: [\w.]+\.(\w+)$", (ROOT / "docs/reference/python.md").read_text(), re.MULTILINE))
    assert listed == set(ls.__all__) - {"Schema"}


def test_every_page_of_the_site_is_there():
    nav = yaml.safe_load((ROOT / "mkdocs.yml").read_text())["nav"]
    pages = set(re.findall(r"[\w/-]+\.md", str(nav)))
    written = {name.removeprefix("docs/") for name in NAMES if name.startswith("docs/")}
    assert {page for page in written if not page.startswith("decisions/") and not is_card(page)} == pages


def is_card(page: str) -> bool:
    """Whether a page is about one metric or attack; the index of its folder leads to it."""
    return page.startswith(("metrics/", "attacks/")) and not page.endswith("/index.md")


@pytest.mark.parametrize(("kind", "registered"), [("metrics", METRICS), ("attacks", ATTACKS)])
def test_everything_registered_has_a_card_and_every_card_is_registered(kind, registered):
    cards = {page.stem: page.read_text() for page in (ROOT / "docs" / kind).glob("*.md") if page.stem != "index"}
    assert set(cards) == set(registered)
    for name, text in cards.items():
        assert text.startswith(f"# {name}\n")
        assert [head for head in HEADS[kind] if f"**{head}.**" not in text] == [], name


@pytest.mark.parametrize(("kind", "page"), [("metrics", metrics_page), ("attacks", attacks_page)])
def test_an_index_leads_to_every_card(kind, page):
    assert (ROOT / f"docs/{kind}/index.md").read_text(encoding="utf-8") == page(), "run `python -m tests.cards`"


def test_the_schema_page_shows_a_schema_that_is_one():
    first = blocks(ROOT / "docs/reference/schema.md", "yaml")[0]
    assert parse_schema(yaml.safe_load(first), source="the page").terminal_event.event_types == {
        1: "dialysis",
        2: "death",
    }


@pytest.mark.parametrize("name", ["README.md", "docs/tutorials/own-data.md"])
def test_the_commands_run_as_written(name, quick, folder, monkeypatch, capsys):
    for arguments in commands(ROOT / name):
        if arguments[0] == "infer-schema":
            (folder / "schema.yaml").unlink(missing_ok=True)
        monkeypatch.setattr(sys, "argv", ["longsynth", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code, capsys.readouterr().err
    assert (folder / "out/static.parquet").exists()
    listing = blocks(ROOT / "docs/reference/artifact.md", "text")[0]
    for path in (folder / "model").iterdir():
        assert re.sub(r"\d+", "0", path.name) in listing


def test_the_python_of_the_readme_runs_as_written(quick, folder):
    (code,) = blocks(ROOT / "README.md", "python")
    found: dict = {}
    exec(code, found)
    assert found["synthetic"].n_patients == 1000
    assert (found["synthetic"].static["trt"] == 1).all()


def test_the_estimates_from_synthetic_patients_run_as_written():
    """With patients drawn from the real ones, with replacement, in place of a synthesizer."""
    cohort = ls.load_pbc()

    def synthesizer(rows):
        def sample(n, seed):
            drawn = rows[np.random.default_rng(seed).integers(0, len(rows), n)]
            static = cohort.static[drawn].with_columns(patient_id=pl.int_range(n).cast(pl.String))
            return Cohort(static, cohort.visits.clear(), schema=cohort.schema, origin="synthetic")

        def refits(n, n_refits):
            drawn = np.random.default_rng(7).integers(0, len(rows), (n_refits, n))
            return [synthesizer(rows[one]) for one in drawn]

        return SimpleNamespace(sample=sample, refits=refits)

    found: dict = {"synthesizer": synthesizer(np.arange(cohort.n_patients))}
    exec("\n".join(blocks(ROOT / "docs/tutorials/judge.md", "python")[-2:]), found)
    assert 0 < np.sqrt(found["variances"].mean()) < found["standard_error"]
    assert found["low"] < found["estimate"] < found["high"]
    assert found["high"] - found["low"] > 2 * found["standard_error"]


def test_the_quickstart_runs_as_written(quick, folder):
    found: dict = {}
    exec("\n".join(blocks(ROOT / "docs/tutorials/quickstart.md", "python")), found)
    assert (folder / "comparison.png").exists()
    assert found["intervals"]["stop"].max() > 0
