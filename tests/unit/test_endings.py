"""When records end: the odds by time of the train patients, and a head that starts there."""

import math

import numpy as np
import polars as pl
import pytest
import torch

from longsynth.cohort.cohort import Cohort
from longsynth.encoding import CohortEncoder
from longsynth.generators.model import Architecture, Model
from longsynth.generators.specs import FEWEST_ENDINGS, ending_odds, outcome_shares, usual_steps
from longsynth.networks.endings import Endings
from longsynth.networks.sequence import SequenceSize
from longsynth.schema.types import Channel, Schema, StaticColumn, TerminalEvent, VisitTime
from longsynth.training.batches import make_batch


def encoded_visits(last_visits):
    """Encoder and code of patients followed for 100 days or more, with a visit every day until their last one."""
    ids = np.arange(len(last_visits))
    static = pl.DataFrame({"id": ids, "sex": ids % 2, "end": 100 + ids % 7, "died": ids % 2})
    owner = np.repeat(ids, last_visits + 1)
    day = np.concatenate([np.arange(last + 1) for last in last_visits])
    visits = pl.DataFrame({"id": owner, "day": day, "y": np.sin(day + owner)})
    schema = Schema(
        patient_id="id",
        time_unit="days",
        visit_time=VisitTime(column="day"),
        terminal_event=TerminalEvent(duration="end", event="died"),
        static={"sex": StaticColumn(kind="binary", levels=(0, 1))},
        channels={"y": Channel(kind="continuous")},
    )
    encoder = CohortEncoder().fit(Cohort(static, visits, schema=schema))
    return encoder, encoder.transform(Cohort(static, visits, schema=schema))


def test_odds_are_those_of_the_visits_between_two_times():
    """Half of the records end on day 2, half on day 5."""
    n = FEWEST_ENDINGS
    encoder, encoded = encoded_visits(np.repeat([2, 5], n))
    times, log_odds = ending_odds(encoded, encoder.time_scale)
    assert times == (3.5,)  # the median of the last visits
    usual = 2 * n / (3 * n + 6 * n)
    shares = (n + usual) / (7 * n + 1), (n + usual) / (2 * n + 1)
    expected = [math.log(share / (1 - share)) - math.log(usual / (1 - usual)) for share in shares]
    assert log_odds == pytest.approx(expected)


def test_few_records_tell_no_times_apart():
    encoder, encoded = encoded_visits(np.full(FEWEST_ENDINGS, 3))
    assert ending_odds(encoded, encoder.time_scale) == ((), (0.0,))


def test_a_time_belongs_to_what_comes_after_it():
    endings = Endings((1.0, 2.0), (-3.0, 0.0, 4.0))
    found = endings(torch.tensor([[0.5, 1.0], [1.5, 9.0]]))
    assert found.squeeze(-1).tolist() == [[-3.0, 0.0], [0.0, 4.0]]
    assert Endings((), (0.0,))(torch.tensor([7.0])).tolist() == [[0.0]]


def test_an_untrained_head_stops_when_records_end():
    """All records end on day 20 or 21: before training the head expects as many stops as there are, and there alone."""
    encoder, encoded = encoded_visits(np.repeat([20, 21], 2 * FEWEST_ENDINGS))
    size = SequenceSize(hidden_size=8, n_units=4, dropout=0.0, free_gaps=False)
    endings = ending_odds(encoded, encoder.time_scale)
    shares = outcome_shares(encoded)
    architecture = Architecture(1, 4, size, "recurrent", shares, usual_steps(encoded), *endings, max_visits=40)
    network = Model(encoder, architecture, seed=0).sequence[0].eval()
    torch.nn.init.zeros_(network.gaps.out.weight)
    with torch.no_grad():
        scored = network.log_prob(make_batch(encoded, encoder.time_scale, np.arange(encoded.n_patients)))
    assert float(scored.predicted_stops.sum()) == pytest.approx(encoded.n_patients, rel=0.1)
    times, log_odds = endings
    assert 19 < times[0] <= 20
    assert log_odds[0] < -2 < 2 < log_odds[-1]
