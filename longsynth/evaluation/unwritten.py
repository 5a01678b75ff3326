"""Rules that nobody declared and every real patient obeys: what never changes, never falls, is never left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import permutations

import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.trajectory import numeric_static, numeric_visits
from longsynth.schema.types import LEVEL_KINDS, Channel, Column

FEWEST_PATIENTS = 20
MOST_LEVELS = 20
MOVES = ("rises", "falls", "changes")


def broken_unwritten_rules(sample: Cohort, reference: Cohort) -> dict[str, pl.Series]:
    """Return which patients of a sample break a rule that all patients of the reference obey.

    The rules are: a channel is the same at all visits of a patient; it never falls; it never rises; a level is never
    left; a column is at most another one of the same unit, or date at most another date, in the same table. A rule
    counts if at least 20 reference patients could have broken it.

    Parameters
    ----------
    sample, reference : Cohort
        Under one schema.

    Returns
    -------
    dict of str to polars.Series
        For each channel (``visits.<name>``) or pair of columns (``visits.<lower> <= <upper>``) with such a rule, the
        ids of the patients who break it.
    """
    broken = dict(_broken_pairs(sample, reference))
    for name, channel in sample.schema.channels.items():
        made, real = (_moves(cohort, name, channel) for cohort in (sample, reference))
        rule = _rule(real)
        if rule is not None:
            broken[f"visits.{name}"] = made.filter(rule)[sample.schema.patient_id]
    return broken


def _moves(cohort: Cohort, name: str, channel: Channel) -> pl.DataFrame:
    """Return for each patient with two values of a channel what it does: rises, falls, changes, leaves a level."""
    patient = cohort.schema.patient_id
    value, same = pl.col(name), pl.col(patient) == pl.col(patient).shift()
    steps = numeric_visits(cohort).select(patient, name).drop_nulls()
    steps = steps.with_columns(pl.when(same).then(value.shift()).alias("(before)"))
    before = pl.col("(before)")
    moves = [(value > before).any().alias("rises"), (value < before).any().alias("falls")]
    if channel.kind == "categorical":
        moves = [(value != before).any().alias("changes")]
    if channel.kind in LEVEL_KINDS and len(channel.levels or ()) <= MOST_LEVELS:
        for level in range(len(channel.levels or ())):
            moves.append((before == level).any().alias(f"from {level}"))
            moves.append(((before == level) & (value != level)).any().alias(f"leaves {level}"))
    return steps.filter(before.is_not_null()).group_by(patient, maintain_order=True).agg(moves)


def _rule(moves: pl.DataFrame) -> pl.Expr | None:
    """Return the expression that is True where a patient does what no one in ``moves`` does; None if all is done."""
    if moves.height < FEWEST_PATIENTS:
        return None
    never = [move for move in moves.columns if move in MOVES and not moves[move].any()]
    for column in moves.columns:
        source, _, level = column.partition(" ")
        if source == "from" and moves[column].sum() >= FEWEST_PATIENTS and not moves[f"leaves {level}"].any():
            never.append(f"leaves {level}")
    return pl.any_horizontal(never) if never else None


def _broken_pairs(sample: Cohort, reference: Cohort) -> Iterator[tuple[str, pl.Series]]:
    schema = sample.schema
    tables: tuple[tuple[str, Mapping[str, Column]], ...] = (("static", schema.static), ("visits", schema.channels))
    for table, columns in tables:
        pairs = [pair for pair in permutations(columns, 2) if _comparable(columns[pair[0]], columns[pair[1]])]
        if not pairs:
            continue
        made, real = _numbers(sample, table), _numbers(reference, table)
        for lower, upper in pairs:
            both = real.select(schema.patient_id, lower, upper).drop_nulls()
            if both[schema.patient_id].n_unique() >= FEWEST_PATIENTS and (both[lower] <= both[upper]).all():
                above = made.filter(pl.col(lower) > pl.col(upper))
                yield f"{table}.{lower} <= {upper}", above[schema.patient_id].unique()


def _comparable(first: Column, second: Column) -> bool:
    kinds = {first.kind, second.kind}
    return kinds == {"date"} or (kinds <= {"continuous", "count"} and first.unit == second.unit is not None)


def _numbers(cohort: Cohort, table: str) -> pl.DataFrame:
    if table == "visits":
        return numeric_visits(cohort)
    return numeric_static(cohort).rename(lambda name: name.removeprefix("static."))
