"""A fit under a privacy budget: two noisy releases give the encoder, noisy gradients the network; nothing else is read.

What happens after a release costs nothing: the noisy facts are written to the work folder before they are used, so a
fit that is resumed uses the same ones instead of asking the patients again.
"""

from __future__ import annotations

import json
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from longsynth.budget import PrivacyLedger, Spend
from longsynth.cohort.cohort import Cohort
from longsynth.cohort.columns import counted
from longsynth.encoding.declared import check_declared
from longsynth.encoding.private import PrivateMargins, cell_encoder, read_margins
from longsynth.encoding.private_counts import cell_sensitivity, cell_sums, truncate
from longsynth.encoding.private_sizes import SIZE_SENSITIVITY, Sizes, read_sizes, size_sums
from longsynth.exceptions import ConfigError, PrivacyError
from longsynth.generators.calibration import N_OWN_PATIENTS, fit_calibration
from longsynth.generators.folder import FIRST_RELEASE, RELEASES, check_cohort, check_folder
from longsynth.generators.likelihood import joint_network
from longsynth.generators.model import Architecture, Model
from longsynth.generators.raking import rake
from longsynth.generators.settings import FitSettings
from longsynth.networks.batch import PatientBatch
from longsynth.networks.rows import JointNetwork
from longsynth.networks.sequence import MEMORYLESS, SequenceSize
from longsynth.schema.types import Schema
from longsynth.seeding import child_seed
from longsynth.training.accounting import Event, epsilon_of, noise_for
from longsynth.training.batches import make_batch
from longsynth.training.dp_sgd import STEPS_AN_EPOCH, PrivateTraining
from longsynth.training.expected import is_close_to_noise
from longsynth.training.noise import SecretRandomness
from longsynth.training.private_plan import PrivatePlan, margins_noise, private_plan, sizes_noise
from longsynth.training.private_rounds import CRITIC_STEPS, PrivateRounds
from longsynth.training.trainer import is_main_process, quiet_training, run_stage

PUBLIC = (
    "schema: names, kinds, units, declared bounds, levels and precision, constraints",
    "objective, network sizes and all settings: by rule from epsilon, delta and the noisy number of patients",
)
PRECISE_MARGINS = 50
_MOST_WAIT_SECONDS = 600


@dataclass(frozen=True)
class _Releases:
    """The two noisy releases, and who pays for them."""

    sizes: np.ndarray
    cells: np.ndarray
    ledger: PrivacyLedger


def fit_private(
    train: Cohort, ledger: PrivacyLedger, settings: FitSettings, randomness: SecretRandomness
) -> tuple[Model, dict[str, Any]]:
    """Fit under the ledger's budget; every spend is in the ledger before it is made.

    Parameters
    ----------
    train : Cohort
        The patients; each one's part in the result is bounded by the budget.
    ledger : PrivacyLedger
        Empty; filled on the way.
    settings : FitSettings
        Hardware, seed of starting weights and work folder.
    randomness : SecretRandomness
        Noise and samples.

    Returns
    -------
    Model
        With one member without memory.
    dict
        The training record: nothing but plain JSON values that are declared, noisy or spent.

    Raises
    ------
    PrivacyError
        If the schema leaves facts open, delta is too large for the noisy number of patients, or the budget too small.
    """
    check_declared(train.schema)
    check_cohort(train, settings, {"objective": settings.objective})
    releases = _releases(train, ledger, settings, randomness)
    sizes, margins = _read_releases(train.schema, releases)
    if is_main_process() and is_close_to_noise(sizes.n_patients, ledger.budget.epsilon):
        warnings.warn(
            f"about {sizes.n_patients:,.0f} patients at epsilon {ledger.budget.epsilon:g}: the result will be close to "
            "noise. It takes more patients, or a larger epsilon, which is weaker privacy",
            stacklevel=4,
        )
    plan = private_plan(sizes.n_patients)
    whose = "the critic" if settings.objective == "adversarial" else "the network"
    noise = _charge_training(ledger, plan, f"gradients of {whose} on {_records(train.schema, sizes)}")
    model = train_model(train, sizes, margins, plan, noise, settings, randomness)
    if sizes.n_patients > PRECISE_MARGINS * _sd(ledger.spends[1]):
        rake(model, margins, settings.seed)
    own = model.sample(N_OWN_PATIENTS, child_seed(settings.seed, "calibration"))
    model.calibration = fit_calibration(model.encoder, own)
    record = {"n_patients_noisy": round(sizes.n_patients, 1), "max_visits": sizes.max_visits, "plan": plan.to_json()}
    record["ledger"] = ledger.digest
    objective = "adversarial" if settings.objective == "adversarial" else "likelihood"
    return model, {"objective": objective, "private": record}


def train_model(
    train: Cohort,
    sizes: Sizes,
    margins: PrivateMargins,
    plan: PrivatePlan,
    noise_multiplier: float,
    settings: FitSettings,
    randomness: SecretRandomness,
) -> Model:
    """Return the model of the margins, trained by sums of clipped gradients with so much noise; nothing is charged."""
    encoder = margins.encoder
    model = Model(encoder, _architecture(plan, margins, sizes), settings.seed)
    network = joint_network(model)
    encoded, cut = truncate(encoder.transform(train), sizes.max_visits)
    check_folder(encoded, settings, {"plan": plan.to_json(), "objective": settings.objective})
    with quiet_training(child_seed(settings.seed, "private")):
        told = (encoded, cut, encoder.time_scale, plan, noise_multiplier, randomness)
        _train(model, network, settings, told)
    return model


def _train(model: Model, network: JointNetwork, settings: FitSettings, told: tuple[Any, ...]) -> None:
    """Train the model's networks in place; ``told`` is what a :class:`PrivateModule` is told."""
    n_steps = told[3].n_steps
    training: PrivateTraining | PrivateRounds
    if settings.objective == "adversarial":
        scale = model.encoder.time_scale

        def draw(n: int, seed: int) -> PatientBatch:
            return make_batch(model.sample(n, seed), scale, np.arange(n))

        training, n_epochs = PrivateRounds(network, draw, settings.seed, *told), n_steps // CRITIC_STEPS
    else:
        training, n_epochs = PrivateTraining(network, *told), n_steps // STEPS_AN_EPOCH
    run_stage(
        training,
        None,
        settings.folder / "private",
        settings.hardware,
        max_epochs=n_epochs,
        patience=None,
        progress=settings.progress,
        resume=settings.resume,
    )
    if isinstance(training, PrivateTraining):
        network.load_state_dict(training.average.state_dict())


def _read_releases(schema: Schema, releases: _Releases) -> tuple[Sizes, PrivateMargins]:
    """Everything that follows from the releases without the patients."""
    ledger = releases.ledger
    sizes = read_sizes(releases.sizes, _sd(ledger.spends[0]), schema, ledger.budget.max_visits)
    cells = cell_encoder(schema, sizes)
    return sizes, read_margins(cells, releases.cells, _sd(ledger.spends[1]), sizes)


def _releases(train: Cohort, ledger: PrivacyLedger, settings: FitSettings, randomness: SecretRandomness) -> _Releases:
    """Make the two releases, or read those that a fit in the same folder, or the first process, has made."""
    path = settings.folder / RELEASES
    if not is_main_process():
        _wait_for(path)
    if not is_main_process() or (settings.resume and path.exists()):
        return _read(path, ledger)
    settings.folder.mkdir(parents=True, exist_ok=True)
    ledger.public = PUBLIC
    releases = _measure(train, ledger, settings, randomness)
    told = {"sizes": releases.sizes.tolist(), "cells": releases.cells.tolist(), "ledger": ledger.to_json()}
    _write(path, told)
    return releases


def _write(path: Path, told: dict[str, Any]) -> None:
    part = path.with_suffix(".part")
    part.write_text(json.dumps(told))
    part.replace(path)


def _measure(train: Cohort, ledger: PrivacyLedger, settings: FitSettings, randomness: SecretRandomness) -> _Releases:
    budget = ledger.budget
    noisy_sizes = _measure_sizes(train, ledger, settings, randomness)
    sizes = read_sizes(noisy_sizes, _sd(ledger.spends[0]), train.schema, budget.max_visits)
    if train.origin == "real":  # drawn patients are of a fit whose delta was checked
        _check_delta(ledger, sizes, settings)
    cells = cell_encoder(train.schema, sizes)
    sensitivity, first = cell_sensitivity(cells), ledger.events
    alone = noise_for(budget.epsilon, budget.allowed_delta, lambda noise: [*first, (noise, 1.0, 1)])
    noise = margins_noise(alone, sizes.n_patients, sensitivity)
    ledger.add(_gaussian("margins of all columns, gaps and ends of record", sensitivity, noise, ledger))
    noisy_cells = _noisy(cell_sums(cells, cells.transform(train), sizes), ledger.spends[1], randomness)
    return _Releases(noisy_sizes, noisy_cells, ledger)


def _measure_sizes(
    train: Cohort, ledger: PrivacyLedger, settings: FitSettings, randomness: SecretRandomness
) -> np.ndarray:
    """Make the first release, or take over that of a fit in the same folder which got no further, at its noise."""
    budget, path = ledger.budget, settings.folder / FIRST_RELEASE
    what = "numbers of patients and visits, length of follow-up"
    if settings.resume and path.exists():
        told = json.loads(path.read_text())
        ledger.add(_gaussian(what, SIZE_SENSITIVITY, told["noise_multiplier"], ledger))
        return np.array(told["sizes"])
    alone = noise_for(budget.epsilon, budget.allowed_delta, lambda noise: [*ledger.events, (noise, 1.0, 1)])
    ledger.add(_gaussian(what, SIZE_SENSITIVITY, sizes_noise(alone), ledger))
    noisy = _noisy(size_sums(train), ledger.spends[0], randomness)
    _write(path, {"sizes": noisy.tolist(), "noise_multiplier": ledger.spends[0].noise_multiplier})
    return noisy


def _read(path: Path, ledger: PrivacyLedger) -> _Releases:
    told = json.loads(path.read_text())
    found = PrivacyLedger.from_json(told["ledger"], epsilon_of)
    if (found.budget, found.earlier) != (ledger.budget, ledger.earlier):
        raise ConfigError(
            "the checkpoints are of a fit with another budget, or after other fits; use those, or another folder"
        )
    ledger.spends[:], ledger.public = found.spends, found.public
    return _Releases(np.array(told["sizes"]), np.array(told["cells"]), ledger)


def _wait_for(path: Path) -> None:
    """Wait until the first process has written its releases."""
    for _ in range(10 * _MOST_WAIT_SECONDS):
        if path.exists():
            return
        time.sleep(0.1)
    raise ConfigError("a private fit on several processes needs one work_dir that all of them can read")


def _sd(spend: Spend) -> float:
    """Standard deviation of the noise of a release."""
    return spend.noise_multiplier * spend.sensitivity


def _noisy(sums: np.ndarray, spend: Spend, randomness: SecretRandomness) -> np.ndarray:
    return sums + _sd(spend) * randomness.normal(len(sums))


def _gaussian(what: str, sensitivity: float, noise: float, ledger: PrivacyLedger) -> Spend:
    epsilon = epsilon_of([*ledger.events, (noise, 1.0, 1)], ledger.budget.allowed_delta)
    return Spend(what, "Gaussian", sensitivity, noise, 1.0, 1, epsilon)


def _records(schema: Schema, sizes: Sizes) -> str:
    """What is used of each patient, for the ledger."""
    return "static rows" if schema.visit_time is None else f"records of up to {counted(sizes.max_visits, 'visit')}"


def _charge_training(ledger: PrivacyLedger, plan: PrivatePlan, what: str) -> float:
    """Spend the rest of the budget on the training; returns its noise multiplier."""
    budget, before = ledger.budget, ledger.events
    delta = budget.allowed_delta

    def events(noise: float) -> list[Event]:
        return [*before, (noise, plan.sample_rate, plan.n_steps)]

    noise = noise_for(budget.epsilon, delta, events)
    clip, rate, epsilon = plan.max_grad_norm, plan.sample_rate, epsilon_of(events(noise), delta)
    ledger.add(Spend(what, "subsampled Gaussian", clip, noise, rate, plan.n_steps, epsilon))
    return noise


def _check_delta(ledger: PrivacyLedger, sizes: Sizes, settings: FitSettings) -> None:
    # a delta of exactly 1 / (10 n) must not fail by noise
    surely = max(sizes.n_patients - 3 * _sd(ledger.spends[0]), 1.0)
    most = 1 / (10 * sizes.n_patients)
    if ledger.budget.allowed_delta > 1 / (10 * surely):
        paid = "The noisy number of patients has been paid for"
        lost = "; it is lost, since the work folder is temporary"
        kept = (
            ": a new Synthesizer that fits in the same work_dir with resume=True (--resume) takes it over, at what it "
            "costs under its own budget"
        )
        raise PrivacyError(
            f"delta is too large: for {sizes.n_patients:,.0f} patients it must be at most 1 / (10 n) = {most:.1g}; "
            f"with a larger one, a release that shows one of them in full would be allowed. Give a smaller one. {paid}"
            f"{kept if settings.is_kept else lost}"
        )


def _architecture(plan: PrivatePlan, margins: PrivateMargins, sizes: Sizes) -> Architecture:
    return Architecture(
        n_members=1,
        static_units=1,
        size=SequenceSize(0, plan.n_units, 0.0, True),
        backbone=MEMORYLESS,
        outcome_shares=margins.outcome_shares,
        usual_steps=(0.0,),
        ending_times=(),
        ending_log_odds=(0.0,),
        max_visits=sizes.max_visits,
        duration_given_event=margins.duration_given_event,
    )
