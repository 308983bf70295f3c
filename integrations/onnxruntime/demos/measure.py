"""Measures all models on ONNX Runtime's own provider and on convlow, and writes the table and picture of docs/onnxruntime.md."""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path
from statistics import median

import models
import onnx
import work
from convlow_onnxruntime.compare import Comparison, ModelRun, take_turns

DOCUMENT = work.ROOT / "docs/onnxruntime.md"
PICTURE = work.ROOT / "docs/onnxruntime/models.svg"
ALL_CORES = os.sched_getaffinity(0)
HEAD = [
    "model",
    "Conv",
    "exact, 1 thread",
    "2 threads",
    "fast, 1 thread",
    "2 threads",
    "memory, exact",
    "fast",
    "error, exact",
    "fast",
]


def measure(name: str, folder: Path, threads: int, rounds: int) -> dict[str, Comparison]:
    model, feeds = models.named(name)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    # One thread stays on one core.
    os.sched_setaffinity(0, ALL_CORES if threads > 1 else {max(ALL_CORES)})
    tasks = {"own": partial(ModelRun, str(path), feeds, threads, None)}
    for math in ("exact", "fast"):
        tasks[math] = partial(ModelRun, str(path), feeds, threads, {"math": math})
    measured = take_turns(tasks, rounds)
    return {math: Comparison(measured["own"], measured[math]) for math in ("exact", "fast")}


def row(name: str, by_threads: dict[int, dict[str, Comparison]]) -> list[str]:
    one = by_threads[1]
    claimed = sum(layer.claimed for layer in one["exact"].convlow.notes)
    speeds = [f"{by_threads[threads][math].ratio[0]:.2f}" for math in ("exact", "fast") for threads in by_threads]
    memory = [f"{one[math].memory_ratio:.2f}" for math in ("exact", "fast")]
    errors = [f"{one[math].error:.0e}" for math in ("exact", "fast")]
    return [name, f"{claimed} of {len(one['exact'].convlow.notes)}", *speeds, *memory, *errors]


def table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(line) + " |" for line in (HEAD, ["---"] * len(HEAD), *rows)]
    return "\n".join(lines)


def draw(rows: list[list[str]]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "convlow"
    from matplotlib import pyplot

    figure, (speed, memory) = pyplot.subplots(1, 2, figsize=(10, 0.32 * len(rows) + 1.4), sharey=True)
    places = range(len(rows))
    for axes, columns, title in (
        (speed, (2, 4), "times as fast, one thread"),
        (memory, (6, 7), "peak memory of the process"),
    ):
        for column, label, shift in zip(columns, ("exact", "fast"), (-0.2, 0.2), strict=True):
            axes.barh([place + shift for place in places], [float(row[column]) for row in rows], 0.38, label=label)
        axes.axvline(1, color="black", linewidth=0.8)
        axes.set_title(f"{title} (1: ONNX Runtime's provider)", fontsize=9)
    speed.set_yticks(list(places), [row[0] for row in rows])
    speed.invert_yaxis()
    speed.legend()
    figure.tight_layout()
    PICTURE.parent.mkdir(exist_ok=True)
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> int:
    given = work.arguments(__doc__, models="")
    given.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for name in given.models.split(",") if given.models else models.all_names():
        rows.append(row(name, {threads: measure(name, given.out, threads, given.rounds) for threads in (1, 2)}))
        print(*rows[-1], sep="\t", flush=True)
    speeds = [[float(line[column]) for line in rows] for column in (2, 3, 4, 5)]
    print("medians:", *[f"{median(column):.2f}" for column in speeds])
    if not given.models:
        draw(rows)
        text = DOCUMENT.read_text()
        begin, end = "<!-- measured: begin -->\n", "<!-- measured: end -->"
        DOCUMENT.write_text(re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}{table(rows)}\n{end}", text))
    return 0


if __name__ == "__main__":
    sys.exit(main())
