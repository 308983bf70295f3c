"""The command line; `run` sets the machine up for it."""

from __future__ import annotations

import argparse
from pathlib import Path

from . import engines, step

#: As `turns` has them, which needs numpy.
PROPAGATIONS = ("forward", "backward-data", "backward-weights")


def positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="benches/peers/run",
        description="Times convlow beside other libraries, layer by layer, in turns on the same cores.",
        epilog="A ratio is a peer's time divided by convlow's: above 1, convlow is faster.",
    )
    add = parser.add_argument
    add("problem", nargs="*", metavar="PROBLEM", help="a convolution in the syntax of problems/README.md")
    add("--network", action="append", default=[], metavar="NAME|FILE", help="a list of problems/ or a file")
    add("--layout", choices=("nchw", "nhwc", "both"), default="both", help="of src and dst (both)")
    add("--dt", choices=("f32", "f64"), default="f32", help="what the elements are (%(default)s)")
    add("--propagation", choices=PROPAGATIONS, default=PROPAGATIONS[0], help="what is computed (%(default)s)")
    help_of_step = "a step of training: each --network forward and both gradients, from plain weights"
    add("--step", action="store_true", help=help_of_step)
    add("--batch", type=positive, metavar="N", help="images, in place of the problems' own")
    add("--threads", type=positive, default=1, metavar="N", help="threads, on as many cores (1)")
    add("--rounds", type=positive, metavar="N", help="turns of each engine (15, with --step 5)")
    help_of_bursts = "time bursts too, a pause of 20 ms, in which threads fall asleep, then four runs in a row;"
    help_of_bursts += " threaded: with two threads or more (%(default)s)"
    add("--bursts", choices=("none", "threaded", "all"), default="threaded", help=help_of_bursts)
    add("--engines", metavar="LIST", help=f"some of {','.join(engines.PEERS)} (all, with --step {step.ENGINES})")
    help_of_algorithms = (
        "convlow's, fast being auto with Winograd; ratios are to the first (auto,fast, with --step auto)"
    )
    add("--algorithms", metavar="LIST", help=help_of_algorithms)
    add("--json", type=Path, metavar="FILE", help="one line of JSON an engine and layer, or network with --step")
    add("--venv", metavar="PATH", help="the virtual environment to make or reuse (build/peers-venv)")
    add("--build", type=Path, default=Path("build/peers"), metavar="PATH", help="what is built (%(default)s)")
    add("--torch-python", default="/usr/bin/python3", metavar="PATH", help="has PyTorch (%(default)s)")
    arguments = parser.parse_args()
    if not arguments.problem and not arguments.network:
        parser.error("name a problem or a --network")
    if arguments.step and (arguments.problem or arguments.propagation != PROPAGATIONS[0]):
        parser.error("--step computes whole networks in all propagations")
    if arguments.step and arguments.engines is None:
        arguments.engines = step.ENGINES
    if arguments.algorithms is None:
        arguments.algorithms = "auto" if arguments.step else "auto,fast"
    if arguments.rounds is None:
        arguments.rounds = 5 if arguments.step else 15
    return arguments


def main() -> None:
    arguments = parse_arguments()
    # Behind the arguments, so that --help needs no numpy and with it no virtual environment.
    from .session import run

    run(arguments)


if __name__ == "__main__":
    main()
