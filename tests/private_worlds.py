"""Small cohorts whose schema declares everything, drawn by hypothesis, and the parts of a private fit over them."""

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import torch
from hypothesis import strategies as st

from longsynth.cohort.cohort import Cohort
from longsynth.encoding.private import PrivateMargins, cell_encoder, read_margins
from longsynth.encoding.private_counts import cell_sums, truncate
from longsynth.encoding.private_sizes import Sizes
from longsynth.generators import earlier_fits, private_fit
from longsynth.generators.model import Model
from longsynth.networks.rows import JointNetwork
from longsynth.schema.types import Channel, Constant, Schema, StaticColumn, TerminalEvent, VisitTime
from longsynth.training.dp_sgd import PrivateTraining
from longsynth.training.noise import SecretRandomness
from longsynth.training.private_plan import PrivatePlan, private_plan

GRADES = ("none", "mild", "severe")


def declared_schema(**changes: Any) -> Schema:
    """Every kind of column, each fact declared; the blood group is a channel that never changes."""
    parts: dict[str, Any] = {
        "visit_time": VisitTime(column="day", decimals=0),
        "terminal_event": TerminalEvent(
            duration="followup", event="status", event_types={1: "death", 2: "transplant"}, decimals=0
        ),
        "static": {
            "age": StaticColumn(kind="continuous", unit="years", bounds=(18, 100), decimals=1),
            "arm": StaticColumn(kind="binary", levels=(0, 1)),
        },
        "channels": {
            "bili": Channel(kind="continuous", unit="mg/dL", bounds=(0, 60), decimals=1),
            "flares": Channel(kind="count", bounds=(0, 20)),
            "grade": Channel(kind="ordinal", levels=GRADES),
            "group": Channel(kind="categorical", levels=("a", "b", "o")),
        },
        "constraints": (Constant(channel="group"),),
    }
    return Schema(**(parts | changes))


def without_channels(schema: Schema) -> Schema:
    """The same visits without anything measured at them."""
    return Schema(**(dict(schema) | {"channels": {}, "constraints": ()}))


def loosely_bounded(schema: Schema) -> Schema:
    """The same schema with bounds that the reader lets values pass, since they are marked as inferred."""

    def loose(columns: Any) -> Any:
        return {
            name: column if column.bounds is None else column.model_copy(update={"inferred": ("bounds",)})
            for name, column in columns.items()
        }

    return schema.model_copy(update={"static": loose(schema.static), "channels": loose(schema.channels)})


def made_cohort(schema: Schema, counts: list[int], seed: int, *, missing: float = 0.2, wild: float = 0.0) -> Cohort:
    """A cohort with so many visits a patient; a share of values is missing, and a share beyond all bounds."""
    rng = np.random.default_rng(seed)
    n, owner = len(counts), np.repeat(np.arange(len(counts)), counts)
    number = np.concatenate([np.arange(count) for count in counts]) if len(owner) else owner
    day = rng.integers(0, 20, n)[owner] * (rng.random(n) < 0.5)[owner] + number * rng.integers(1, 60, n)[owner]
    last = np.zeros(n, np.int64)
    np.maximum.at(last, owner, day)
    static = {
        "patient_id": [f"p{i:03d}" for i in range(n)],
        "age": _holes(np.round(rng.uniform(18, 100, n), 1) + 900 * (rng.random(n) < wild), missing, rng),
        "arm": rng.integers(0, 2, n),
        "followup": last + rng.choice([0, 1, 400, 10**7], n, p=[0.5, 0.2, 0.25, 0.05]),
        "status": rng.integers(0, 3, n),
    }
    visits = {
        "patient_id": [f"p{i:03d}" for i in owner],
        "day": day,
        "bili": _holes(np.round(rng.lognormal(0.5, 1, len(owner)), 1).clip(0, 60), missing, rng),
        "flares": _holes(np.minimum(rng.poisson(1.0, len(owner)), 20) + 900 * (rng.random(len(owner)) < wild), 0, rng),
        "grade": _holes(rng.choice(GRADES, len(owner)), missing, rng),
        "group": _holes(rng.choice(["a", "b", "o"], n)[owner], missing, rng),
    }
    return Cohort(pl.DataFrame(static), pl.DataFrame(visits), schema=schema)


def _holes(values: np.ndarray, share: float, rng: np.random.Generator) -> pl.Series:
    return pl.Series(values).set(pl.Series(rng.random(len(values)) < share), None)


@st.composite
def cohorts(draw: Any, *, wild: bool = False) -> Cohort:
    """Cohorts with zero to many visits a patient, with and without terminal event, channels and missing values."""
    schema = declared_schema(**draw(st.sampled_from([{}, {"terminal_event": None}])))
    if draw(st.booleans()):
        schema = without_channels(schema)
    counts = draw(st.lists(st.sampled_from([0, 0, 1, 1, 2, 3, 5, 9, 30]), min_size=2, max_size=8).filter(any))
    return made_cohort(
        loosely_bounded(schema) if wild else schema,
        counts,
        draw(st.integers(0, 10_000)),
        missing=draw(st.sampled_from([0.0, 0.2, 1.0])),
        wild=0.3 if wild else 0.0,
    )


def without(cohort: Cohort, row: int) -> Cohort:
    """The neighbour that lacks one patient."""
    ids = cohort.static[cohort.schema.patient_id].to_list()
    return cohort.select(ids[:row] + ids[row + 1 :])


def margins_of(cohort: Cohort, sizes: Sizes, sd: float = 0.0) -> PrivateMargins:
    """The margins that a fit with noise of this size would read off the cohort."""
    cells = cell_encoder(cohort.schema, sizes)
    sums = cell_sums(cells, cells.transform(cohort), sizes)
    noisy = sums + sd * np.random.default_rng(0).normal(size=len(sums))
    return read_margins(cells, noisy, max(sd, 0.01), sizes)


def plan_of(**changes: Any) -> PrivatePlan:
    """The plan of a few patients, changed."""
    return replace(private_plan(20.0), **changes)


def model_of(cohort: Cohort, sizes: Sizes, plan: PrivatePlan) -> Model:
    """An untrained model at the cohort's margins."""
    margins = margins_of(cohort, sizes)
    return Model(margins.encoder, private_fit._architecture(plan, margins, sizes), seed=0)


def joint(model: Model) -> JointNetwork:
    """The network that a private fit trains."""
    return JointNetwork(model.static[0] if model.static else None, model.sequence[0] if model.sequence else None)


def quick_epsilon(events: Any, _: float) -> float:
    """An epsilon that is none and takes no time."""
    return 0.1 * len(events)


def forget_fits() -> None:
    """What was fitted under a budget before does not count: as in another process."""
    earlier_fits._MADE.clear()


def quick_private(patch: Any, n_steps: int = 10, noise: float = 2.0) -> None:
    """Private fits of few steps while ``patch`` lasts, with noise that is not computed and an epsilon that is none."""
    patch.setattr(private_fit, "private_plan", lambda n: replace(private_plan(n), n_steps=n_steps))
    patch.setattr(private_fit, "N_OWN_PATIENTS", 50)
    patch.setattr(private_fit, "noise_for", lambda *_: noise)
    patch.setattr(private_fit, "epsilon_of", quick_epsilon)
    for reader in ("longsynth.synthesizer", "longsynth.training.accounting"):
        patch.setattr(f"{reader}.epsilon_of", quick_epsilon)


def training_of(
    cohort: Cohort,
    model: Model,
    plan: PrivatePlan,
    *,
    noise: float = 0.0,
    randomness: SecretRandomness | None = None,
    beside: "Processes | None" = None,
    rank: int = 0,
) -> PrivateTraining:
    """The private training of a model on a cohort, which need not be the one that the model was made of."""
    encoded, cut = truncate(model.encoder.transform(cohort), model.architecture.max_visits)
    randomness = randomness or SecretRandomness(entropy(0))
    training = PrivateTraining(joint(model), encoded, cut, model.encoder.time_scale, plan, noise, randomness)
    training._trainer = (beside or Processes(1)).trainer(rank)
    training.optimizers = lambda: SimpleNamespace(step=lambda: None)
    return training


def step_sum(training: PrivateTraining) -> torch.Tensor:
    """The noisy sum of one step, which leaves the weights as they are."""
    training.training_step()
    gradient = torch.cat([weights.grad.flatten() for weights in training.network.parameters()])
    return gradient * training.plan.expected_batch


def scatter(model: Model, spread: float, seed: int = 0) -> None:
    """Move the weights to a random place."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in joint(model).parameters():
            weights += spread * torch.randn(weights.shape, generator=generator)


def gradient_change(train: Cohort, row: int, model: Model, plan: PrivatePlan) -> float:
    """How far the sum of a step in which everybody takes part moves when one patient leaves the cohort."""
    everybody = replace(plan, sample_rate=1.0)
    sums = [step_sum(training_of(cohort, model, everybody)) for cohort in (train, without(train, row))]
    return float((sums[0] - sums[1]).norm())


def within(change: float, bound: float) -> bool:
    """Whether a change is a number no larger than its bound, up to rounding."""
    return change <= bound * (1 + 1e-4)


class Processes:
    """Stands for processes that train side by side, run here one after the other, the first one first.

    What the first one draws is handed on; of a sum over processes each one sees its own part.
    """

    def __init__(self, n: int) -> None:
        self.n = n
        self.drawn: list[Any] = []
        self.parts: list[torch.Tensor] = []

    def trainer(self, rank: int) -> Any:
        """The trainer of one process."""
        waiting = iter(self.drawn)

        def broadcast(drawn: Any) -> Any:
            if rank:
                return next(waiting)
            self.drawn.append(drawn)
            return drawn

        def reduce(part: torch.Tensor, **_: Any) -> torch.Tensor:
            self.parts.append(part.clone())
            return part

        strategy = SimpleNamespace(broadcast=broadcast, reduce=reduce)
        return SimpleNamespace(strategy=strategy, world_size=self.n, global_rank=rank, global_step=0)


def entropy(seed: int) -> Any:
    """A source of bytes that can be repeated, for tests alone."""
    return np.random.default_rng(seed).bytes
