"""One task of the demo, in a process of its own: prints losses, seconds of each step, and bytes, as JSON.

usage: one.py TASK ENGINE STEPS THREADS, ENGINE being pytorch, exact or fast
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import tasks
import torch


def resident(kind: str) -> int:
    """Bytes of the process: VmRSS, those that it has now; VmHWM, the most that it has had."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(kind))


def main(task: str, engine: str, steps: int, threads: int) -> None:
    torch.set_num_threads(threads)
    if engine != "pytorch":
        import convlow_torch

        convlow_torch.enable(math=engine)
    step = tasks.make(task, steps)
    before = resident("VmRSS")
    values, seconds = [], []
    for at in range(steps):
        begin = time.perf_counter()
        values.append(step(at))
        seconds.append(time.perf_counter() - begin)
    served = True
    if engine != "pytorch":
        rows = convlow_torch.report().rows
        served = bool(rows) and all(row.algorithm is not None for row in rows)
    peak = max(resident("VmHWM") - before, 0)
    print(json.dumps({"values": values, "seconds": seconds, "peak_bytes": peak, "served": served}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
