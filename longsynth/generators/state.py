"""A fitted model as JSON documents and arrays, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from longsynth.encoding.cohort_encoder import CohortEncoder
from longsynth.generators.model import Architecture, Model

UNCHECKED_SIZE = 1024


def model_state(model: Model) -> tuple[dict[str, Any], dict[str, dict[str, np.ndarray]]]:
    """Return the documents ``encoder``, ``architecture`` and ``calibration`` and one group of arrays a network."""
    documents = {
        "encoder": model.encoder.to_json(),
        "architecture": model.architecture.to_json(),
        "calibration": {str(number): own.tolist() for number, own in model.calibration.items()},
    }
    tensors = {
        name: {key: value.detach().cpu().numpy() for key, value in network.state_dict().items()}
        for name, network in model.networks().items()
    }
    return documents, tensors


def model_from_state(documents: Mapping[str, Any], tensors: Mapping[str, Mapping[str, np.ndarray]]) -> Model:
    """Rebuild a model from :func:`model_state`."""
    _check_sizes(documents["architecture"], tensors)
    encoder = CohortEncoder.from_json(documents["encoder"])
    model = Model(encoder, Architecture.from_json(documents["architecture"]), seed=0)
    model.calibration = {int(number): np.array(own) for number, own in documents["calibration"].items()}
    networks = model.networks()
    if set(networks) != set(tensors):
        raise ValueError("the networks do not match the architecture")
    for name, network in networks.items():
        network.load_state_dict({key: torch.from_numpy(array.copy()) for key, array in tensors[name].items()})
        network.eval()
    return model


def _check_sizes(architecture: Mapping[str, Any], tensors: Mapping[str, Mapping[str, np.ndarray]]) -> None:
    """Raise if the networks that would be built are larger than the arrays that fill them."""
    largest = max(UNCHECKED_SIZE, *(n for group in tensors.values() for array in group.values() for n in array.shape))
    sizes = [architecture["static_units"], *architecture["size"].values()]
    if architecture["n_members"] > len(tensors) or any(size > largest for size in sizes):
        raise ValueError("the architecture is larger than the networks")
