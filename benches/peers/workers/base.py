"""What the Python workers share; base.hpp says what a worker does and in which order it measures memory."""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32 | np.float64]


class Unsupported(Exception):
    """The engine cannot do this problem; nothing is broken."""


@dataclass(frozen=True)
class Spec:
    mb: int
    g: int
    ic: int
    ih: int
    iw: int
    oc: int
    oh: int
    ow: int
    kh: int
    kw: int
    sh: int
    sw: int
    dh: int
    dw: int
    pt: int
    pl: int
    pb: int
    pr: int
    id: int
    od: int
    kd: int
    sd: int
    dd: int
    pf: int
    pk: int
    opd: int
    oph: int
    opw: int
    tr: int
    volume: int
    nhwc: int
    f64: int
    #: Weights stay plain. PyTorch, the one with gradients here, takes no others.
    plain: int
    threads: int
    option: str
    #: What is computed: "forward", or a gradient, "backward-data" or "backward-weights".
    propagation: str

    @property
    def dtype(self) -> np.dtype[np.float32 | np.float64]:
        return np.dtype(np.float64 if self.f64 else np.float32)

    def axes(self, depth: int, height: int, width: int) -> tuple[int, ...]:
        """Planes only where there are several."""
        return (depth, height, width) if self.volume else (height, width)

    def shape(self, channels: int, axes: tuple[int, ...]) -> tuple[int, ...]:
        return (self.mb, *axes, channels) if self.nhwc else (self.mb, channels, *axes)

    @property
    def src_shape(self) -> tuple[int, ...]:
        """As the tensor lies in memory."""
        return self.shape(self.ic, self.axes(self.id, self.ih, self.iw))

    @property
    def dst_shape(self) -> tuple[int, ...]:
        """As the tensor lies in memory."""
        return self.shape(self.oc, self.axes(self.od, self.oh, self.ow))

    @property
    def weights_shape(self) -> tuple[int, ...]:
        outer, inner = (self.ic, self.oc) if self.tr else (self.oc, self.ic)
        return (outer, inner // self.g, *self.axes(self.kd, self.kh, self.kw))


@dataclass(frozen=True)
class Tensors:
    """Of the forward convolution or, of what is computed backward, their gradients. NaN where the engine is to write."""

    src: Floats
    weights: Floats
    #: Forward, the engine allocates dst itself.
    dst: Floats | None


class Engine(ABC):
    version: str
    implementation: str
    #: Bytes of src, dst and one copy of the weights, where the engine or its making allocates them; of a gradient's, too.
    tensor_bytes: int

    @abstractmethod
    def run(self) -> None: ...

    @abstractmethod
    def result(self) -> Floats:
        """What the last run computed: as the tensor lies in memory."""


Make = Callable[[Spec, Tensors], Engine]


def aligned(spec: Spec, shape: tuple[int, ...], fill: float) -> Floats:
    """An array on a boundary of 64 bytes."""
    count = int(np.prod(shape))
    raw = np.empty(count + 16, spec.dtype)
    start = (-raw.ctypes.data % 64) // raw.itemsize
    array = raw[start : start + count].reshape(shape)
    array.fill(fill)
    return array


def resident() -> dict[str, int]:
    """VmRSS, RssFile and VmHWM of this process, in bytes."""
    lines = (line.split() for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if words[-1] == "kB"}


def map_large_blocks() -> None:
    """glibc maps each large block and gives it back when it is freed, so that the peak is what is in use."""
    ctypes.CDLL(None).mallopt(-3, 128 << 10)  # M_MMAP_THRESHOLD; setting it also keeps it from growing


def keep_large_blocks() -> None:
    """glibc keeps what is freed, so that no run has to fault its memory in anew."""
    ctypes.CDLL(None).mallopt(-4, 0)  # M_MMAP_MAX
    ctypes.CDLL(None).mallopt(-1, -1)  # M_TRIM_THRESHOLD: none, since columns of a whole batch take gigabytes


def settle() -> None:
    """Gives back to the system what is freed."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)


def first_problem(like: Spec) -> Spec:
    """A small problem whose making and running pays what an engine pays once a process."""
    small = {"mb": 1, "g": 1, "ic": 16, "oc": 16, "ih": 8, "iw": 8, "oh": 8, "ow": 8, "kh": 3, "kw": 3}
    steps = dict.fromkeys(("sh", "sw", "dh", "dw", "pt", "pl", "pb", "pr"), 1)
    planes = {"id": 1, "od": 1, "kd": 1, "sd": 1, "dd": 1, "pf": 0, "pk": 0, "opd": 0, "oph": 0, "opw": 0}
    plain = {"tr": 0, "volume": 0, "nhwc": like.nhwc, "f64": like.f64, "plain": like.plain, "threads": like.threads}
    return Spec(**(small | steps | planes | plain), option=like.option, propagation=like.propagation)


def tensors_of(spec: Spec, filled: Callable[[str, tuple[int, ...]], Floats]) -> Tensors:
    """The tensors of what is computed: `filled` makes those that are read, by their names."""

    def tensor(name: str, shape: tuple[int, ...], written: str) -> Floats:
        return aligned(spec, shape, np.nan) if spec.propagation == written else filled(name, shape)

    src = tensor("src", spec.src_shape, "backward-data")
    weights = tensor("weights", spec.weights_shape, "backward-weights")
    return Tensors(src, weights, None if spec.propagation == "forward" else filled("dst", spec.dst_shape))


def prepare(make: Make, spec: Spec, files: dict[str, str]) -> Engine:
    """Makes the engine, measures what it takes, and says so."""

    def read(name: str, shape: tuple[int, ...]) -> Floats:
        array = aligned(spec, shape, 0)
        array[...] = np.fromfile(files[name], spec.dtype).reshape(shape)
        return array

    map_large_blocks()
    first = first_problem(spec)
    make(first, tensors_of(first, lambda _, shape: aligned(first, shape, 0))).run()

    tensors = tensors_of(spec, read)
    settle()
    before = resident()
    engine = make(spec, tensors)
    settle()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    engine.run()
    engine.run()
    after = resident()
    grown = after["VmHWM"] - before["VmRSS"] - (after["RssFile"] - before["RssFile"])
    facts = {
        "version": engine.version,
        "implementation": engine.implementation,
        "memory_kind": "rss",
        "memory_bytes": max(0, grown - engine.tensor_bytes),
        "weights_bytes": None,
    }
    print(json.dumps(facts), flush=True)
    keep_large_blocks()
    return engine


def mean_seconds(engine: Engine, least: float) -> float:
    run = engine.run
    run()
    runs = 0
    begin = time.perf_counter_ns()
    while True:
        run()
        runs += 1
        spent = time.perf_counter_ns() - begin
        if spent >= least * 1e9:
            return spent / 1e9 / runs


def burst_seconds(engine: Engine, pause: float, runs: int) -> float:
    run = engine.run
    time.sleep(pause)
    begin = time.perf_counter_ns()
    for _ in range(runs):
        run()
    return (time.perf_counter_ns() - begin) / 1e9 / runs


def serve(make: Make) -> None:
    """The whole of a worker."""
    arguments = dict(argument.split("=", 1) for argument in sys.argv[1:])
    option, propagation = arguments.pop("option"), arguments.pop("propagation")
    names = {"src", "weights", "dst"} & arguments.keys()
    files = {name: arguments.pop(name) for name in names}
    numbers = {key: int(value) for key, value in arguments.items()}
    spec = Spec(**numbers, option=option, propagation=propagation)
    try:
        engine = prepare(make, spec, files)
    except Unsupported as reason:
        print(json.dumps({"unsupported": str(reason)}), flush=True)
        os._exit(0)
    except Exception as error:  # Whatever an engine throws is for the person who compares.
        print(json.dumps({"failed": f"{type(error).__name__}: {error}"}), flush=True)
        os._exit(1)
    for line in sys.stdin:
        command, _, argument = line.rstrip("\n").partition(" ")
        if command == "time":
            print(f"{mean_seconds(engine, float(argument)):.9g}", flush=True)
        elif command == "burst":
            pause, runs = argument.split()
            print(f"{burst_seconds(engine, float(pause), int(runs)):.9g}", flush=True)
        elif command == "output":
            np.ascontiguousarray(engine.result()).tofile(argument)
            print("done", flush=True)
    # Engines' destructors at exit wait for threads or free what an allocator of ours still holds.
    os._exit(0)
