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
#: A layer: its network, its name and its sizes; a list may have several of one name.
Place = tuple[str, str, str]

#: The families that build patches, and those of the paper that need less than all patches.
PATCH_BUILDING = ("im2col", "im2row")
LOW_MEMORY = ("kn2-as", "kn2-aa")
#: What a record says in place of a GEMM where none is called, whichever was asked for.
WITHOUT_GEMM = ("kernels", None)


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
        """Of one file, or of several whose names go on."""
        files = sorted(folder.glob(f"{name}.json")) or sorted(folder.glob(f"{name}-*.json"))
        if not files:
            raise FileNotFoundError(2, "no such file", str(folder / f"{name}.json"))
        return [record for file in files for record in read(file) if not record["skipped"]]

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


def layer(record: Record) -> Place:
    return record["network"] or "", record["name"], record["problem"]


def unique(values: Iterable[Any]) -> list[Any]:
    return list(dict.fromkeys(values))


def fastest(records: Iterable[Record], holds: Callable[[Record], bool]) -> dict[Place, Record]:
    """Of every layer the fastest record for which this holds."""
    found: dict[Place, Record] = {}
    for record in filter(holds, records):
        here = layer(record)
        if here not in found or seconds(record) < seconds(found[here]):
            found[here] = record
    return found


@dataclass(frozen=True)
class Comparison:
    """One class of algorithms against another on the layers that both can do."""

    pairs: dict[Place, tuple[Record, Record]]

    @property
    def ratios(self) -> dict[Place, float]:
        return {place: seconds(one) / seconds(other) for place, (one, other) in self.pairs.items()}

    @property
    def sums(self) -> float:
        one, other = (
            math.fsum(pair[side]["count"] * seconds(pair[side]) for pair in self.pairs.values()) for side in (0, 1)
        )
        return one / other


def compare(records: list[Record], one: Callable[[Record], bool], other: Callable[[Record], bool]) -> Comparison:
    left, right = fastest(records, one), fastest(records, other)
    return Comparison({here: (left[here], right[here]) for here in left if here in right})
