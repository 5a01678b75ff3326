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
# # Survival analysis on synthetic patients
#
# Is what a survival analysis finds in synthetic patients what it finds in real ones? The synthetic cohort is made from
# the train patients; the holdout patients are real ones that nothing was learned from.

# %%
import pandas as pd
from lifelines import CoxPHFitter, CoxTimeVaryingFitter, KaplanMeierFitter

import longsynth as ls

train, holdout = ls.split(ls.load_pbc(), holdout=0.3, seed=0)
synthesizer = ls.Synthesizer(seed=0, objective="likelihood").fit(train)
synthetic = synthesizer.sample(1000, seed=1)
cohorts = {"real, train": train, "real, held out": holdout, "synthetic": synthetic}

# %% [markdown]
# ## Survival curves

# %%
years = [1, 3, 5, 8]
curves = {}
for title, cohort in cohorts.items():
    survival = cohort.to_survival()
    fitted = KaplanMeierFitter().fit(survival["duration"], survival["event"])
    curves[title] = fitted.survival_function_at_times([365.25 * year for year in years]).to_numpy()
pd.DataFrame(curves, index=pd.Index(years, name="years")).round(3)

# %% [markdown]
# ## A proportional hazards model of baseline attributes


# %%
def baseline_model(cohort: ls.Cohort) -> CoxPHFitter:
    return CoxPHFitter(penalizer=0.01).fit(cohort.to_survival(), "duration", "event")


models = {title: baseline_model(cohort) for title, cohort in cohorts.items()}
coefficients = pd.DataFrame({title: model.params_ for title, model in models.items()})
coefficients.round(3)

# %% [markdown]
# The intervals of the train and the holdout patients show how far two real samples lie apart:

# %%
models["real, held out"].confidence_intervals_.round(3)

# %% [markdown]
# ## A model of the trajectories
#
# The counting process gives one row an interval between visits, with the channels carried forward. Bilirubin and
# albumin as they change are the strongest predictors of death in this disease.


# %%
def time_varying_model(cohort: ls.Cohort) -> CoxTimeVaryingFitter:
    intervals = cohort.to_counting_process()[["patient_id", "start", "stop", "event", "bili", "albumin", "age"]]
    return CoxTimeVaryingFitter(penalizer=0.01).fit(
        intervals.dropna(), id_col="patient_id", event_col="event", start_col="start", stop_col="stop"
    )


trajectories = pd.DataFrame({title: time_varying_model(cohort).params_ for title, cohort in cohorts.items()})
trajectories.round(3)

# %% [markdown]
# The synthetic coefficients have the signs of the real ones and tend to be closer to zero: what a generator does not
# learn weakens an association. Standard errors computed on 1,000 synthetic patients are too small: the information is
# that of the real train patients.
