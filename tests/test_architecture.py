"""Who may import whom: a room sees only rooms of a lower level, and heavy libraries stay in the rooms that own them."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "longsynth"
LEVELS = [
    {"exceptions"},
    {"seeding", "registry", "findings", "budget"},
    {"schema"},
    {"cohort"},
    {"encoding", "evaluation", "privacy", "networks", "trial"},
    {"training", "report", "artifact"},
    {"generators"},
    {"synthesizer"},
    {"cli"},
]
OWNERS = {
    "torch": ("networks/", "training/", "generators/", "synthesizer.py"),
    "pytorch_lightning": ("training/", "generators/"),
    "opacus": ("training/", "generators/"),
    "matplotlib": ("report/figures/",),
    "PIL": ("report/figures/",),
    "jinja2": ("report/html.py",),
    "pandas": ("cohort/frames.py", "cohort/survival.py"),
    "lifelines": ("evaluation/", "cohort/survival.py"),
    "typer": ("cli",),
}
BANNED = {"pickle", "joblib", "dill", "cloudpickle", "shelve", "marshal"}
FILES = sorted(PACKAGE.rglob("*.py"))


def level(room: str) -> int:
    return next(number for number, rooms in enumerate(LEVELS) if room in rooms)


def imports(tree: ast.AST) -> Iterator[str]:
    """Dotted names of everything imported, at any depth; ``from a import b`` counts as ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative import"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def for_annotations_only(tree: ast.AST) -> set[str]:
    """Names imported under ``if TYPE_CHECKING``, which never run."""
    blocks = [node for node in ast.walk(tree) if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"]
    return {name for block in blocks for name in imports(block)}


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").parts[0]


def broken_rules(file: Path) -> list[str]:
    """What a file imports that it may not."""
    here, path = room(file), file.relative_to(PACKAGE).as_posix()
    tree = ast.parse(file.read_text())
    annotations = for_annotations_only(tree)
    broken = []
    for name in imports(tree):
        top, _, rest = name.partition(".")
        if top in BANNED or (top in OWNERS and name not in annotations and not path.startswith(OWNERS[top])):
            broken.append(name)
        elif top == "longsynth" and rest != "__version__":
            there = rest.split(".")[0]
            known = any(there in rooms for rooms in LEVELS)
            if not known or (there != here and level(there) >= level(here)):
                broken.append(name)
    return broken


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_a_file_imports_only_what_its_room_may(file):
    if file == PACKAGE / "__init__.py":
        assert not [name for name in imports(ast.parse(file.read_text())) if name.split(".")[0] in OWNERS]
        return
    assert any(room(file) in rooms for rooms in LEVELS), f"{file} lies in no room of the design"
    assert broken_rules(file) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(PACKAGE).as_posix())
def test_files_and_functions_are_small(file):
    lines = file.read_text().splitlines()
    assert len(lines) <= 400
    long = [
        node.name
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.body[0].lineno - _docstring_lines(node) >= 50
    ]
    assert long == []


def _docstring_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    first = function.body[0]
    return first.end_lineno - first.lineno + 1 if ast.get_docstring(function) is not None else 0


@pytest.mark.parametrize(
    ("path", "line", "allowed"),
    [
        ("cohort/split.py", "from longsynth.encoding import CohortEncoder", False),
        ("evaluation/base.py", "from longsynth.encoding import CohortEncoder", False),
        ("evaluation/base.py", "from longsynth.cohort.cohort import Cohort", True),
        ("evaluation/base.py", "import torch.nn", False),
        ("networks/heads.py", "from torch import nn", True),
        ("report/html.py", "import matplotlib.pyplot as plt", False),
        ("report/html.py", "from longsynth.evaluation import evaluate", True),
        ("report/html.py", "from longsynth.artifact import read_artifact", False),
        ("cohort/checks.py", "import pandas as pd", False),
        ("cohort/checks.py", "if TYPE_CHECKING:\n    import pandas as pd", True),
        ("cohort/checks.py", "if TYPE_CHECKING:\n    from longsynth.synthesizer import Synthesizer", False),
        ("artifact.py", "from longsynth import __version__", True),
        ("artifact.py", "from longsynth import Synthesizer", False),
        ("artifact.py", "import pickle", False),
        ("synthesizer.py", "def f():\n    import longsynth.cli", False),
        ("cli/fit.py", "from longsynth.synthesizer import Synthesizer", True),
    ],
)
def test_the_rules_can_be_broken(path, line, allowed, tmp_path, monkeypatch):
    monkeypatch.setitem(globals(), "PACKAGE", tmp_path)
    file = tmp_path / path
    file.parent.mkdir(exist_ok=True)
    file.write_text(line)
    assert (broken_rules(file) == []) is allowed
