"""A condition on static attributes, written as text (``age >= 50 and sex == 'f'``), becomes a polars expression.

Python's own parser reads the text into a syntax tree; only comparisons of attributes with literals, joined by ``and``,
``or`` and ``not``, are translated. Nothing is ever evaluated.
"""

from __future__ import annotations

import ast
import datetime as dt
import operator
import re
from collections.abc import Callable, Collection, Sequence
from functools import reduce
from typing import Any, TypeAlias

import polars as pl

from longsynth.exceptions import ConfigError
from longsynth.schema.types import LEVEL_KINDS, Column, Level, Schema

Literal: TypeAlias = bool | int | float | str

MAX_LENGTH = 10_000
EXAMPLE = "Write it like: age >= 50 and sex == 'f'."

_QUOTED = re.compile(r"""'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"|`([^`]*)`""")
_DATE = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d)?)?")
_OPERATORS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}
_MIRRORED = {operator.lt: operator.gt, operator.le: operator.ge, operator.gt: operator.lt, operator.ge: operator.le}


def parse_where(text: str, schema: Schema) -> pl.Expr:
    """Translate a condition on static attributes into a polars expression.

    Parameters
    ----------
    text : str
        Comparisons ``==  !=  <  <=  >  >=  in  not in`` of attributes with numbers, quoted text or ISO dates, joined by
        ``and``, ``or``, ``not`` and parentheses; ``50 <= age < 60`` works too. A name with spaces goes in backticks.
    schema : Schema
        Says which attributes there are and what they hold. Duration and event may be used as well.

    Returns
    -------
    polars.Expr
        True for the patients that meet the condition; null where a missing value leaves it open.

    Raises
    ------
    ConfigError
        If the text is not such a condition, or names an attribute or a level that the schema does not have.

    Examples
    --------
    >>> from longsynth.schema.types import StaticColumn
    >>> schema = Schema(static={"age": StaticColumn(kind="continuous")})
    >>> pl.DataFrame({"age": [49.0, 50.0, None]}).filter(parse_where("age >= 50", schema)).height
    1
    """
    if len(text) > MAX_LENGTH:
        raise ConfigError(f"the condition is longer than {MAX_LENGTH:,} characters. Filter the sampled cohort instead.")
    names: dict[str, str] = {}
    try:
        tree = ast.parse(_QUOTED.sub(lambda match: _placeholder(match, names), text.strip()), mode="eval")
        translator = _Translator(schema, names)
        return translator.condition(_lower_case_booleans(tree.body, translator.columns))
    except (SyntaxError, ValueError, OverflowError, MemoryError, RecursionError) as error:
        if isinstance(error, ConfigError):
            raise
        hint = " Compare with ==, not =." if re.search(r"(?<![=<>!])=(?!=)", text) else ""
        raise ConfigError(f"the condition cannot be read.{hint} {EXAMPLE}") from error


def _placeholder(match: re.Match[str], names: dict[str, str]) -> str:
    """Replace a name in backticks by an identifier; leave quoted text as it is."""
    if match[1] is None:
        return match[0]
    identifier = f"__quoted_name_{len(names)}__"
    names[identifier] = match[1]
    return identifier


def _lower_case_booleans(tree: ast.expr, columns: Collection[str]) -> ast.expr:
    """Return the tree with ``true`` and ``false``, as tables and schema files write them, read as booleans."""
    spelled: dict[str, bool] = {"true": True, "false": False, "TRUE": True, "FALSE": False}

    class Reader(ast.NodeTransformer):
        def visit_Name(self, node: ast.Name) -> ast.expr:
            return ast.Constant(spelled[node.id]) if node.id in spelled and node.id not in columns else node

    replaced: ast.expr = Reader().visit(tree)
    return replaced


class _Translator:
    """Walks the syntax tree under one schema."""

    def __init__(self, schema: Schema, names: dict[str, str]) -> None:
        self.columns: dict[str, Column] = dict(schema.static)
        self.names = names
        event = schema.terminal_event
        if event is not None:
            self.columns[event.duration] = Column(kind="continuous", unit=f"{schema.time_unit} since baseline")
            self.columns[event.event] = Column(kind="categorical", levels=(0, *event.event_types))

    def condition(self, node: ast.expr) -> pl.Expr:
        if isinstance(node, ast.BoolOp):
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            return reduce(join, [self.condition(part) for part in node.values])
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.condition(node.operand)
        if isinstance(node, ast.Compare):
            operands = [node.left, *node.comparators]
            parts = zip(operands, node.ops, operands[1:], strict=False)
            return reduce(operator.and_, [self.comparison(left, op, right) for left, op, right in parts])
        raise ConfigError(f"the condition may hold only comparisons, and, or, not and parentheses. {EXAMPLE}")

    def comparison(self, left: ast.expr, op: ast.cmpop, right: ast.expr) -> pl.Expr:
        if isinstance(op, ast.In | ast.NotIn):
            if not (isinstance(left, ast.Name) and isinstance(right, ast.Tuple | ast.List | ast.Set)):
                raise ConfigError(
                    "`in` needs an attribute on its left and a list on its right: stage in ('III', 'IV')."
                )
            name = self.attribute(left)
            found = _one_of(name, self.columns[name], [_literal(item) for item in right.elts])
            return found if isinstance(op, ast.In) else ~found
        if type(op) not in _OPERATORS:
            raise ConfigError(f"the condition may not use `is`. {EXAMPLE}")
        compare = _OPERATORS[type(op)]
        if isinstance(left, ast.Name) and isinstance(right, ast.Name):
            return self.two_attributes(self.attribute(left), compare, self.attribute(right))
        if isinstance(right, ast.Name):
            left, right, compare = right, left, _MIRRORED.get(compare, compare)
        if not isinstance(left, ast.Name):
            raise ConfigError(f"each comparison of the condition needs a static attribute. {EXAMPLE}")
        name = self.attribute(left)
        return _compared(name, self.columns[name], compare, _literal(right))

    def attribute(self, node: ast.Name) -> str:
        name = self.names.get(node.id, node.id)
        if name not in self.columns:
            raise ConfigError(
                f"the condition names {name!r}, which is no static attribute. There are: {', '.join(self.columns)}. "
                "Text goes in quotes, a name with spaces in backticks."
            )
        return name

    def two_attributes(self, left: str, compare: Callable[[Any, Any], Any], right: str) -> pl.Expr:
        kinds = [self.columns[name].kind for name in (left, right)]
        if any(kind in LEVEL_KINDS for kind in kinds) or kinds.count("date") == 1:
            raise ConfigError(f"the condition compares {left!r} with {right!r}; only two numbers or two dates compare.")
        result: pl.Expr = compare(pl.col(left), pl.col(right))
        return result


def _literal(node: ast.expr) -> Literal:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        value = _literal(node.operand)
        if isinstance(value, int | float) and not isinstance(value, bool):
            return -value if isinstance(node.op, ast.USub) else value
    if isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float | str):
        return node.value
    raise ConfigError(f"the condition may compare an attribute only with a number, quoted text or a date. {EXAMPLE}")


def _compared(name: str, column: Column, compare: Callable[[Any, Any], Any], literal: Literal) -> pl.Expr:
    if column.kind not in LEVEL_KINDS:
        result: pl.Expr = compare(pl.col(name), pl.lit(_value(name, column, literal)))
        return result
    position = _position(name, column, literal)
    levels = column.levels or ()
    if compare not in (operator.eq, operator.ne) and column.kind != "ordinal":
        raise ConfigError(f"{name!r} is {column.kind}: its levels have no order. Use ==, != or in.")
    return _at_levels(name, [level for index, level in enumerate(levels) if compare(index, position)])


def _one_of(name: str, column: Column, literals: Sequence[Literal]) -> pl.Expr:
    if not literals:
        raise ConfigError(f"the list that {name!r} is looked up in is empty, so no patient can meet the condition.")
    if column.kind in LEVEL_KINDS:
        levels = column.levels or ()
        return _at_levels(name, [levels[_position(name, column, literal)] for literal in literals])
    return reduce(operator.or_, [_compared(name, column, operator.eq, literal) for literal in literals])


def _at_levels(name: str, levels: Sequence[Level]) -> pl.Expr:
    """Text levels are held as text; all others as numbers or booleans, which compare as numbers."""
    if not levels:
        raise ConfigError(f"{name!r} has no level beyond the one compared with, so no patient can meet the condition.")
    if any(isinstance(level, str) for level in levels):
        return pl.col(name).is_in([str(level) for level in levels])
    return pl.col(name).cast(pl.Float64).is_in([float(level) for level in levels])


def _position(name: str, column: Column, literal: Literal) -> int:
    for index, level in enumerate(column.levels or ()):
        if level == literal:
            return index
    raise ConfigError(
        f"the condition compares {name!r} with a level that its {len(column.levels or ())} levels in the schema do not "
        "include, so no patient can meet it. Text levels go in quotes, numbers do not."
    )


def _value(name: str, column: Column, literal: Literal) -> float | dt.date | dt.datetime:
    if column.kind == "date":
        if not (isinstance(literal, str) and _DATE.fullmatch(literal)):
            raise ConfigError(f"{name!r} is a date: compare it with one in quotes, like '2001-05-31'.")
        moment = dt.datetime.fromisoformat(literal)
        return moment if moment.time() != dt.time() else moment.date()
    if isinstance(literal, str | bool):
        unit = "" if column.unit is None else f" ({column.unit})"
        raise ConfigError(f"{name!r} is a number{unit}: compare it with a number, without quotes.")
    return float(literal)
