"""docs/evaluation.md, from the files of docs/evaluation/ alone."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from . import data
from .data import Data, Layer, Summary
from .figures import mean, unique
from .noise import Estimate
from .tables import ALL, KINDS

#: So many lines a person reads in three minutes.
MOST_LINES = 150
#: So many layers of each side are named.
NAMED = 5
#: What is shown of what `convlow bench` draws.
PICTURES = ("all-pareto.svg",)
NONE = "–"
#: Rows of networks.csv that are no engine's own.
FASTEST = {"exact": "fastest exact peer", "fast": "fastest with Winograd"}


def table(heading: Iterable[str], rows: Iterable[Iterable[str]], left: int = 1) -> str:
    """The first columns are words, the others figures."""
    names = list(heading)
    rule = ["---" if at < left else "---:" for at in range(len(names))]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (names, rule, *rows)) + "\n"


def threads_named(number: int) -> str:
    return "1 thread" if number == 1 else f"{number} threads"


def gemm_named(gemm: str) -> str:
    return {"blas": "BLAS", "embedded": "embedded", "kernels": "kernels"}.get(gemm, NONE)


def arithmetic_named(arithmetic: str) -> str:
    return {"fast 3x3": "fast, 3×3 of stride 1"}.get(arithmetic, arithmetic)


def size(number: int) -> str:
    if number < 2**20:
        return f"{number / 2**10:.0f} KiB" if number >= 2**10 else f"{number} B" if number else "0"
    return f"{number / 2**20:.1f} MiB"


def percent(share: float, digits: int = 0) -> str:
    return f"{share * 100:.{digits}f} %"


def between(low: float | None, high: float | None) -> str:
    return NONE if low is None or high is None else f"{low:.2f} to {high:.2f}"


def verdict(one: Summary) -> str:
    if one.low is None or one.high is None:
        return NONE
    return Estimate(one.mean, one.low, one.high).verdict("convlow is faster", "convlow is slower")


def claims(found: Data) -> Iterable[tuple[str, ...]]:
    """The rows on what the paper says."""
    for one in found.paper:
        if one.network != ALL:
            continue
        estimate = Estimate(one.mean, one.low, one.high)
        more = NONE if one.over_one_thread is None else f"{one.over_one_thread:.2f}"
        if one.over_one_thread is not None:
            more += f" ({between(one.over_one_thread_low, one.over_one_thread_high)})"
        yield (
            "as fast" if one.threads == 1 else "faster", gemm_named(one.gemm), str(one.threads), str(one.layers),
            f"{one.mean:.2f}", estimate.interval, f"{one.level_or_faster} of {one.layers}", more,
            f"**{estimate.verdict('agrees', 'disagrees')}**",
        )  # fmt: skip


def readme_table(found: Data) -> str:
    """The table that README.md shows."""
    rows = [
        f"| {one.layout.upper()}, {'3×3 of stride 1, Winograd allowed' if one.arithmetic == 'fast 3x3' else one.arithmetic} | {one.threads} |"
        f" {one.layers} | {one.mean:.2f} | {one.sums:.2f} | {one.convlow_bytes:,} | {one.peer_bytes:,} |\n"
        for one in found.summary
        if one.arithmetic != "fast"
    ]
    return f"""\
| layout, arithmetic | threads | layers | ratio, geometric mean | ratio of the sums | most bytes for one layer: convlow | other engine |
|---|---:|---:|---:|---:|---:|---:|
{"".join(rows)}"""


class Page:
    def __init__(self, found: Data, folder: str) -> None:
        self.data = found
        self.run = found.run
        self.folder = folder
        #: The comparisons whose layers are known, in the order of the summary.
        self.compared = [
            key for one in found.summary if (key := (one.layout, one.arithmetic, one.threads)) in found.layers
        ]

    def link(self, file: str, said: str | None = None) -> str:
        return f"[{said or file}]({self.folder}/{file})"

    def write(self) -> str:
        parts = [
            self.opening(),
            self.reading(),
            self.engines(),
            self.paper(),
            self.others(),
            self.limits(),
            self.files(),
        ]
        return "\n".join(parts)

    def opening(self) -> str:
        run = self.run
        version, _, built = run.build.partition("; ")
        rows = [
            ("figures of", f"**{version}**, measured on **{run.date}**"),
            ("its build", built),
            ("machine", f"{run.machine}, {run.kernel}; one core's peak in multiply-adds {run.peak_gflops:.1f} GFLOP/s"),
            ("other engines", ", ".join(f"{engine} {of}" for engine, of in run.engines.items()) or "were not measured"),
            ("problems", f"the convolutions of {run.networks} networks, batch 1, float32, weights packed before"),
        ]
        rows += [("remark", remark) for remark in run.remarks]
        lines = "".join(f"| {name} | {said} |\n" for name, said in rows)
        return f"""# Evaluation

How fast convlow computes the convolutions of whole networks, and in how much memory: beside other engines, and with every
algorithm of the paper. `./dev evaluate` measures this on any machine. It writes [data]({self.folder}/README.md), and from them this page.

| | |
|---|---|
{lines}"""

    def reading(self) -> str:
        run = self.run
        rounds = f"{run.least_rounds} to {run.most_rounds} rounds" if run.most_rounds > 1 else "1 round"
        return f"""## How to read it

- **Ratio**: the time of the fastest other engine on a layer, divided by convlow's. Above 1, convlow is faster. For example, 1.10 says
  that the other engine takes 10 % longer. The engines take turns on the same cores ([how](../benches/peers/README.md)).
- **Mean** is the geometric mean of the layers' ratios. **Sums** is the ratio of all times, each layer as often as its network has it.
- **Exact** compares engines that form every product of the definition. **Fast** compares `MATH_FAST` with engines that may use Winograd.
- **Bytes**: the most that a layer needs beside its tensors and one copy of its weights. An engine can reuse them for the next layer.
- **Bursts**: four runs after a pause of 20 ms, in which threads fall asleep. All other times are of runs back to back.
- **Between** is a 95 % interval. If 1 lies in it, the verdict is *within the noise*. {NONE} means: not measured, or not kept.
- **Noise**: all algorithms were measured twice, {rounds} each. Half of the times differ by at most {percent(run.noise_median, 1)}
  between the two measurements, nine of ten by at most {percent(run.noise_ninth, 1)}. Treat smaller differences of single layers as zero.
"""

    # Other engines.

    def engines(self) -> str:
        if not self.data.summary:
            return "## Other engines\n\nThey were not measured.\n"
        rows = [
            (
                one.layout.upper(), arithmetic_named(one.arithmetic), str(one.threads), str(one.layers), f"{one.mean:.2f}",
                between(one.low, one.high), f"{one.sums:.2f}", NONE if one.burst_mean is None else f"{one.burst_mean:.2f}",
                f"{one.least:.2f}", f"{one.convlow_bytes:,}", f"{one.peer_bytes:,}", verdict(one),
            )
            for one in self.data.summary
        ]  # fmt: skip
        heading = (
            "layout", "arithmetic", "threads", "layers", "mean", "between", "sums", "mean in bursts", "least",
            "bytes: convlow", "fastest other", "verdict",
        )  # fmt: skip
        return f"""## Other engines

{table(heading, rows, 2)}
### By kind of layer

Mean, and in brackets the least ratio and the number of layers. *First layers* have at most 4 channels; *k×k* are all that no other row names.

{self.kinds()}
### The layers at both ends

{self.ends()}
### Memory of whole networks

One thread. The layer that needs most decides, because an engine can use the same memory for one layer after the other. What ONNX
Runtime and ncnn pack of the weights beyond their plain size is counted. [onnxruntime.md](onnxruntime.md) measures whole models,
and {self.link("networks.csv")} has the times, too.

{self.memory()}"""

    def kinds(self) -> str:
        def cell(layers: Iterable[Layer]) -> str:
            ratios = [one.ratio for one in layers]
            return f"{mean(ratios):.2f} ({min(ratios):.2f}, {len(ratios)})" if ratios else NONE

        known = [self.data.layers[key] for key in self.compared]
        rows, missing = [], []
        for kind in reversed(KINDS):
            cells = [cell(one for one in layers if one.kind == kind) for layers in known]
            if any(each != NONE for each in cells):
                rows.append((kind, *cells))
            else:
                missing.append(kind)
        rows.append(("**all**", *map(cell, known)))
        said = f"\nThis run compared no layers of these kinds: {', '.join(missing)}.\n" if missing else ""
        return table(("kind", *map(self.named, self.compared)), rows) + said

    def named(self, comparison: data.Comparison) -> str:
        layout, arithmetic, threads = comparison
        return f"{layout.upper()}, {arithmetic_named(arithmetic)}, {threads_named(threads)}"

    def ends(self) -> str:
        rows = []
        for key in self.compared:
            ordered = sorted(self.data.layers[key], key=lambda one: one.ratio)
            few = min(NAMED, len(ordered) // 2)
            sides = (ordered[:few], ordered[::-1][:few])
            rows.append(
                (self.named(key), *("<br>".join(f"{one.layer} {one.ratio:.2f}" for one in side) for side in sides))
            )
        return table(("comparison", "where convlow is slowest", "where the other engine is slowest"), rows, 3)

    def memory(self) -> str:
        first = min(one.threads for one in self.data.networks)
        single = [one for one in self.data.networks if one.threads == first]
        columns: list[tuple[str, dict[str, str]]] = []
        for layout, arithmetic in unique((one.layout, one.arithmetic) for one in self.data.summary):
            mine = [one for one in single if one.layout == layout]
            own = {one.network: one for one in mine if one.engine == FASTEST.get(arithmetic)}
            if own:
                said = f"{layout.upper()}, {arithmetic}: convlow"
                columns.append((said, {network: size(one.convlow_bytes) for network, one in own.items()}))
            packed = {network: one.convlow_packed_bytes for network, one in own.items()}
            if any(packed.values()):
                columns.append(
                    ("its packed weights", {network: size(number or 0) for network, number in packed.items()})
                )
            for engine in unique(one.engine for one in mine if arithmetic_of(one.engine) == arithmetic):
                columns.append((engine, {one.network: size(one.bytes) for one in mine if one.engine == engine}))
        networks = [name for name in unique(one.network for one in single) if name != ALL]
        rows = [(name, *(cells.get(name, NONE) for _, cells in columns)) for name in networks]
        return table(("network", *(said for said, _ in columns)), rows)

    # convlow's algorithms.

    def paper(self) -> str:
        heading = (
            "claim", "GEMM", "threads", "layers", "mean", "between", "level or faster", "÷ that of 1 thread", "verdict",
        )  # fmt: skip
        return f"""## What the paper claims

*Low-memory GEMM-based convolution algorithms for deep neural networks* ([arXiv 1709.03395](https://arxiv.org/abs/1709.03395)) says that
its low-memory algorithms are as fast as the best that build patches on one thread, and faster on more threads. The ratio here is
the time of the faster of im2col and im2row divided by that of the fastest of kn2row-as, kn2col-as and kn2row-aa: **above 1, low
memory is faster**. It counts the layers with more than one tap that both can do, which are those of stride 1.

{table(heading, claims(self.data), 2)}
{self.link("paper.csv")} has the networks, {self.link("paper-layers.csv")} the layers. *Level or faster* leaves out a layer
that is slower by more than half of the difference of its own two measurements, and half of what nine of ten layers differ by ({percent(self.run.noise_of_ratios, 1)}).
"""

    def others(self) -> str:
        said = [self.space(), self.gemms(), self.winograd(), self.threads(), self.batches()]
        return f"""## All algorithms

Each point is one algorithm on one network, diamonds are other engines; down and to the left is better:

![Time against workspace of all algorithms]({self.folder}/{PICTURES[0]})

{"".join(f"- {one}{chr(10)}" for one in said if one)}"""

    def space(self) -> str:
        exact: list[str] = []
        other: list[str] = []
        for one in self.data.space:
            if one.least_of_formula is not None and one.most_of_formula is not None:
                is_exact = abs(one.least_of_formula - 1) < 5e-4 and abs(one.most_of_formula - 1) < 5e-4
                (exact if is_exact else other).append(one.family)
        said = f"{', '.join(unique(exact)) or 'no family'} need the bytes of the paper's formulas on every layer"
        said += f"; {', '.join(unique(other))} need others" if other else ""
        return f"**Workspace** ({self.link('space.csv')}): {said}. kn2-aa keeps the border columns of a strip of rows, and the strip is bounded."

    def gemms(self) -> str:
        found = [
            f"{one.mean:.2f} ({between(one.low, one.high)}) times as long on {threads_named(one.threads)}"
            for one in self.data.gemms
        ]
        said = f"beside the BLAS, the embedded GEMM takes {', '.join(found)} (mean over all layers)"
        return f"**GEMMs** ({self.link('gemms.csv')}): {said}." if found else ""

    def winograd(self) -> str:
        layers = self.data.winograd_layers
        if not layers:
            return ""
        return (
            f"**Winograd** ({self.link('winograd.csv')}, {self.link('winograd-layers.csv', 'layers')}): the fastest of its algorithms is"
            f" {mean(one.gain for one in layers):.2f} times as fast as exact arithmetic on the {len(layers)} layers of one group that it can do"
            f" (mean); the largest error is {max(one.error for one in layers):.1e} of the largest output."
        )

    def threads(self) -> str:
        found = [one for one in self.data.bursts if one.network == ALL]
        said = "; ".join(
            f"on {threads_named(one.threads)} AUTO uses {percent(one.efficiency)} of what as many single threads compute back to back,"
            f" and {percent(one.burst_efficiency)} in bursts (mean over {one.layers} layers)"
            for one in found
        )
        files = f"{self.link('bursts.csv')}, {self.link('efficiency.csv')}, {self.link('scaling.csv')}"
        return f"**Threads** ({files}): {said}." if found else ""

    def batches(self) -> str:
        found = self.data.batches
        if not found:
            return ""
        return (
            f"**Batches** ({self.link('batches.csv')}): {found[0].network} on {threads_named(found[0].threads)} computes"
            f" {found[0].images_per_second:.1f} images a second in batches of {found[0].batch}, and"
            f" {found[-1].images_per_second:.1f} in batches of {found[-1].batch}."
        )

    def limits(self) -> str:
        return """## Limits of the comparison

- One machine, one run, the versions above. Another processor, another day or a newer engine gives other ratios.
- The rival is the fastest engine of each layer. One engine alone, as a program would use it, is slower than that.
- An interval holds what the rounds of this run differ by. It does not hold what shifts all rounds alike, such as where memory lies.
- Layers are timed alone, with warm caches. In a network, other operators run between them.
- ONNX Runtime and ncnn are called from Python, which adds 2 to 10 µs a run: ratios of layers below 0.1 ms favour convlow. Their memory
  is resident memory, accurate to some 100 KB. That of convlow and oneDNN is exact.
"""

    def files(self) -> str:
        layers = ", ".join(self.link(data.layers_file(key), self.named(key)) for key in self.compared)
        return f"""## The data, and measuring again

[{self.folder}/README.md]({self.folder}/README.md) explains the columns. {self.link("run.json")} has the versions and the noise,
{self.link("families.csv")} every family on every network. Layer by layer:
{layers or "nothing"}.

```sh
./dev evaluate                     # two hours; nothing else should run meanwhile
./dev evaluate --peer-rounds 0     # without the other engines
./dev evaluate --keep-peers        # with the other engines' results of the last time
./dev evaluate --write-only        # data and page, from the runs in build/evaluation (JSON, docs/bench.schema.json)
./dev evaluate --render            # this page, from the data
```
"""


def arithmetic_of(engine: str) -> str | None:
    """Of an engine's own rows in networks.csv; None for the others."""
    if engine.startswith("convlow") or engine in FASTEST.values():
        return None
    return "fast" if engine.endswith("(Winograd)") else "exact"


def render(folder: Path) -> str:
    """The page beside the folder of its data."""
    return Page(data.read(folder), folder.name).write()
