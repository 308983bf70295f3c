"""Lists of convolutions, in the syntax that problems/README.md explains."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

KEYS = [
    "mb",
    "g",
    "ic",
    "id",
    "ih",
    "iw",
    "oc",
    "od",
    "oh",
    "ow",
    "kd",
    "kh",
    "kw",
    "sd",
    "sh",
    "sw",
    "dd",
    "dh",
    "dw",
    "pd",
    "ph",
    "pw",
    "pk",
    "pb",
    "pr",
    "tr",
]
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
    transposed: bool = False
    output_padding: int = 0


#: The axis of planes of what has none.
ONE = Axis(1, 1, 1, 1, 1, 0, 0)


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
    planes: Axis

    @property
    def is_plain(self) -> bool:
        """Two-dimensional and not transposed."""
        return self.planes == ONE and not self.cols.transposed

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Outermost first, planes only where there are several."""
        return (self.rows, self.cols) if self.planes == ONE else (self.planes, self.rows, self.cols)

    @property
    def src_shape(self) -> tuple[int, ...]:
        return self.batch, self.in_channels, *(axis.input for axis in self.axes)

    @property
    def dst_shape(self) -> tuple[int, ...]:
        return self.batch, self.out_channels, *(axis.output for axis in self.axes)

    @property
    def weights_shape(self) -> tuple[int, ...]:
        """As ONNX has them, of transposed ones too."""
        outer, inner = self.out_channels, self.in_channels
        if self.cols.transposed:
            outer, inner = inner, outer
        return outer, inner // self.groups, *(axis.kernel for axis in self.axes)

    @property
    def depth(self) -> int:
        """Products summed into one output."""
        return self.in_channels // self.groups * math.prod(axis.kernel for axis in self.axes)

    @property
    def operations(self) -> int:
        """Multiplications and additions of the definition, padding counted, of transposed ones what is cut off."""
        pixels = math.prod(axis.input if axis.transposed else axis.output for axis in self.axes)
        return 2 * self.depth * self.batch * self.out_channels * pixels

    def arguments(self) -> dict[str, int]:
        """The sizes as the workers read them."""
        planes, rows, cols = self.planes, self.rows, self.cols
        return {
            "id": planes.input, "od": planes.output, "kd": planes.kernel, "sd": planes.stride, "dd": planes.dilation,
            "pf": planes.before, "pk": planes.behind, "opd": planes.output_padding, "oph": rows.output_padding,
            "opw": cols.output_padding, "tr": int(cols.transposed), "volume": int(planes != ONE),
            "mb": self.batch, "g": self.groups, "ic": self.in_channels, "oc": self.out_channels,
            "ih": rows.input, "oh": rows.output, "kh": rows.kernel, "sh": rows.stride, "dh": rows.dilation,
            "iw": cols.input, "ow": cols.output, "kw": cols.kernel, "sw": cols.stride, "dw": cols.dilation,
            "pt": rows.before, "pb": rows.behind, "pl": cols.before, "pr": cols.behind,
        }  # fmt: skip


def axis(numbers: dict[str, int], letter: str) -> Axis:
    order = {"d": "dhw", "h": "hwd", "w": "whd"}[letter]

    def size(kind: str) -> int | None:
        return next((numbers[kind + other] for other in order if kind + other in numbers), None)

    def needed(kind: str) -> int:
        value = size(kind)
        if value is None:
            raise Mistake(f"there is no {kind}{letter}")
        return value

    extent, kernel = needed("i"), needed("k")
    stride = size("s") or 1
    dilation = (size("d") or 0) + 1
    before = size("p") or 0
    transposed = numbers.get("tr", 0) == 1
    reach = (kernel - 1) * dilation + 1
    # An output size is copied in squares only.
    square = all(sum(kind + other in numbers for other in "dhw") == 1 for kind in "ik")
    given = size("o") if square else numbers.get("o" + letter)
    behind = numbers.get({"d": "pk", "h": "pb", "w": "pr"}[letter])
    if min(extent, kernel, stride) < 1:
        raise Mistake(f"a size along {letter} is 0")
    if transposed:
        reached = (extent - 1) * stride + reach
        added = 0 if given is None else given - (reached - before - (before if behind is None else behind))
        if behind is None and 0 <= added < max(stride, dilation):
            behind = before
        elif behind is None:
            behind, added = max(0, before - added), max(0, added - before)
        output = reached - before - behind + added
        if output < 1 or not 0 <= added < max(stride, dilation) or output != (given or output):
            raise Mistake(f"the output along {letter} does not agree with the other sizes")
        return Axis(extent, output, kernel, stride, dilation, before, behind, True, added)
    if behind is None:
        behind = before if given is None else max(0, (given - 1) * stride + reach - extent - before)
    if extent + before + behind < reach:
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
    volume = bool({"id", "od", "kd", "sd", "dd", "pd", "pk"} & set(numbers))
    if not volume and "iw" in numbers and not {"ih", "kh", "oh"} & set(numbers):
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
        axis(numbers, "h"), axis(numbers, "w"), axis(numbers, "d") if volume else ONE,
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
