"""Lets allocations of the provider fail, each in turn and all from one on: what is asked for comes back with an error or right,
and the process goes on. Run with short_memory.c preloaded."""

from __future__ import annotations

import argparse
import ctypes
from collections.abc import Callable
from pathlib import Path

import convlow_onnxruntime as convlow
import models
import numpy as np
import onnxruntime as ort
from comparing import network, node, session, values

#: More than the code and the data of the provider take.
LIBRARY_BYTES = 64 << 20
#: No number of an allocation.
NEVER = 1 << 62


class Failures:
    """Which of the provider's allocations fail."""

    def __init__(self) -> None:
        self.shim = ctypes.CDLL(None)
        self.shim.short_memory_fail.argtypes = [ctypes.c_size_t, ctypes.c_size_t]
        self.shim.short_memory_asked.restype = self.shim.short_memory_failed.restype = ctypes.c_size_t
        self.shim.short_memory_of.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t]
        path = bytes(Path(convlow.__file__).with_name("libconvlow_onnxruntime.so"))
        if not self.shim.short_memory_of(path, b"CreateEpFactories", LIBRARY_BYTES):
            raise SystemExit(f"{path!r} is not loaded")
        self.total = self.refused = 0

    def during(self, work: Callable[[], bool], first: int, last: int) -> None:
        """Does the work where these allocations fail; it is right or refused."""
        self.shim.short_memory_fail(first, last)
        try:
            right = work()
        except Exception as error:
            if type(error).__module__.partition(".")[0] != "onnxruntime":
                raise
            right = True
            self.refused += 1
        finally:
            self.total += self.shim.short_memory_failed()
            self.shim.short_memory_fail(0, 0)
        if not right:
            raise SystemExit(f"wrong where the allocations from {first} to {last} fail")

    def each(self, name: str, work: Callable[[], bool], step: int) -> None:
        """Each allocation of the work, or one of so many, alone and with all behind it."""
        self.shim.short_memory_fail(0, 0)
        if not work():
            raise SystemExit(f"{name}: wrong where nothing fails")
        count = self.shim.short_memory_asked()
        if count == 0:
            raise SystemExit(f"{name}: no allocation was seen")
        for first in range(1, count + 1, step):
            self.during(work, first, first)
            self.during(work, first, NEVER)
        print(f"{name}: {count} allocations, of which one in {step} failed, alone and with all behind it")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--step", type=int, default=1, help="let one in so many fail")
    step = parser.parse_args().step
    model = network()
    # More weights than the provider keeps memory back for.
    large = models.small([node("Conv", ["x", "w"], ["y"], "c")], {"w": values(512, 1024, 1, 1)}, (1, 1024, 4, 4))
    feeds = [{"x": values(1, 8, 10 + at, 12)} for at in range(3)]
    kept = session(model)
    expected = [kept.run(None, feed)[0] for feed in feeds]
    failures = Failures()

    def is_right(made: ort.InferenceSession) -> bool:
        return all(
            np.array_equal(made.run(None, feed)[0], theirs) for feed, theirs in zip(feeds, expected, strict=True)
        )

    failures.each("a session", lambda: is_right(session(model)), step)
    failures.each("one of two threads", lambda: is_right(session(model, threads=2)), step)
    failures.each("fast math", lambda: session(model, math="fast").run(None, feeds[0])[0].size > 0, step)
    sizes = iter(range(20, 1 << 30))
    failures.each("new sizes", lambda: kept.run(None, {"x": values(1, 8, 10 + next(sizes) % 60, 12)})[0].size > 0, step)
    feed = {"x": values(1, 1024, 4, 4)}
    before = failures.refused
    failures.each("large weights", lambda: session(large).run(None, feed)[0].size > 0, step)
    if failures.refused == before:
        raise SystemExit("large weights: nothing was refused")
    failures.each("a report", lambda: len(convlow.report(kept)) > 0, step)
    if not is_right(kept):
        raise SystemExit("wrong behind all failures")
    print(
        f"{failures.total} allocations of the provider failed, {failures.refused} calls were refused, none ended the process"
    )


if __name__ == "__main__":
    main()
