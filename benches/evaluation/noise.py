"""What of a difference is noise: everything is measured twice, and the two measurements differ by nothing else."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from compare import report
from compare.measured import Measured

from . import figures
from .figures import Comparison, Place, Record, Results, mean, seconds

#: The size that Student's t exceeds in 5 % of all cases, by degrees of freedom. Between two of them that of the
#: smaller number is on the safe side.
STUDENT = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 8: 2.31, 10: 2.23, 15: 2.13, 30: 2.04}


def student(degrees: int) -> float:
    return STUDENT[max(known for known in STUDENT if known <= degrees)]


@dataclass(frozen=True)
class Estimate:
    """A geometric mean of ratios, and between what bounds it lies with 95 % confidence."""

    value: float
    low: float
    high: float

    @property
    def interval(self) -> str:
        return f"{self.low:.2f} to {self.high:.2f}"

    def verdict(self, above: str, below: str) -> str:
        """What holds where the ratio is above 1, or below; that it is neither where 1 lies between the bounds."""
        return above if self.low > 1 else below if self.high < 1 else "within the noise"


def estimate(logarithms: Iterable[tuple[float, float]]) -> Estimate:
    """From the logarithms of each layer's ratio in the two measurements.

    The mean of two measurements errs by half of their difference, and that of n layers by the root mean square
    of these halves divided by sqrt(n). What shifts a whole measurement shifts all layers alike, so the error is
    at least half of what the two means differ by.
    """
    pairs = list(logarithms)
    value = statistics.fmean((one + other) / 2 for one, other in pairs)
    halves = [(one - other) / 2 for one, other in pairs]
    of_layers = math.sqrt(math.fsum(half**2 for half in halves)) / len(pairs)
    error = max(of_layers, abs(statistics.fmean(halves)))
    reach = student(len(pairs)) * error
    return Estimate(math.exp(value), math.exp(value - reach), math.exp(value + reach))


def of_medians(pairs: list[tuple[Measured, Measured]]) -> Estimate:
    """The geometric mean of the peers' times divided by convlow's, each ratio a median over rounds.

    The quartiles of normal values lie 1.35 standard deviations apart, and the median of n of them errs by 1.25 / sqrt(n)
    of one. What shifts all rounds of a layer alike is not in it.
    """

    def variance(one: Measured) -> float:
        return float((1.25 / 1.35 * math.log(one.ratio_q3 / one.ratio_q1)) ** 2 / one.rounds)

    value = statistics.fmean(math.log(report.ratio(*pair)) for pair in pairs)
    reach = 1.96 * math.sqrt(math.fsum(variance(one) for pair in pairs for one in pair)) / len(pairs)
    return Estimate(math.exp(value), math.exp(value - reach), math.exp(value + reach))


@dataclass(frozen=True)
class Repeated:
    """One class of algorithms against another on the layers that both can do, measured twice."""

    first: Comparison
    second: Comparison

    @property
    def logarithms(self) -> dict[Place, tuple[float, float]]:
        one, other = self.first.ratios, self.second.ratios
        return {place: (math.log(one[place]), math.log(other[place])) for place in one if place in other}

    @property
    def ratios(self) -> dict[Place, float]:
        """Of both measurements."""
        return {place: math.exp(statistics.fmean(pair)) for place, pair in self.logarithms.items()}

    @property
    def sums(self) -> float:
        return mean([self.first.sums, self.second.sums])

    @property
    def estimate(self) -> Estimate:
        return estimate(self.logarithms.values())

    def over(self, other: Repeated) -> Estimate:
        """By what these ratios are larger than others, on the layers that both have."""
        mine, others = self.logarithms, other.logarithms
        return estimate(
            (mine[place][0] - others[place][0], mine[place][1] - others[place][1]) for place in mine if place in others
        )

    @property
    def differences(self) -> list[float]:
        """How far the logarithms of the two measurements lie apart."""
        return [abs(one - other) for one, other in self.logarithms.values()]

    def not_below(self, difference: float) -> int:
        """Counts the layers whose ratio is not below 1 by more than its error: half of what its two measurements
        differ by, or half of the difference given where that is more."""
        return sum(one + other >= -max(abs(one - other), difference) for one, other in self.logarithms.values())


def compare(results: Results, one: Callable[[Record], bool], other: Callable[[Record], bool]) -> Repeated:
    return Repeated(*(figures.compare(records, one, other) for records in (results.first, results.second)))


def ninth(differences: Iterable[float]) -> float:
    """What at least nine of ten of them do not exceed; 0 where there are none."""
    ordered = sorted(differences)
    return ordered[math.ceil(0.9 * len(ordered)) - 1] if ordered else 0.0


@dataclass(frozen=True)
class Noise:
    """How far two measurements of the same lie apart, as a share."""

    median: float
    ninth: float
    of_sums: float  # The most that a family's sum over a network differs.


def noise(results: Results) -> Noise:
    def key(record: Record) -> tuple[Any, ...]:
        same = ("algorithm", "src_layout", "dst_layout", "gemm", "threads")
        return (*figures.layer(record), *(record[name] for name in same))

    second = {key(record): record for record in results.second}
    pairs = [(record, second[key(record)]) for record in results.first if key(record) in second]
    apart = [abs(math.log(seconds(one) / seconds(other))) for one, other in pairs]
    sums: dict[tuple[Any, ...], list[float]] = {}
    for one, other in pairs:
        series = sums.setdefault(tuple(one[k] for k in ("network", "family", "gemm", "threads")), [0.0, 0.0])
        series[0] += one["count"] * seconds(one)
        series[1] += one["count"] * seconds(other)
    of_sums = max(abs(math.log(one / other)) for one, other in sums.values())
    return Noise(*map(math.expm1, (statistics.median(apart), ninth(apart), of_sums)))
