"""One comparison from its arguments to its tables."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys

from . import engines, problems, report
from .engines import Engine, Missing, Place
from .measured import Measured
from .turns import Setting, compare


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def chosen(arguments: argparse.Namespace) -> list[Engine]:
    """convlow first, then the peers that can be had."""
    place = Place(arguments.build.resolve(), arguments.torch_python)
    algorithms = arguments.algorithms.split(",")
    try:
        found = [engines.convlow(place, name, reference=name == algorithms[0]) for name in algorithms]
    except Missing as reason:
        sys.exit(f"convlow: {reason}")
    names = list(engines.PEERS) if arguments.engines is None else arguments.engines.split(",")
    for name in filter(None, names):
        if name not in engines.PEERS:
            sys.exit(f"there is no engine {name}; there are {', '.join(engines.PEERS)}")
        try:
            found.append(engines.PEERS[name](place, name))
        except Missing as reason:
            say(f"{name} is left out: {reason}")
    return found


def cores(threads: int) -> frozenset[int]:
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < threads:
        sys.exit(f"--threads {threads}, but this process may use {len(allowed)} cores")
    return frozenset(allowed[:threads])


def print_totals(results: list[Measured]) -> None:
    versions = {result.engine: result.version for result in results}
    for key in dict.fromkeys((result.network, result.layout) for result in results):
        part = [result for result in results if (result.network, result.layout) == key]
        if any(result.engine != "convlow" for result in part):
            print(f"\n{' '.join(filter(None, key))}, {part[0].threads} thread(s): peer ÷ convlow")
            print(report.totals_table(part))
    print()
    for engine, version in versions.items():
        print(f"{engine}: {version}")


def run(arguments: argparse.Namespace) -> None:
    try:
        layers = [problem for network in arguments.network for problem in problems.load(network)]
        layers += [problems.parse(text, "") for text in arguments.problem]
    except problems.Mistake as mistake:
        sys.exit(str(mistake))
    if arguments.batch:
        layers = [dataclasses.replace(problem, batch=arguments.batch) for problem in layers]
    layouts = ("nchw", "nhwc") if arguments.layout == "both" else (arguments.layout,)
    on = cores(arguments.threads)
    bursts = arguments.bursts == "all" or (arguments.bursts == "threaded" and arguments.threads > 1)
    results: list[Measured] = []
    with arguments.json.open("w", encoding="utf-8") if arguments.json else contextlib.nullcontext() as lines:
        try:
            found = chosen(arguments)
            for layout in layouts:
                how = (arguments.threads, on, arguments.rounds, bursts, arguments.propagation)
                setting = Setting(layout, arguments.dt, *how)
                place = ", ".join(map(str, sorted(on)))
                what = f"{layout}, {arguments.dt}, {arguments.propagation}"
                print(f"\n{what}, {arguments.threads} thread(s) on core {place}")
                print(report.heading(bursts), flush=True)
                for problem in layers:
                    measured = compare(found, problem, setting, say)
                    results += measured
                    if measured:
                        print(report.layer(measured), flush=True)
                    if lines:
                        lines.writelines(json.dumps(dataclasses.asdict(one)) + "\n" for one in measured)
                        lines.flush()
        except KeyboardInterrupt:
            say("\ninterrupted; what is done:")
    print_totals(results)
