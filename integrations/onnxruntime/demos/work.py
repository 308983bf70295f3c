"""What the demos have in common: the photograph, and both providers' time and memory side by side."""

from __future__ import annotations

import argparse
from pathlib import Path
from statistics import median

from convlow_onnxruntime.compare import Measured

ROOT = Path(__file__).resolve().parents[3]


def arguments(description: str, **defaults: object) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--math", choices=("exact", "fast"), default="fast")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=ROOT / "target/onnxruntime", help="where pictures are written")
    for name, value in defaults.items():
        parser.add_argument(f"--{name}", type=type(value), default=value)
    return parser.parse_args()


def table(measured: dict[str, Measured]) -> str:
    """A line for each; the first is what the others are compared with."""
    first = next(iter(measured.values()))
    lines = [f"{'':30} {'time':>10} {'faster':>7} {'peak memory':>12}"]
    for name, one in measured.items():
        ratio = median(a / b for a, b in zip(first.seconds, one.seconds, strict=True))
        seconds = median(one.seconds)
        lines.append(f"{name:30} {seconds * 1e3:7.0f} ms {ratio:6.2f}x {one.peak_bytes / 2**20:8.0f} MiB")
    return "\n".join(lines)
