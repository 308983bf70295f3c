"""What an engine did on a layer: a line of --json."""

from __future__ import annotations

from dataclasses import dataclass


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
