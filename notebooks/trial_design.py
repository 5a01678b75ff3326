# ---
# jupyter:
#   jupytext:
#     formats: py:percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Trial design: how many patients does a trial need?
#
# The placebo arm of the PBC trial has about 150 patients. A synthesizer fitted to it gives as many placebo patients
# of a chosen make-up as a power calculation wants, with realistic drop-out, instead of an assumed exponential curve.

# %%
import numpy as np
import polars as pl
from lifelines.statistics import logrank_test

import longsynth as ls

train, holdout = ls.split(ls.load_pbc(), holdout=0.3, seed=0)
synthesizer = ls.Synthesizer(seed=0, objective="likelihood").fit(train)

# %% [markdown]
# ## The population of the new trial
#
# Eligible: 40 to 65 years old. Every synthetic patient meets the condition; everything else follows from it.

# %%
eligible = (pl.col("trt") == 0) & pl.col("age").is_between(40, 65)
pool = synthesizer.sample(3000, where=eligible, seed=1)
pool.static.select(
    pl.col("age").min().alias("youngest"), pl.col("age").max().alias("oldest"), pl.len().alias("patients")
)

# %% [markdown]
# ## Power by simulation
#
# The new drug is assumed to prevent each death with probability 1 - hazard ratio, independently of everything. A
# prevented death ends the patient's follow-up in the data: that loses some information, so the power is a little
# understated. Follow-up ends at five years at the latest.

# %%
YEARS_5 = 5 * 365.25
REPEATS = 100


def one_trial(n_an_arm: int, hazard_ratio: float, rng: np.random.Generator) -> bool:
    """Whether a trial of synthetic patients shows the difference at the 5 % level."""
    chosen = pool.static[rng.choice(pool.n_patients, 2 * n_an_arm, replace=False)]
    duration = chosen["futime"].cast(pl.Float64).to_numpy()
    died = (chosen["status"].to_numpy() == 1) & (duration <= YEARS_5)
    treated = np.arange(2 * n_an_arm) < n_an_arm
    prevented = treated & (rng.random(2 * n_an_arm) > hazard_ratio)
    seen, duration = died & ~prevented, np.minimum(duration, YEARS_5)
    test = logrank_test(duration[treated], duration[~treated], seen[treated], seen[~treated])
    return bool(test.p_value < 0.05)


rng = np.random.default_rng(2)
sizes, ratios = (100, 200, 400), (1.0, 0.6)
power = pl.DataFrame(
    {
        "patients an arm": sizes,
        **{
            f"hazard ratio {ratio}": [np.mean([one_trial(n, ratio, rng) for _ in range(REPEATS)]) for n in sizes]
            for ratio in ratios
        },
    }
)
power

# %% [markdown]
# With a hazard ratio of 1 the share of significant trials must be near 0.05: the check that the calculation is sound.
# The standard error of each share is at most 0.05 with 100 repeats; take more for a real plan.
#
# What this does not tell: the synthetic placebo patients are no better than the 150 real ones they were learned from.
# Sampling 3,000 of them narrows the noise of the simulation, not the uncertainty about the population.

# %%
share_at_null = power["hazard ratio 1.0"].mean()
share_at_null
