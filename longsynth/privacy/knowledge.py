"""What an attacker knows about a patient before the release: a value, printed with every result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from longsynth.exceptions import ConfigError
from longsynth.schema.types import DAYS_PER_UNIT, Schema

Which = Literal["first", "random", "last", "all"]
KnownTime = Literal["none", "gaps", "exact", "jittered"]
PRESETS = ("glance", "relative", "lab_feed", "full")
RELATIVE_JITTER_DAYS = 30.0
_WHICH = {
    "first": "first in the record",
    "random": "anywhere in the record",
    "last": "last in the record",
    "all": "first and last in the record",
}


@dataclass(frozen=True)
class Knowledge:
    """What an attacker knows of each target.

    Attributes
    ----------
    k : int
        Consecutive visits, at least 1.
    which : {"first", "random", "last", "all"}
        Where in the record they lie. "all": the whole record is known, and attacked by its first and
        its last k visits.
    channels : tuple of str or None
        Channels whose values are known at these visits; None: all.
    static : tuple of str or None
        Static attributes that are known; None: all, (): none.
    time : {"none", "gaps", "exact", "jittered"}
        Nothing of the times; the gaps between the visits; the visit times since baseline; the gaps from times that
        are each off by up to ``jitter``.
    jitter : float
        In units of ``schema.time_unit``; for ``time="jittered"`` only.
    value_noise : float
        Standard deviation of the error of known numeric values, as a share of the column's range from the 5 % to the
        95 % quantile.
    has_reference : bool
        Whether the attacker holds other real patients of the same population.
    name : str
        What to call it.

    Raises
    ------
    ConfigError
        If a value is out of range.

    Examples
    --------
    >>> Knowledge(k=2, static=("age", "sex")).describe()
    '2 consecutive visits, anywhere in the record; all channels; age, sex; gaps between the visits; no reference sample'
    """

    k: int = 2
    which: Which = "random"
    channels: tuple[str, ...] | None = None
    static: tuple[str, ...] | None = ()
    time: KnownTime = "gaps"
    jitter: float = 0.0
    value_noise: float = 0.0
    has_reference: bool = False
    name: str = "own"

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ConfigError(f"k is {self.k}; an attacker knows at least one visit")
        if self.which not in _WHICH:
            raise ConfigError(f"which is {self.which!r}; choose from {', '.join(_WHICH)}")
        if self.time not in ("none", "gaps", "exact", "jittered"):
            raise ConfigError(f"time is {self.time!r}; choose from none, gaps, exact, jittered")
        if self.jitter < 0 or self.value_noise < 0:
            raise ConfigError("jitter and value_noise must not be negative")
        if (self.jitter > 0) != (self.time == "jittered"):
            raise ConfigError("jitter and time='jittered' go together; give both or neither")

    def describe(self) -> str:
        """Return it in words."""
        visits = "1 visit" if self.k == 1 else f"{self.k} consecutive visits"
        channels = "all channels" if self.channels is None else f"of channels {', '.join(self.channels) or 'none'}"
        static = "all static attributes" if self.static is None else ", ".join(self.static) or "no static attribute"
        times = {
            "none": "no times",
            "gaps": "gaps between the visits",
            "exact": "exact visit times",
            "jittered": f"gaps from times off by up to {self.jitter:g}",
        }[self.time]
        noise = f"values with an error of {self.value_noise:.0%} of their range; " if self.value_noise else ""
        reference = "a reference sample" if self.has_reference else "no reference sample"
        return f"{visits}, {_WHICH[self.which]}; {channels}; {static}; {noise}{times}; {reference}"

    def known_channels(self, schema: Schema) -> tuple[str, ...]:
        """Return the known channels in schema order; raises `ConfigError` if one is not in the schema."""
        return _chosen(self.channels, tuple(schema.channels), "channel")

    def known_static(self, schema: Schema) -> tuple[str, ...]:
        """Return the known static attributes in schema order; raises `ConfigError` if one is not in the schema."""
        return _chosen(self.static, tuple(schema.static), "static attribute")


def preset(name: str, schema: Schema) -> Knowledge:
    """Return one of four attackers, from one neighbour's glance to a full laboratory feed.

    Parameters
    ----------
    name : {"glance", "relative", "lab_feed", "full"}
        - glance: one visit of one channel, two static attributes (the first ones of the schema), no times.
        - relative: two visits of all channels, values off by 10 % of their range, times by up to 30 days, all
          static attributes.
        - lab_feed: three visits of all channels and the gaps between them, exact.
        - full: the whole record, with all static attributes and exact times, and a reference sample.
    schema : Schema
        Of the release.

    Raises
    ------
    ConfigError
        If there is no such preset.
    """
    jitter = RELATIVE_JITTER_DAYS / DAYS_PER_UNIT[schema.time_unit]
    presets = {
        "glance": Knowledge(
            k=1, channels=tuple(schema.channels)[:1], static=tuple(schema.static)[:2], time="none", name="glance"
        ),
        "relative": Knowledge(k=2, static=None, time="jittered", jitter=jitter, value_noise=0.1, name="relative"),
        "lab_feed": Knowledge(k=3, name="lab_feed"),
        "full": Knowledge(k=3, which="all", static=None, time="exact", has_reference=True, name="full"),
    }
    if name not in presets:
        raise ConfigError(f"there is no attacker called {name!r}; choose from {', '.join(PRESETS)}")
    return presets[name]


def _chosen(names: tuple[str, ...] | None, there: tuple[str, ...], what: str) -> tuple[str, ...]:
    if names is None:
        return there
    unknown = [name for name in names if name not in there]
    if unknown:
        raise ConfigError(f"the attacker's knowledge names a {what} that the schema lacks: {', '.join(unknown)}")
    return tuple(name for name in there if name in names)
