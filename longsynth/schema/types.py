"""What a cohort's columns are: kinds, units, bounds, levels, the terminal event and the constraints between columns."""

from __future__ import annotations

import datetime as dt
import math
import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from longsynth.schema.reference_dates import check_references

Kind = Literal["continuous", "count", "binary", "ordinal", "categorical", "date"]
TimeUnit = Literal["minutes", "hours", "days", "weeks", "months", "years"]
Level = bool | int | float | str


def _date_of_text(value: Any) -> Any:
    """Read the dates of JSON, where a datetime at midnight must not become a date."""
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\d", value):
        return dt.date.fromisoformat(value) if len(value) == 10 else dt.datetime.fromisoformat(value)
    return value


Bound = Annotated[float | dt.date | dt.datetime | None, BeforeValidator(_date_of_text)]
Fact = Literal["kind", "bounds", "decimals", "levels", "relative_to"]

NUMERIC_KINDS: tuple[Kind, ...] = ("continuous", "count", "date")
LEVEL_KINDS: tuple[Kind, ...] = ("binary", "ordinal", "categorical")
DAYS_PER_UNIT: dict[TimeUnit, float] = {
    "minutes": 1 / 1440,
    "hours": 1 / 24,
    "days": 1.0,
    "weeks": 7.0,
    "months": 30.4375,
    "years": 365.25,
}


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Column(_Frozen):
    """What one column holds.

    Attributes
    ----------
    kind : str
        ``continuous``, ``count``, ``binary``, ``ordinal``, ``categorical`` or ``date``.
    unit : str or None
        Unit of measurement, for people; never converted.
    bounds : (lower, upper) or None
        Inclusive limits of a continuous, count or date column; either may be None. None: no limits.
    decimals : int or None
        Decimal places that a continuous column is recorded with (negative: tens, hundreds). None: found from the data.
    levels : tuple or None
        The values of a binary, ordinal (in order) or categorical column.
    relative_to : str or None
        For a date: the column with the date that it is counted from, so that the time between the two is learnt. A
        static date column, or for a channel the visit times; ``calendar``: none, the dates themselves are learnt.
        None: where visit times are dates, the own visit of a channel and the baseline of a static date; else none.
    inferred : tuple of str
        Which of ``kind``, ``bounds``, ``decimals``, ``levels`` and ``relative_to`` were read off the data rather than
        declared. A differentially private fit must not use these for free.
    """

    kind: Kind
    unit: str | None = None
    bounds: tuple[Bound, Bound] | None = None
    decimals: int | None = None
    levels: tuple[Level, ...] | None = None
    relative_to: str | None = None
    inferred: tuple[Fact, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> Column:
        if self.kind in LEVEL_KINDS:
            if self.bounds is not None or self.decimals is not None:
                raise ValueError(f"a {self.kind} column takes levels, not bounds or decimals")
            if not self.levels:
                raise ValueError(f"a {self.kind} column needs its levels; list them, or run `longsynth infer-schema`")
            _check_levels(self.kind, self.levels)
        elif self.levels is not None:
            raise ValueError(f"a {self.kind} column takes bounds, not levels")
        if self.decimals is not None and self.kind != "continuous":
            raise ValueError("decimals are for continuous columns")
        if self.relative_to is not None and self.kind != "date":
            raise ValueError("relative_to is for date columns")
        self._check_bounds()
        return self

    def _check_bounds(self) -> None:
        given = [bound for bound in self.bounds or () if bound is not None]
        for bound in given:
            if isinstance(bound, dt.date) != (self.kind == "date"):
                raise ValueError("bounds must be dates for a date column, and numbers for any other")
            if isinstance(bound, float) and not math.isfinite(bound):
                raise ValueError("bounds must be finite; write null for no limit")
        if len({(type(bound), getattr(bound, "tzinfo", None)) for bound in given}) > 1:
            raise ValueError("bounds must be both dates, or both datetimes in one time zone")
        if len(given) == 2 and not given[0] < given[1]:  # type: ignore[operator]
            raise ValueError("bounds must be [lower, upper] with lower < upper")


def _check_levels(kind: Kind, levels: tuple[Level, ...]) -> None:
    n_text = sum(isinstance(level, str) for level in levels)
    if n_text not in (0, len(levels)):
        raise ValueError("levels must be all text or all numbers; put the numbers in quotes, or take the quotes off")
    if "" in levels or any(isinstance(level, float) and not math.isfinite(level) for level in levels):
        raise ValueError("empty text, NaN and infinity cannot be levels; missing values need no level")
    if len(set(levels)) != len(levels):
        raise ValueError("levels are listed twice")
    if kind == "binary" and len(levels) != 2:
        raise ValueError("a binary column needs exactly two levels")


class StaticColumn(Column):
    """A static attribute: one value a patient, known at baseline."""


class Channel(Column):
    """A repeatedly measured variable: at most one value a visit."""


class VisitTime(_Frozen):
    """The column that holds the visit times.

    Attributes
    ----------
    column : str
        Its name in the visits table.
    kind : {"number", "date", "datetime"}
        Numbers are time since baseline in ``Schema.time_unit``. Dates become numbers inside and come back as dates.
    decimals : int or None
        Decimal places of the times in ``Schema.time_unit``. None: found from the data.
    origin : str or None
        For dates: the static date column that is each patient's baseline. It must be set for dates.
    origin_is_first_visit : bool
        True if ``origin`` is no column of the user's but each patient's first visit date.
    inferred : tuple of str
        Which of ``kind``, ``origin`` (and whether it is the first visit) and ``decimals`` were read off the data.
    """

    column: str
    kind: Literal["number", "date", "datetime"] = "number"
    decimals: int | None = None
    origin: str | None = None
    origin_is_first_visit: bool = False
    inferred: tuple[Literal["kind", "origin", "decimals"], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> VisitTime:
        if self.kind == "number" and (self.origin is not None or self.origin_is_first_visit):
            raise ValueError("visit times that are numbers have no origin; they count from baseline")
        return self


class TerminalEvent(_Frozen):
    """The end of follow-up: a duration since baseline and an event type.

    Attributes
    ----------
    duration : str
        Static column with the time from baseline to the end of follow-up.
    event : str
        Static column with the event type as an integer; 0 means censored.
    event_types : dict of int to str
        Names of the event types other than 0.
    kind : {"number", "date", "datetime"}
        Whether ``duration`` is a number in ``Schema.time_unit`` or the date of the end of follow-up.
    decimals : int or None
        Decimal places of the duration. None: found from the data.
    inferred : tuple of str
        Which of ``event_types``, ``kind`` and ``decimals`` were read off the data.
    """

    duration: str
    event: str
    event_types: dict[int, str] = Field(default_factory=lambda: {1: "event"})
    kind: Literal["number", "date", "datetime"] = "number"
    decimals: int | None = None
    inferred: tuple[Literal["event_types", "kind", "decimals"], ...] = ()

    @model_validator(mode="after")
    def _check(self) -> TerminalEvent:
        if not self.event_types or any(code <= 0 for code in self.event_types):
            raise ValueError("event_types must name one or more positive codes; 0 always means censored")
        if self.duration == self.event:
            raise ValueError("duration and event are the same column")
        return self


class Monotone(_Frozen):
    """A channel never falls (or never rises) within a patient; missing values are passed over."""

    rule: Literal["monotone"] = "monotone"
    channel: str
    direction: Literal["increasing", "decreasing"] = "increasing"


class Absorbing(_Frozen):
    """Once a channel takes this level it keeps it for the rest of the record."""

    rule: Literal["absorbing"] = "absorbing"
    channel: str
    level: Level


class Ordered(_Frozen):
    """Where both are observed, ``lower`` <= ``upper``; two static columns, or two channels of one visit."""

    rule: Literal["ordered"] = "ordered"
    lower: str
    upper: str


class Constant(_Frozen):
    """A channel has the same value at all its observed visits of a patient."""

    rule: Literal["constant"] = "constant"
    channel: str


Constraint = Annotated[Monotone | Absorbing | Ordered | Constant, Field(discriminator="rule")]


class Schema(_Frozen):
    """Everything longsynth is told about a cohort.

    Attributes
    ----------
    version : int
        Version of the schema format.
    patient_id : str
        Column that identifies a patient in both tables.
    time_unit : str
        Unit of visit times, gaps and durations.
    visit_time : VisitTime or None
        None for a static table alone.
    terminal_event : TerminalEvent or None
        None for a cohort without one.
    static : dict of str to StaticColumn
        Baseline attributes by column name, in table order; without patient id, duration and event.
    channels : dict of str to Channel
        Channels by column name, in table order.
    constraints : tuple
        Rules that every patient obeys: ``monotone``, ``absorbing``, ``ordered``, ``constant``.
    """

    version: Literal[1] = 1
    patient_id: str = "patient_id"
    time_unit: TimeUnit = "days"
    visit_time: VisitTime | None = None
    terminal_event: TerminalEvent | None = None
    static: dict[str, StaticColumn] = Field(default_factory=dict)
    channels: dict[str, Channel] = Field(default_factory=dict)
    constraints: tuple[Constraint, ...] = ()

    @property
    def event_columns(self) -> tuple[str, ...]:
        """Names of the duration and event columns, or nothing."""
        return () if self.terminal_event is None else (self.terminal_event.duration, self.terminal_event.event)

    @model_validator(mode="after")
    def _check(self) -> Schema:
        _check_names(self)
        for constraint in self.constraints:
            _check_constraint(self, constraint)
        check_references(self)
        return self


def _check_names(schema: Schema) -> None:
    time = schema.visit_time
    if time is None and schema.channels:
        raise ValueError("channels need a visit_time column")
    static_names = [schema.patient_id, *schema.static, *schema.event_columns]
    visit_names = [schema.patient_id, *([] if time is None else [time.column]), *schema.channels]
    for table, names in (("static", static_names), ("visits", visit_names)):
        if len(set(names)) != len(names):
            raise ValueError(f"a column name is used twice in the {table} table")
        if not all(name and name != "*" and not (name.startswith("^") and name.endswith("$")) for name in names):
            raise ValueError("a column name cannot be empty, `*`, or start with ^ and end with $; rename the column")
    dated_visits = time is not None and time.kind != "number"
    origin = None if time is None or time.origin is None else schema.static.get(time.origin)
    if dated_visits and (origin is None or origin.kind != "date"):
        raise ValueError("visit times that are dates need `origin`: a static column of kind date")
    end = schema.terminal_event
    if end is not None and end.kind != "number" and (time is None or time.kind != end.kind):
        raise ValueError(f"a duration of kind {end.kind} needs visit times of the same kind")


def _check_constraint(schema: Schema, constraint: Any) -> None:
    if isinstance(constraint, Ordered):
        pair = (constraint.lower, constraint.upper)
        tables: tuple[Any, ...] = (schema.static, schema.channels)
        kinds = next(([table[name].kind for name in pair] for table in tables if set(pair) <= set(table)), None)
        if kinds is None:
            raise ValueError("an ordered constraint needs two static columns or two channels")
        if any(kind not in NUMERIC_KINDS for kind in kinds) or kinds.count("date") == 1:
            raise ValueError("an ordered constraint needs two numeric columns, or two dates")
        return
    if constraint.channel not in schema.channels:
        raise ValueError(f"a {constraint.rule} constraint names a channel that is not in the schema")
    channel = schema.channels[constraint.channel]
    if isinstance(constraint, Monotone) and channel.kind == "categorical":
        raise ValueError("a monotone channel must have an order: continuous, count, ordinal, binary or date")
    if isinstance(constraint, Absorbing) and constraint.level not in (channel.levels or ()):
        raise ValueError("an absorbing constraint names a level that the channel does not have")
