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
# A metric means something only beside what a fresh real sample reaches, and beside a cohort that is known to be wrong.
# Four cohorts are compared with the same real patients, who were held out.

# %%
import polars as pl

import longsynth as ls
from longsynth.privacy import measure_privacy
from longsynth.report.figures import draw_cohorts, save_figure
from longsynth.report.summary import describe_columns, measure_distances

train, holdout = ls.split(ls.load_pbc(), holdout=0.3, seed=0)
synthesizer = ls.Synthesizer(seed=0).fit(train)

# %% [markdown]
# - **real, train**: what can be reached;
# - **synthetic**: from the synthesizer;
# - **shuffled**: the train patients with the values measured at a visit dealt out anew over all visits. Margins and
#   correlations within a visit are perfect, trajectories are gone;
# - **copied**: the train patients themselves under other names. Fidelity is perfect, and so is the leak.

# %%
synthetic = synthesizer.sample(train.n_patients, seed=1)
channels = list(train.schema.channels)
dealt = train.visits.with_columns(pl.col(channels).shuffle(seed=0))
shuffled = ls.Cohort(train.static, dealt, schema=train.schema, origin="synthetic")
rename = pl.format("copy-{}", pl.col("patient_id")).alias("patient_id")
copied = ls.Cohort(
    train.static.with_columns(rename), train.visits.with_columns(rename), schema=train.schema, origin="synthetic"
)
cohorts = {"real, train": train, "synthetic": synthetic, "shuffled": shuffled, "copied": copied}

# %%
pl.Config.set_tbl_rows(40)
describe_columns({"real, held out": holdout, "synthetic": synthetic})

# %%
distances = measure_distances(cohorts, holdout)
distances

# %% [markdown]
# The shuffled cohort loses every correlation over time, and whoever looks at margins alone would not notice. The
# copied one cannot be told from the train patients. Only the attacks see what is wrong with it:

# %%
attacks = pl.DataFrame(
    [
        {"cohort": title, **measure_privacy(cohort, train, holdout)[0]}
        for title, cohort in cohorts.items()
        if title != "real, train"
    ]
)
attacks

# %% [markdown]
# `mia_auc` is 0.5 when an attacker cannot tell who was learned from, and 1 when always. Copied windows are three visits
# in a row that equal a train patient's and no held-out patient's.

# %%
picture = save_figure(draw_cohorts({"real, held out": holdout, "synthetic": synthetic}, by="trt"), "comparison.png")
picture
