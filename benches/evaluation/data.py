"""The files of docs/evaluation/: what the tables are made of. Its README.md explains every column."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from dataclasses import asdict, astuple, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

Cell = str | int | float | None


@dataclass(frozen=True)
class Summary:
    """All layers of a comparison with other engines."""

    layout: str
    arithmetic: str  # "exact", "fast", or "fast 3x3" for the layers that every engine's Winograd is for.
    threads: int
    layers: int
    mean: float
    low: float | None
    high: float | None
    sums: float
    least: float
    least_layer: str
    burst_mean: float | None
    convlow_bytes: int
    peer_bytes: int


@dataclass(frozen=True)
class Network:
    """An engine on one network's layers, or on all."""

    layout: str
    threads: int
    network: str
    engine: str
    layers: int
    mean: float
    least: float
    burst_mean: float | None
    burst_least: float | None
    sums: float
    ms: float
    convlow_ms: float
    bytes: int
    convlow_bytes: int
    packed_bytes: int | None
    convlow_packed_bytes: int | None


@dataclass(frozen=True)
class Layer:
    """A layer, by convlow and by the fastest of the other engines."""

    network: str
    layer: str
    problem: str
    kind: str
    count: int
    algorithm: str
    ms: float | None
    gflops: float | None
    workspace_bytes: int | None
    packed_bytes: int | None
    engine: str
    engine_ms: float | None
    engine_bytes: int | None
    ratio: float
    ratio_q1: float | None
    ratio_q3: float | None
    burst_ratio: float | None


@dataclass(frozen=True)
class Claim:
    """The paper's low-memory algorithms against those that build patches."""

    network: str
    gemm: str
    threads: int
    layers: int
    mean: float
    low: float
    high: float
    least: float
    most: float
    sums: float
    level_or_faster: int
    over_one_thread: float | None
    over_one_thread_low: float | None
    over_one_thread_high: float | None


@dataclass(frozen=True)
class ClaimLayer:
    layer: str
    threads: int
    patches: str
    patches_gemm: str
    patches_ms: float
    patches_bytes: int
    low_memory: str
    low_memory_gemm: str
    low_memory_ms: float
    low_memory_bytes: int
    ratio: float


@dataclass(frozen=True)
class Space:
    family: str
    paper: str
    floats: str
    least_of_formula: float | None
    most_of_formula: float | None
    threads: int
    largest_bytes: int
    share_of_patches: float | None


@dataclass(frozen=True)
class Family:
    """A family's sum over a network, or AUTO's."""

    network: str
    family: str
    layers: int
    all_layers: int
    gemm: str
    threads: int
    ms: float
    largest_bytes: int


@dataclass(frozen=True)
class Gemms:
    """The time with the embedded GEMM divided by that with the BLAS."""

    threads: int
    mean: float
    low: float
    high: float


@dataclass(frozen=True)
class Winograd:
    algorithm: str
    network: str
    layers: int
    gain: float
    least: float
    most: float
    error: float
    largest_bytes: int


@dataclass(frozen=True)
class WinogradLayer:
    layer: str
    algorithm: str
    ms: float
    gflops: float
    workspace_bytes: int
    error: float
    exact: str
    gain: float


@dataclass(frozen=True)
class Efficiency:
    family: str
    gemm: str
    threads: int
    layers: int
    mean: float
    least: float
    most: float


@dataclass(frozen=True)
class Scaled:
    """One layer on more and more threads."""

    layer: str
    problem: str
    algorithm: str
    threads: int
    ms: float
    gflops: float
    of_peak: float
    efficiency: float
    burst_ratio: float | None


@dataclass(frozen=True)
class Bursts:
    network: str
    threads: int
    layers: int
    ms: float
    burst_ms: float
    mean: float
    least: float
    most: float
    efficiency: float
    burst_efficiency: float


@dataclass(frozen=True)
class Batch:
    network: str
    threads: int
    batch: int
    ms: float
    images_per_second: float
    gflops: float
    of_peak: float
    largest_bytes: int


@dataclass(frozen=True)
class Run:
    """run.json: the machine, the versions, and how far two measurements of the same differ."""

    date: str
    machine: str
    kernel: str
    cores: int
    peak_gflops: float
    build: str
    engines: dict[str, str]
    networks: int
    remarks: list[str]
    least_rounds: int
    median_rounds: int
    most_rounds: int
    noise_median: float
    noise_ninth: float
    noise_of_sums: float
    noise_of_ratios: float


#: Layout, arithmetic and threads of a comparison.
Comparison = tuple[str, str, int]


@dataclass(frozen=True)
class Data:
    run: Run
    summary: list[Summary] = field(default_factory=list)
    networks: list[Network] = field(default_factory=list)
    paper: list[Claim] = field(default_factory=list)
    paper_layers: list[ClaimLayer] = field(default_factory=list)
    space: list[Space] = field(default_factory=list)
    families: list[Family] = field(default_factory=list)
    gemms: list[Gemms] = field(default_factory=list)
    winograd: list[Winograd] = field(default_factory=list)
    winograd_layers: list[WinogradLayer] = field(default_factory=list)
    efficiency: list[Efficiency] = field(default_factory=list)
    scaling: list[Scaled] = field(default_factory=list)
    bursts: list[Bursts] = field(default_factory=list)
    batches: list[Batch] = field(default_factory=list)
    layers: dict[Comparison, list[Layer]] = field(default_factory=dict)


#: The file of each list of Data.
TABLES: dict[str, type[Any]] = {
    "summary": Summary, "networks": Network, "paper": Claim, "paper_layers": ClaimLayer, "space": Space,
    "families": Family, "gemms": Gemms, "winograd": Winograd, "winograd_layers": WinogradLayer,
    "efficiency": Efficiency, "scaling": Scaled, "bursts": Bursts, "batches": Batch,
}  # fmt: skip

Row = TypeVar("Row")


def file_of(table: str) -> str:
    return f"{table.replace('_', '-')}.csv"


def layers_file(comparison: Comparison) -> str:
    return f"layers-{'-'.join(map(str, comparison))}.csv"


def write_rows(file: Path, kind: type[Any], rows: Iterable[Any]) -> None:
    """Figures with six digits, nothing in place of None."""
    with file.open("w", encoding="utf-8", newline="") as out:
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(one.name for one in fields(kind))
        for row in rows:
            writer.writerow(f"{cell:.6g}" if isinstance(cell, float) else cell for cell in astuple(row))


def read_rows(file: Path, kind: type[Row]) -> list[Row]:
    hints = get_type_hints(kind)

    def cell(name: str, text: str) -> Cell:
        if hints[name] is str:
            return text
        if not text:
            return None
        return int(text) if hints[name] in (int, int | None) else float(text)

    with file.open(encoding="utf-8", newline="") as lines:
        return [kind(**{name: cell(name, text) for name, text in row.items()}) for row in csv.DictReader(lines)]


def write(folder: Path, data: Data) -> None:
    """In place of what was there; pictures stay."""
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.csv"):
        stale.unlink()
    run = json.dumps(asdict(data.run), indent=2, ensure_ascii=False)
    (folder / "run.json").write_text(run + "\n", encoding="utf-8")
    for table, kind in TABLES.items():
        write_rows(folder / file_of(table), kind, getattr(data, table))
    for comparison, layers in data.layers.items():
        write_rows(folder / layers_file(comparison), Layer, layers)


def read(folder: Path) -> Data:
    tables = {table: read_rows(folder / file_of(table), kind) for table, kind in TABLES.items()}
    layers = {}
    for file in sorted(folder.glob("layers-*.csv")):
        _, layout, arithmetic, threads = file.stem.split("-")
        layers[layout, arithmetic, int(threads)] = read_rows(file, Layer)
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    return Data(Run(**run), **tables, layers=layers)
