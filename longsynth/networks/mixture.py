"""Mixtures of logistics over scores: the probability of an interval, and draws truncated to one.

A parameter row holds K + 1 log-weights, K means and K log-scales; component K + 1 is fixed at the margin (mean 0,
variance 1), which keeps outliers and unlearned regions at their marginal probability.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from longsynth.networks.draw import draw_index

N_COMPONENTS = 3
N_PARAMETERS = 3 * N_COMPONENTS + 1
MEANS = slice(N_COMPONENTS + 1, 2 * N_COMPONENTS + 1)
_SD_PER_SCALE = 1.75
_LOG_SCALE_LIMITS = (-4.5, 2.0)


def initial_parameters() -> Tensor:
    """Parameters, shape (N_PARAMETERS,), of a mixture close to the margin: total variance 1."""
    means = torch.linspace(-0.6, 0.6, N_COMPONENTS)
    spread = math.sqrt(1.0 - float(means.var(unbiased=False))) / _SD_PER_SCALE
    weights = torch.zeros(N_COMPONENTS + 1)
    weights[-1] = -2.0
    return torch.cat([weights, means, torch.full((N_COMPONENTS,), math.log(spread))])


def components(parameters: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return log-weights, means and scales, each (..., K + 1)."""
    weights, means, log_scales = parameters.split([N_COMPONENTS + 1, N_COMPONENTS, N_COMPONENTS], dim=-1)
    scales = log_scales.clamp(*_LOG_SCALE_LIMITS).exp()
    means = functional.pad(means, (0, 1))
    scales = functional.pad(scales, (0, 1), value=1 / _SD_PER_SCALE)
    return weights.log_softmax(-1), means, scales


def interval_log_prob(parameters: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Log-probability (...) that the score lies in (low, high); low < high, shapes (...)."""
    log_weights, means, scales = components(parameters)
    a, b = (low.unsqueeze(-1) - means) / scales, (high.unsqueeze(-1) - means) / scales
    gap = (a - b).clamp(max=-1e-6)
    log_mass = -functional.softplus(-b) - functional.softplus(a) + torch.log(-torch.expm1(gap))
    return torch.logsumexp(log_weights + log_mass, -1)


def sample_scores(parameters: Tensor, low: Tensor, high: Tensor, generator: torch.Generator) -> Tensor:
    """Draw scores (R,) from the mixtures (R, N_PARAMETERS), truncated to (low, high), each (R,)."""
    log_weights, means, scales = components(parameters)
    below = torch.sigmoid((low.unsqueeze(-1) - means) / scales)
    above = torch.sigmoid((means - high.unsqueeze(-1)) / scales)
    mass = (1.0 - below - above).clamp(min=0.0)
    weights = log_weights.exp() * mass + 1e-12
    chosen = draw_index(weights, generator).unsqueeze(-1)
    below, above, means, scales = (x.gather(-1, chosen).squeeze(-1) for x in (below, above, means, scales))
    uniform = torch.rand(below.shape, generator=generator, device=below.device)
    level = (below + uniform * (1.0 - below - above)).clamp(1e-7, 1 - 1e-7)
    scores = means + scales * torch.logit(level)
    return torch.minimum(torch.maximum(scores, low), high)
