"""Tells what convlow makes of a model: python -m convlow_onnxruntime model.onnx"""

from __future__ import annotations

import argparse

import numpy as np
import onnxruntime as ort

from .compare import compare

DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m convlow_onnxruntime", description=__doc__)
    parser.add_argument("model", help="an ONNX file")
    parser.add_argument(
        "--sizes",
        action="append",
        default=[],
        metavar="INPUT=N,N,…",
        help="the sizes of an input; those it has, and 1, if left out",
    )
    parser.add_argument("--math", choices=("exact", "fast"), default="exact")
    parser.add_argument(
        "--max-workspace-bytes", type=int, help="the most that a layer may need beside its tensors and weights"
    )
    parser.add_argument("--min-macs", type=int, default=0, help="leave layers of fewer multiplications to ONNX Runtime")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=15)
    return parser.parse_args()


def main() -> None:
    given = arguments()
    sizes = {
        name: [int(size) for size in text.split(",")] for name, text in (entry.split("=") for entry in given.sizes)
    }
    session = ort.InferenceSession(given.model, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(0)
    feeds = {}
    for value in session.get_inputs():
        if value.type not in DTYPES:
            raise SystemExit(f"input {value.name} is a {value.type}, which is not made up here")
        shape = sizes.pop(value.name, None) or [size if isinstance(size, int) else 1 for size in value.shape]
        feeds[value.name] = rng.standard_normal(shape).astype(DTYPES[value.type])
    if sizes:
        raise SystemExit(f"there is no input {', '.join(sizes)}: there are {', '.join(feeds)}")
    del session
    options = {"math": given.math, "max_workspace_bytes": given.max_workspace_bytes, "min_macs": given.min_macs}
    comparison = compare(given.model, feeds, given.threads, given.rounds, **options)
    print(comparison.convlow.notes)
    print(comparison)


if __name__ == "__main__":
    main()
