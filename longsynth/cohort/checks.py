"""Everything that is checked where data enter: what contradicts the schema is an error, what is only odd is a note."""

from __future__ import annotations

import polars as pl

from longsynth.cohort.columns import rows
from longsynth.exceptions import CohortError
from longsynth.schema.types import Schema

_MOST_LISTED = 20


def raise_all(problems: list[str]) -> None:
    """Raise one ``CohortError`` with every problem, if there is one."""
    if not problems:
        return
    listed = problems[:_MOST_LISTED]
    if len(problems) > _MOST_LISTED:
        listed.append(f"... and {len(problems) - _MOST_LISTED} more")
    raise CohortError(listed[0] if len(listed) == 1 else "\n- ".join(["the tables do not fit the schema:", *listed]))


def check_presence(given: list[pl.DataFrame], schema: Schema, origin: str) -> None:
    """Raise if a table is missing, superfluous or empty."""
    visits = given[1] if len(given) > 1 else None
    if schema.visit_time is None and visits is not None and visits.height:
        raise CohortError(
            "there is a visits table, but the schema has no visit_time; declare it, or leave the table out"
        )
    if schema.visit_time is not None and visits is None:
        raise CohortError("the schema has a visit_time, but there is no visits table; give one, or remove visit_time")
    if not given[0].height:
        raise CohortError("static: the table has no rows; a cohort needs patients")
    if schema.visit_time is not None and visits is not None and not visits.height and origin == "real":
        raise CohortError("visits: the table has no rows; give visits, or a schema without visit_time")


def problems(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> list[str]:
    """Return everything that is wrong with canonical tables."""
    return []


def drop_after_event(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> tuple[pl.DataFrame, list[str]]:
    """Return the visits up to the end of follow-up, and a note on how many were dropped."""
    time, end = schema.visit_time, schema.terminal_event
    if time is None or end is None:
        return visits, []
    ends = static.select(schema.patient_id, pl.col(end.duration).alias("_end")).unique(schema.patient_id, keep="any")
    late = visits.join(ends, on=schema.patient_id, how="left", maintain_order="left")
    kept = late.filter((pl.col(time.column) <= pl.col("_end")) | pl.col("_end").is_null()).drop("_end")
    n_dropped = visits.height - kept.height
    return kept, [f"visits: {rows(n_dropped)} after the end of follow-up dropped"] if n_dropped else []


def notes_on_unused(given: list[pl.DataFrame], static: pl.DataFrame, visits: pl.DataFrame) -> list[str]:
    """Return a note for each table with columns that the schema does not name."""
    found = []
    for name, before, after in zip(("static", "visits"), given, (static, visits), strict=False):
        unused = [column for column in before.columns if column not in after.columns]
        if unused:
            found.append(f"{name}: not in the schema, left out: {', '.join(unused)}")
    return found


def notes(static: pl.DataFrame, visits: pl.DataFrame, schema: Schema) -> tuple[str, ...]:
    """Return what is odd about a valid cohort."""
    return ()
