"""Tells what convlow makes of a model: python -m convlow_onnxruntime model.onnx"""

from __future__ import annotations

import argparse

from .compare import compare, random_feeds


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m convlow_onnxruntime", description=__doc__)
    add = parser.add_argument
    add("model", help="an ONNX file")
    help_of_sizes = "the sizes of an input, needed where the model leaves more open than the batch, which is 1"
    add("--sizes", action="append", default=[], type=sizes_of, metavar="INPUT=N,N,…", help=help_of_sizes)
    add("--math", choices=("exact", "fast"), default="exact")
    help_of_limit = "the most that a layer may need beside its tensors and weights"
    add("--max-workspace-bytes", type=natural, metavar="N", help=help_of_limit)
    help_of_limit = "the most that all packed weights may take; with --math fast"
    add("--max-packed-weights-bytes", type=natural, metavar="N", help=help_of_limit)
    add(
        "--min-macs", type=natural, default=0, metavar="N", help="leave layers of fewer multiplications to ONNX Runtime"
    )
    add("--threads", type=natural, default=1, metavar="N", help="(%(default)s)")
    add("--rounds", type=positive, default=15, metavar="N", help="(%(default)s)")
    return parser.parse_args()


def natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 0 on")
    return int(text)


def positive(text: str) -> int:
    if natural(text) == 0:
        raise argparse.ArgumentTypeError("must be at least 1")
    return int(text)


def sizes_of(text: str) -> tuple[str, list[int]]:
    name, equals, sizes = text.rpartition("=")
    if not (equals and name and all(size.isdecimal() for size in sizes.split(","))):
        raise argparse.ArgumentTypeError(f"{text!r} is not like input=1,3,224,224")
    return name, [int(size) for size in sizes.split(",")]


def main() -> None:
    given = arguments()
    try:
        feeds = random_feeds(given.model, dict(given.sizes))
    except ValueError as error:
        raise SystemExit(str(error).replace(": give ", ": add --sizes ")) from None
    options = {
        name: getattr(given, name) for name in ("math", "max_workspace_bytes", "max_packed_weights_bytes", "min_macs")
    }
    comparison = compare(given.model, feeds, given.threads, given.rounds, **options)
    print(comparison.convlow.notes)
    print(comparison)


if __name__ == "__main__":
    main()
