"""A fit on two processes: both end with the same weights, and one of them writes the artifact."""

import subprocess
import sys
from pathlib import Path

import pytest

import longsynth as ls

SCRIPT = """
import sys
import torch
from dataclasses import replace

torch.set_num_threads(1)
import longsynth as ls
import longsynth.synthesizer
from longsynth.training.plan import plan_for


def quick(*told):
    usual = plan_for(*told)
    few = {name: replace(getattr(usual, name), max_epochs=2) for name in ("static", "sequence")}
    return replace(usual, n_members=2, **few)


if __name__ == "__main__":
    longsynth.synthesizer.plan_for = quick
    train = ls.simulate_cohort(60, seed=0)
    synthesizer = ls.Synthesizer(0, accelerator="cpu", devices=2, strategy="ddp").fit(train, work_dir=sys.argv[1])
    synthesizer.save(sys.argv[2])
    networks = synthesizer._model.networks().values()
    print("weights", [float(value.double().sum()) for network in networks for value in network.state_dict().values()])
"""


@pytest.mark.multi_process
def test_both_processes_end_with_the_same_weights(tmp_path: Path):
    script = tmp_path / "fit.py"
    script.write_text(SCRIPT)
    command = [sys.executable, str(script), str(tmp_path / "work"), str(tmp_path / "model")]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=300, cwd=Path(__file__).parents[2], check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    weights = [line for line in done.stdout.splitlines() if line.startswith("weights")]
    assert len(weights) == 2
    assert weights[0] == weights[1]
    assert ls.load(tmp_path / "model").sample(10).n_patients == 10
