"""Finds convolutions that AUTO computes more slowly than lowering them to one GEMM would.

    ./dev trust lowering

Random problems of one to three dimensions, with strides, dilations, groups and transposed ones, are timed on one
thread in both layouts: what AUTO takes, and im2col or im2row with each GEMM. For a transposed convolution the lowering
is its product, a 1x1 convolution to taps x output channels, and the addition of these columns to the outputs at the pace
of memory. What takes more than 1.3 times as long is listed, by how much.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

#: A line of what `convlow bench` writes.
Record = dict[str, Any]
#: Times as long as the lowering that is slow.
SLOW = 1.3
#: Elements a second that are added to others in memory: src/planner/estimate.rs calls it STREAM.
ADDED = 4.4e9
CHANNELS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 96, 128, 160, 192, 256, 384, 512)
SIDES = {
    1: (32, 100, 256, 777, 2000, 8000),
    2: (4, 6, 7, 8, 10, 13, 14, 20, 28, 33, 56, 64, 80, 112),
    3: (4, 7, 8, 14, 16, 20),
}
#: Multiplications and weights that are neither too few to be timed nor too many.
MACS = (2e5, 1.5e8)
WEIGHTS = 4e6
LOWERINGS = {
    "nchw": "im2col-copy-short-ab-ki,conv-1x1-gemm-ab-ki",
    "nhwc": "im2row-copy-short-ab-ik,conv-1x1-gemm-ab-ik",
}


@dataclass(frozen=True)
class Drawn:
    """A problem, and the one whose lowering it is compared with."""

    text: str
    lowered: str
    #: What the addition behind the product reads and writes.
    elements: int = 0


def spelled(channels: tuple[int, int, int], axes: tuple[str, ...], sizes: dict[str, int]) -> str:
    """A descriptor: groups, input and output channels, and for each axis its sizes by their letter."""
    groups, inputs, outputs = channels
    parts = [f"g{groups}ic{inputs}"]
    parts += [f"i{axis}{sizes['input']}" for axis in axes]
    parts.append(f"oc{outputs}")
    parts += [f"o{axis}{sizes['output']}" for axis in axes]
    for letter, size in (("k", "kernel"), ("s", "stride"), ("d", "dilation"), ("p", "pad")):
        parts += [f"{letter}{axis}{sizes[size]}" for axis in axes]
    return "".join(parts)


def draw(numbers: random.Random) -> Drawn | None:
    """A random problem, if it has outputs and is of a size that is timed."""
    dimensions = numbers.choice((1, 2, 2, 2, 3))
    groups = numbers.choice((1, 1, 1, 1, 2, 4))
    inputs, outputs = (groups * numbers.choice(CHANNELS) for _ in range(2))
    kernel = numbers.choice((1, 1, 3, 3, 3, 5, 7, 9) if dimensions < 3 else (1, 3, 3, 5))
    stride, dilation = numbers.choice((1, 1, 1, 2, 2, 3)), numbers.choice((1, 1, 1, 2, 3)) if kernel > 1 else 1
    side, reach = numbers.choice(SIDES[dimensions]), (kernel - 1) * dilation
    pad, transposed = numbers.choice((0, reach // 2)), numbers.random() < 0.25
    output = (side - 1) * stride + reach + 1 - 2 * pad if transposed else (side + 2 * pad - reach - 1) // stride + 1
    if output < 1 or (not transposed and reach >= side + 2 * pad):
        return None
    taps, weights = kernel**dimensions, inputs * outputs // groups * kernel**dimensions
    macs = weights * (side if transposed else output) ** dimensions
    if not MACS[0] <= macs <= MACS[1] or weights > WEIGHTS:
        return None
    axes = ("w",) if dimensions == 1 else ("d", "h", "w")[3 - dimensions :]
    # One row of a map, as lists spell it.
    row = "ih1oh1kh1ph0" if dimensions == 1 else ""
    sizes = {"input": side, "output": output, "kernel": kernel, "stride": stride, "dilation": dilation - 1, "pad": pad}
    text = spelled((groups, inputs, outputs), axes, sizes) + row
    if not transposed:
        return Drawn(text, text)
    product = {"input": side, "output": side, "kernel": 1, "stride": 1, "dilation": 0, "pad": 0}
    elements = 2 * outputs * taps * side**dimensions + outputs * output**dimensions
    return Drawn(f"{text}tr1", spelled((groups, inputs, outputs * taps), axes, product) + row, elements)


def timed(convlow: Path, texts: list[str], arguments: list[str], file: Path) -> dict[str, float]:
    """Seconds of each problem, by the fastest of what is asked for."""
    file.write_text("".join(f'{text}n"lowering:{at}"\n' for at, text in enumerate(texts)))
    command = [str(convlow), "bench", "--network", str(file), "--rounds", "9", "--time-limit", "3600", "--json", "-"]
    output = subprocess.run(command + arguments, check=True, capture_output=True, text=True).stdout
    seconds: dict[str, float] = {}
    for line in output.splitlines():
        record: Record = json.loads(line)
        if record.get("median_seconds"):
            text = texts[int(record["name"].split(":")[1])]
            seconds[text] = min(seconds.get(text, math.inf), record["median_seconds"])
    return seconds


def compared(convlow: Path, drawn: list[Drawn], layout: str, folder: Path) -> list[tuple[float, str]]:
    """How many times as long as the lowering AUTO takes, for each problem, the slowest first."""
    texts, lowered = [one.text for one in drawn], [one.lowered for one in drawn]
    file = folder / f"lowering-{layout}.txt"
    own = timed(convlow, texts, ["--layout", layout, "--algorithms", "auto"], file)
    gemms = ["--layout", layout, "--algorithms", LOWERINGS[layout], "--gemm", "blas,embedded"]
    by_gemm = timed(convlow, lowered, gemms, file)
    both = [one for one in drawn if one.text in own and one.lowered in by_gemm]
    lowering = {one: by_gemm[one.lowered] + one.elements / ADDED for one in both}
    return sorted(((own[one.text] / lowering[one], one.text) for one in both), reverse=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--convlow", type=Path, required=True, help="the program")
    parser.add_argument("--problems", type=int, default=2000, help="how many are drawn (2000)")
    parser.add_argument("--seed", type=int, default=1, help="where the random numbers begin (1)")
    parser.add_argument("--folder", type=Path, default=Path("target/lowering"), help="where lists are written")
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    numbers = random.Random(arguments.seed)
    drawn: list[Drawn] = []
    while len(drawn) < arguments.problems:
        if (one := draw(numbers)) is not None:
            drawn.append(one)
    for layout in LOWERINGS:
        ratios = compared(arguments.convlow, drawn, layout, arguments.folder)
        mean = math.exp(sum(math.log(ratio) for ratio, _ in ratios) / len(ratios))
        of_layout = [(ratio, text) for ratio, text in ratios if ratio > SLOW]
        print(f"lowering: {layout}, {len(ratios)} problems: AUTO takes {mean:.2f} times as long in the mean, ", end="")
        print(f"{len(of_layout)} take more than {SLOW} times as long")
        for ratio, text in of_layout:
            print(f"  {ratio:.2f}  {text}")


if __name__ == "__main__":
    main()
