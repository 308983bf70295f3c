"""Tables for people."""

from __future__ import annotations

import math
from collections.abc import Iterable

from .turns import Measured

COLUMNS = ((24, "<"), (26, "<"), (9, ">"), (8, ">"), (22, ">"), (15, ">"), (12, ">"), (0, "<"))


def row(*cells: str) -> str:
    return "  ".join(
        f"{cell:{align}{width}}" for cell, (width, align) in zip(cells, COLUMNS, strict=True)
    ).rstrip()


def heading() -> str:
    said = "ratio [quartiles]"
    return row("layer", "engine", "ms", "GFLOP/s", said, "memory", "weights", "implementation")


def memory(result: Measured) -> str:
    about = "~" if result.memory_kind == "rss" else ""
    return f"{about}{result.memory_bytes:,}"


def layer(results: Iterable[Measured]) -> str:
    """Exact engines, then those with Winograd."""
    lines = []
    for result in sorted(results, key=lambda result: result.math != "exact"):
        spread = f"[{result.ratio_q1:.2f}–{result.ratio_q3:.2f}]"
        lines.append(
            row(
                result.name.partition(":")[2] or result.name,
                result.engine + (" (Winograd)" if result.math == "winograd" else ""),
                f"{result.median_seconds * 1e3:.3f}",
                f"{result.gflops:.1f}",
                "1" if result.engine == "convlow" else f"{result.ratio_median:.2f} {spread}",
                memory(result),
                "" if result.weights_bytes is None else f"{result.weights_bytes:,}",
                result.implementation,
            )
        )
    return "\n".join(lines)


def geometric_mean(values: list[float]) -> float:
    return math.exp(math.fsum(map(math.log, values)) / len(values))


def key(result: Measured) -> tuple[str, str]:
    return result.name, result.problem


def best(results: list[Measured], kind: str) -> list[tuple[Measured, Measured]]:
    """Per layer convlow and the fastest of the other engines of this class of arithmetic."""
    pairs = []
    for ours in (result for result in results if result.engine == "convlow"):
        peers = [
            result
            for result in results
            if result.math == kind and key(result) == key(ours) and not result.engine.startswith("convlow")
        ]
        if peers:
            pairs.append((ours, min(peers, key=lambda result: result.ratio_median)))
    return pairs


def totals(results: list[Measured]) -> str:
    """For one network and layout: means and sums over the layers that an engine ran."""
    ours = {key(result): result for result in results if result.engine == "convlow"}
    groups: dict[str, list[tuple[Measured, Measured]]] = {}
    for result in sorted(results, key=lambda result: result.math != "exact"):
        if result.engine != "convlow":
            name = result.engine + (" (Winograd)" if result.math == "winograd" else "")
            groups.setdefault(name, []).append((ours[key(result)], result))
    for kind, label in (("exact", "fastest exact peer"), ("winograd", "fastest with Winograd")):
        if pairs := best(results, kind):
            groups[label] = pairs
    form = "{:<26}  {:>6}  {:>10}  {:>10}  {:>10}  {:>10}  {:>8}".format
    lines = [form("engine", "layers", "geo. mean", "sum ms", "convlow ms", "ratio", "least")]
    for name, pairs in groups.items():
        mean = geometric_mean([peer.ratio_median for _, peer in pairs])
        theirs = math.fsum(peer.count * peer.median_seconds for _, peer in pairs)
        own = math.fsum(mine.count * mine.median_seconds for mine, _ in pairs)
        least = min(peer.ratio_median for _, peer in pairs)
        lines.append(
            form(
                name,
                f"{len(pairs)}",
                f"{mean:.3f}",
                f"{theirs * 1e3:.2f}",
                f"{own * 1e3:.2f}",
                f"{theirs / own:.3f}",
                f"{least:.2f}",
            )  # fmt: skip
        )
    return "\n".join(lines)
