"""What an engine did on a layer: a line of --json."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Measured:
    engine: str
    version: str
    implementation: str
    problem: str
    name: str
    count: int
    network: str
    layout: str
    data_type: str
    threads: int
    rounds: int
    median_seconds: float
    ratio_median: float
    ratio_q1: float
    ratio_q3: float
    gflops: float
    memory_bytes: int
    memory_kind: str
    weights_bytes: int | None
    math: str
    error: float
    #: As the fields of these names without `burst_`, of the bursts; None where there were none.
    burst_median_seconds: float | None
    burst_ratio_median: float | None
    burst_ratio_q1: float | None
    burst_ratio_q3: float | None
    #: What was computed; files of comparisons before there were gradients do not say.
    propagation: str = "forward"

    def in_bursts(self) -> Measured | None:
        """What bursts say, where the fields speak of runs back to back."""
        times = (self.burst_median_seconds, self.burst_ratio_median, self.burst_ratio_q1, self.burst_ratio_q3)
        seconds, median, q1, q3 = times
        if seconds is None or median is None or q1 is None or q3 is None:
            return None
        gflops = self.gflops * self.median_seconds / seconds
        return replace(self, median_seconds=seconds, ratio_median=median, ratio_q1=q1, ratio_q3=q3, gflops=gflops)
