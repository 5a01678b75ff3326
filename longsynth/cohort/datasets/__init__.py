"""The real cohort that ships with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

from longsynth.cohort.cohort import Cohort
from longsynth.cohort.formats import read_cohort


def load_pbc() -> Cohort:
    """Load the Mayo Clinic cohort of primary biliary cirrhosis: a randomised trial and its follow-up.

    Returns
    -------
    Cohort
        312 patients with trial arm, age and sex; 1,945 visits with 12 channels (laboratory values, clinical signs,
        histologic stage) in days since entry; death (140 patients), or censoring, also at a liver transplant.

    Notes
    -----
    Source: data set ``pbcseq`` of the R package survival, LGPL (>= 2); see ``pbc_SOURCE.txt`` beside the files.

    References
    ----------
    P. A. Murtaugh et al. Hepatology 20 (1994) 126-134. https://doi.org/10.1002/hep.1840200120

    Examples
    --------
    >>> load_pbc()
    Cohort(312 patients, 1,945 visits, real)
    """
    with as_file(files(__name__)) as folder:
        return read_cohort(
            folder / "pbc_visits.parquet", static=folder / "pbc_static.parquet", schema=folder / "pbc_schema.yaml"
        )
