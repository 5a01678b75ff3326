"""Epsilon of composed releases by a second accountant: privacy loss distributions of Google's dp-accounting 0.6.0.

It made ``EPSILON`` of ``test_epsilon.py``. dp-accounting asks for an older attrs than the one pinned here, so it is no
dependency; run this in an environment of its own:

    python -m venv /tmp/second && /tmp/second/bin/pip install dp-accounting==0.6.0
    /tmp/second/bin/python tests/oracle/epsilon_by_dp_accounting.py
"""

SETTINGS = {
    "one release": ([(1.5, 1.0, 1)], 1e-6),
    "subsampled, few patients": ([(2.0, 64 / 300, 469)], 1 / 3000),
    "two releases and a training, epsilon 3": ([(5.8, 1.0, 1), (1.9, 1.0, 1), (1.6, 0.05, 300)], 1e-6),
    "two releases and a training, epsilon 1": ([(17.0, 1.0, 1), (6.0, 1.0, 1), (3.2, 0.05, 300)], 1e-6),
    "two releases and a training, epsilon 8": ([(2.4, 1.0, 1), (0.9, 1.0, 1), (0.9, 0.05, 300)], 1e-5),
    "two releases and a training, epsilon 0.1": ([(160.0, 1.0, 1), (80.0, 1.0, 1), (35.0, 0.05, 300)], 1e-6),
    "two releases and a training, epsilon 0.05": ([(320.0, 1.0, 1), (160.0, 1.0, 1), (70.0, 0.05, 300)], 1e-6),
    "many small samples": ([(30.0, 1.0, 1), (4.0, 1.0, 1), (0.8, 0.01, 2000)], 1e-7),
}


def epsilon(events: list[tuple[float, float, int]], delta: float) -> float:
    """Of adding or removing one patient."""
    from dp_accounting import NeighboringRelation, dp_event
    from dp_accounting.pld import PLDAccountant

    accountant = PLDAccountant(NeighboringRelation.ADD_OR_REMOVE_ONE)
    for noise, rate, n_steps in events:
        event = dp_event.GaussianDpEvent(noise)
        accountant.compose(event if rate == 1.0 else dp_event.PoissonSampledDpEvent(rate, event), n_steps)
    return float(accountant.get_epsilon(delta))


if __name__ == "__main__":
    for name, (events, delta) in SETTINGS.items():
        print(f'    "{name}": {epsilon(events, delta):.4f},')
