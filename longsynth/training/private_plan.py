"""How a private fit uses its budget: by number of patients and epsilon alone, never by looking at the patients."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

_SIZES_SHARE = 0.1
_MARGINS_SHARES = (0.1, 0.5)
_MARGIN_PRECISION = 200
_SAMPLE_RATE, _LEAST_BATCH, _MOST_BATCH = 0.05, 64, 1024
_UNITS, _FULL_UNITS = 32, 1500
_LEARNING_RATE, _USUAL_NOISE = 0.004, 0.02


@dataclass(frozen=True)
class PrivatePlan:
    """Settings of the private training.

    ``sample_rate`` is the probability that a patient takes part in a step; ``max_grad_norm`` the length that a
    patient's gradient is clipped to; ``expected_batch`` the constant that a noisy sum is divided by.
    """

    n_units: int
    sample_rate: float
    expected_batch: float
    n_steps: int
    max_grad_norm: float
    average_decay: float

    def learning_rate(self, noise_multiplier: float) -> float:
        """Learning rate: the higher the less noise there is in a step, a fourth root that sweeps suggest."""
        noise = max(noise_multiplier / self.expected_batch, 1e-5)
        return float(_LEARNING_RATE * (_USUAL_NOISE / noise) ** 0.25)

    def to_json(self) -> dict[str, Any]:
        """Return the plan as plain JSON values."""
        return asdict(self)


def sizes_noise(alone: float) -> float:
    """Noise multiplier of the first release; ``alone`` is the one that would spend the whole budget in one release."""
    return float(alone / _SIZES_SHARE**0.5)


def margins_noise(alone: float, n_patients: float, sensitivity: float) -> float:
    """Noise multiplier of the second release: counts precise to a share of the patients, within limits of the budget.

    Parameters
    ----------
    alone : float
        Noise multiplier that would spend the whole budget in one release.
    n_patients : float
        Noisy number of patients.
    sensitivity : float
        Of the release.
    """
    wanted = n_patients / (_MARGIN_PRECISION * sensitivity)
    least, most = (alone / share**0.5 for share in reversed(_MARGINS_SHARES))
    return float(min(max(wanted, least), most))


def private_plan(n_patients: float) -> PrivatePlan:
    """Return the plan for a noisy number of patients."""
    batch = min(max(_SAMPLE_RATE * n_patients, _LEAST_BATCH), _MOST_BATCH)
    sample_rate = min(batch / n_patients, 0.5)
    return PrivatePlan(
        n_units=_UNITS if n_patients >= _FULL_UNITS else 1,
        sample_rate=sample_rate,
        expected_batch=sample_rate * n_patients,
        n_steps=300,
        max_grad_norm=30.0,
        average_decay=0.98,
    )
