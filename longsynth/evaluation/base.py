"""What a metric is: a function of a sample and a real reference, with what a reader must know to read its value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from longsynth.cohort.cohort import Cohort
from longsynth.registry import Registry

Block = Literal[
    "rules", "marginal", "missingness", "association", "distance", "detection",
    "visit_process", "temporal", "forecasting", "survival", "trial",
]  # fmt: skip
Level = Literal["static", "visit", "transition", "trajectory", "survival", "cohort"]
Worse = Literal["higher", "lower", "both"]
WHOLE = ""
COLUMN_UNIT = "of the column"
TIME_UNIT = "of time"
MANY_PATIENTS = 5000


@dataclass(frozen=True)
class Setting:
    """What a metric is told beside the two cohorts.

    Attributes
    ----------
    seed : int
        Source of all its randomness, through `longsynth.seeding.stream`.
    arm : str or None
        Static attribute that holds the treatment arm; None: metrics by arm are not computable.
    """

    seed: int = 0
    arm: str | None = None


MetricFunction = Callable[[Cohort, Cohort, Setting], Mapping[str, float]]


@dataclass(frozen=True)
class Metric:
    """A metric and how to read it.

    Attributes
    ----------
    name : str
        As users give it.
    block : str
        Part of the report it belongs to.
    level : str
        What it looks at.
    title : str
        What it is, in plain words, without a full stop.
    function : callable
        Of the sample that is judged, the real reference and the setting; returns finite values by part. A part is
        `WHOLE`, or a column (``visits.<channel>``, ``static.<attribute>``, ``event.duration``, ``event.type``) or
        another short name. Parts that have no value are left out. Raises `NotComputableError` if none has. It is
        called many times, with samples and references of equal numbers of patients; it never looks at ids or at the
        order of patients.
    best : float
        The value of a perfect sample of unlimited size.
    worse : {"higher", "lower", "both"}
        Which values are worse than those of a fresh real sample.
    unit : str or None
        Of the value; None: a pure number. `COLUMN_UNIT`: that of the column which a part names; `TIME_UNIT`: the
        schema's time unit.
    is_costly : bool
        It takes a second or more; it is then computed on fewer splits and patients.
    by_stratum : bool
        It is also computed within strata of patients.
    most_patients : int or None
        It is given at most so many patients a side; None: as many as others of its kind. `MANY_PATIENTS` where the
        cost grows gently and differences that matter are smaller than what chance does to others' 1,000.
    is_standardised : bool
        It is in units of its own standard error, or made of what is, so that chance moves it as much in few patients as
        in many.
    most_visits : int or None
        It thins longer records to so many visits; a result says where that happened.
    most_pairs : int or None
        It uses so many pairs of consecutive visits a side, drawn at random; a result says where there were more.
    n_draws : int or None
        It is a mean over so many samples of a synthetic cohort that has more patients than are compared, and a result
        says where there were fewer; None: as many as others of its kind.
    is_share : bool
        Its values lie in [0, 1], where intervals are cut.
    """

    name: str
    block: Block
    level: Level
    title: str
    function: MetricFunction
    best: float = 0.0
    worse: Worse = "higher"
    unit: str | None = None
    is_costly: bool = False
    by_stratum: bool = False
    most_patients: int | None = None
    is_standardised: bool = False
    most_visits: int | None = None
    most_pairs: int | None = None
    n_draws: int | None = None
    is_share: bool = False


METRICS: Registry[Metric] = Registry("metric")


def metric(
    *,
    block: Block,
    level: Level,
    title: str,
    best: float = 0.0,
    worse: Worse = "higher",
    unit: str | None = None,
    is_costly: bool = False,
    by_stratum: bool = False,
    most_patients: int | None = None,
    is_standardised: bool = False,
    most_visits: int | None = None,
    most_pairs: int | None = None,
    n_draws: int | None = None,
    is_share: bool = False,
) -> Callable[[MetricFunction], MetricFunction]:
    """Register the function below as the metric of its name; arguments as the attributes of `Metric`."""

    def register(function: MetricFunction) -> MetricFunction:
        name = function.__name__  # type: ignore[attr-defined]
        sizes = (is_costly, by_stratum, most_patients, is_standardised, most_visits, most_pairs, n_draws, is_share)
        METRICS.add(name, Metric(name, block, level, title, function, best, worse, unit, *sizes))
        return function

    return register
