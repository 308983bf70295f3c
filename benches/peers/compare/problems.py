"""Lists of convolutions, in the syntax that problems/README.md explains."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

KEYS = "mb g ic ih iw oc oh ow kh kw sh sw dh dw ph pw pb pr".split()
TOKEN = re.compile(rf"_|({'|'.join(KEYS)})(\d+)")
LISTS = Path(__file__).resolve().parents[3] / "problems"


class Mistake(Exception):
    """A list or a problem that cannot be read."""


@dataclass(frozen=True)
class Axis:
    input: int
    output: int
    kernel: int
    stride: int
    dilation: int  # 1 is dense
    before: int
    behind: int


@dataclass(frozen=True)
class Problem:
    text: str
    name: str
    count: int
    network: str
    batch: int
    groups: int
    in_channels: int
    out_channels: int
    rows: Axis
    cols: Axis

    @property
    def src_shape(self) -> tuple[int, int, int, int]:
        return self.batch, self.in_channels, self.rows.input, self.cols.input

    @property
    def weights_shape(self) -> tuple[int, int, int, int]:
        return self.out_channels, self.in_channels // self.groups, self.rows.kernel, self.cols.kernel

    @property
    def depth(self) -> int:
        """Products summed into one output."""
        return self.in_channels // self.groups * self.rows.kernel * self.cols.kernel

    @property
    def operations(self) -> int:
        """Multiplications and additions of the definition, padding counted."""
        outputs = self.batch * self.out_channels * self.rows.output * self.cols.output
        return 2 * self.depth * outputs

    def arguments(self) -> dict[str, int]:
        """The sizes as the workers read them."""
        rows, cols = self.rows, self.cols
        return {
            "mb": self.batch, "g": self.groups, "ic": self.in_channels, "oc": self.out_channels,
            "ih": rows.input, "oh": rows.output, "kh": rows.kernel, "sh": rows.stride, "dh": rows.dilation,
            "iw": cols.input, "ow": cols.output, "kw": cols.kernel, "sw": cols.stride, "dw": cols.dilation,
            "pt": rows.before, "pb": rows.behind, "pl": cols.before, "pr": cols.behind,
        }  # fmt: skip


def axis(numbers: dict[str, int], letter: str) -> Axis:
    other = "w" if letter == "h" else "h"

    def size(kind: str) -> int | None:
        return numbers.get(kind + letter, numbers.get(kind + other))

    def needed(kind: str) -> int:
        value = size(kind)
        if value is None:
            raise Mistake(f"there is no {kind}{letter}")
        return value

    extent, kernel = needed("i"), needed("k")
    stride = numbers.get("s" + letter, numbers.get("s" + other, 1))
    dilation = (size("d") or 0) + 1
    before = size("p") or 0
    reach = (kernel - 1) * dilation + 1
    # An output size is copied in squares only.
    square = "iw" not in numbers and "kw" not in numbers
    given = size("o") if square else numbers.get("o" + letter)
    behind = numbers.get("pb" if letter == "h" else "pr")
    if behind is None:
        behind = before if given is None else max(0, (given - 1) * stride + reach - extent - before)
    if min(extent, kernel, stride) < 1 or extent + before + behind < reach:
        raise Mistake(f"the kernel does not fit the padded input along {letter}")
    output = (extent + before + behind - reach) // stride + 1
    if given is not None and given != output:
        raise Mistake(f"o{letter} = {given}, but the other sizes give {output}")
    return Axis(extent, output, kernel, stride, dilation, before, behind)


def parse(text: str, network: str) -> Problem:
    numbers: dict[str, int] = {}
    at = 0
    while token := TOKEN.match(text, at):
        at = token.end()
        if key := token[1]:
            if key in numbers:
                raise Mistake(f"{key} is given twice")
            numbers[key] = int(token[2])
    sizes, name, count = text[:at], "", 1
    if at < len(text):
        if text[at] != "n":
            raise Mistake(f"expected a key and its number, or n and a name, found {text[at:]!r}")
        name, star, times = text[at + 1 :].replace('"', "").strip().rpartition("*")
        if not star:
            name = times
        elif times.isdigit() and int(times) > 0:
            count = int(times)
        else:
            raise Mistake(f"expected a count of at least 1 behind *, found {times!r}")
    if "iw" in numbers and not {"ih", "kh", "oh"} & set(numbers):
        # One dimension: rows of 1.
        row = {"ih": 1, "kh": 1, "oh": 1, "sh": 1, "dh": 0, "ph": 0}
        numbers = {key: value for key, value in numbers.items() if not key.endswith("h")} | row
    for key in ("ic", "oc"):
        if numbers.get(key, 0) < 1:
            raise Mistake(f"there is no {key}")
    groups, batch = numbers.get("g", 1), numbers.get("mb", 1)
    if groups < 1 or batch < 1 or numbers["ic"] % groups or numbers["oc"] % groups:
        raise Mistake(f"g = {groups}, mb = {batch} do not agree with the channels")
    return Problem(
        sizes, name or sizes, count, network, batch, groups, numbers["ic"], numbers["oc"],
        axis(numbers, "h"), axis(numbers, "w"),
    )  # fmt: skip


def load(name_or_file: str) -> list[Problem]:
    """The list problems/NAME.txt, or that of the file."""
    known = LISTS / f"{name_or_file}.txt"
    file = known if known.is_file() else Path(name_or_file)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise Mistake(f"{file} cannot be read: {error.strerror}") from error
    found = []
    for number, line in enumerate(lines, 1):
        entry = line.strip()
        if entry and not entry.startswith("#"):
            try:
                found.append(parse(entry, file.stem))
            except Mistake as mistake:
                raise Mistake(f"{file}:{number}: {mistake}") from mistake
    if not found:
        raise Mistake(f"{file} holds no problem")
    return found
