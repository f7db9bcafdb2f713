"""Estimate how long single calls took, from the sums that pg_stat_statements keeps. Pure.

Times are in milliseconds. `squares` is the sum of the squares of all times.
"""

from math import exp, log, sqrt

P95 = 1.645
"""Standard deviations above the mean that cover 95 % of a normal distribution."""
LEAST_MS = 1e-6
LEAST_CALLS = 20
"""Fewest calls for a meaningful percentile."""
PRECISION = 1e-9
"""Share of a sum below which a difference of two such sums is rounding noise."""


def p95(
    calls: int, total_ms: float, squares_ms: float, max_ms: float, longest_ms: float | None = None
) -> float | None:
    """Estimate the 95th percentile of call times; None if there were too few calls.

    Call times are skewed: most are short, a few are long. The estimate is the percentile of the
    log-normal distribution with the same mean and variance, without the longest call: a single
    outlier would decide alone. It is within a third of the real one for times with one peak and a
    moderate tail. For heavy tails, or two peaks such as hits and misses of a cache, it can be half
    of it or several times it.

    Args:
        calls: how many.
        total_ms: sum of all times.
        squares_ms: sum of their squares.
        max_ms: no call was longer; the estimate neither.
        longest_ms: the longest call, or what it took at least; None if unknown.
    """
    if calls < LEAST_CALLS or total_ms / calls < LEAST_MS:
        return None
    if longest_ms is not None:
        calls, total_ms = calls - 1, max(total_ms - longest_ms, LEAST_MS)
        squares_ms = max(squares_ms - longest_ms**2, 0.0)
    mean = total_ms / calls
    variance = max(squares_ms / calls - mean**2, 0.0)
    spread = log(1 + variance / mean**2)
    return min(mean * exp(P95 * sqrt(spread) - spread / 2), max_ms)


def longest_at_least(total_ms: float, squares_ms: float) -> float:
    """Return what the longest of some calls took at least.

    No call is longer than the longest, so the sum of squares is at most the longest times the
    sum: the longest is at least squares / total. One call of 5 s among 200 of 5 ms gives 4.2 s.
    """
    return squares_ms / total_ms if total_ms > LEAST_MS else 0.0
