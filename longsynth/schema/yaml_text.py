"""The YAML of schema files: YAML 1.2 scalars, no key twice, nothing but plain data."""

from __future__ import annotations

import re
from typing import Any

import yaml

# YAML 1.2 core scalars, so that `no`, `on`, `1:30` and `007` are text; and dates.
_SCALARS = (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?((0|[1-9][0-9]*)(\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
    ("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", list("-+.")),
    ("timestamp", yaml.SafeLoader.timestamp_regexp.pattern, list("0123456789")),
)


class FlowSequence(list[Any]):
    """A list to write on one line: ``[a, b]``."""


class FlowMapping(dict[str, Any]):
    """A mapping to write on one line: ``{a: 1, b: 2}``."""


def parse_yaml(text: str) -> Any:
    """Return the plain data (dicts, lists, scalars, dates) that a YAML text holds.

    Raises
    ------
    yaml.YAMLError
        If the text is no YAML, gives a key twice, or asks for anything but plain data.
    ValueError
        If it holds a date that does not exist.
    """
    return yaml.load(text, Loader=_Loader)


def yaml_text(value: Any) -> str:
    """Return plain data as YAML, mappings in their own order."""
    return yaml.dump(value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - an instance variable to the type stubs

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for position, (key, _) in enumerate(node.value):
            if keys[position] in keys[:position]:
                problem = f"`{keys[position]}` is given twice; remove one of the two"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
        return super().construct_mapping(node, deep=deep)


class _Dumper(yaml.SafeDumper):
    """Quotes text that YAML 1.1 or 1.2 would read as something else."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    """Write text with line breaks and other unprintable characters in double quotes, where all can be escaped."""
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=None if value.isprintable() else '"')


for _tag, _pattern, _first in _SCALARS:
    for _class in (_Loader, _Dumper):
        _class.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$", re.X), _first)
_Dumper.add_representer(str, _text)
_Dumper.add_representer(
    FlowSequence, lambda dumper, value: dumper.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True)
)
_Dumper.add_representer(
    FlowMapping, lambda dumper, value: dumper.represent_mapping("tag:yaml.org,2002:map", value, flow_style=True)
)
