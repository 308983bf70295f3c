"""The command line: measures, draws, and writes the data and the page."""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from pathlib import Path

from compare import problems

from . import data, figures, page
from .tables import Tables

ROOT = Path(__file__).resolve().parents[2]
LISTS = sorted(file.stem for file in (ROOT / "problems").glob("*.txt"))
#: The lists of two-dimensional convolutions alone: others have few of the families, and few of the other engines.
NETWORKS = tuple(name for name in LISTS if all(problem.is_plain for problem in problems.load(name)))
#: The lists whose families are measured on several threads, too.
SEVERAL_THREADS = ("alexnet", "googlenet", "resnet50", "vgg16")
#: A layer of middling size, for strong scaling.
SCALED = 'ic256ih56oc256oh56kh3ph1n"vgg16:conv3_2"'
BATCHES = (1, 2, 4, 8, 16)


def parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="./dev evaluate",
        description="Measures the families, their scaling and other engines, and writes docs/evaluation.md.",
    )
    add = parser.add_argument
    add("--convlow", type=Path, metavar="FILE", help="the program; --render needs none")
    add("--network", action="append", metavar="NAME|FILE", help="lists (all)")
    add("--seconds", type=float, default=180, metavar="N", help="of each of the two measurements (%(default)s)")
    add("--peer-rounds", type=int, default=15, metavar="N", help="0 leaves the other engines out (%(default)s)")
    add("--keep-peers", action="store_true", help="take the other engines' results that are there")
    add("--peer-threads", default="1,2", metavar="LIST", help="(%(default)s)")
    add("--engines", metavar="LIST", help="some of the other engines (all)")
    add("--results", type=Path, default=ROOT / "build/evaluation", metavar="PATH", help="(%(default)s)")
    help_of_document = "the page, beside the folder of its data (%(default)s)"
    add("--document", type=Path, default=ROOT / "docs/evaluation.md", metavar="FILE", help=help_of_document)
    add("--remark", action="append", default=[], metavar="TEXT", help="a line of the page on this run")
    add("--write-only", action="store_true", help="write data and page from the results that are there")
    add("--render", action="store_true", help="write the page from its data, and do nothing else")
    arguments = parser.parse_args()
    if not arguments.convlow and not (arguments.render or arguments.write_only):
        parser.error("--convlow names the program to measure")
    return arguments


def say(text: str) -> None:
    print(f"\n== {text}", file=sys.stderr, flush=True)


def words_of(networks: list[str]) -> list[str]:
    return [word for network in networks for word in ("--network", network)]


def measure(arguments: argparse.Namespace, folder: Path) -> None:
    networks = arguments.network or list(NETWORKS)
    results: Path = arguments.results
    results.mkdir(parents=True, exist_ok=True)
    for stale in results.glob("*.json"):
        if not (arguments.keep_peers and stale.name.startswith("peers")):
            stale.unlink()
    lists = words_of(networks)
    cores = len(os.sched_getaffinity(0))
    several = [2**power for power in range(cores.bit_length()) if 2**power < cores] + [cores]

    def bench(name: str, *words: str) -> None:
        file = results / f"{name}.json"
        with file.with_suffix(".txt").open("w", encoding="utf-8") as table:
            subprocess.run([arguments.convlow, "bench", *words, "--json", file], check=True, stdout=table)

    peers = results / "peers.json"
    if arguments.peer_rounds > 0 and not arguments.keep_peers:
        parts = []
        for threads in arguments.peer_threads.split(","):
            say(f"other engines, {threads} thread(s)")
            parts.append(results / f"peers-{threads}.json")
            compared = words_of(arguments.network or LISTS)
            command = [ROOT / "benches/peers/run", *compared, "--threads", threads, "--json", parts[-1]]
            command += ["--rounds", str(arguments.peer_rounds)]
            command += ["--engines", arguments.engines] if arguments.engines else []
            subprocess.run(command, check=True, stdout=sys.stderr)
        peers.write_text("".join(part.read_text() for part in parts))
    query = [arguments.convlow, "query", "--gemm", "blas", SCALED]
    has_blas = subprocess.run(query, capture_output=True, check=False).returncode == 0
    one_and_two = ["--threads", ",".join(map(str, dict.fromkeys((1, min(2, cores)))))]
    # Lists that are given are measured in full.
    several_lists = [network for network in networks if arguments.network or network in SEVERAL_THREADS]
    single_lists = [network for network in networks if network not in several_lists]
    gemms = ["--gemm", "blas,embedded" if has_blas else "embedded"]
    limit = ["--time-limit", str(arguments.seconds)]
    for repeat in ("first", "second"):
        say(f"every family, {repeat} measurement")
        drawn = []
        if repeat == "first":
            folder.mkdir(parents=True, exist_ok=True)
            drawn = ["--plot", str(folder / "all.svg")]
            drawn += ["--peers", str(peers)] if peers.exists() else []
        every = [*gemms, "--bursts", "none", *limit]
        bench(f"{repeat}-several", *words_of(several_lists), *one_and_two, *every, *drawn)
        if single_lists:
            bench(f"{repeat}-single", *words_of(single_lists), *every)
    for picture in folder.glob("*.svg"):
        if picture.name not in page.PICTURES:
            picture.unlink()
    say("AUTO in bursts after a pause")
    bench("bursts", *lists, *one_and_two, "--algorithms", "auto", "--time-limit", str(arguments.seconds / 4))
    say("Winograd's algorithms and their errors")
    query = [arguments.convlow, "query", "--csv", SCALED]
    text = subprocess.run(query, check=True, capture_output=True, text=True).stdout
    primitives = csv.DictReader(text.splitlines())
    inexact = sorted({line["primitive"] for line in primitives if line["math"] == "fast"})
    bench("winograd", *lists, "--algorithms", ",".join(["auto", *inexact]), "--check", *limit)
    short = ["--time-limit", str(arguments.seconds / 10)]
    say("one layer on more and more threads")
    bench("scaling", SCALED, "--threads", ",".join(map(str, several)), *short)
    for batch in BATCHES:
        say(f"batches of {batch}")
        words = ["--batch", str(batch), "--algorithms", "auto", "--threads", str(cores), "--bursts", "none"]
        bench(f"batch-{batch}", "--network", networks[0], *words, *short)


def run() -> None:
    arguments = parse_arguments()
    folder = arguments.document.with_suffix("")
    if not arguments.render:
        if not arguments.write_only:
            measure(arguments, folder)
        try:
            results = figures.load(arguments.results)
        except FileNotFoundError as missing:
            sys.exit(f"{missing.filename} is missing: run ./dev evaluate without --write-only first")
        data.write(folder, Tables(results).all(arguments.remark))
    arguments.document.write_text(page.render(folder), encoding="utf-8")
    say(f"{arguments.document} is written")


def main() -> None:
    try:
        run()
    except KeyboardInterrupt:
        sys.exit("\ninterrupted; the page is as it was")
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} ended with {error.returncode}; the page is as it was")


if __name__ == "__main__":
    main()
