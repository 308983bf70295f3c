"""From the measurements to what docs/evaluation/ keeps of them."""

from __future__ import annotations

import datetime
import math
import os
import platform
from collections.abc import Callable, Iterable

from compare import problems, report
from compare.measured import Measured
from compare.problems import Problem

from . import data, figures, noise
from .data import Data
from .figures import LOW_MEMORY, PATCH_BUILDING, WITHOUT_GEMM, Record, Results, mean, seconds, unique
from .noise import Repeated

#: Layers of one thread that take at least so long count for scaling: shorter ones measure the waking of threads.
LONG_SECONDS = 1e-3
#: What stands in place of a network where all are summed.
ALL = "all"
#: The kinds of layers, each of what those before it are not.
KINDS = (
    "3-D", "transposed", "depthwise", "grouped", "first layers", "1×1 on a 1×1 map", "1×1", "dilated", "strided", "k×k",
)  # fmt: skip


def kind_of(problem: Problem) -> str:
    taps = math.prod(axis.kernel for axis in problem.axes)
    holds = (
        problem.planes != problems.ONE,
        problem.cols.transposed,
        problem.groups > 1 and problem.groups == problem.in_channels,
        problem.groups > 1,
        problem.in_channels <= 4,
        taps == 1 and all(axis.output == 1 for axis in problem.axes),
        taps == 1,
        any(axis.dilation > 1 and axis.kernel > 1 for axis in problem.axes),
        any(axis.stride > 1 for axis in problem.axes),
        True,
    )
    return KINDS[holds.index(True)]


def formula(family: str, problem: Problem) -> int | None:
    """The paper's extra space, in floats."""
    rows, cols, channels = problem.rows, problem.cols, problem.in_channels // problem.groups
    outputs = problem.out_channels // problem.groups
    kernel = rows.kernel * cols.kernel
    return {
        "im2col": channels * kernel * rows.output * cols.output,
        "im2row": channels * kernel * rows.output * cols.output,
        "mec": cols.kernel * channels * rows.input * cols.output,
        "kn2": kernel * outputs * rows.input * cols.input,
        "kn2-as": outputs * rows.input * cols.input,
    }.get(family)


def of_family(family: str, gemm: str, threads: int) -> Callable[[Record], bool]:
    """Whether a record is of these; AUTO's choices count as a family."""
    return lambda record: (
        (record["auto"] if family == "AUTO" else record["family"] == family)
        and record["gemm"] in (gemm, *WITHOUT_GEMM)
        and record["threads"] == threads
    )


def exact_on(gemm: str, threads: int) -> Callable[[Record], bool]:
    return lambda record: record["gemm"] == gemm and record["threads"] == threads and record["math"] == "exact"


def pointwise(record: Record) -> bool:
    problem = problems.parse(record["problem"], "")
    return problem.rows.kernel * problem.cols.kernel == 1


def winograds(text: str) -> bool:
    """Whether every engine's Winograd is for such a problem."""
    problem = problems.parse(text, "")
    axes = ((axis.kernel, axis.stride, axis.dilation) for axis in (problem.rows, problem.cols))
    return problem.is_plain and problem.groups == 1 and all(axis == (3, 1, 1) for axis in axes)


class Tables:
    def __init__(self, results: Results) -> None:
        self.results = results
        self.records = results.first
        self.networks = unique(record["network"] for record in self.records)
        self.threads = sorted(unique(record["threads"] for record in self.records))
        self.gemms = unique(record["gemm"] for record in self.records if record["gemm"] not in WITHOUT_GEMM)
        found = (self.low_memory(None, gemm, threads) for threads in self.threads for gemm in self.gemms)
        #: What nine of ten layers' ratios of patches to low memory differ by from one measurement to the other.
        self.ninth = noise.ninth(difference for one in found for difference in one.differences)

    def all(self, remarks: list[str]) -> Data:
        return Data(
            self.run(remarks),
            sorted(self.summary(), key=lambda one: (one.layout != "nhwc", one.arithmetic, one.threads)), list(self.peers()), list(self.claims()), list(self.claim_layers()),
            list(self.space()), list(self.families()), list(self.compared_gemms()), list(self.winograd()),
            list(self.winograd_layers()), list(self.efficiency()), list(self.scaling()), list(self.bursts()),
            list(self.batches()), self.peer_layers(),
        )  # fmt: skip

    def run(self, remarks: list[str]) -> data.Run:
        record = self.records[0]
        engines = {one.engine: one.version for one in self.results.peers if not one.engine.startswith("convlow")}
        of_all = noise.noise(self.results)
        rounds = sorted(record["rounds"] for record in self.records)
        return data.Run(
            datetime.date.today().isoformat(), record["machine"], f"Linux {platform.release()}",
            len(os.sched_getaffinity(0)), record["peak_gflops"] / record["threads"], record["build"], engines,
            len(unique(one.network for one in self.results.peers) or self.networks), remarks, rounds[0], rounds[len(rounds) // 2], rounds[-1], of_all.median, of_all.ninth,
            of_all.of_sums, math.expm1(self.ninth),
        )  # fmt: skip

    # Other engines.

    def places(self) -> list[tuple[str, int, list[Measured]]]:
        """What other engines were measured with: layouts and threads, and the results."""
        keys = unique((one.layout, one.threads) for one in self.results.peers)
        return [
            (layout, threads, [one for one in self.results.peers if (one.layout, one.threads) == (layout, threads)])
            for layout, threads in keys
        ]

    def summary(self) -> Iterable[data.Summary]:
        for layout, threads, here in self.places():
            kinds = (
                ("exact", "exact", lambda _: True),
                ("fast", "winograd", lambda _: True),
                ("fast 3x3", "winograd", winograds),
            )
            for arithmetic, kind, holds in kinds:
                pairs = [pair for pair in report.best(here, kind) if holds(pair[0].problem)]
                if not pairs:
                    continue
                one = report.total(arithmetic, pairs)
                bursts = [pair for pair in report.best(report.in_bursts(here), kind) if holds(pair[0].problem)]
                between = noise.of_medians(pairs)
                least, _ = min(pairs, key=lambda pair: report.ratio(*pair))
                yield data.Summary(
                    layout, arithmetic, threads, one.layers, one.mean, between.low, between.high, one.ratio, one.least,
                    least.name, report.total(arithmetic, bursts).mean if bursts else None, one.own_memory_bytes,
                    one.memory_bytes,
                )  # fmt: skip

    def peers(self) -> Iterable[data.Network]:
        for layout, threads, here in self.places():
            groups = [
                (name, [one for one in here if one.network == name]) for name in unique(one.network for one in here)
            ]
            for network, part in [*groups, (ALL, here)]:
                bursts = report.totals_in_bursts(part)
                for one in report.totals(part):
                    burst = bursts.get(one.engine)
                    yield data.Network(
                        layout, threads, network, one.engine, one.layers, one.mean, one.least,
                        burst.mean if burst else None, burst.least if burst else None, one.ratio, one.seconds * 1e3,
                        one.own_seconds * 1e3, one.memory_bytes, one.own_memory_bytes, one.weights_bytes,
                        one.own_weights_bytes,
                    )  # fmt: skip

    def peer_layers(self) -> dict[data.Comparison, list[data.Layer]]:
        found = {}
        for layout, threads, here in self.places():
            for arithmetic, kind in (("exact", "exact"), ("fast", "winograd")):
                pairs = report.best(here, kind)
                bursts = {report.key(pair[0]): pair for pair in report.best(report.in_bursts(here), kind)}
                layers = []
                for own, peer in pairs:
                    burst = bursts.get(report.key(own))
                    layers.append(data.Layer(
                        own.network, own.name, own.problem, kind_of(problems.parse(own.problem, "")), own.count,
                        own.implementation, own.median_seconds * 1e3, own.gflops, own.memory_bytes, own.weights_bytes,
                        peer.engine, peer.median_seconds * 1e3, peer.memory_bytes, report.ratio(own, peer),
                        peer.ratio_q1 / own.ratio_median, peer.ratio_q3 / own.ratio_median,
                        report.ratio(*burst) if burst else None,
                    ))  # fmt: skip
                if layers:
                    found[layout, arithmetic, threads] = layers
        return found

    # What the paper says.

    def low_memory(self, network: str | None, gemm: str, threads: int) -> Repeated:
        """The best patch-building against the best low-memory algorithm where there is more than one tap."""

        def of(families: tuple[str, ...]) -> Callable[[Record], bool]:
            return lambda record: (
                record["family"] in families
                and record["threads"] == threads
                and record["gemm"] in (gemm, *WITHOUT_GEMM)
                and network in (record["network"], None)
                and not pointwise(record)
            )

        return noise.compare(self.results, of(PATCH_BUILDING), of(LOW_MEMORY))

    def claims(self) -> Iterable[data.Claim]:
        for threads in self.threads:
            for gemm in self.gemms:
                for network in (*self.networks, None):
                    found = self.low_memory(network, gemm, threads)
                    single = self.low_memory(network, gemm, 1)
                    ratios = found.ratios.values()
                    if not ratios:
                        continue
                    more = found.over(single) if threads > 1 and single.ratios else None
                    yield data.Claim(
                        network or ALL, gemm, threads, len(ratios), found.estimate.value, found.estimate.low,
                        found.estimate.high, min(ratios), max(ratios), found.sums, found.not_below(self.ninth),
                        *((more.value, more.low, more.high) if more else (None, None, None)),
                    )  # fmt: skip

    def claim_layers(self) -> Iterable[data.ClaimLayer]:
        for threads in self.threads:
            found = [self.low_memory(None, gemm, threads).first for gemm in self.gemms]
            for place in unique(place for one in found for place in one.pairs):
                both = [one.pairs[place] for one in found if place in one.pairs]
                patch, low = (min((pair[side] for pair in both), key=seconds) for side in (0, 1))
                yield data.ClaimLayer(
                    place[1], threads, patch["algorithm"], patch["gemm"] or "", seconds(patch) * 1e3,
                    patch["workspace_bytes"], low["algorithm"], low["gemm"] or "", seconds(low) * 1e3,
                    low["workspace_bytes"], seconds(patch) / seconds(low),
                )  # fmt: skip

    def space(self) -> Iterable[data.Space]:
        patches = figures.fastest(self.records, lambda r: r["family"] in PATCH_BUILDING and r["threads"] == 1)
        for family in unique(record["family"] for record in self.records):
            mine = [record for record in self.records if record["family"] == family]
            single = [record for record in mine if record["threads"] == 1]
            if not single:
                continue
            parts = []
            for record in single:
                expected = formula(family, problems.parse(record["problem"], ""))
                if expected:
                    parts.append(record["workspace_bytes"] / (4 * expected))
            shares = sorted(
                record["workspace_bytes"] / patches[figures.layer(record)]["workspace_bytes"]
                for record in single
                if not pointwise(record) and figures.layer(record) in patches
            )
            for threads in self.threads:
                yield data.Space(
                    family, mine[0]["order"] or "", mine[0]["space"], min(parts, default=None), max(parts, default=None),
                    threads, max((r["workspace_bytes"] for r in mine if r["threads"] == threads), default=0),
                    shares[len(shares) // 2] if shares else None,
                )  # fmt: skip

    # The families.

    def families(self) -> Iterable[data.Family]:
        for network in self.networks:
            mine = [record for record in self.records if record["network"] == network]
            counts = {figures.layer(record): record["count"] for record in mine}
            for family in (*unique(record["family"] for record in mine), "AUTO"):
                for threads in self.threads:
                    for gemm in self.gemms:
                        best = figures.fastest(mine, of_family(family, gemm, threads)).values()
                        if best:
                            yield data.Family(
                                network, family, sum(record["count"] for record in best), sum(counts.values()), gemm,
                                threads, 1e3 * math.fsum(record["count"] * seconds(record) for record in best),
                                max(record["workspace_bytes"] for record in best),
                            )  # fmt: skip

    def compared_gemms(self) -> Iterable[data.Gemms]:
        if {"blas", "embedded"} <= set(self.gemms):
            for threads in self.threads:
                embedded, blas = (exact_on(gemm, threads) for gemm in ("embedded", "blas"))
                one = noise.compare(self.results, embedded, blas).estimate
                yield data.Gemms(threads, one.value, one.low, one.high)

    # Winograd.

    def of_one_group(self) -> list[Record]:
        """Winograd's records. The groups of these networks have too few channels for it."""
        return [record for record in self.results.winograd if not record["problem"].startswith("g")]

    def winograd(self) -> Iterable[data.Winograd]:
        records = self.of_one_group()
        exact = {figures.layer(record): record for record in records if record["math"] == "exact"}
        for algorithm in unique(record["algorithm"] for record in records if record["math"] != "exact"):
            mine = [record for record in records if record["algorithm"] == algorithm]
            for network in (*self.networks, None):
                part = [record for record in mine if network in (record["network"], None)]
                if part:
                    gains = [seconds(exact[figures.layer(record)]) / seconds(record) for record in part]
                    yield data.Winograd(
                        algorithm, network or ALL, len(part), mean(gains), min(gains), max(gains),
                        max(record["error"] for record in part), max(record["workspace_bytes"] for record in part),
                    )  # fmt: skip

    def winograd_layers(self) -> Iterable[data.WinogradLayer]:
        records = self.of_one_group()
        exact = {figures.layer(record): record for record in records if record["math"] == "exact"}
        for place, record in figures.fastest(records, lambda record: record["math"] != "exact").items():
            yield data.WinogradLayer(
                place[1], record["algorithm"], seconds(record) * 1e3, record["gflops"], record["workspace_bytes"],
                record["error"], exact[place]["algorithm"], seconds(exact[place]) / seconds(record),
            )  # fmt: skip

    # Threads and batches.

    def efficiency(self) -> Iterable[data.Efficiency]:
        for threads in self.threads[1:]:
            for family in unique(record["family"] for record in self.records):
                for gemm in (*self.gemms, *WITHOUT_GEMM):
                    long = [
                        record["efficiency"]
                        for record in self.records
                        if (record["family"], record["gemm"], record["threads"]) == (family, gemm, threads)
                        and record["efficiency"] is not None
                        and record["efficiency"] * threads * seconds(record) >= LONG_SECONDS
                    ]
                    if long:
                        yield data.Efficiency(family, gemm or "", threads, len(long), mean(long), min(long), max(long))

    def scaling(self) -> Iterable[data.Scaled]:
        for record in sorted(self.results.scaling, key=lambda r: (r["algorithm"], r["threads"])):
            yield data.Scaled(
                record["name"], record["problem"], record["algorithm"], record["threads"], seconds(record) * 1e3,
                record["gflops"], record["peak_share"], record["efficiency"] or 1.0, record["burst_ratio"],
            )  # fmt: skip

    def bursts(self) -> Iterable[data.Bursts]:
        single = figures.fastest(self.results.bursts, lambda record: record["threads"] == 1)
        for threads in unique(record["threads"] for record in self.results.bursts if record["bursts"]):
            for network in (*unique(record["network"] for record in self.results.bursts), None):
                mine = [
                    record
                    for record in self.results.bursts
                    if record["threads"] == threads and network in (record["network"], None)
                ]
                if not mine:
                    continue
                ratios = [record["burst_ratio"] for record in mine]
                efficiency = mean(
                    seconds(single[figures.layer(record)]) / (threads * seconds(record)) for record in mine
                )
                yield data.Bursts(
                    network or ALL, threads, len(mine),
                    1e3 * math.fsum(record["count"] * seconds(record) for record in mine),
                    1e3 * math.fsum(record["count"] * record["burst_median_seconds"] for record in mine),
                    mean(ratios), min(ratios), max(ratios), efficiency, efficiency / mean(ratios),
                )  # fmt: skip

    def batches(self) -> Iterable[data.Batch]:
        for batch, records in self.results.batches.items():
            total = math.fsum(record["count"] * seconds(record) for record in records)
            work = math.fsum(record["count"] * seconds(record) * record["gflops"] for record in records)
            yield data.Batch(
                records[0]["network"], records[0]["threads"], batch, total * 1e3, batch / total, work / total,
                work / total / records[0]["peak_gflops"], max(record["workspace_bytes"] for record in records),
            )  # fmt: skip
