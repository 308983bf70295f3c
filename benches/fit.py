"""Fits the constants of the planner's cost model to measured runs, and judges them on lists that the fit has not seen.

    ./dev fit [--fit LIST ...] [--judge LIST ...] [--records FOLDER]

Of each layer of the lists, every algorithm on the library's own kernels is measured in both layouts on one thread. What
the model counts for it (`counts` in the records) times a constant each is to be the time that was measured: the
constants are those of the least sum of squared relative errors, none below 0. They are printed as
src/planner/estimate.rs has them. Then the layers of the other lists: how often the estimate's pick is within 5 % of the
fastest, and the worst pick.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
from collections import defaultdict
from pathlib import Path
from typing import Any

#: A line of what `convlow bench` writes.
Record = dict[str, Any]
ROOT = Path(__file__).resolve().parents[1]
FIT = ("resnet50", "vgg16", "googlenet", "mobilenet_v2", "unet")
JUDGE = ("alexnet", "yolo_v3", "inception_v3", "efficientnet_b0", "deeplab_v3", "wavenet_1d")
FAMILIES = "register,spread,patches"
FAST = "winograd"
#: The names of the model's constants, which are counts a second.
CONSTANTS = {
    "register_macs": "REGISTER",
    "finished": "FINISHED",
    "tiles": "TILES",
    "streamed": "STREAM",
    "cached": "CACHED",
    "copies": "COPIES",
    "moved": "MOVED",
    "transformed": "TRANSFORMED",
}
#: Estimates within this factor of the least are level: the planner then takes the least workspace.
SLACK = 1.06
ROUNDS = 4000
#: Multiply-adds a second of the core that the constants are of, as src/planner/estimate.rs has it.
MACS = 52e9


def measure(convlow: Path, names: tuple[str, ...], file: Path) -> list[Record]:
    """The records of the lists; those of an earlier run if they are there."""
    if not file.exists():
        lists = [word for name in names for word in ("--network", list_of(name))]
        for layout in ("nchw", "nhwc"):
            subprocess.run(
                [
                    *(convlow, "bench", *lists, "--layout", layout, "--rounds", "5", "--time-limit", "3600"),
                    *("--algorithms", f"{FAMILIES},{FAST}", "--math", "fast", "--json", f"{file}.{layout}"),
                ],
                check=True,
                stdout=subprocess.DEVNULL,
            )
        file.write_text("".join(Path(f"{file}.{layout}").read_text() for layout in ("nchw", "nhwc")))
    records = [json.loads(line) for line in file.read_text().splitlines()]
    return [record for record in records if not record["skipped"] and record["gemm"] == "kernels"]


def list_of(name: str) -> str:
    return name if "/" in name else str(ROOT / "problems" / f"{name}.txt")


def counts_of(record: Record) -> dict[str, float]:
    return {name: float(count) for name, count in (part.split("=") for part in record["counts"].split(";"))}


def fit(records: list[Record]) -> dict[str, float]:
    """Seconds of each count: the non-negative least squares of relative errors, a coordinate after the other."""
    rows = [[counts_of(record).get(name, 0.0) / record["median_seconds"] for name in CONSTANTS] for record in records]
    size = len(CONSTANTS)
    products = [[sum(row[i] * row[j] for row in rows) for j in range(size)] for i in range(size)]
    sums = [sum(row[i] for row in rows) for i in range(size)]
    seconds = [0.0] * size
    for _ in range(ROUNDS):
        for i in range(size):
            if products[i][i] > 0:
                rest = sum(products[i][j] * seconds[j] for j in range(size) if j != i)
                seconds[i] = max(0.0, (sums[i] - rest) / products[i][i])
    return dict(zip(CONSTANTS, seconds, strict=True))


def estimate(seconds: dict[str, float], record: Record) -> float:
    return sum(seconds[name] * count for name, count in counts_of(record).items())


def picks(seconds: dict[str, float], records: list[Record], fast: bool) -> list[tuple[float, str]]:
    """Of each layer, the time of the estimate's pick / the fastest one's, and a line about it."""
    layers: dict[tuple[str, str], dict[str, Record]] = defaultdict(dict)
    for record in records:
        if fast or record["family"] != FAST:
            # A layer that several networks have is measured several times, and counts once.
            layers[record["problem"], record["src_layout"]].setdefault(record["algorithm"], record)
    found = []
    for (problem, layout), by_algorithm in layers.items():
        candidates = list(by_algorithm.values())
        if len(candidates) < 2:
            continue
        least = min(estimate(seconds, record) for record in candidates)
        level = [record for record in candidates if estimate(seconds, record) <= SLACK * least]
        picked = min(level, key=lambda record: (record["workspace_bytes"], estimate(seconds, record)))
        fastest = min(candidates, key=lambda record: record["median_seconds"])
        ratio = picked["median_seconds"] / fastest["median_seconds"]
        found.append((ratio, f"{problem} {layout}: {picked['algorithm']}, not {fastest['algorithm']}"))
    return found


def report(title: str, seconds: dict[str, float], records: list[Record]) -> None:
    for words, fast in (("exact", False), ("fast", True)):
        found = picks(seconds, records, fast)
        if not found:
            continue
        ratios = [ratio for ratio, _ in found]
        near = sum(ratio <= 1.05 for ratio in ratios) / len(ratios)
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        print(f"{title}, {words}: {len(found)} layers, {near:.1%} within 5 %, mean {mean:.3f}, worst {max(ratios):.3f}")
        for ratio, line in sorted(found, reverse=True)[:5]:
            print(f"    {ratio:.3f} {line}")
    errors = [estimate(seconds, record) / record["median_seconds"] - 1 for record in records]
    print(
        f"{title}: the estimates' error is {math.sqrt(sum(e * e for e in errors) / len(errors)):.1%} (root mean square)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="./dev fit", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--convlow", type=Path, required=True, metavar="FILE", help="the program")
    parser.add_argument("--fit", nargs="+", default=FIT, metavar="LIST", help="lists to fit")
    parser.add_argument("--judge", nargs="+", default=JUDGE, metavar="LIST", help="lists to judge by")
    parser.add_argument(
        "--records", type=Path, default=ROOT / "build/fit", metavar="FOLDER", help="kept and read again"
    )
    arguments = parser.parse_args()
    arguments.records.mkdir(parents=True, exist_ok=True)
    known = measure(arguments.convlow, tuple(arguments.fit), arguments.records / "fit.json")
    unseen = measure(arguments.convlow, tuple(arguments.judge), arguments.records / "judge.json")
    seconds = fit(known)
    peak = sorted(record["peak_gflops"] for record in known)[len(known) // 2]
    scale = MACS / (peak * 1e9 / 2)
    print(f"// For a core of {MACS:.3g} multiply-adds a second; here are {peak / 2:.3g}e9.")
    for name, constant in CONSTANTS.items():
        value = f"{scale / seconds[name]:.2g}".replace("e+", "e") if seconds[name] > 0 else "f64::INFINITY"
        print(f"const {constant}: f64 = {value};")
    report("fitted", seconds, known)
    report("unseen", seconds, unseen)


if __name__ == "__main__":
    main()
