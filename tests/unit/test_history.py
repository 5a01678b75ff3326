"""The history of visits: the same along whole records and visit by visit, and it knows the schedule."""

import torch

from longsynth.networks.history import History, Schedule

EDGES = torch.tensor([-1000.0, -0.5, 0.5, 1000.0])
KNOTS = torch.tensor([[1.0, 4.0], [5.0, 9.0], [10.0, 30.0]])
SCHEDULE = Schedule(torch.tensor([0.0, 6.0, 12.0]), EDGES, KNOTS)


def test_visit_by_visit_equals_the_whole_record():
    steps = torch.tensor([[0.0, 5.0, 17.0, 18.0], [0.0, 12.0, 13.0, 40.0]])
    along = SCHEDULE.along(steps)
    history = History.start(2, steps.device)
    gaps = torch.diff(steps, dim=1, prepend=steps[:, :1])
    for visit in range(steps.shape[1]):
        history.add(SCHEDULE, gaps[:, visit])
        torch.testing.assert_close(history.features(SCHEDULE, steps[:, visit]), along[:, visit])


def test_a_late_patient_is_due_sooner():
    early, late = SCHEDULE.along(torch.tensor([[0.0, 3.0], [0.0, 11.0]]))[:, 1, 0]
    assert early > late  # the third visit is due after 12 steps: a gap of 9, or of 1


def test_beyond_the_schedule_nothing_is_due():
    features = SCHEDULE.along(torch.tensor([[0.0, 6.0, 12.0, 18.0]]))[0]
    assert features[:, 3].tolist() == [1.0, 1.0, 0.0, 0.0]
    assert features[2:, 0].tolist() == [0.0, 0.0]


def test_one_visit_has_no_gap():
    features = SCHEDULE.along(torch.zeros(2, 1))
    assert features.shape == (2, 1, 14)
    assert features[:, 0, 1].tolist() == [0.0, 0.0]
