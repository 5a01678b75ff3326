"""Named things of one kind: a file adds one with a decorator, one contract suite runs over all of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from longsynth.exceptions import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """Things by name, in the order in which they were added.

    Parameters
    ----------
    kind : str
        What they are, for messages: "metric", "attack".

    Examples
    --------
    >>> colours = Registry[int]("colour")
    >>> colours.add("red", 1)
    >>> colours["red"]
    1
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._things: dict[str, T] = {}

    def add(self, name: str, thing: T) -> None:
        """Add a thing; a name is given once.

        Raises
        ------
        ConfigError
            If the name is taken.
        """
        if name in self._things:
            raise ConfigError(f"there is a {self.kind} called {name!r} already; give it another name")
        self._things[name] = thing

    def __getitem__(self, name: str) -> T:
        """Return the thing called ``name``; raises `ConfigError` with all names if there is none."""
        if name not in self._things:
            raise ConfigError(f"there is no {self.kind} called {name!r}; choose from {', '.join(self._things)}")
        return self._things[name]

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names."""
        return iter(self._things)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._things)
