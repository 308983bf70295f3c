"""One comparison from its arguments to its tables: of layers, or of steps of training."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from . import engines, problems, report, step
from .engines import Engine, Missing, Place
from .measured import Measured
from .problems import Problem
from .step import Step
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


def write(lines: TextIO | None, results: Sequence[Measured | Step]) -> None:
    if lines:
        lines.writelines(json.dumps(dataclasses.asdict(one)) + "\n" for one in results)
        lines.flush()


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        say("\ninterrupted; what is done:")


def print_totals(results: list[Measured]) -> None:
    for key in dict.fromkeys((result.network, result.layout) for result in results):
        part = [result for result in results if (result.network, result.layout) == key]
        if any(result.engine != "convlow" for result in part):
            print(f"\n{' '.join(filter(None, key))}, {part[0].threads} thread(s): peer ÷ convlow")
            print(report.totals_table(part))


def print_versions(results: Sequence[Measured | Step]) -> None:
    print()
    for engine, version in {result.engine: result.version for result in results}.items():
        print(f"{engine}: {version}")


def measure(found: list[Engine], layers: list[Problem], setting: Setting) -> Iterator[list[Measured]]:
    """Layer by layer, each printed as soon as it is done."""
    place = ", ".join(map(str, sorted(setting.cores)))
    what = f"{setting.layout}, {setting.data_type}, {setting.propagation}"
    print(f"\n{what}, {setting.threads} thread(s) on core {place}")
    print(report.heading(setting.bursts), flush=True)
    for problem in layers:
        measured = compare(found, problem, setting, say)
        if measured:
            print(report.layer(measured), flush=True)
        yield measured


def compare_layers(found: list[Engine], layers: list[Problem], settings: list[Setting], lines: TextIO | None) -> None:
    results: list[Measured] = []
    with interruptible():
        for setting in settings:
            for measured in measure(found, layers, setting):
                results += measured
                write(lines, measured)
    print_totals(results)
    print_versions(results)


def compare_steps(found: list[Engine], layers: list[Problem], settings: list[Setting], lines: TextIO | None) -> None:
    able = [engine for engine in found if engine.gradients]
    for engine in found:
        if engine not in able:
            say(f"{engine.name} is left out: it has no gradients")
    done: list[tuple[Problem, list[Step]]] = []
    with interruptible():
        for network in dict.fromkeys(problem.network for problem in layers):
            parts = step.parts([problem for problem in layers if problem.network == network])
            for setting in settings:
                results: list[Measured] = []
                try:
                    for propagation, problems_of_it in parts.items():
                        how = dataclasses.replace(setting, propagation=propagation, plain=True)
                        for measured in measure(able, problems_of_it, how):
                            results += measured
                finally:
                    steps = step.steps(results, parts)
                    write(lines, steps)
                    done.append((parts["forward"][0], steps))
    for first, steps in done:
        if steps:
            print(f"\n{step.table(steps, first)}")
    print_versions([one for _, steps in done for one in steps])


def run(arguments: argparse.Namespace) -> None:
    try:
        layers = [problem for network in arguments.network for problem in problems.load(network)]
        layers += [problems.parse(text, "") for text in arguments.problem]
    except problems.Mistake as mistake:
        sys.exit(str(mistake))
    if arguments.batch:
        layers = [dataclasses.replace(problem, batch=arguments.batch) for problem in layers]
    on = cores(arguments.threads)
    bursts = arguments.bursts == "all" or (arguments.bursts == "threaded" and arguments.threads > 1)
    how = (arguments.threads, on, arguments.rounds, bursts and not arguments.step, arguments.propagation)
    layouts = ("nchw", "nhwc") if arguments.layout == "both" else (arguments.layout,)
    settings = [Setting(layout, arguments.dt, *how) for layout in layouts]
    compared = compare_steps if arguments.step else compare_layers
    with arguments.json.open("w", encoding="utf-8") if arguments.json else contextlib.nullcontext() as lines:
        compared(chosen(arguments), layers, settings, lines)
