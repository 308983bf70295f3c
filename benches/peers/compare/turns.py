"""Worker processes that take turns on the same cores, and what their turns say."""

from __future__ import annotations

import ctypes
import json
import os
import select
import signal
import statistics
import subprocess
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .engines import Engine, environment
from .measured import Measured
from .problems import Problem

#: An engine's turn lasts at least so long, after one run that is not timed: caches are warm, threads awake.
TURN_SECONDS = 0.005
#: A burst: a pause in which threads fall asleep, then so many runs in a row; `convlow bench` has the same.
PAUSE_SECONDS = 0.02
BURST_RUNS = 4
#: What is computed: dst, or with another word a gradient.
FORWARD = "forward"
#: Seconds without an answer after which a worker is given up.
PATIENCE = 300

Report = Callable[[str], None]
Numbers = NDArray[np.floating[Any]]


class Lost(Exception):
    """A worker that cannot go on, and why."""


@dataclass(frozen=True)
class Setting:
    layout: str
    data_type: str
    threads: int
    cores: frozenset[int]
    rounds: int
    bursts: bool
    propagation: str = FORWARD
    #: Weights and their gradient are plain: moving them to an engine's own format belongs to a run.
    plain: bool = False

    @property
    def dtype(self) -> type[np.floating[Any]]:
        return np.float64 if self.data_type == "f64" else np.float32


class Worker:
    """One engine with one problem, in a process of its own that runs in its turns only."""

    def __init__(self, engine: Engine, problem: Problem, setting: Setting, folder: Path) -> None:
        self.engine = engine
        flags = {"nhwc": int(setting.layout == "nhwc"), "f64": int(setting.data_type == "f64")}
        flags["plain"] = int(setting.plain)
        sizes = {**problem.arguments(), **flags, "threads": setting.threads}
        words = {"option": engine.option, "propagation": setting.propagation}
        names = ("src", "weights") if setting.propagation == FORWARD else ("src", "weights", "dst")
        files = {name: folder / name for name in names}
        arguments = [f"{key}={value}" for key, value in (sizes | words | files).items()]
        libc = ctypes.CDLL(None)

        def begin() -> None:
            os.sched_setaffinity(0, setting.cores)
            libc.prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: a stopped worker cannot see its input end.
            # Where memory ends, a worker goes, which is reported, and not the one who compares.
            Path("/proc/self/oom_score_adj").write_text("1000", encoding="ascii")

        self.said = folder / f"{engine.name}.err"
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [*engine.command, *arguments],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                env=environment(setting.threads) | dict(engine.variables),
                start_new_session=True,  # Ctrl-C is for the one who compares.
                preexec_fn=begin,  # noqa: PLW1509 - this program has one thread
            )

    def answer(self) -> str:
        assert self.process.stdout
        # Each command has one line for an answer, so nothing is ever left in the reader's buffer.
        if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
            raise Lost(f"no answer in {PATIENCE} s")
        line = self.process.stdout.readline().decode()
        if not line:
            status = self.process.wait()
            said = self.said.read_text(errors="replace").strip().splitlines()
            raise Lost(f"its process ended with {status}: {said[-1] if said else 'nothing said'}")
        return line.strip()

    def ready(self) -> dict[str, str | int | None]:
        facts: dict[str, str | int | None] = json.loads(self.answer())
        for key in ("unsupported", "failed"):
            if key in facts:
                raise Lost(str(facts[key]))
        self.pause()
        return facts

    def pause(self) -> None:
        """Threads that spin for more work would take the core from the next in turn."""
        self.process.send_signal(signal.SIGSTOP)

    def ask(self, command: str) -> str:
        assert self.process.stdin
        try:
            self.process.stdin.write(f"{command}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # The answer says why.
        self.process.send_signal(signal.SIGCONT)
        answer = self.answer()
        self.pause()
        return answer

    def time(self) -> float:
        return float(self.ask(f"time {TURN_SECONDS}"))

    def burst(self) -> float:
        return float(self.ask(f"burst {PAUSE_SECONDS} {BURST_RUNS}"))

    def output(self, folder: Path, dtype: type[np.floating[Any]]) -> Numbers:
        file = folder / "output"
        if self.ask(f"output {file}") != "done":
            raise Lost("it cannot write its result")
        return np.fromfile(file, dtype)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe
            pipe.close()


def write_tensors(problem: Problem, setting: Setting, folder: Path) -> None:
    random, dtype = np.random.default_rng(1), setting.dtype
    src = random.standard_normal(problem.src_shape, dtype)
    weights = random.standard_normal(problem.weights_shape, dtype) / dtype(problem.depth**0.5)
    if setting.layout == "nhwc":
        src = np.ascontiguousarray(np.moveaxis(src, 1, -1))
    src.tofile(folder / "src")
    weights.tofile(folder / "weights")
    if setting.propagation != FORWARD:
        # In any layout: values are random.
        random.standard_normal(problem.dst_shape, dtype).tofile(folder / "dst")


def difference(result: Numbers, reference: Numbers) -> float:
    """The largest, relative to the largest output; NaN if there is one."""
    if result.shape != reference.shape:
        return float("nan")
    return float(np.max(np.abs(result - reference)) / np.max(np.abs(reference)))


def quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    q1, median, q3 = statistics.quantiles(values, n=4, method="inclusive")
    return q1, median, q3


@dataclass
class Times:
    """An engine's turns back to back or in bursts, and their ratios to the turns of convlow right before."""

    seconds: list[float]
    ratios: list[float]

    def summary(self) -> tuple[float, float, float, float]:
        """The median of the seconds, then that of the ratios and their quartiles."""
        q1, median, q3 = quartiles(self.ratios)
        return statistics.median(self.seconds), median, q1, q3


def compare(engines: list[Engine], problem: Problem, setting: Setting, report: Report) -> list[Measured]:
    """Times every engine against the first, A B A C A D, each round beginning with another peer."""
    workers: list[Worker] = []
    with tempfile.TemporaryDirectory(prefix="peers-") as name:
        folder = Path(name)
        write_tensors(problem, setting, folder)
        try:
            for engine in engines:
                is_able = engine.doubles or setting.data_type == "f32"
                is_able &= engine.gradients or setting.propagation == FORWARD
                if setting.layout in engine.layouts and is_able:
                    workers.append(Worker(engine, problem, setting, folder))
            return take_turns(workers, problem, setting, folder, report)
        except Lost as reason:
            report(f"{problem.name}, {setting.layout}: no convlow to compare with: {reason}")
            return []
        finally:
            for worker in workers:
                worker.close()


def take_turns(
    workers: list[Worker], problem: Problem, setting: Setting, folder: Path, report: Report
) -> list[Measured]:
    """What `compare` says, with workers that have been started. Lost: the first of them."""

    def lose(worker: Worker, reason: str) -> None:
        report(f"{problem.name}, {setting.layout}: {worker.engine.name} is left out: {reason}")

    def turn(worker: Worker) -> list[float]:
        """Back to back, and then in a burst."""
        return [worker.time(), worker.burst()] if setting.bursts else [worker.time()]

    base, peers = workers[0], []
    facts, errors = {base: base.ready()}, {base: 0.0}
    reference = base.output(folder, setting.dtype)
    for worker in workers[1:]:
        try:
            facts[worker] = worker.ready()
            errors[worker] = difference(worker.output(folder, setting.dtype), reference)
            worker.time()  # Warm-up.
        except Lost as reason:
            lose(worker, str(reason))
            continue
        # What is left of a tolerance by the bits that a double has more.
        limit = worker.engine.tolerance / (2**29 if setting.data_type == "f64" else 1)
        if errors[worker] <= limit:
            peers.append(worker)
        else:
            lose(worker, f"WRONG RESULT, off by {errors[worker]:.2g} of the largest output (limit {limit:g})")

    kinds = 2 if setting.bursts else 1
    times = {worker: [Times([], []) for _ in range(kinds)] for worker in (base, *peers)}
    base.time()

    def add(worker: Worker, seconds: list[float], ours: list[float]) -> None:
        for kind, mine, base_seconds in zip(times[worker], seconds, ours, strict=True):
            kind.seconds.append(mine)
            kind.ratios.append(mine / base_seconds)

    for number in range(setting.rounds):
        start = number % len(peers) if peers else 0
        for worker in [*peers[start:], *peers[:start]]:
            ours = turn(base)
            try:
                theirs = turn(worker)
            except Lost as reason:
                lose(worker, str(reason))
                peers.remove(worker)
                continue
            add(base, ours, ours)
            add(worker, theirs, ours)
        if not peers:
            ours = turn(base)
            add(base, ours, ours)

    results = []
    for worker in [base, *peers]:
        median_seconds, median, q1, q3 = times[worker][0].summary()
        bursts = times[worker][1].summary() if setting.bursts else (None, None, None, None)
        fact = facts[worker]
        weights = fact["weights_bytes"]
        results.append(
            Measured(
                engine=worker.engine.name,
                version=str(fact["version"]),
                implementation=str(fact["implementation"]),
                problem=problem.text,
                name=problem.name,
                count=problem.count,
                network=problem.network,
                layout=setting.layout,
                data_type=setting.data_type,
                propagation=setting.propagation,
                threads=setting.threads,
                rounds=setting.rounds,
                median_seconds=median_seconds,
                ratio_median=median,
                ratio_q1=q1,
                ratio_q3=q3,
                gflops=problem.operations / median_seconds / 1e9,
                memory_bytes=int(fact["memory_bytes"] or 0),
                memory_kind=str(fact["memory_kind"]),
                weights_bytes=None if weights is None else int(weights),
                math=worker.engine.math,
                error=errors[worker],
                burst_median_seconds=bursts[0],
                burst_ratio_median=bursts[1],
                burst_ratio_q1=bursts[2],
                burst_ratio_q3=bursts[3],
            )
        )
    return results
