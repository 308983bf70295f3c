"""Measures models on ONNX Runtime's own provider and on convlow, one configuration a process, all by turns.

Without arguments: all models of tests/models.py, and the table and picture of docs/onnxruntime.md. With --folder: every .onnx
file of a folder, on the arrays of the .npz file of the same name or else on made-up inputs; table and picture go to --out.
"""

from __future__ import annotations

import os
import re
import sys
from functools import partial
from pathlib import Path
from statistics import geometric_mean, median

import models
import numpy as np
import onnx
import work
from convlow_onnxruntime.compare import Comparison, ModelRun, random_feeds, take_turns

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
    "creation, exact",
    "fast",
    "error, exact",
    "fast",
]


#: A model's file, and its inputs.
Model = tuple[Path, dict[str, np.ndarray]]


def of_package(name: str, folder: Path) -> Model:
    model, feeds = models.named(name)
    path = folder / f"{name}.onnx"
    onnx.save(model, path)
    return path, feeds


def of_folder(path: Path) -> Model:
    arrays = path.with_suffix(".npz")
    return path, dict(np.load(arrays)) if arrays.exists() else random_feeds(str(path), {})


def measure(model: Model, threads: int, rounds: int) -> dict[str, Comparison]:
    path, feeds = model
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
    creation = [f"{one[math].creation_ratio:.1f}" for math in ("exact", "fast")]
    errors = [f"{one[math].error:.0e}" for math in ("exact", "fast")]
    return [name, f"{claimed} of {len(one['exact'].convlow.notes)}", *speeds, *memory, *creation, *errors]


def table(rows: list[list[str]]) -> str:
    lines = ["| " + " | ".join(line) + " |" for line in (HEAD, ["---"] * len(HEAD), *rows)]
    return "\n".join(lines)


def draw(rows: list[list[str]], picture: Path) -> None:
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
    picture.parent.mkdir(exist_ok=True)
    figure.savefig(picture, metadata={"Date": None})


def main() -> int:
    given = work.arguments(__doc__, models="", folder="")
    given.out.mkdir(parents=True, exist_ok=True)
    named = [name for name in given.models.split(",") if name]
    everything = not (named or given.folder)
    found = [(name, partial(of_package, name, given.out)) for name in (models.all_names() if everything else named)]
    if given.folder:
        files = sorted(Path(given.folder).glob("*.onnx"))
        if not files:
            sys.exit(f"there is no .onnx file in {given.folder}")
        found += [(file.stem, partial(of_folder, file)) for file in files]
    rows = []
    for name, model in found:
        try:
            ready = model()
            rows.append(row(name, {threads: measure(ready, threads, given.rounds) for threads in (1, 2)}))
        except Exception as error:
            print(f"{name} is left out: {error}", file=sys.stderr)
            continue
        print(*rows[-1], sep="\t", flush=True)
    if not rows:
        sys.exit("nothing was measured")
    speeds = [[float(line[column]) for line in rows] for column in (2, 3, 4, 5)]
    print("medians:", *[f"{median(column):.2f}" for column in speeds])
    print(
        "means:",
        *[f"{geometric_mean(column):.2f}" for column in speeds],
        "least:",
        *[f"{min(column):.2f}" for column in speeds],
    )
    if everything:
        draw(rows, PICTURE)
        text = DOCUMENT.read_text()
        begin, end = "<!-- measured: begin -->\n", "<!-- measured: end -->"
        DOCUMENT.write_text(re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}{table(rows)}\n{end}", text))
    else:
        draw(rows, given.out / "models.svg")
        (given.out / "models.md").write_text(f"{table(rows)}\n")
        print(f"{given.out / 'models.md'} and models.svg are written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
