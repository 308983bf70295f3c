"""A step of training: all convolutions of a network forward, and both of their gradients.

Weights change with each step. So they and their gradient are plain for all engines: moving them from or to an engine's own
format is timed, and the copy counts as memory.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

from .measured import Measured
from .problems import Problem

#: The engines that have gradients and are installed alike everywhere.
ENGINES = "onednn,torch,torch-im2col"


@dataclass(frozen=True)
class Step:
    """What an engine takes for a step: a line of --json."""

    engine: str
    version: str
    network: str
    layout: str
    data_type: str
    batch: int
    threads: int
    rounds: int
    #: Forward and gradients, each layer as often as the network has it: how many the engine ran, and how many there are.
    convolutions: int
    of_convolutions: int
    forward_seconds: float
    backward_data_seconds: float
    backward_weights_seconds: float
    seconds: float
    #: To convlow's seconds for the same convolutions.
    ratio: float
    #: The most that one convolution needs beside its tensors: workspace, and copies of the weights.
    memory_bytes: int
    memory_kind: str
    memory_at: str


def parts(layers: list[Problem]) -> dict[str, list[Problem]]:
    """What a step computes. Nothing comes before the first layer, so it needs no gradient of the data."""
    first, *others = layers
    again = [dataclasses.replace(first, count=first.count - 1)] if first.count > 1 else []
    return {"forward": layers, "backward-data": [*again, *others], "backward-weights": layers}


def memory(part: Measured) -> int:
    return part.memory_bytes + (part.weights_bytes or 0)


def seconds(results: list[Measured], propagation: str = "") -> float:
    return math.fsum(one.count * one.median_seconds for one in results if one.propagation.startswith(propagation))


def steps(results: list[Measured], computed: dict[str, list[Problem]]) -> list[Step]:
    """Of each engine on one network, what the results of its parts add up to."""

    def key(result: Measured) -> tuple[str, ...]:
        return result.propagation, result.name, result.problem

    ours = {key(result): result for result in results if result.engine == "convlow"}
    found = []
    for engine in dict.fromkeys(result.engine for result in results):
        mine = [result for result in results if result.engine == engine]
        most, total = max(mine, key=memory), seconds(mine)
        found.append(
            Step(
                engine=engine,
                version=most.version,
                network=most.network,
                layout=most.layout,
                data_type=most.data_type,
                batch=computed["forward"][0].batch,
                threads=most.threads,
                rounds=most.rounds,
                convolutions=sum(one.count for one in mine),
                of_convolutions=sum(problem.count for problems in computed.values() for problem in problems),
                forward_seconds=seconds(mine, "forward"),
                backward_data_seconds=seconds(mine, "backward-data"),
                backward_weights_seconds=seconds(mine, "backward-weights"),
                seconds=total,
                ratio=total / seconds([ours[key(one)] for one in mine]),
                memory_bytes=memory(most),
                memory_kind=most.memory_kind,
                memory_at=f"{most.propagation} of {most.name.partition(':')[2] or most.name}",
            )
        )
    return found


def table(found: list[Step], first: Problem) -> str:
    form = "{:<24}  {:>12}  {:>9}  {:>9}  {:>9}  {:>9}  {:>6}  {:>15}  {}"
    one = found[0]
    lines = [
        f"{one.network}, {one.layout}, {one.data_type}, batch {one.batch}, {one.threads} thread(s): a step of training",
        f"no engine computes the gradient of the data of the first layer, {first.name}: nothing needs it",
        form.format(
            "engine", "convolutions", "forward s", "data s", "weights s", "total s", "ratio", "memory", "needed by"
        ),
    ]
    for one in found:
        all_of_them = one.convolutions == one.of_convolutions
        count = f"{one.convolutions}" if all_of_them else f"{one.convolutions} of {one.of_convolutions}"
        kinds = (one.forward_seconds, one.backward_data_seconds, one.backward_weights_seconds, one.seconds)
        bytes_text = f"{'~' if one.memory_kind == 'rss' else ''}{one.memory_bytes:,}"
        times = (f"{value:.4f}" for value in kinds)
        lines.append(form.format(one.engine, count, *times, f"{one.ratio:.3f}", bytes_text, one.memory_at))
    return "\n".join(lines)
