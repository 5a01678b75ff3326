"""A private fit on two processes is the one on a single process: the same samples, noise, weights and epsilon."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from private_worlds import declared_schema, made_cohort

import longsynth as ls
from longsynth.schema.files import write_schema

SCRIPT = """
import json
import sys
from dataclasses import replace

import numpy as np
import torch

torch.set_num_threads(1)
import longsynth as ls
import longsynth.synthesizer
from longsynth.generators import private_fit
from longsynth.training.noise import SecretRandomness
from longsynth.training.private_plan import private_plan

N_STEPS = 30

if __name__ == "__main__":
    folder, n_processes, noiseless, objective = sys.argv[1], int(sys.argv[2]), sys.argv[3] == "noiseless", sys.argv[4]
    longsynth.synthesizer.SecretRandomness = lambda: SecretRandomness(np.random.default_rng(0).bytes)
    private_fit.private_plan = lambda n: replace(private_plan(n), n_steps=N_STEPS)
    private_fit.N_OWN_PATIENTS = 50
    private_fit.noise_for = lambda *_: 1.2
    charge = private_fit._charge_training
    private_fit._charge_training = lambda *told: charge(*told) * (not noiseless)
    train = ls.simulate_cohort(150, seed=0)
    strategy = "ddp" if n_processes > 1 else "auto"
    budget = ls.PrivacyBudget(epsilon=50, delta=1e-4)
    hardware = {"accelerator": "cpu", "devices": n_processes, "strategy": strategy}
    synthesizer = ls.Synthesizer(0, objective, privacy=budget, **hardware)
    synthesizer.fit(train, work_dir=folder)
    networks = synthesizer._model.networks().values()
    sums = [float(value.double().abs().sum()) for network in networks for value in network.state_dict().values()]
    print("told", json.dumps({"weights": sums, "ledger": synthesizer.ledger.to_json()}), flush=True)
"""

COMMAND_LINE = """
import torch

torch.set_num_threads(1)
from private_worlds import quick_private
from pytest import MonkeyPatch

from longsynth.cli import main

if __name__ == "__main__":
    quick_private(MonkeyPatch())
    main()
"""


def run(script: Path, *arguments: object) -> subprocess.CompletedProcess:
    """Run a script with this package and the helpers of the tests."""
    root = Path(__file__).parents[2]
    command = [sys.executable, str(script), *map(str, arguments)]
    found = os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=580, cwd=root, env=found, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    return done


def fitted(folder: Path, n_processes: int, noise: str, objective: str) -> list[dict]:
    """What each process of a fit tells: sums of its weights, and its ledger."""
    script = folder / "fit.py"
    script.write_text(SCRIPT)
    done = run(script, folder / f"work{n_processes}", n_processes, noise, objective)
    return [json.loads(line.removeprefix("told ")) for line in done.stdout.splitlines() if line.startswith("told ")]


@pytest.mark.multi_process
@pytest.mark.parametrize("objective", ["likelihood", "adversarial"])
@pytest.mark.parametrize("noise", ["noiseless", pytest.param("noisy", marks=pytest.mark.slow)])
def test_two_processes_make_the_fit_of_one(noise, objective, tmp_path):
    (alone,), both = fitted(tmp_path, 1, noise, objective), fitted(tmp_path, 2, noise, objective)
    assert len(both) == 2
    assert both[0] == both[1]
    assert both[0]["ledger"] == alone["ledger"]
    assert both[0]["weights"] == pytest.approx(alone["weights"], rel=1e-4)


@pytest.mark.multi_process
def test_the_command_line_on_two_processes_speaks_and_tidies_up_once(tmp_path):
    train = made_cohort(declared_schema(), [3, 1, 2, 0, *[2] * 33], 3)
    ls.write_cohort(train, tmp_path, format="csv")
    write_schema(train.schema, tmp_path / "schema.yaml")
    (tmp_path / "cli.py").write_text(COMMAND_LINE)
    tables = ("--static", tmp_path / "static.csv", "--visits", tmp_path / "visits.csv")
    budget = ("--schema", tmp_path / "schema.yaml", "--epsilon", 8, "--delta", "1e-3")
    hardware = ("--devices", 2, "--strategy", "ddp", "--accelerator", "cpu")
    done = run(tmp_path / "cli.py", "fit", *tables, *budget, *hardware, "-o", tmp_path / "model")
    assert done.stdout.count("Fitted under a budget") == done.stdout.count("patients  ") == 1
    assert "Error" not in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"static.csv", "visits.csv", "schema.yaml", "cli.py", "model"}
