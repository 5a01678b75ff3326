"""The tilted head: each item's margin, tilted by what comes before. It starts at the margins exactly.

The log-probability of a class is that of its margin plus a sum of few bounded functions of the class, whose weights are
a linear function of the context and of the items drawn before, plus a small hidden layer's. The linear part is an
exponential family: its likelihood is concave, and its gradients are bounded by features and basis functions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from longsynth.networks.draw import draw_index
from longsynth.networks.items import ItemSpec, ItemTable
from longsynth.networks.masked_head import CodeRange

NEVER = -1e9
MOST_CONTEXT = 6.0
_WIDEST_SCORE = 3.2


def basis_of(item: ItemSpec) -> np.ndarray:
    """Functions of the class, shape (n_classes, B): of the score of a numeric item, or one a level."""
    if item.edges is None:
        return np.eye(item.n_classes)
    return score_basis(item.edges)


def score_basis(edges: np.ndarray) -> np.ndarray:
    """The first and second Hermite functions of the scores between ``edges``, waves of their rank, the lowest class."""
    inside = np.clip(edges, -_WIDEST_SCORE, _WIDEST_SCORE)
    score = (inside[1:] + inside[:-1]) / 2
    rank = (np.arange(len(score)) + 0.5) / len(score)
    waves = [np.sqrt(2) * np.cos(k * np.pi * rank) for k in (3, 4, 5)]
    lowest = np.zeros(len(score))
    lowest[0] = 1.0
    return np.stack([score, (score**2 - 1) / math.sqrt(2), *waves, lowest], 1)


@dataclass(frozen=True)
class Given:
    """The margin of one item by the class of another one that is drawn before it.

    Attributes
    ----------
    target, source : int
        Numbers of the items.
    shares : tuple of tuples of float
        Shares of the target's classes, one row a class of the source.
    """

    target: int
    source: int
    shares: tuple[tuple[float, ...], ...]

    def shift(self, margins: np.ndarray) -> np.ndarray:
        """What is added to the log-margin (K,) of the target, by class of the source and for a missing one."""
        shift = np.zeros((len(self.shares) + 1, margins.shape[1]))
        n_classes = len(self.shares[0])
        shift[:-1, :n_classes] = np.log(np.array(self.shares)) - margins[self.target, :n_classes]
        return shift


class TiltedHead(nn.Module):
    """Distribution of C items given a context and, one after the other, given each other.

    Parameters
    ----------
    items : sequence of ItemSpec
        The C items in drawing order.
    context_size : int
        Width of the context.
    n_units : int
        Units of the hidden layer.
    given : Given or None
        An item whose margin is known by the class of an item before it; its weights may differ by that class too.
    owners : sequence of int
        Which item alone sees each of the first columns of the context, but for the hidden layer; all see the others.
    """

    margins: Tensor
    given_shift: Tensor
    given_target: Tensor
    basis: Tensor
    mask: Tensor
    context_mask: Tensor
    can_be_missing: Tensor
    missing_margin: Tensor

    def __init__(
        self,
        items: Sequence[ItemSpec],
        context_size: int,
        n_units: int,
        given: Given | None = None,
        owners: Sequence[int] = (),
    ) -> None:
        super().__init__()
        self.items, self.given = list(items), given
        self.table = ItemTable(items)
        functions = [basis_of(item) for item in items]
        widest = max(item.n_classes for item in items)
        self.n_weights = max(function.shape[1] for function in functions) + 1  # the last one is the logit of missing
        basis = np.zeros((len(items), widest, self.n_weights - 1))
        margins = np.full((len(items), widest), NEVER)
        for number, (item, function) in enumerate(zip(items, functions, strict=True)):
            basis[number, : len(function), : function.shape[1]] = function
            shares = item.shares[:-1] / max(item.shares[:-1].sum(), 1e-12)
            margins[number, : item.n_classes] = np.log(np.maximum(shares, 1e-8))
        self._buffer("given_shift", np.zeros((1, widest)) if given is None else given.shift(margins), kept=True)
        self._buffer("given_target", np.arange(len(items))[:, None] == (-1 if given is None else given.target))
        missing = np.clip([item.shares[-1] for item in items], 1e-6, 1 - 1e-6)
        self._buffer("basis", basis)
        self._buffer("margins", margins, kept=True)
        self._buffer("can_be_missing", np.array([item.can_be_missing for item in items]))
        self._buffer("missing_margin", np.log(missing / (1 - missing)), kept=True)
        outputs = np.repeat(np.arange(len(items)), self.n_weights)[None, :]
        self._buffer("mask", np.array(self.table.owners)[:, None] < outputs)
        seen = np.ones((context_size, outputs.shape[1]), bool)
        seen[: len(owners)] = np.array(owners, int)[:, None] == outputs
        self._buffer("context_mask", seen)
        n_outputs = len(items) * self.n_weights
        self.context = nn.Parameter(torch.zeros(context_size, n_outputs))
        self.before = nn.Parameter(torch.zeros(self.table.n_columns, n_outputs))
        self.hidden = nn.Parameter(torch.randn(context_size, n_units) / math.sqrt(context_size))
        self.out = nn.Parameter(torch.zeros(n_units, n_outputs))
        if given is not None:
            shape = (len(given.shares) + 1, self.table.n_columns, self.n_weights)
            self.given_before = nn.Parameter(torch.zeros(shape))

    def _buffer(self, name: str, values: np.ndarray, *, kept: bool = False) -> None:
        tensor = torch.from_numpy(values)
        self.register_buffer(name, tensor.float() if tensor.is_floating_point() else tensor, persistent=kept)

    def _from_context(self, context: Tensor) -> Tensor:
        """What the context (R, D) adds to the weights, shape (R, C * (B + 1))."""
        context = context.clamp(-MOST_CONTEXT, MOST_CONTEXT)
        return context @ (self.context * self.context_mask) + functional.silu(context @ self.hidden) @ self.out

    def weights_of(self, context: Tensor, codes: Tensor) -> Tensor:
        """Weights (R, C, B + 1) given the context (R, D) and the items before each in codes (R, C)."""
        features = self.table(codes)
        flat = self._from_context(context) + features @ (self.before * self.mask)
        weights = flat.unflatten(-1, (len(self.items), self.n_weights))
        if self.given is None:
            return weights
        before = features * self.mask[:, self.given.target * self.n_weights]
        return weights + torch.where(self.given_target, self._given(before, codes).unsqueeze(-2), 0.0)

    def _given(self, features: Tensor, codes: Tensor) -> Tensor:
        """What features (R, D) add to the target's weights (R, B + 1), by the class of its source in codes (R, C)."""
        assert self.given is not None
        return torch.einsum("rd,rdb->rb", features, self.given_before[codes[..., self.given.source]])

    def log_prob(self, context: Tensor, codes: Tensor) -> Tensor:
        """Log-probability (R, C) of each item's code in codes (R, C); 0 for missing where nothing may be missing."""
        weights = self.weights_of(context, codes)
        logits = self.margins + torch.einsum("rcb,ckb->rck", weights[..., :-1], self.basis)
        if self.given is not None:
            shift = self.given_shift[codes[..., self.given.source]].unsqueeze(-2)
            logits = logits + torch.where(self.given_target, shift, 0.0)
        observed = self.table.observed(codes)
        seen = torch.where(observed, codes, 0)
        value = logits.log_softmax(-1).gather(-1, seen.unsqueeze(-1)).squeeze(-1)
        missing = self.missing_margin + weights[..., -1]
        existence = functional.logsigmoid(torch.where(observed, -missing, missing))
        return torch.where(self.can_be_missing, existence, 0.0) + torch.where(observed, value, 0.0)

    @torch.no_grad()
    def sample(self, context: Tensor, generator: torch.Generator, limits: CodeRange | None = None) -> Tensor:
        """Draw codes (R, C), item by item; ``limits`` as in :class:`~longsynth.networks.masked_head.MaskedHead`."""
        codes = torch.zeros(len(context), len(self.items), dtype=torch.int64, device=context.device)
        features = torch.zeros(len(context), self.table.n_columns, device=context.device)
        from_context = self._from_context(context)
        column = 0
        for number, item in enumerate(self.items):
            mine = slice(number * self.n_weights, (number + 1) * self.n_weights)
            weights = from_context[:, mine] + features[:, :column] @ self.before[:column, mine]
            margins = self.margins[number].expand(len(codes), -1)
            if self.given is not None and self.given.target == number:
                margins = margins + self.given_shift[codes[:, self.given.source]]
                weights = weights + self._given(features, codes)
            allowed = None if limits is None else limits(number, codes)
            codes[:, number] = self._draw(number, margins, weights, allowed, generator)
            width = item.features.shape[1]
            features[:, column : column + width] = self.table.padded_item(number, codes[:, number])[:, :width]
            column += width
        return codes

    def _draw(
        self,
        number: int,
        margins: Tensor,
        weights: Tensor,
        allowed: tuple[Tensor, Tensor] | None,
        generator: torch.Generator,
    ) -> Tensor:
        n_classes = self.items[number].n_classes
        logits = margins[:, :n_classes] + weights[:, :-1] @ self.basis[number, :n_classes].T
        if allowed is not None:
            classes = torch.arange(n_classes, device=logits.device)
            outside = (classes < allowed[0].unsqueeze(1)) | (classes > allowed[1].unsqueeze(1))
            logits = logits.masked_fill(outside, NEVER)
        drawn = draw_index(logits.softmax(-1), generator)
        if not self.items[number].can_be_missing:
            return drawn
        missing = torch.sigmoid(self.missing_margin[number] + weights[:, -1])
        uniform = torch.rand(missing.shape, generator=generator, device=missing.device)
        return torch.where(uniform < missing, n_classes, drawn)
