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
    #: Until it was ready for the first run.
    created_seconds: float
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
        peak, created, notes = _ask(end, "end")
        measured[name] = Measured(seconds[name], peak, created, outputs[name], notes)
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
    run, peak, created = None, 0, 0.0
    while True:
        what = end.recv()
        try:
            if run is None:
                begin = time.perf_counter()
                run = task()
                created = time.perf_counter() - begin
            if what == "end":
                end.send((max(peak, peak_bytes()), created, getattr(run, "notes", lambda: None)()))
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


#: Outputs whose largest value is less, and differences that are more, are explained.
SMALL = 1e-3


def _largest(pair: tuple[np.ndarray, np.ndarray]) -> float:
    return max(float(np.abs(pair[0]).max(initial=0)), 1e-30)


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
    def creation_ratio(self) -> float:
        """The time until convlow's session was ready, in those of ONNX Runtime's provider."""
        return self.convlow.created_seconds / self.own.created_seconds

    @property
    def error(self) -> float:
        """The largest difference, relative to the largest output."""
        return max((float(np.abs(a - b).max(initial=0) / _largest((a, b))) for a, b in self._numbers()), default=0.0)

    def _numbers(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """The outputs of floating-point numbers on both providers."""
        pairs = zip(self.own.output, self.convlow.output, strict=True)
        return [(a, b) for a, b in pairs if np.issubdtype(np.asarray(a).dtype, np.floating)]

    def __str__(self) -> str:
        ratio, first, third = self.ratio
        text = (
            f"{median(self.own.seconds) * 1e3:.1f} ms on ONNX Runtime's provider, {median(self.convlow.seconds) * 1e3:.1f} ms on "
            f"convlow: {ratio:.2f} times as fast ({first:.2f} to {third:.2f}); peak memory {self.own.peak_bytes >> 20} and "
            f"{self.convlow.peak_bytes >> 20} MiB; largest difference {self.error:.1e} of the largest output"
        )
        least = min(map(_largest, self._numbers()), default=1.0)
        if least < SMALL and self.error > SMALL:
            text += (
                f".\nThe largest value of an output is {least:.1e}. Values so small are often differences of much larger ones, and "
                "show the rounding of those: compare the difference with what the model does with the output"
            )
        return text


#: The elements that inputs may be made up of.
DTYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
}


def random_feeds(model: str, given: Mapping[str, list[int]]) -> dict[str, np.ndarray]:
    """Inputs of a model file: of the sizes that are given, or those of the model, of which the batch may be open.

    Raises ValueError if the model is none, or leaves open what nobody gives.
    """
    import onnxruntime as ort

    if not Path(model).is_file():
        raise ValueError(f"there is no file {model}")
    try:
        session = ort.InferenceSession(model, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ValueError(f"{model} is no model that ONNX Runtime can run: {error}") from None
    inputs = session.get_inputs()
    unknown = set(given) - {value.name for value in inputs}
    if unknown:
        names = ", ".join(value.name for value in inputs)
        raise ValueError(f"there is no input {', '.join(sorted(unknown))}: there are {names}")
    rng = np.random.default_rng(0)
    feeds: dict[str, np.ndarray] = {}
    for value in inputs:
        if value.type not in DTYPES:
            raise ValueError(f"input {value.name} is a {value.type}, which is not made up here")
        shape = given.get(value.name) or _shape_of(value)
        feeds[value.name] = rng.standard_normal(shape).astype(DTYPES[value.type])
    try:
        session.run(None, feeds)
    except Exception as error:
        raise ValueError(f"{model} cannot run on made-up inputs of these sizes: {error}") from None
    return feeds


def _shape_of(value: ort.NodeArg) -> list[int]:
    batch, others = value.shape[:1], value.shape[1:]
    if not all(isinstance(size, int) for size in others):
        sizes = ", ".join(map(str, value.shape))
        example = ",".join(str(size) if isinstance(size, int) else "N" for size in [*(1 for _ in batch), *others])
        raise ValueError(
            f"the model leaves sizes of its input {value.name} open ({sizes}): give {value.name}={example}"
        )
    return [*(size if isinstance(size, int) else 1 for size in batch), *others]


def compare(model: str, feeds: dict[str, np.ndarray], threads: int = 1, rounds: int = 15, **options: Any) -> Comparison:
    """A model file on both providers. The options are those of `convlow_onnxruntime.use`."""
    own = partial(ModelRun, model, feeds, threads, None)
    with_convlow = partial(ModelRun, model, feeds, threads, options)
    measured = take_turns({"own": own, "convlow": with_convlow}, rounds)
    return Comparison(measured["own"], measured["convlow"])
