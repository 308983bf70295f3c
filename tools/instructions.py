"""Holds the inner loops to the instructions that they take: those that one execute of each layer of
c_tests/instructions/layers.txt retires, counted by Valgrind, beside c_tests/instructions/counts.csv.

Fails if one takes a few percent more or fewer than is written there. With --write it writes what it counts.
"""

import argparse
import csv
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

LAYERS = Path("c_tests/instructions")
COUNTS = LAYERS / "counts.csv"
FIELDS = ["layer", "layout", "math", "algorithm", "instructions"]
#: What may differ, of the number that is written: a compiler's choices, not a loop's.
TOLERANCE = 0.03
#: Valgrind has no AVX-512. The BLAS is none of the layers'.
VARIABLES = {"CONVLOW_ISA": "avx2", "OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "1"}


def counted(program: Path, folder: Path) -> list[dict[str, str]]:
    """Every execute of the program, and the instructions that it retires."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    of_executes = ["--toggle-collect=convlow_execute", "--dump-after=convlow_execute"]
    callgrind = ["valgrind", "--quiet", "--tool=callgrind", *of_executes, f"--callgrind-out-file={folder}/calls"]
    done = subprocess.run(
        [*callgrind, str(program), str(LAYERS)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        env=os.environ | VARIABLES,
    )
    executes = list(csv.DictReader(done.stdout.splitlines(), FIELDS[:-1]))
    for number, execute in enumerate(executes, 1):
        total = re.search(r"^(?:summary|totals): (\d+)", (folder / f"calls.{number}").read_text(), re.MULTILINE)
        assert total, f"callgrind has written no total for execute {number}"
        execute["instructions"] = total[1]
    return executes


def key_of(execute: dict[str, str]) -> str:
    return ", ".join(execute[field] for field in FIELDS[:3])


def differences(counts: list[dict[str, str]], written: list[dict[str, str]]) -> list[str]:
    """What is not as it is written."""
    before = {key_of(execute): execute for execute in written}
    wrong = [f"{name}: no longer there" for name in before.keys() - {key_of(execute) for execute in counts}]
    for execute in counts:
        name, now = key_of(execute), int(execute["instructions"])
        if name not in before:
            wrong.append(f"{name}: not written")
            continue
        then = int(before[name]["instructions"])
        if execute["algorithm"] != before[name]["algorithm"]:
            wrong.append(f"{name}: {execute['algorithm']} rather than {before[name]['algorithm']}")
        if abs(now - then) > TOLERANCE * then:
            wrong.append(f"{name}: {now:,} instructions rather than {then:,}, {now / then - 1:+.1%}")
    return wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path, help="the program that c_tests/instructions.c becomes")
    parser.add_argument("folder", type=Path, help="a folder for what Valgrind writes; it is emptied")
    parser.add_argument("--write", action="store_true", help=f"write {COUNTS}")
    arguments = parser.parse_args()
    if platform.machine() != "x86_64":
        print("NOT TESTED: instructions (they are those of AVX2)")
        return 0
    counts = counted(arguments.program, arguments.folder)
    if arguments.write:
        with COUNTS.open("w", newline="") as file:
            writer = csv.DictWriter(file, FIELDS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(counts)
        return 0
    with COUNTS.open() as file:
        wrong = differences(counts, list(csv.DictReader(file)))
    for line in wrong:
        print(line)
    if wrong:
        print(f"./dev instructions writes {COUNTS} anew; the commit says why a number rises")
        return 1
    print(f"instructions: {len(counts)} executes take what is written, within {TOLERANCE:.0%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
