"""The measurements, read back."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from compare.measured import Measured

Record = dict[str, Any]

#: The families that build patches, and those of the paper that need less than all patches.
PATCH_BUILDING = ("im2col", "im2row")
LOW_MEMORY = ("kn2-as", "kn2-aa")


@dataclass(frozen=True)
class Results:
    """Records of convlow bench, without what was skipped, and of benches/peers/run."""

    first: list[Record]
    second: list[Record]
    bursts: list[Record]  # AUTO, back to back and in bursts.
    scaling: list[Record]
    batches: dict[int, list[Record]]
    winograd: list[Record]  # Every one of them and AUTO without them, with their errors.
    peers: list[Measured]


def read(file: Path) -> list[Record]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def load(folder: Path) -> Results:
    def records(name: str) -> list[Record]:
        return [record for record in read(folder / f"{name}.json") if not record["skipped"]]

    batches = sorted(int(file.stem.partition("-")[2]) for file in folder.glob("batch-*.json"))
    peers = folder / "peers.json"
    return Results(
        records("first"),
        records("second"),
        records("bursts"),
        records("scaling"),
        {batch: records(f"batch-{batch}") for batch in batches},
        records("winograd"),
        [Measured(**line) for line in read(peers)] if peers.exists() else [],
    )


def mean(values: Iterable[float]) -> float:
    """Geometric."""
    return statistics.geometric_mean(values)


def seconds(record: Record) -> float:
    return float(record["median_seconds"])


def layer(record: Record) -> tuple[str, str]:
    return record["network"] or "", record["name"]


def unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def fastest(records: Iterable[Record], holds: Callable[[Record], bool]) -> dict[tuple[str, str], Record]:
    """Of every layer the fastest record for which this holds."""
    found: dict[tuple[str, str], Record] = {}
    for record in filter(holds, records):
        here = layer(record)
        if here not in found or seconds(record) < seconds(found[here]):
            found[here] = record
    return found


@dataclass(frozen=True)
class Comparison:
    """One class of algorithms against another on the layers that both can do."""

    pairs: dict[tuple[str, str], tuple[Record, Record]]

    @property
    def ratios(self) -> list[float]:
        return [seconds(one) / seconds(other) for one, other in self.pairs.values()]

    @property
    def sums(self) -> float:
        one, other = (
            math.fsum(pair[side]["count"] * seconds(pair[side]) for pair in self.pairs.values())
            for side in (0, 1)
        )
        return one / other


def compare(
    records: list[Record], one: Callable[[Record], bool], other: Callable[[Record], bool]
) -> Comparison:
    left, right = fastest(records, one), fastest(records, other)
    return Comparison({here: (left[here], right[here]) for here in left if here in right})


@dataclass(frozen=True)
class Noise:
    """How far two measurements of the same lie apart, as a share."""

    median: float
    ninth: float  # Nine of ten lie below.
    of_sums: float  # The most that a family's sum over a network differs.


def noise(results: Results) -> Noise:
    def key(record: Record) -> tuple[Any, ...]:
        return (*layer(record), *(record[k] for k in ("algorithm", "src_layout", "dst_layout", "gemm", "threads")))

    second = {key(record): record for record in results.second}
    pairs = [(record, second[key(record)]) for record in results.first if key(record) in second]
    apart = sorted(abs(math.log(seconds(one) / seconds(other))) for one, other in pairs)
    sums: dict[tuple[Any, ...], list[float]] = {}
    for one, other in pairs:
        series = sums.setdefault(tuple(one[k] for k in ("network", "family", "gemm", "threads")), [0.0, 0.0])
        series[0] += one["count"] * seconds(one)
        series[1] += one["count"] * seconds(other)
    share = [math.expm1(value) for value in apart]
    of_sums = max(math.expm1(abs(math.log(one / other))) for one, other in sums.values())
    return Noise(statistics.median(share), share[int(0.9 * (len(share) - 1))], of_sums)
