"""docs/evaluation.md: all of its figures, and the words that depend on them."""

from __future__ import annotations

import datetime
import math
import os
import platform
from collections.abc import Callable, Iterable
from pathlib import Path

from compare import problems, report
from compare.measured import Measured

from . import figures, noise
from .figures import LOW_MEMORY, PATCH_BUILDING, WITHOUT_GEMM, Record, Results, mean, seconds, unique
from .noise import Repeated

#: Layers of one thread that take at least so long count for scaling: shorter ones measure the waking of threads.
LONG_SECONDS = 1e-3
#: What is shown of what `convlow bench` draws.
PICTURES = ("all-pareto.svg",)


def formula(family: str, problem: problems.Problem) -> int | None:
    rows, cols, channels, kernel = problem.rows, problem.cols, problem.in_channels // problem.groups, 1
    outputs = problem.out_channels // problem.groups
    kernel = rows.kernel * cols.kernel
    return {
        "im2col": channels * kernel * rows.output * cols.output,
        "im2row": channels * kernel * rows.output * cols.output,
        "mec": cols.kernel * channels * rows.input * cols.output,
        "kn2": kernel * outputs * rows.input * cols.input,
        "kn2-as": outputs * rows.input * cols.input,
    }.get(family)


def table(heading: Iterable[str], rows: Iterable[Iterable[str]], left: int = 1) -> str:
    """The first columns are words, the others figures."""
    names = list(heading)
    rule = ["---" if at < left else "---:" for at in range(len(names))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (names, rule, *rows)) + "\n"


def percent(share: float) -> str:
    return f"{share * 100:.0f} %"


def milliseconds(value: float) -> str:
    return f"{value * 1e3:,.{3 if value < 0.01 else 1}f}"


def threads_named(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def gemm_named(gemm: str | None) -> str:
    return {"blas": "BLAS", "embedded": "embedded", "kernels": "kernels"}.get(gemm or "", "–")


def of_family(family: str, gemm: str, threads: int) -> Callable[[Record], bool]:
    """Whether a record is of these; AUTO's choices count as a family."""
    return lambda record: (
        (record["auto"] if family == "AUTO" else record["family"] == family)
        and record["gemm"] in (gemm, *WITHOUT_GEMM)
        and record["threads"] == threads
    )


def exact_on(gemm: str, threads: int) -> Callable[[Record], bool]:
    return lambda record: record["gemm"] == gemm and record["threads"] == threads and record["math"] == "exact"


class Writer:
    def __init__(self, results: Results, pictures: Path) -> None:
        self.results = results
        self.records = results.first
        self.pictures = pictures
        self.networks = unique(record["network"] for record in self.records)
        self.threads = sorted(unique(record["threads"] for record in self.records))
        self.gemms = unique(record["gemm"] for record in self.records if record["gemm"] not in WITHOUT_GEMM)
        found = (self.low_memory(None, gemm, threads) for threads in self.threads for gemm in self.gemms)
        #: What nine of ten layers' ratios of patches to low memory differ by from one measurement to the other.
        self.ninth = noise.ninth(difference for one in found for difference in one.differences)

    def write(self) -> str:
        parts = [
            self.opening(), self.in_short(), self.noise(), self.peers(), self.winograd(), self.claims(), self.space(),
            self.families(), self.layers(), self.scaling(), self.reading(),
        ]  # fmt: skip
        return "\n".join(filter(None, parts))

    def opening(self) -> str:
        record = self.records[0]
        peak = record["peak_gflops"] / record["threads"]
        engines = "".join(
            f"- {engine} {version}\n"
            for engine, version in unique((one.engine, one.version) for one in self.results.peers)
            if not engine.startswith("convlow")
        )
        return f"""# Evaluation

Every family of algorithms on the convolutions of {len(self.networks)} networks, with the library's two GEMMs and its own kernels, and
other engines beside it. `./dev evaluate` measured it, drew the pictures and wrote this page; it does so again on any machine.

- {record["machine"]}, Linux {platform.release()}
- one core's peak in multiply-adds alone, measured in the same run: {peak:.1f} GFLOP/s
- {record["build"]}
{engines}- {datetime.date.today().isoformat()}, batch 1, float32, weights packed before
"""

    def in_short(self) -> str:
        """What a person reads in a minute."""
        lines = []
        for layout, threads in unique((one.layout, one.threads) for one in self.results.peers):
            here = [one for one in self.results.peers if (one.layout, one.threads) == (layout, threads)]
            where = f"{layout.upper()}, {threads_named(threads)}"
            if pairs := report.best(here, "exact"):
                lines.append(self.against(where, "the fastest exact engine", pairs))
            if pairs := [pair for pair in report.best(here, "winograd") if winograds(pair[0].problem)]:
                lines.append(self.against(f"{where}, 3×3 with Winograd", "the fastest engine with Winograd", pairs))
        for verdict in self.verdicts():
            lines.append(f"The paper's low-memory algorithms against patches. {verdict}")
        quickest = figures.fastest(self.results.winograd, lambda record: record["math"] != "exact")
        exact = {figures.layer(record): record for record in self.results.winograd if record["math"] == "exact"}
        if quickest:
            gains = [seconds(exact[place]) / seconds(record) for place, record in quickest.items()]
            error = max(record["error"] for record in quickest.values())
            lines.append(
                f"Winograd with `MATH_FAST` makes the {len(gains)} layers that it can do {mean(gains):.2f} times as fast"
                f" as exact arithmetic; the largest error is {error:.1e} of the largest output."
            )
        return "\n## In short\n\n" + "".join(f"- {line}\n" for line in lines)

    def against(self, where: str, named: str, pairs: list[tuple[Measured, Measured]]) -> str:
        one = report.total(named, pairs)
        least = min(pairs, key=lambda pair: report.ratio(*pair))[0]
        return (
            f"**{where}**: {named} takes {one.mean:.2f} times convlow's time (geometric mean over {one.layers} layers;"
            f" {one.ratio:.2f} of the sums; least {one.least:.2f}, {least.name}). Memory of the layer that needs most:"
            f" {one.own_memory_bytes:,} bytes against {one.memory_bytes:,}."
        )

    def noise(self) -> str:
        of_all = noise.noise(self.results)
        rounds = sorted(record["rounds"] for record in self.records)
        return f"""
## Noise

The families were measured twice, {rounds[0]} to {rounds[-1]} rounds each (median {rounds[len(rounds) // 2]}). Half of the medians of
the two measurements lie within {of_all.median:.1%} of one another, nine of ten within {of_all.ninth:.1%}; a family's sum over a network
within {of_all.of_sums:.1%}. Two classes of algorithms are compared by the ratio of their times, as a geometric mean over n layers
and both measurements; *between* is its 95 % interval (Student's t), whose standard error is the root mean square of what the
logarithms of the layers' ratios differ by from one measurement to the other, divided by 2√n, or half of what their means differ
by where that is more. Where level, a ratio of 1, lies in this interval, the verdict is *within the noise*; a layer counts as
slower only where it is so by more than half of what its own two measurements differ by and half of what nine of ten layers'
differ by ({math.expm1(self.ninth):.1%}). The other tables show the first measurement; take differences below the noise for none.
"""

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

    def claims(self) -> str:
        rows = []
        for threads in self.threads:
            for gemm in self.gemms:
                for network in (*self.networks, None):
                    found = self.low_memory(network, gemm, threads)
                    ratios = found.ratios.values()
                    if not ratios:
                        continue
                    rows.append((
                        network or "**all**", gemm_named(gemm), str(threads), str(len(ratios)),
                        f"{found.estimate.value:.2f}", found.estimate.interval, f"{min(ratios):.2f}",
                        f"{max(ratios):.2f}", f"{found.sums:.2f}", f"{found.not_below(self.ninth)} of {len(ratios)}",
                    ))  # fmt: skip
        heading = (
            "network", "GEMM", "threads", "layers", "geo. mean", "between", "least", "most", "of the sums",
            "level or faster",
        )  # fmt: skip
        verdicts = "".join(f"- {verdict}\n" for verdict in self.verdicts())
        return f"""
## What the paper claims

*Low-memory GEMM-based convolution algorithms for deep neural networks* ([arXiv 1709.03395](https://arxiv.org/abs/1709.03395)) says
that its low-memory algorithms are as fast as the best that build patches on one thread, and faster with more threads.
Here that is the time of the faster of im2col and im2row divided by that of the fastest of kn2row-as, kn2col-as and
kn2row-aa, layer by layer, each family at the layouts and with the primitive that the planner rates highest. **Above 1 the
low-memory algorithm is faster.** It counts the layers with more than one tap that both can do, which leaves out those with
a stride: the accumulating algorithms need stride 1.

{table(heading, rows, 2)}
{verdicts}"""

    def verdicts(self) -> Iterable[str]:
        for gemm in self.gemms:
            all_threads = {threads: self.low_memory(None, gemm, threads) for threads in self.threads}
            found = {threads: one for threads, one in all_threads.items() if one.ratios}
            for threads, one in found.items():
                said = f"{one.estimate.value:.2f} ({one.estimate.interval})"
                if threads > 1 and 1 in found:
                    more = one.over(found[1])
                    said += f", {more.value:.2f} ({more.interval}) times what it is on one thread"
                claim = "As fast" if threads == 1 else "Faster"
                yield f"{claim}, {threads_named(threads)}, {gemm_named(gemm)}: **{one.estimate.verdict}**, {said}."

    def space(self) -> str:
        rows = []
        patches = figures.fastest(self.records, lambda r: r["family"] in PATCH_BUILDING and r["threads"] == 1)
        for family in unique(record["family"] for record in self.records):
            mine = [record for record in self.records if record["family"] == family]
            order, floats = mine[0]["order"] or "not in it", mine[0]["space"]
            single = [record for record in mine if record["threads"] == 1]
            if not single:
                continue
            parts = []
            for record in single:
                expected = formula(family, problems.parse(record["problem"], ""))
                if expected:
                    parts.append(record["workspace_bytes"] / (4 * expected))
            shares = [
                record["workspace_bytes"] / patches[figures.layer(record)]["workspace_bytes"]
                for record in single
                if not pointwise(record) and figures.layer(record) in patches
            ]
            rows.append((
                family, order, floats,
                f"{min(parts):.3f} to {max(parts):.3f}" if parts else "–",
                *(f"{max((r['workspace_bytes'] for r in mine if r['threads'] == t), default=0):,}" for t in self.threads),
                f"{sorted(shares)[len(shares) // 2]:.3%}" if shares else "–",
            ))  # fmt: skip
        largest = tuple(f"largest, {threads_named(threads)}" for threads in self.threads)
        return f"""
## Extra space

The bytes that the plans report and the runs were given, beside the paper's orders. *Measured ÷ formula* divides them by four times
the formula in floats, over all layers; the last column is the median of their share of im2col's or im2row's bytes on the
same layer, without 1×1.

{table(("family", "paper", "floats", "measured ÷ formula", *largest, "of the patches"), rows, 3)}
Agrees where the measured bytes are the formula's. kn2row-aa keeps border columns of a strip of rows aside; the strip is bounded, so the paper's O(KW) is a constant here.
"""

    # The families.

    def families(self) -> str:
        parts = ["""
## Families and networks

Sums over a network's layers, each as often as it occurs, in milliseconds; *layers* says how many a family can do, and its sum
holds only these. AUTO is the planner's choice, all layers. The picture takes the faster of the two GEMMs.
""", self.picture("pareto", "Time against workspace, a point for each family, other engines beside them")]  # fmt: skip
        for network in self.networks:
            mine = [record for record in self.records if record["network"] == network]
            counts = {figures.layer(record): record["count"] for record in mine}
            series = [(gemm, threads) for threads in self.threads for gemm in self.gemms]
            rows = []
            for family in (*unique(record["family"] for record in mine), "AUTO"):
                cells, layers, largest = [], 0, 0
                for gemm, threads in series:
                    best = figures.fastest(mine, of_family(family, gemm, threads))
                    layers = max(layers, sum(record["count"] for record in best.values()))
                    largest = max([largest, *(record["workspace_bytes"] for record in best.values())])
                    total = math.fsum(record["count"] * seconds(record) for record in best.values())
                    cells.append(milliseconds(total) if best else "–")
                rows.append((family, f"{layers}/{sum(counts.values())}", *cells, f"{largest:,}"))
            heading = tuple(f"{gemm_named(gemm)}, {threads_named(threads)}" for gemm, threads in series)
            families = table(("family", "layers", *heading, "largest workspace"), rows)
            parts.append(f"<details><summary>{network}</summary>\n\n{families}\n</details>\n")
        if {"blas", "embedded"} <= set(self.gemms):
            ratios = []
            for threads in self.threads:
                embedded, blas = (exact_on(gemm, threads) for gemm in ("embedded", "blas"))
                one = noise.compare(self.results, embedded, blas).estimate
                ratios.append(f"{one.value:.2f} ({one.interval}) on {threads_named(threads)}")
            said = ", ".join(ratios)
            parts.append(f"""### BLAS and embedded GEMM

Time with the embedded GEMM divided by that with the BLAS, each with its fastest algorithm, geometric mean over all
layers: {said}.
""")
        return "\n".join(parts)

    def picture(self, name: str, said: str) -> str:
        return f"![{said}]({self.pictures.name}/all-{name}.svg)\n"

    def layers(self) -> str:
        rows = []
        found = {t: [self.low_memory(None, gemm, t).first for gemm in self.gemms] for t in self.threads}
        places = unique(place for each in found.values() for one in each for place in one.pairs)
        for place in places:
            cells = []
            for threads in self.threads:
                both = [one.pairs[place] for one in found[threads] if place in one.pairs]
                if not both:
                    cells += ["–"] * 7
                    continue
                patch, low = (min((pair[side] for pair in both), key=seconds) for side in (0, 1))
                for record in (patch, low):
                    named = f"{record['algorithm']} ({gemm_named(record['gemm'])})"
                    cells += [named, milliseconds(seconds(record)), f"{record['workspace_bytes']:,}"]
                cells.append(f"{seconds(patch) / seconds(low):.2f}")
            rows.append((place[1], *cells))
        heading = ["layer"]
        for threads in self.threads:
            heading += [f"patches, {threads_named(threads)}", "ms", "bytes", "low-memory", "ms", "bytes", "ratio"]
        return f"""
## Layer by layer

The best patch-building and the best low-memory algorithm of the layers with more than one tap, with the faster GEMM.

<details><summary>{len(rows)} layers</summary>

{table(heading, rows)}
</details>
"""

    # Winograd.

    def winograd(self) -> str:
        records = self.results.winograd
        exact = {figures.layer(record): record for record in records if record["math"] == "exact"}
        rows, layers = [], []
        for algorithm in unique(record["algorithm"] for record in records if record["math"] != "exact"):
            mine = [record for record in records if record["algorithm"] == algorithm]
            for network in (*self.networks, None):
                part = [record for record in mine if network in (record["network"], None)]
                if not part:
                    continue
                gains = [seconds(exact[figures.layer(record)]) / seconds(record) for record in part]
                rows.append((
                    algorithm, network or "**all**", str(len(part)), f"{mean(gains):.2f}", f"{min(gains):.2f}",
                    f"{max(gains):.2f}", f"{max(record['error'] for record in part):.1e}",
                    f"{max(record['workspace_bytes'] for record in part):,}",
                ))  # fmt: skip
        quickest = figures.fastest(records, lambda record: record["math"] != "exact")
        for place, record in quickest.items():
            layers.append((
                place[1], record["algorithm"].removeprefix("winograd-strip-"), milliseconds(seconds(record)),
                f"{record['gflops']:.1f}", f"{record['workspace_bytes']:,}", f"{record['error']:.1e}",
                exact[place]["algorithm"], f"{seconds(exact[place]) / seconds(record):.2f}",
            ))  # fmt: skip
        heading = ("algorithm", "network", "layers", "gain", "least", "most", "error", "largest workspace")
        each = ("layer", "tile and kernel", "ms", "GFLOP/s", "workspace", "error", "exact", "gain")
        return f"""
## Winograd

`MATH_FAST`, one thread: each of Winograd's algorithms at the layouts that the planner rates highest, and AUTO with exact arithmetic
in the same run. *Gain* is AUTO's time divided by the algorithm's, as a geometric mean; *error* is the largest distance
from the definition in float64, relative to the layer's largest output.

{table(heading, rows, 2) if rows else "No layer is for them." + chr(10)}
<details><summary>The fastest of them on each layer</summary>

{table(each, layers, 2) if layers else ""}
</details>
"""

    # Threads and batches.

    def bursts(self) -> str:
        rows = []
        single = figures.fastest(self.results.bursts, lambda record: record["threads"] == 1)
        for threads in unique(record["threads"] for record in self.results.bursts if record["bursts"]):
            for network in (*self.networks, None):
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
                back_to_back = math.fsum(record["count"] * seconds(record) for record in mine)
                in_bursts = math.fsum(record["count"] * record["burst_median_seconds"] for record in mine)
                rows.append((
                    network or "**all**", str(threads), str(len(mine)), milliseconds(back_to_back),
                    milliseconds(in_bursts), f"{mean(ratios):.2f}", f"{min(ratios):.2f}", f"{max(ratios):.2f}",
                    percent(efficiency), percent(efficiency / mean(ratios)),
                ))  # fmt: skip
        heading = (
            "network", "threads", "layers", "ms", "in bursts", "ratio, geo. mean", "least", "most", "efficiency",
            "in bursts",
        )  # fmt: skip
        return f"""### Bursts after a pause

A burst is four runs in a row after a pause of 20 ms, in which threads fall asleep; only the runs are timed. AUTO, the sums of
times back to back and in bursts, then the ratio of the time in bursts to that back to back, layer by layer. A ratio of
the number of threads says that those which slept added nothing. Efficiency, here of all layers and as a geometric mean, is that
of AUTO's choice for so many threads against its choice for one, back to back.

{table(heading, rows) if rows else "There is one core only." + chr(10)}"""

    def scaling(self) -> str:
        rows = []
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
                        cells = (str(len(long)), percent(mean(long)), percent(min(long)), percent(max(long)))
                        rows.append((family, gemm_named(gemm), str(threads), *cells))
        heading = ("family", "GEMM", "threads", "layers", "geo. mean", "least", "most")
        strong = [
            (record["algorithm"], str(record["threads"]), milliseconds(seconds(record)), f"{record['gflops']:.1f}",
             percent(record["peak_share"]), percent(record["efficiency"] or 1.0),
             f"{record['burst_ratio']:.2f}" if record["burst_ratio"] else "–")
            for record in sorted(self.results.scaling, key=lambda r: (r["algorithm"], r["threads"]))
        ]  # fmt: skip
        batches = []
        for batch, records in self.results.batches.items():
            total = math.fsum(record["count"] * seconds(record) for record in records)
            work = math.fsum(record["count"] * seconds(record) * record["gflops"] for record in records)
            batches.append((
                str(batch), milliseconds(total), f"{batch / total:,.1f}", f"{work / total:.1f}",
                percent(work / total / records[0]["peak_gflops"]),
                f"{max(record['workspace_bytes'] for record in records):,}",
            ))  # fmt: skip
        batch_of = next(iter(self.results.batches.values()))[0]
        return f"""
## Threads and batches

Efficiency is the time of one thread divided by (threads × time of them), over the layers that take at least
{LONG_SECONDS * 1e3:.0f} ms on one thread.

{table(heading, rows, 2) if rows else "No layer takes that long." + chr(10)}
Strong scaling, the best of every family on `{self.results.scaling[0]["name"]}` ({self.results.scaling[0]["problem"]}); *bursts* are
their times divided by those back to back:

{table(("algorithm", "threads", "ms", "GFLOP/s", "of the peak", "efficiency", "bursts"), strong)}
{self.bursts()}
### Batches

Throughput over a batch: all convolutions of {batch_of["network"]}, AUTO, {threads_named(batch_of["threads"])}. The workspace does not
grow with the batch, except where images too small for all threads run side by side.

{table(("batch", "ms", "images/s", "GFLOP/s", "of the peak", "largest workspace"), batches)}"""

    # Other engines.

    def peers(self) -> str:
        if not self.results.peers:
            return "\n## Other engines\n\nWere not measured.\n"
        parts = ["""
## Other engines

`benches/peers/run`: each layer in turns, convlow, a peer, convlow, the next, all on the same cores; convlow with AUTO,
with exact arithmetic beside exact peers and `MATH_FAST` beside those with Winograd. A ratio is the peer's time divided by
convlow's: **above 1, convlow is faster**; *convlow, exact* says what Winograd gains. Memory is the most of a layer, beside the
tensors and one copy of the weights, counted as [benches/peers/README.md](../benches/peers/README.md) says. With several threads
there are ratios in bursts of four runs after a pause of 20 ms, too; all other figures are of runs back to back.
"""]  # fmt: skip
        keys = unique((one.layout, one.threads) for one in self.results.peers)
        for layout, threads in keys:
            rows = []
            here = [one for one in self.results.peers if (one.layout, one.threads) == (layout, threads)]
            groups = [(network, [one for one in here if one.network == network]) for network in self.networks]
            for network, part in [*groups, ("**all**", here)]:
                bursts = report.totals_in_bursts(part)
                for one in report.totals(part):
                    burst = bursts.get(one.engine)
                    rows.append((
                        network, one.engine, str(one.layers), f"{one.mean:.2f}", f"{one.least:.2f}",
                        *((f"{burst.mean:.2f}", f"{burst.least:.2f}") if burst else ()),
                        f"{one.ratio:.2f}", milliseconds(one.seconds), milliseconds(one.own_seconds),
                        f"{one.memory_bytes:,}", f"{one.own_memory_bytes:,}",
                    ))  # fmt: skip
            in_bursts = ("geo. mean, bursts", "least, bursts") if here[0].in_bursts() else ()
            heading = (
                "network", "engine", "layers", "geo. mean", "least", *in_bursts, "of the sums", "ms",
                "convlow, ms", "memory", "convlow's",
            )  # fmt: skip
            parts.append(f"### {layout.upper()}, {threads_named(threads)}\n\n{table(heading, rows, 2)}")
        parts.append(f"<details><summary>Layer by layer</summary>\n\n{self.peer_layers()}\n</details>\n")
        return "\n".join(parts)

    def peer_layers(self) -> str:
        rows = []
        groups: dict[tuple[str, str, str, int], list[Measured]] = {}
        for one in self.results.peers:
            groups.setdefault((one.network, one.name, one.layout, one.threads), []).append(one)
        for (_, name, layout, threads), group in groups.items():
            own = next(one for one in group if one.engine == "convlow")
            cells = [
                name,
                layout.upper(),
                str(threads),
                own.implementation,
                f"{own.gflops:.1f}",
                f"{own.memory_bytes:,}",
            ]
            for kind in ("exact", "winograd"):
                best = report.best(group, kind)
                cells += [best[0][1].engine, f"{report.ratio(*best[0]):.2f}"] if best else ["–", "–"]
                best = report.best(report.in_bursts(group), kind)
                cells.append(f"{report.ratio(*best[0]):.2f}" if best else "–")
            rows.append(cells)
        heading = (
            "layer", "layout", "threads", "convlow", "GFLOP/s", "workspace", "fastest exact", "ratio", "in bursts",
            "fastest Winograd", "ratio", "in bursts",
        )  # fmt: skip
        return f"""The columns *in bursts* have the ratio of the peer that is the fastest there.

{table(heading, rows)}"""

    def reading(self) -> str:
        return f"""
## Again

```sh
./dev evaluate                     # everything, on all {len(os.sched_getaffinity(0))} cores here; nothing else should run meanwhile
./dev evaluate --peer-rounds 0     # without the other engines
./dev evaluate --keep-peers        # with the other engines' results of the last time
./dev evaluate --write-only        # this page from the results in build/evaluation
```

`build/evaluation` then holds every run as JSON ([schema](bench.schema.json)) with quartiles, packed bytes and reasons for what
was skipped.
"""


def pointwise(record: Record) -> bool:
    problem = problems.parse(record["problem"], "")
    return problem.rows.kernel * problem.cols.kernel == 1


def winograds(text: str) -> bool:
    """Whether every engine's Winograd is for such a problem."""
    problem = problems.parse(text, "")
    axes = ((axis.kernel, axis.stride, axis.dilation) for axis in (problem.rows, problem.cols))
    return problem.groups == 1 and all(axis == (3, 1, 1) for axis in axes)


def write(results: Results, pictures: Path) -> str:
    return Writer(results, pictures).write()
