"""What convlow has computed, and what it has left to PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from convlow_torch import _library

# PyTorch's numbers of its types are in the order of this list.
_TYPES = [
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.float16,
    torch.float32,
    torch.float64,
    torch.complex32,
    torch.complex64,
    torch.complex128,
    torch.bool,
    torch.qint8,
    torch.quint8,
    torch.qint32,
    torch.bfloat16,
]


@dataclass(frozen=True)
class Row:
    """One plan: what it computes of tensors of these sizes, and how often it did."""

    passes: str
    dtype: torch.dtype | None
    input: tuple[int, ...]
    weights: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    transposed: bool
    groups: int
    bias: bool
    channels_last: bool
    math: str
    threads: int
    calls: int
    algorithm: str | None
    """None where PyTorch computed."""
    workspace_bytes: int
    packed_bytes: int
    declined: str | None
    """Why PyTorch computed."""

    def __str__(self) -> str:
        kind = "transposed " if self.transposed else ""
        name = str(self.dtype).removeprefix("torch.")
        order = ", channels last" if self.channels_last else ""
        groups = f", {self.groups} groups" if self.groups > 1 else ""
        what = f"{kind}{_sizes(self.weights)} on {_sizes(self.input)} {name}{order}{groups}, {self.passes}"
        if self.algorithm is None:
            return f"{what}: PyTorch, because of {self.declined}; {_calls(self.calls)}"
        packed = f", packed weights {self.packed_bytes:,} B" if self.packed_bytes else ""
        return f"{what}: {self.algorithm}, workspace {self.workspace_bytes:,} B{packed}; {_calls(self.calls)}"


@dataclass(frozen=True)
class Report:
    """All plans that are kept: at most 1,024, of the calls since these were last dropped."""

    rows: tuple[Row, ...]
    kept_bytes: int
    """Bytes of packed weights that are kept."""
    kept_tensors: int
    """Tensors whose packed weights are kept."""

    def __str__(self) -> str:
        if not self.rows:
            return "no convolution yet"
        served = sum(row.calls for row in self.rows if row.algorithm is not None)
        declined = sum(row.calls for row in self.rows if row.algorithm is None)
        ends = f"by convlow: {_calls(served)}; by PyTorch: {_calls(declined)}; "
        ends += f"packed weights kept: {self.kept_bytes:,} B of {self.kept_tensors} tensors"
        return "\n".join([*map(str, self.rows), ends])


def report() -> Report:
    """What was computed since plans were last dropped."""
    found = _library.report()
    rows = tuple(_row(row) for row in found["rows"])
    return Report(rows, found["kept_bytes"], found["kept_tensors"])


def _row(row: dict[str, Any]) -> Row:
    number = row["dtype"]
    return Row(
        passes=row["pass"],
        dtype=_TYPES[number] if 0 <= number < len(_TYPES) else None,
        input=tuple(row["input"]),
        weights=tuple(row["weights"]),
        stride=tuple(row["stride"]),
        padding=tuple(row["padding"]),
        dilation=tuple(row["dilation"]),
        output_padding=tuple(row["output_padding"]),
        transposed=row["transposed"],
        groups=row["groups"],
        bias=row["bias"],
        channels_last=row["channels_last"],
        threads=row["threads"],
        calls=row["calls"],
        math="fast" if row["fast"] else "exact",
        algorithm=row["algorithm"],
        workspace_bytes=row.get("workspace_bytes", 0),
        packed_bytes=row.get("packed_bytes", 0),
        declined=row["declined"],
    )


def _sizes(sizes: tuple[int, ...]) -> str:
    return "×".join(map(str, sizes))


def _calls(count: int) -> str:
    return f"{count:,} call" if count == 1 else f"{count:,} calls"
