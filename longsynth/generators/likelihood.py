"""How likely a private fit finds whole records."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch.func import vmap

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.encoded import EncodedCohort
from longsynth.encoding.numeric import NumericCodec
from longsynth.encoding.private_counts import truncate
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
    return _of_classes(model, encoded, cut)


def record_log_likelihood(model: Model, cohort: Cohort) -> np.ndarray:
    """Return the log-probability of each patient's whole record as it is written, at the declared precision.

    A class of several recordable values gives each of them an equal part, so that it is comparable between fits whose
    encoders differ. All visits count, also those beyond the contribution bound of a fit.

    Parameters
    ----------
    model : Model
        Of a private fit: one member, without memory.
    cohort : Cohort
        N patients under the schema of the fit.

    Returns
    -------
    ndarray, shape (N,)
        Nats; higher is better.
    """
    encoder, encoded = model.encoder, model.encoder.transform(cohort)
    found = _of_classes(model, encoded, np.zeros(encoded.n_patients, bool))
    for number, item in enumerate(encoder.static_items):
        found -= _log_values(item.codec, encoded.static_codes[:, number])
    owners = np.repeat(np.arange(encoded.n_patients), encoded.n_visits)
    of_visits = [(item.codec, encoded.codes[:, number]) for number, item in enumerate(encoder.channel_items)]
    if encoder.gap is not None:
        of_visits.append((encoder.gap, np.where(encoded.gap_codes < 0, encoder.gap.n_classes, encoded.gap_codes)))
    for codec, codes in of_visits:
        np.subtract.at(found, owners, _log_values(codec, codes))
    return found


def _log_values(codec: Any, codes: np.ndarray) -> np.ndarray:
    """Logarithm of the number of recordable values in the class of each code; 0 for levels and missing values."""
    if not isinstance(codec, NumericCodec):
        return np.zeros(len(codes))
    widths = (codec.knots[:, -1] - codec.knots[:, 0]) * 10.0 ** (codec.decimals or 0)
    return np.append(np.log(np.maximum(widths, 1.0)), 0.0)[codes]


def _of_classes(model: Model, encoded: EncodedCohort, cut: np.ndarray) -> np.ndarray:
    """Log-probability (N,) of the classes of each patient; of records that were ``cut``, the end is not asked."""
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
