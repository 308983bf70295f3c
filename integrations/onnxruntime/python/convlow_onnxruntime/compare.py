"""Time and memory of the same work in several processes, whose runs take turns."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median, quantiles
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    import onnxruntime as ort

#: What a process makes ready once and then does again and again.
Task = Callable[[], Callable[[], Any]]


@dataclass(frozen=True)
class Measured:
    """What a process needed."""

    seconds: list[float]
    #: The most that ever lay in memory, the interpreter and its libraries included.
    peak_bytes: int
    #: Of the first run.
    output: Any
    #: What the task had to tell at the end.
    notes: Any


def take_turns(tasks: Mapping[str, Task], rounds: int, warm_ups: int = 5) -> dict[str, Measured]:
    """Each task in a process of its own, one run after the other by turns."""
    context = multiprocessing.get_context("spawn")
    ends, processes = {}, []
    for name, task in tasks.items():
        ends[name], other = context.Pipe()
        processes.append(context.Process(target=_serve, args=(other, task), daemon=True))
        processes[-1].start()
        other.close()
    outputs = {name: _ask(end, "run")[1] for name, end in ends.items()}
    for end in list(ends.values()) * (warm_ups - 1):
        _ask(end, "time")
    seconds: dict[str, list[float]] = {name: [] for name in tasks}
    for turn in range(rounds):
        order = list(ends) if turn % 2 == 0 else list(ends)[::-1]
        for name in order:
            seconds[name].append(_ask(ends[name], "time"))
    measured = {}
    for name, end in ends.items():
        peak, notes = _ask(end, "end")
        measured[name] = Measured(seconds[name], peak, outputs[name], notes)
    for process in processes:
        process.join()
    return measured


def _ask(end: Connection, what: str) -> Any:
    end.send(what)
    answer = end.recv()
    if isinstance(answer, Exception):
        raise answer
    return answer


def _serve(end: Connection, task: Task) -> None:
    run, peak = None, 0
    while True:
        what = end.recv()
        try:
            run = run or task()
            if what == "end":
                end.send((max(peak, peak_bytes()), getattr(run, "notes", lambda: None)()))
                return
            begin = time.perf_counter()
            output = run()
            seconds = time.perf_counter() - begin
            if what == "time":
                # Else it would still lie there in the next run.
                del output
                end.send(seconds)
                continue
            # That the output is told is no part of the work.
            peak = max(peak, peak_bytes())
            end.send((seconds, output))
            del output
            Path("/proc/self/clear_refs").write_text("5")
        except Exception as error:
            end.send(error if what != "end" else RuntimeError(str(error)))
            return


def peak_bytes() -> int:
    """The most of this process that ever lay in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


class ModelRun:
    """A model's runs on inputs."""

    def __init__(self, model: str, feeds: dict[str, np.ndarray], threads: int, options: dict[str, Any] | None) -> None:
        import onnxruntime as ort

        import convlow_onnxruntime as convlow

        settings = session_options(threads)
        providers = None
        if options is None:
            providers = ["CPUExecutionProvider"]
        else:
            convlow.use(settings, **options)
        self.session = ort.InferenceSession(model, settings, providers=providers)
        self.session.disable_fallback()
        self.feeds = feeds
        self.is_convlow = options is not None

    def __call__(self) -> list[np.ndarray]:
        outputs: list[np.ndarray] = self.session.run(None, self.feeds)
        return outputs

    def notes(self) -> Any:
        import convlow_onnxruntime as convlow

        return convlow.report(self.session) if self.is_convlow else None


def session_options(threads: int) -> ort.SessionOptions:
    """Options under which sessions that take turns do not disturb each other."""
    import onnxruntime as ort

    settings = ort.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.log_severity_level = 3
    # Else the threads of one session still spin while it is the other's turn.
    settings.add_session_config_entry("session.force_spinning_stop", "1")
    return settings


@dataclass(frozen=True)
class Comparison:
    """A model on ONNX Runtime's own provider and on convlow."""

    own: Measured
    convlow: Measured

    @property
    def ratio(self) -> tuple[float, float, float]:
        """How many times as fast convlow is: median and quartiles over the rounds."""
        ratios = [a / b for a, b in zip(self.own.seconds, self.convlow.seconds, strict=True)]
        if len(ratios) < 2:
            return ratios[0], ratios[0], ratios[0]
        first, _, third = quantiles(ratios, n=4)
        return median(ratios), first, third

    @property
    def memory_ratio(self) -> float:
        """convlow's peak memory in those of ONNX Runtime's provider."""
        return self.convlow.peak_bytes / self.own.peak_bytes

    @property
    def error(self) -> float:
        """The largest difference, relative to the largest output."""
        pairs = zip(self.own.output, self.convlow.output, strict=True)
        numbers = [(a, b) for a, b in pairs if np.issubdtype(np.asarray(a).dtype, np.floating)]
        return max(
            (float(np.abs(a - b).max(initial=0) / max(np.abs(a).max(initial=0), 1e-30)) for a, b in numbers),
            default=0.0,
        )

    def __str__(self) -> str:
        ratio, first, third = self.ratio
        return (
            f"{median(self.own.seconds) * 1e3:.1f} ms on ONNX Runtime's provider, {median(self.convlow.seconds) * 1e3:.1f} ms on "
            f"convlow: {ratio:.2f} times as fast ({first:.2f} to {third:.2f}); peak memory {self.own.peak_bytes >> 20} and "
            f"{self.convlow.peak_bytes >> 20} MiB; largest difference {self.error:.1e} of the largest output"
        )


def compare(model: str, feeds: dict[str, np.ndarray], threads: int = 1, rounds: int = 15, **options: Any) -> Comparison:
    """A model file on both providers. The options are those of `convlow_onnxruntime.use`."""
    own = partial(ModelRun, model, feeds, threads, None)
    with_convlow = partial(ModelRun, model, feeds, threads, options)
    measured = take_turns({"own": own, "convlow": with_convlow}, rounds)
    return Comparison(measured["own"], measured["convlow"])
