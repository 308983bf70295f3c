"""Trains and infers in PyTorch with its own convolutions and with convlow's, in turns, each in a process of its own.

Prints a table of time and memory, and draws the loss curves of both, which lie on one another.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import median
from typing import Any

import tasks
from matplotlib.figure import Figure

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]


def run(task: str, engine: str, steps: int, threads: int) -> dict[str, Any]:
    """What one.py says of a task."""
    command = [sys.executable, str(HERE / "one.py"), task, engine, str(steps), str(threads)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def compare(title: str, task: str, engines: list[str], counts: tuple[int, int, int]) -> dict[str, dict[str, Any]]:
    """Prints a line for each engine, the first of which the others are compared with; returns each engine's first run."""
    steps, rounds, threads = counts
    runs: dict[str, list[dict[str, Any]]] = {engine: [] for engine in engines}
    for _ in range(rounds):
        for engine in engines:
            runs[engine].append(run(task, engine, steps, threads))
    # The first step makes plans and packs weights.
    seconds = {engine: [median(one["seconds"][1:]) for one in some] for engine, some in runs.items()}
    for engine, some in runs.items():
        ratio = median(a / b for a, b in zip(seconds[engines[0]], seconds[engine], strict=True))
        name = "PyTorch" if engine == "pytorch" else f"convlow, {engine}"
        note = "" if all(one["served"] for one in some) else "  (some convolutions by PyTorch)"
        peak = median(one["peak_bytes"] for one in some) / 2**20
        print(f"{title:42} {name:14} {median(seconds[engine]) * 1e3:8.1f} ms {ratio:6.2f}x {peak:8.0f} MiB{note}")
        title = ""
    return {engine: some[0] for engine, some in runs.items()}


def difference(first: dict[str, Any], second: dict[str, Any]) -> float:
    """The largest difference of both runs' values, relative to the first one's."""
    return max(float(abs(a - b) / abs(a)) for a, b in zip(first["values"], second["values"], strict=True))


def draw(curves: dict[str, dict[str, dict[str, Any]]], path: Path) -> None:
    """The losses of each task by both engines."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    for axes, (task, runs) in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves.items(), strict=True):
        axes.plot(runs["pytorch"]["values"], color="#d9a441", linewidth=4, label="PyTorch")
        axes.plot(runs["exact"]["values"], color="#1f4e79", linewidth=1.2, label="with convlow")
        axes.set(title=tasks.LEARNING[task][0], xlabel="step", ylabel="loss", ylim=(0, None))
        axes.legend(frameon=False)
    figure.savefig(path)
    print(f"wrote {path}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3, help="turns of each engine")
    parser.add_argument("--steps", type=int, help="fewer steps of training than 200 and 20")
    parser.add_argument("--networks", nargs="*", default=list(tasks.INFERRING), choices=tasks.INFERRING)
    parser.add_argument("--out", type=Path, default=ROOT / "target/pytorch", help="where the picture is written")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    print(f"{'':42} {'':14} {'a step':>11} {'faster':>7} {'memory':>12}")
    curves = {}
    for task, (title, _, steps) in tasks.LEARNING.items():
        counts = (min(given.steps or steps, steps), given.rounds, given.threads)
        curves[task] = compare(title, task, ["pytorch", "exact"], counts)
    for name in given.networks:
        for order in ("first", "last"):
            engines = ["pytorch", "exact", "fast"]
            runs = compare(f"{name}, channels {order}", f"{name}/{order}", engines, (8, given.rounds, given.threads))
            assert difference(runs["pytorch"], runs["exact"]) < 1e-4, f"{name} computes something else"
    draw(curves, given.out / "losses.svg")
    for task, runs in curves.items():
        print(f"{tasks.LEARNING[task][0]}: losses differ by {difference(runs['pytorch'], runs['exact']):.1e} at most")


if __name__ == "__main__":
    main()
