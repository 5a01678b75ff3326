"""What a private fit can be expected to give, by number of patients and epsilon, measured on a simulated cohort.

Nothing here looks at the patients of a fit. The figures are printed by ``python -m tests.benchmarks.private_utility``.
"""

from __future__ import annotations

import numpy as np

from longsynth.budget import SMALLER_IS_STRONGER

SHARES: dict[int, dict[float, float]] = {
    300: {1: -1.42, 3: -0.19, 8: 0.48},
    1000: {1: 0.04, 3: 0.52, 8: 0.70},
    3000: {1: 0.50, 3: 0.76, 8: 0.87},
    20000: {1: 0.88, 3: 0.95, 8: 0.98},
}
"""Share of the gain in held-out likelihood over exact margins, by patients and epsilon; 1 without privacy."""

CLOSE_TO_NOISE = (1000, 3.0)


def expected_share(n_patients: float, epsilon: float) -> float:
    """Return the share of what there is to learn that a private fit can be expected to keep.

    Parameters
    ----------
    n_patients : float
        Number of patients, at best a noisy or public one.
    epsilon : float
        Budget for the whole patient; smaller is stronger privacy.

    Returns
    -------
    float
        At most 1; below 0 where the noise costs more than the fit learns, so that it is worse than margins without
        noise. Interpolated between measured points on the logarithms of both; the nearest one beyond them.

    Examples
    --------
    >>> expected_share(300, 1) < expected_share(20_000, 8)
    True
    """
    sizes, epsilons = sorted(SHARES), sorted(next(iter(SHARES.values())))
    by_size = [np.interp(np.log(epsilon), np.log(epsilons), [SHARES[n][e] for e in epsilons]) for n in sizes]
    return float(np.interp(np.log(max(n_patients, 1.0)), np.log(sizes), by_size))


def is_close_to_noise(n_patients: float, epsilon: float) -> bool:
    """Return whether a fit of so many patients under such a budget learns little beyond noisy margins."""
    return n_patients < CLOSE_TO_NOISE[0] and epsilon <= CLOSE_TO_NOISE[1]


def expected_text(epsilon: float) -> str:
    """Return the table of what to expect at this epsilon, for people about to spend it."""
    sizes = "  ".join(f"{n:>7,}" for n in sorted(SHARES))
    expected = (expected_share(n, epsilon) for n in sorted(SHARES))
    shares = "  ".join(f"{f'{share:.0%}' if share > 0 else 'none':>7}" for share in expected)
    most, weakest = CLOSE_TO_NOISE
    return (
        f"What to expect at epsilon = {epsilon:g}, as measured on a simulated cohort: the share kept of what a fit "
        f"without privacy learns beyond the margins of its columns (none: the noise costs more than that).\n"
        f"  patients  {sizes}\n  kept      {shares}\n"
        f"Under {most:,} patients at epsilon {weakest:g} or less the result is close to noise. {SMALLER_IS_STRONGER}\n"
        "Trying several settings on the same patients costs each time: the epsilons add up."
    )
