"""How likely a private fit finds whole records."""

from __future__ import annotations

import numpy as np
import torch
from torch.func import vmap

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.private import truncate
from longsynth.generators.model import Model
from longsynth.networks.rows import JointNetwork
from longsynth.training.batches import make_batch
from longsynth.training.dp_sgd import micro_batches, rows_of_patients
from longsynth.training.threads import one_thread


def log_likelihood(model: Model, cohort: Cohort) -> np.ndarray:
    """Return the log-probability of each patient's whole record under a private fit.

    Parameters
    ----------
    model : Model
        Of a private fit: one member, without memory.
    cohort : Cohort
        N patients under the schema of the fit; of each the visits within the contribution bound count.

    Returns
    -------
    ndarray, shape (N,)
        Nats, of the classes of the encoder; comparable between patients, and between networks with one encoder.
    """
    encoded, cut = truncate(model.encoder.transform(cohort), model.architecture.max_visits)
    network = joint_network(model)
    found = np.zeros(encoded.n_patients)
    with torch.no_grad(), one_thread():
        for part in micro_batches(np.arange(encoded.n_patients), encoded.n_visits):
            batch = make_batch(encoded, model.encoder.time_scale, part)
            rows = rows_of_patients(network, batch, torch.from_numpy(cut[part]))
            found[part] = vmap(network)(rows).numpy()
    return found


def margins_alone(model: Model) -> Model:
    """Return the model that a private fit starts from: the noisy margins, and nothing of what goes together."""
    return Model(model.encoder, model.architecture, seed=0)


def joint_network(model: Model) -> JointNetwork:
    """Static and sequence network of a private fit as one."""
    return JointNetwork(model.static[0] if model.static else None, model.sequence[0] if model.sequence else None)
