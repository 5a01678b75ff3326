"""Private fits that are made to learn about private fits, and are thrown away."""

from __future__ import annotations

import json
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from longsynth.budget import PrivacyBudget, PrivacyLedger
from longsynth.cohort.cohort import Cohort
from longsynth.generators.folder import RELEASES
from longsynth.generators.model import Model
from longsynth.generators.private_fit import fit_private
from longsynth.generators.settings import private_settings
from longsynth.training.noise import SecretRandomness
from longsynth.training.threads import one_thread


@dataclass(frozen=True)
class InternalFit:
    """A private fit with its ledger and the noisy sums of its two releases, ``sizes`` and ``cells``."""

    model: Model
    ledger: PrivacyLedger
    sizes: np.ndarray
    cells: np.ndarray


def fit_internally(
    train: Cohort, privacy: PrivacyBudget, seed: int, randomness: SecretRandomness, progress: bool = False
) -> InternalFit:
    """Fit under a budget, in a folder that is removed; a result close to noise is no reason to warn.

    Parameters
    ----------
    train : Cohort
        The patients; the fit costs the budget.
    privacy : PrivacyBudget
        Spent in full.
    seed : int
        Of the starting weights.
    randomness : SecretRandomness
        Noise and samples.
    progress : bool
        Show progress bars.
    """
    ledger = PrivacyLedger(privacy)
    with tempfile.TemporaryDirectory() as folder, one_thread(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*close to noise", category=UserWarning)
        settings = private_settings(train.n_patients, Path(folder), seed, progress)
        model, _ = fit_private(train, ledger, settings, randomness)
        told = json.loads((Path(folder) / RELEASES).read_text())
    return InternalFit(model, ledger, np.array(told["sizes"]), np.array(told["cells"]))
