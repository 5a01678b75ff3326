"""How many patients a few known visits would tell from all others: what there is to protect, not what leaks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from longsynth.cohort.cohort import Cohort
from longsynth.exceptions import NotComputableError
from longsynth.privacy.coded import coded, scaling_of
from longsynth.privacy.knowledge import Knowledge
from longsynth.privacy.predicates import all_fitting, patients_of, terms_of
from longsynth.privacy.records import records_of
from longsynth.privacy.windows import chosen_starts
from longsynth.seeding import stream

MOST_PATIENTS = 1000


def exposure(cohort: Cohort, ks: Sequence[int] = (1, 2, 3), time: bool = False, seed: int = 0) -> pl.DataFrame:
    """Return the share of patients whom k consecutive visits tell from all other patients of the cohort.

    ``unique(k) = mean_i 1[no other patient has k consecutive visits with values near those of patient i]``: at one
    random place of patient i's record, numbers within 5 % of the column's range (5 % to 95 % quantile), levels equal;
    only what was observed is compared.

    Parameters
    ----------
    cohort : Cohort
        Real patients.
    ks : sequence of int
        Numbers of visits.
    time : bool
        Whether the gaps between the visits are known too, to within 5 % of the 90 % quantile of gaps.
    seed : int
        Places, and up to 1,000 patients who are looked at among all.

    Returns
    -------
    polars.DataFrame
        A row for each k: ``k``, ``n_patients`` (with k visits and an observed value there, at most 1,000) and
        ``unique``, in [0, 1], null without such patients. This is exposure before any release, not a leak.

    Raises
    ------
    NotComputableError
        If the schema has no channel.

    Examples
    --------
    >>> import longsynth as ls
    >>> exposure(ls.load_pbc(), ks=(1, 2))["unique"].to_list()
    [1.0, 1.0]
    """
    if not cohort.schema.channels:
        raise NotComputableError("it needs a channel, and the schema has none")
    records = records_of(cohort)
    real = coded(records, scaling_of([records]))
    rows = []
    for k in ks:
        knowledge = Knowledge(k=k, time="gaps" if time else "none")
        rng = stream(seed, "exposure", k)
        patient, first = chosen_starts(records.n_visits, k, "random", rng)
        starts = records.start[patient] + first
        chosen = np.sort(rng.permutation(len(starts))[:MOST_PATIENTS])
        known = [terms_of(real, start, knowledge, np.zeros(0, np.int64)) for start in starts[chosen]]
        unique = [
            len(patients_of(real, all_fitting(real, k, terms))) == 1
            for terms in known
            if any(term.table == "channel" for term in terms)
        ]
        rows.append((k, len(unique), float(np.mean(unique)) if unique else None))
    return pl.DataFrame(rows, schema={"k": pl.Int64, "n_patients": pl.Int64, "unique": pl.Float64}, orient="row")
