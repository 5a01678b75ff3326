"""The masked autoregressive head: the joint distribution of all items of a row, each given those before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from longsynth.networks import mixture
from longsynth.networks.carried import OwnColumns
from longsynth.networks.draw import draw_index
from longsynth.networks.items import ItemSpec, ItemTable

CodeRange = Callable[[int, Tensor], tuple[Tensor, Tensor] | None]
_NEVER = -1e9
_PERSISTENCE = 0.8


class MaskedHead(nn.Module):
    """Distribution of C items given a context and, one after the other, given each other.

    Item c has its own hidden layer of M units, fed by the context and by the features of items before c; a second
    layer of its own; and P parameters: a mixture of logistics over scores for a numeric item, logits for levels.

    Parameters
    ----------
    items : sequence of ItemSpec
        The C items in drawing order.
    context_size : int
        Width of the context.
    n_units : int
        Hidden units M an item.
    dropout : float
        Share of hidden units dropped in training.
    past : OwnColumns or None
        Columns of the context that hold each item's own past. The means of a mixture, and the logits of levels, follow
        it linearly, with learnt weights that start at a persistent process.
    """

    mask: Tensor
    edges: Tensor
    closed: Tensor
    missing_shift: Tensor
    past_scores: Tensor
    past_levels: Tensor
    past_signs: Tensor

    def __init__(
        self,
        items: Sequence[ItemSpec],
        context_size: int,
        n_units: int,
        dropout: float,
        past: OwnColumns | None = None,
    ) -> None:
        super().__init__()
        self.items = list(items)
        self.table = ItemTable(items)
        n_items, m = len(items), n_units
        self.n_units = m
        self.numeric = [i for i, item in enumerate(items) if item.edges is not None]
        self.levels = [i for i, item in enumerate(items) if item.edges is None]
        widest = max((items[i].n_classes for i in self.levels), default=0)
        self.n_parameters = max(mixture.N_PARAMETERS if self.numeric else 0, widest) + 1
        self.context = nn.Linear(context_size, n_items * m)
        self.before = nn.Parameter(torch.randn(self.table.n_columns, n_items * m) / math.sqrt(max(n_items, 4)))
        owners = torch.tensor(self.table.owners, dtype=torch.int64)
        mask = (owners[:, None] < torch.arange(n_items)[None, :]).repeat_interleave(m, 1)
        self.register_buffer("mask", mask.float(), persistent=False)
        self.second = nn.Parameter(torch.randn(n_items, m, m) / math.sqrt(m))
        self.second_bias = nn.Parameter(torch.zeros(n_items, 1, m))
        self.out = nn.Parameter(torch.randn(n_items, m, self.n_parameters) * 0.1 / math.sqrt(m))
        self.out_bias = nn.Parameter(torch.stack([self._initial(item) for item in items]).unsqueeze(1))
        self.dropout = nn.Dropout(dropout)
        self.has_past = past is not None
        if past is not None:
            self.register_buffer("past_scores", past.scores, persistent=False)
            self.register_buffer("past_levels", past.levels[..., : self.n_parameters - 1], persistent=False)
            self.register_buffer("past_signs", past.signs[:, None, : self.n_parameters - 1], persistent=False)
            self.score_weights = nn.Parameter(torch.full((n_items, 2, mixture.N_COMPONENTS), _PERSISTENCE / 2))
            self.level_weights = nn.Parameter(torch.full((n_items, 2, 1), 1.0))
        self._register_edges()

    def _initial(self, item: ItemSpec) -> Tensor:
        """Start at the train margins: the last parameter is the logit of missing."""
        row = torch.zeros(self.n_parameters)
        if item.edges is not None:
            row[: mixture.N_PARAMETERS] = mixture.initial_parameters()
        else:
            shares = torch.tensor(item.shares[:-1], dtype=torch.float32)
            row[: item.n_classes] = torch.log(shares / shares.sum().clamp(min=1e-9) + 1e-6)
        share = min(max(float(item.shares[-1]), 1e-6), 1 - 1e-6)
        row[-1] = math.log(share / (1 - share))
        return row

    def _register_edges(self) -> None:
        widest = max((self.items[i].n_classes for i in self.numeric), default=0)
        edges = torch.full((len(self.numeric), widest + 2), math.inf)
        for row, i in enumerate(self.numeric):
            borders = self.items[i].edges
            assert borders is not None
            edges[row, : len(borders)] = torch.tensor(borders, dtype=torch.float32)
            edges[row, len(borders) :] = edges[row, len(borders) - 1] + 1.0
        closed = torch.full((len(self.levels), self.n_parameters - 1), _NEVER)
        for row, i in enumerate(self.levels):
            shares = torch.tensor(self.items[i].shares[:-1])
            closed[row, : len(shares)] = torch.where(shares > 0, 0.0, _NEVER)
        never = torch.tensor([0.0 if item.can_be_missing else _NEVER for item in self.items])
        always = torch.tensor([-_NEVER if item.shares[-1] >= 1 else 0.0 for item in self.items])
        self.register_buffer("edges", edges, persistent=False)
        self.register_buffer("closed", closed, persistent=False)
        self.register_buffer("missing_shift", never + always, persistent=False)

    def parameters_of(self, context: Tensor, codes: Tensor) -> Tensor:
        """Parameters (R, C, P) of each item given the context (R, D) and the items before it in codes (R, C)."""
        hidden = self.context(context) + self.table(codes) @ (self.before * self.mask)
        hidden = hidden.view(len(context), len(self.items), self.n_units).transpose(0, 1)
        hidden = self.dropout(functional.silu(hidden))
        hidden = hidden + functional.silu(torch.baddbmm(self.second_bias, hidden, self.second))
        parameters = torch.baddbmm(self.out_bias, hidden, self.out).transpose(0, 1)
        return parameters + self._from_past(context) if self.has_past else parameters

    def _from_past(self, context: Tensor) -> Tensor:
        """What each item's own past adds to its parameters (R, C, P)."""
        shift = context.new_zeros(len(context), len(self.items), self.n_parameters)
        if self.numeric:
            scores = context[:, self.past_scores[self.numeric]]
            follow = torch.einsum("rca,cak->rck", scores, self.score_weights[self.numeric])
            shift[:, self.numeric, mixture.MEANS] = follow.to(shift.dtype)
        if self.levels:
            classes = context[:, self.past_levels[self.levels]] * self.past_signs[self.levels]
            follow = (classes * self.level_weights[self.levels]).sum(2)
            shift[:, self.levels, : follow.shape[-1]] = follow.to(shift.dtype)
        return shift

    def log_prob(self, context: Tensor, codes: Tensor) -> Tensor:
        """Log-probability (R, C) of each item's code in codes (R, C)."""
        parameters = self.parameters_of(context, codes)
        missing_logit = parameters[..., -1] + self.missing_shift
        observed = self.table.observed(codes)
        existence = functional.logsigmoid(torch.where(observed, -missing_logit, missing_logit))
        value = torch.zeros_like(existence)
        if self.numeric:
            seen = torch.where(observed, codes, 0)[:, self.numeric]
            rows = torch.arange(len(self.numeric), device=codes.device)
            low, high = self.edges[rows, seen], self.edges[rows, seen + 1]
            parts = parameters[:, self.numeric, : mixture.N_PARAMETERS]
            value[:, self.numeric] = mixture.interval_log_prob(parts, low, high).to(value.dtype)
        if self.levels:
            seen = torch.where(observed, codes, 0)[:, self.levels]
            logits = (parameters[:, self.levels, :-1] + self.closed).log_softmax(-1)
            value[:, self.levels] = logits.gather(-1, seen.unsqueeze(-1)).squeeze(-1).to(value.dtype)
        return existence + torch.where(observed, value, 0.0)

    @torch.no_grad()
    def sample(self, context: Tensor, generator: torch.Generator, limits: CodeRange | None = None) -> Tensor:
        """Draw codes (R, C), item by item.

        ``limits(item, codes)`` returns the lowest and highest allowed code (R,), each, given the codes drawn so far,
        or None.
        """
        n_rows = len(context)
        codes = torch.zeros(n_rows, len(self.items), dtype=torch.int64, device=context.device)
        features = torch.zeros(n_rows, self.table.n_columns, device=context.device)
        from_context = self.context(context)
        from_past = self._from_past(context) if self.has_past else None
        column = 0
        for i, item in enumerate(self.items):
            units = slice(i * self.n_units, (i + 1) * self.n_units)
            hidden = from_context[:, units] + features[:, :column] @ self.before[:column, units]
            hidden = functional.silu(hidden)
            hidden = hidden + functional.silu(hidden @ self.second[i] + self.second_bias[i])
            parameters = hidden @ self.out[i] + self.out_bias[i]
            if from_past is not None:
                parameters = parameters + from_past[:, i]
            allowed = None if limits is None else limits(i, codes)
            codes[:, i] = self._draw(i, parameters, allowed, generator)
            width = item.features.shape[1]
            features[:, column : column + width] = self.table.padded_item(i, codes[:, i])[:, :width]
            column += width
        return codes

    def _draw(
        self, item: int, parameters: Tensor, allowed: tuple[Tensor, Tensor] | None, generator: torch.Generator
    ) -> Tensor:
        spec = self.items[item]
        if item in self.levels:
            row = self.levels.index(item)
            logits = parameters[:, : spec.n_classes] + self.closed[row, : spec.n_classes]
            if allowed is not None:
                classes = torch.arange(spec.n_classes, device=logits.device)
                outside = (classes < allowed[0].unsqueeze(1)) | (classes > allowed[1].unsqueeze(1))
                logits = logits.masked_fill(outside, _NEVER)
            drawn = draw_index(logits.softmax(-1), generator)
        else:
            edges = self.edges[self.numeric.index(item), : spec.n_classes + 1]
            drawn = draw_class(parameters[:, : mixture.N_PARAMETERS], edges, allowed, generator)
        if not spec.can_be_missing:
            return drawn
        missing = torch.sigmoid(parameters[:, -1] + self.missing_shift[item])
        uniform = torch.rand(missing.shape, generator=generator, device=missing.device)
        return torch.where(uniform < missing, spec.n_classes, drawn)


def draw_class(
    parameters: Tensor, edges: Tensor, allowed: tuple[Tensor, Tensor] | None, generator: torch.Generator
) -> Tensor:
    """Draw classes (R,) of one numeric item with score borders ``edges``, inside the allowed codes."""
    n_classes = len(edges) - 1
    if allowed is None:
        low, high = edges[0].expand(len(parameters)), edges[-1].expand(len(parameters))
        scores = mixture.sample_scores(parameters, low, high, generator)
        return (torch.searchsorted(edges, scores.contiguous()) - 1).clamp(0, n_classes - 1)
    low_code = allowed[0].clamp(0, n_classes - 1)
    high_code = torch.maximum(allowed[1].clamp(0, n_classes - 1), low_code)
    scores = mixture.sample_scores(parameters, edges[low_code], edges[high_code + 1], generator)
    drawn = torch.searchsorted(edges, scores.contiguous()) - 1
    return torch.minimum(torch.maximum(drawn, low_code), high_code)
