"""Tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from .measured import Measured

Cells = tuple[str, ...]

ENGINE = ((24, "<"), (26, "<"))
TIMES = ((9, ">"), (22, ">"))
MEMORY = ((8, ">"), (15, ">"), (12, ">"), (0, "<"))


def row(engine: Cells, back_to_back: Cells, bursts: Cells, memory: Cells) -> str:
    """Without bursts, their cells are none and have no columns."""
    columns = (*ENGINE, *TIMES, *TIMES[: len(bursts)], *MEMORY)
    cells = (*engine, *back_to_back, *bursts, *memory)
    return "  ".join(f"{cell:{align}{width}}" for cell, (width, align) in zip(cells, columns, strict=True)).rstrip()


def heading(bursts: bool) -> str:
    return row(
        ("layer", "engine"),
        ("ms", "ratio [quartiles]"),
        ("burst ms", "in bursts") if bursts else (),
        ("GFLOP/s", "memory", "weights", "implementation"),
    )


def times(result: Measured | None) -> Cells:
    if result is None:
        return ()
    spread = f"[{result.ratio_q1:.2f}–{result.ratio_q3:.2f}]"
    ratio = "1" if result.engine == "convlow" else f"{result.ratio_median:.2f} {spread}"
    return (f"{result.median_seconds * 1e3:.3f}", ratio)


def memory(result: Measured) -> str:
    about = "~" if result.memory_kind == "rss" else ""
    return f"{about}{result.memory_bytes:,}"


def layer(results: Iterable[Measured]) -> str:
    """Exact engines, then those with Winograd."""
    lines = []
    for result in sorted(results, key=lambda result: result.math != "exact"):
        engine = result.engine + (" (Winograd)" if result.math == "winograd" else "")
        weights = "" if result.weights_bytes is None else f"{result.weights_bytes:,}"
        lines.append(
            row(
                (result.name.partition(":")[2] or result.name, engine),
                times(result),
                times(result.in_bursts()),
                (f"{result.gflops:.1f}", memory(result), weights, result.implementation),
            )
        )
    return "\n".join(lines)


def geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def key(result: Measured) -> tuple[str, ...]:
    return result.network, result.name, result.problem, result.layout


def own(results: list[Measured], kind: str) -> dict[tuple[str, ...], Measured]:
    """convlow's own result on each layer: what it may do in this class of arithmetic, if that was measured."""
    ours = {key(result): result for result in results if result.engine == "convlow"}
    if kind != "exact":
        ours |= {key(result): result for result in results if result.engine == "convlow:fast"}
    return ours


def peers(results: list[Measured]) -> list[Measured]:
    return [result for result in results if not result.engine.startswith("convlow")]


def best(results: list[Measured], kind: str) -> list[tuple[Measured, Measured]]:
    """Per layer convlow and the fastest of the other engines of this class of arithmetic."""
    pairs = []
    for layer, ours in own(results, kind).items():
        others = [result for result in peers(results) if result.math == kind and key(result) == layer]
        if others:
            pairs.append((ours, min(others, key=lambda result: result.ratio_median)))
    return pairs


def ratio(mine: Measured, peer: Measured) -> float:
    """The peer's time divided by that of `mine`: both were divided by that of `convlow` round by round."""
    return peer.ratio_median / mine.ratio_median


@dataclass(frozen=True)
class Total:
    """An engine against convlow over the layers that it ran, each as often as it occurs in the sums."""

    engine: str
    layers: int
    mean: float  # Geometric, of the ratios.
    least: float
    seconds: float
    own_seconds: float
    memory_bytes: int
    own_memory_bytes: int
    #: The sums of packed weights, as often as layers occur; None where a layer's are unknown.
    weights_bytes: int | None
    own_weights_bytes: int | None

    @property
    def ratio(self) -> float:
        return self.seconds / self.own_seconds


def weights(results: list[Measured]) -> int | None:
    known = [one.count * one.weights_bytes for one in results if one.weights_bytes is not None]
    return sum(known) if len(known) == len(results) else None


def total(engine: str, pairs: list[tuple[Measured, Measured]]) -> Total:
    return Total(
        engine,
        len(pairs),
        geometric_mean([ratio(mine, peer) for mine, peer in pairs]),
        min(ratio(mine, peer) for mine, peer in pairs),
        math.fsum(peer.count * peer.median_seconds for _, peer in pairs),
        math.fsum(mine.count * mine.median_seconds for mine, _ in pairs),
        max(peer.memory_bytes for _, peer in pairs),
        max(mine.memory_bytes for mine, _ in pairs),
        weights([peer for _, peer in pairs]),
        weights([mine for mine, _ in pairs]),
    )


def totals(results: list[Measured]) -> list[Total]:
    """For one network and layout, or several: engine by engine, then the fastest of them on each layer."""
    groups: dict[str, list[tuple[Measured, Measured]]] = {}
    for kind in ("exact", "winograd"):
        ours = own(results, kind)
        for result in peers(results):
            if result.math == kind:
                name = result.engine + (" (Winograd)" if kind == "winograd" else "")
                groups.setdefault(name, []).append((ours[key(result)], result))
    exact, fast = own(results, "exact"), own(results, "winograd")
    if exact != fast:
        groups["convlow, exact"] = [(fast[layer], result) for layer, result in exact.items()]
    for kind, label in (("exact", "fastest exact peer"), ("winograd", "fastest with Winograd")):
        if pairs := best(results, kind):
            groups[label] = pairs
    return [total(name, pairs) for name, pairs in groups.items()]


def in_bursts(results: list[Measured]) -> list[Measured]:
    """What bursts say, of the results that have them."""
    return [burst for result in results if (burst := result.in_bursts())]


def totals_in_bursts(results: list[Measured]) -> dict[str, Total]:
    """By engine; the fastest peers are those in bursts. Empty where there were none."""
    return {one.engine: one for one in totals(in_bursts(results))}


def totals_table(results: list[Measured]) -> str:
    bursts = totals_in_bursts(results)
    form = "{:<26}  {:>6}  {:>10}  {:>10}  {:>10}  {:>10}  {:>8}" + ("  {:>10}  {:>8}" if bursts else "")
    heading = ["engine", "layers", "geo. mean", "sum ms", "convlow ms", "ratio", "least"]
    lines = [form.format(*heading, *(["burst mean", "least"] if bursts else []))]
    for one in totals(results):
        seconds = (f"{seconds * 1e3:.2f}" for seconds in (one.seconds, one.own_seconds))
        cells = [one.engine, one.layers, f"{one.mean:.3f}", *seconds, f"{one.ratio:.3f}", f"{one.least:.2f}"]
        if bursts:
            burst = bursts[one.engine]
            cells += [f"{burst.mean:.3f}", f"{burst.least:.2f}"]
        lines.append(form.format(*cells))
    return "\n".join(lines)
