"""The network of a private fit without the privacy: what noise and clipping cost, for studies that stay internal."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.declared import check_declared
from longsynth.encoding.private import cell_encoder, read_margins
from longsynth.encoding.private_counts import cell_sums
from longsynth.encoding.private_sizes import read_sizes, size_sums
from longsynth.generators.calibration import N_OWN_PATIENTS, fit_calibration
from longsynth.generators.model import Model
from longsynth.generators.private_fit import train_model
from longsynth.generators.raking import rake
from longsynth.generators.settings import private_settings
from longsynth.seeding import child_seed
from longsynth.training.noise import SecretRandomness
from longsynth.training.private_plan import private_plan
from longsynth.training.threads import one_thread

NO_CLIPPING = 1e9


def fit_without_noise(
    train: Cohort, max_visits: int | None, clip: bool, seed: int, randomness: SecretRandomness, progress: bool = False
) -> Model:
    """Fit as a private fit does, but for the noise: **nothing is protected**.

    Parameters
    ----------
    train : Cohort
        The patients; the schema must be declared in full.
    max_visits : int or None
        Contribution bound; None: chosen as a private fit does, from counts without noise.
    clip : bool
        Whether the gradients of a patient are clipped, as under a budget.
    seed : int
        Of the starting weights.
    randomness : SecretRandomness
        Who is sampled in a step.
    progress : bool
        Show progress bars.
    """
    check_declared(train.schema)
    sizes = read_sizes(size_sums(train), 0.0, train.schema, max_visits)
    cells = cell_encoder(train.schema, sizes)
    margins = read_margins(cells, cell_sums(cells, cells.transform(train), sizes), 0.0, sizes)
    plan = private_plan(sizes.n_patients)
    if not clip:
        plan = replace(plan, max_grad_norm=NO_CLIPPING)
    with tempfile.TemporaryDirectory() as folder, one_thread():
        settings = private_settings(train.n_patients, Path(folder), seed, progress)
        model = train_model(train, sizes, margins, plan, 0.0, settings, randomness)
        rake(model, margins, seed)
        own = model.sample(N_OWN_PATIENTS, child_seed(seed, "calibration"))
    model.calibration = fit_calibration(model.encoder, own)
    return model
