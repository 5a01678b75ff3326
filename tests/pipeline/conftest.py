"""What the tests of whole pipelines share."""

import sys

import pytest
from quick import make_quick

from longsynth.cli import main


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Run a command in an empty folder, with quick fits; it must succeed."""
    monkeypatch.chdir(tmp_path)
    make_quick(monkeypatch)

    def call(*arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["longsynth", *arguments])
        with pytest.raises(SystemExit) as stopped:
            main()
        assert not stopped.value.code, capsys.readouterr().err

    return call
