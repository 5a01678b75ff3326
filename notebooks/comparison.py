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
# # Comparing synthetic cohorts
#
# A value means something only beside what a fresh real sample reaches, its ceiling. Three cohorts are compared with the
# same real patients, who were held out: one from a synthesizer, and two that are known to be wrong.

# %%
import polars as pl

import longsynth as ls
from longsynth.report.figures import draw_cohorts, draw_forest, draw_quality_privacy, save_figure
from longsynth.report.html import write_report
from longsynth.report.summary import describe_columns

train, holdout = ls.split(ls.load_pbc(), holdout=0.3, seed=0)
synthesizer = ls.Synthesizer(seed=0).fit(train)

# %% [markdown]
# - **synthetic**: from the synthesizer;
# - **shuffled**: the train patients with the values measured at a visit dealt out anew over all visits. Margins and
#   correlations within a visit are perfect, trajectories are gone;
# - **copied**: the train patients themselves under other names. Fidelity is perfect, and so is the leak.

# %%
synthetic = synthesizer.sample(train.n_patients, seed=1)


def renamed(table: pl.DataFrame) -> pl.DataFrame:
    """Give patients other names: a comparison refuses the real patients themselves."""
    return table.with_columns(pl.format("copy-{}", pl.col("patient_id")).alias("patient_id"))


dealt = train.visits.with_columns(pl.col(list(train.schema.channels)).shuffle(seed=0))
shuffled, copied = (
    ls.Cohort(renamed(train.static), renamed(visits), schema=train.schema, origin="synthetic")
    for visits in (dealt, train.visits)
)
cohorts = {"synthetic": synthetic, "shuffled": shuffled, "copied": copied}
pl.Config.set_tbl_rows(40)
describe_columns({"real, held out": holdout, **cohorts})

# %% [markdown]
# Attacks try to tell train patients from held-out ones by looking at a cohort; `compare` puts what they found beside
# the metrics.

# %%
attacks = {name: ls.assess_privacy(cohort, train, holdout, seed=0) for name, cohort in cohorts.items()}
comparison = ls.compare(
    cohorts, train=train, holdout=holdout, use_case="trial_design", privacy=attacks, arm="trt", seed=0
)
comparison

# %% [markdown]
# Everything as one frame, one row a cohort and number: the value with its interval, the ceiling with its band, the
# distance `z` between the two, and whether the value is worse than those of real samples.

# %%
frame = comparison.frame()
whole = frame.filter(pl.col("part") == "", pl.col("stratum") == "")
whole.select("model", "metric", "value", "lo", "hi", "ceiling", "ceiling_lo", "ceiling_hi", "z", "flagged", "note")

# %% [markdown]
# The shuffled cohort loses every correlation over time, and whoever looks at margins alone would not notice:

# %%
draw_forest(comparison.evaluations, block="temporal")

# %%
draw_forest(comparison.evaluations, block="marginal")

# %% [markdown]
# The copied one cannot be told from real patients. Only the attacks see what is wrong with it:

# %%
draw_quality_privacy(comparison.evaluations, comparison.privacy)

# %%
picture = save_figure(draw_cohorts({"real, held out": holdout, **cohorts}, by="trt"), "comparison.png")
report = write_report(comparison, "report.html", synthetic=cohorts, train=train, holdout=holdout)
report
