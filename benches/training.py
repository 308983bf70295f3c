"""Writes what docs/training.md says of whole steps: its table and its picture, from docs/training/steps.jsonl.

benches/peers/run --step --network resnet50 --network unet --batch 8 --json docs/training/steps.jsonl
python3 benches/training.py            # needs matplotlib
python3 benches/training.py --check    # whether the table is that of the data
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "docs/training/steps.jsonl"
PICTURE = ROOT / "docs/training/steps.svg"
DOCUMENT = ROOT / "docs/training.md"
NAMES = {
    "convlow": "convlow",
    "onednn": "oneDNN",
    "torch": "PyTorch",
    "torch-im2col": "PyTorch without oneDNN",
}
PARTS = {"forward": "forward", "backward_data": "gradient of data", "backward_weights": "gradients of weights"}

Step = dict[str, Any]


def memory(step: Step) -> str:
    """Bytes, exact or as the process grew."""
    if step["memory_kind"] != "rss":
        return f"{step['memory_bytes']:,}"
    return f"about {step['memory_bytes'] / 1e6:,.0f} million"


def table(steps: list[Step]) -> str:
    lines = [
        "| network, layout | engine | forward, s | data, s | weights, s | step, s | ÷ convlow's | bytes beside the tensors |",
        "|---|---|---:|---:|---:|---:|---:|---:|",
    ]
    for step in steps:
        seconds = " | ".join(f"{step[f'{part}_seconds']:.2f}" for part in PARTS)
        network = f"{step['network']}, {step['layout'].upper()}" if step["engine"] == "convlow" else ""
        name, whole = NAMES[step["engine"]], f"{step['seconds']:.2f} | {step['ratio']:.2f}"
        lines.append(f"| {network} | {name} | {seconds} | {whole} | {memory(step)} |")
    return "\n".join(lines)


def draw(steps: list[Step]) -> None:
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "convlow"
    from matplotlib import pyplot

    networks = list(dict.fromkeys((step["network"], step["layout"]) for step in steps))
    figure, rows = pyplot.subplots(len(networks), 2, figsize=(9, 1.9 * len(networks)), squeeze=False)
    for (network, layout), (time, space) in zip(networks, rows, strict=True):
        mine = [step for step in steps if (step["network"], step["layout"]) == (network, layout)]
        names, left = [NAMES[step["engine"]] for step in mine], [0.0] * len(mine)
        for part, label in PARTS.items():
            seconds = [step[f"{part}_seconds"] for step in mine]
            time.barh(names, seconds, left=left, label=label)
            left = [before + more for before, more in zip(left, seconds, strict=True)]
        time.set_title(f"{network}, {layout.upper()}: seconds of a step", fontsize=9)
        space.barh(names, [step["memory_bytes"] for step in mine], color="tab:gray")
        space.set_xscale("log")
        space.set_yticks([])
        space.set_title("bytes beside the tensors (each tick ten times as many)", fontsize=9)
        for axes in (time, space):
            axes.invert_yaxis()
        space.set_xlim(left=1e4)
    figure.legend(*rows[0][0].get_legend_handles_labels(), loc="lower center", ncols=len(PARTS), fontsize=8)
    figure.tight_layout(rect=(0, 0.12 / len(networks), 1, 1))
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> int:
    steps = [json.loads(line) for line in DATA.read_text().splitlines()]
    text = DOCUMENT.read_text()
    begin, end = "<!-- measured: begin -->\n", "<!-- measured: end -->"
    written = re.sub(f"(?s){begin}.*{end}", lambda _: f"{begin}{table(steps)}\n{end}", text)
    if sys.argv[1:] == ["--check"]:
        return int(written != text)
    draw(steps)
    DOCUMENT.write_text(written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
