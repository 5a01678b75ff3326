"""Known answers of the judge: planted damage is seen by the metrics that claim to see it and left alone by others."""

import numpy as np
import pytest
from battery import DAMAGES, SEES, fresh

from longsynth.evaluation import evaluate
from longsynth.evaluation.splits import Effort

N = 200
SEEN = [(name, metric) for name, damage in DAMAGES.items() for metric in damage.seen_by]
SEEN += [(name, metric) for metric, damages in SEES.items() for name in damages]
USED = sorted({metric for _, metric in SEEN} | {metric for damage in DAMAGES.values() for metric in damage.unseen_by})


@pytest.fixture(scope="module")
def frames():
    """What the judge finds in each damaged cohort and in the fresh one they were made from, with less effort."""
    patch = pytest.MonkeyPatch()
    patch.setattr(evaluate, "CHEAP", Effort(1000, 39, 2, 1))
    patch.setattr(evaluate, "COSTLY", Effort(150, 9, 2, 1))
    train, holdout, other = (fresh(N, seed) for seed in (1, 2, 3))
    cohorts = {name: damage.apply(other, np.random.default_rng(0)) for name, damage in DAMAGES.items()}
    found = evaluate.evaluate_all(
        {"fresh": other, **cohorts}, train=train, holdout=holdout, metrics=USED, arm="arm", strata=[], seed=0
    )
    patch.undo()
    return {name: evaluation.frame() for name, evaluation in found.items()}


def flags(frame, metric):
    """Which parts of a metric are flagged."""
    rows = frame.filter(metric=metric).drop_nulls("flagged")
    return dict(zip(rows["part"], rows["flagged"], strict=True))


@pytest.mark.parametrize(("damage", "metric"), SEEN)
def test_damage_is_seen(frames, damage, metric):
    new = [part for part, flagged in flags(frames[damage], metric).items() if flagged]
    assert set(new) - {part for part, flagged in flags(frames["fresh"], metric).items() if flagged}


@pytest.mark.parametrize(
    ("damage", "metric"), [(name, metric) for name, damage in DAMAGES.items() for metric in damage.unseen_by]
)
def test_what_should_not_react_does_not(frames, damage, metric):
    """No part is flagged that was not flagged in the fresh cohort; where parts are many, one may be by chance."""
    before, after = flags(frames["fresh"], metric), flags(frames[damage], metric)
    new = [part for part, flagged in after.items() if flagged and not before.get(part, False)]
    assert len(new) <= (1 if len(after) >= 4 else 0)


def test_a_fresh_sample_is_flagged_no_more_than_chance_allows(frames):
    """Of independent rows 2.5 or 5 % would be; parts go together, so that twice as many still are no surprise."""
    flagged = frames["fresh"].drop_nulls("flagged")["flagged"]
    assert flagged.mean() <= 0.10
