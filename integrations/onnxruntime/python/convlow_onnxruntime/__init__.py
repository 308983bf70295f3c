"""Convolutions of ONNX Runtime on convlow: exact or fast, within a limit of memory.

import onnxruntime as ort, convlow_onnxruntime as convlow

options = ort.SessionOptions()
convlow.use(options, math="fast", max_workspace_bytes=2 << 20)
session = ort.InferenceSession("model.onnx", options)
print(convlow.report(session))
"""

from __future__ import annotations

import ctypes
import itertools
import threading
from dataclasses import dataclass, field
from numbers import Integral
from pathlib import Path
from typing import TYPE_CHECKING

import onnxruntime as ort

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Layer", "Report", "library_path", "report", "use"]

_NAME = "convlow"
_HOST = "CPUExecutionProvider"
_OLDEST = (1, 23)
_numbers = itertools.count()
_lock = threading.Lock()
_registered = False


def library_path() -> str:
    """Where the execution provider's library lies, for hosts that register it themselves."""
    path = Path(__file__).with_name("libconvlow_onnxruntime.so")
    if not path.exists():
        raise FileNotFoundError(f"convlow_onnxruntime is not installed whole: {path} is missing")
    return str(path)


def _register() -> None:
    global _registered  # noqa: PLW0603 - once in a process
    with _lock:
        if _registered:
            return
        version = tuple(int(part) for part in ort.__version__.split(".")[:2])
        if version < _OLDEST:
            raise RuntimeError(f"convlow needs onnxruntime 1.23 or newer, but this is {ort.__version__}")
        ort.register_execution_provider_library(_NAME, library_path())
        _registered = True


def use(
    options: ort.SessionOptions,
    *,
    math: str = "exact",
    max_workspace_bytes: int | None = None,
    max_packed_weights_bytes: int | None = None,
    threads: int = 0,
    min_macs: int = 0,
    verbose: bool = False,
    **unknown: object,
) -> ort.SessionOptions:
    """Lets a session of these options compute its convolutions by convlow, and returns the options.

    Make the session without `providers=`: ONNX Runtime would take that list in place of convlow.

    math: "exact", or "fast" for Winograd's algorithm where it is quicker, with errors up to 4e-5 of a layer's
        largest output.
    max_workspace_bytes: the most that a layer may need beside its tensors and its packed weights.
    max_packed_weights_bytes: with math="fast", the most that the packed weights of all layers may take together. Winograd's
        are larger than the model's; layers for which there is no room compute exactly.
    threads: so many of convlow's own; 0 for ONNX Runtime's, so that no core has two.
    min_macs: layers of fewer multiplications are left to ONNX Runtime.
    verbose: whether the log says what becomes of every convolution.
    """
    if unknown:
        raise TypeError(
            f'convlow has no option {", ".join(unknown)}: there are math ("exact" or "fast"), max_workspace_bytes, '
            "max_packed_weights_bytes, threads, min_macs (numbers) and verbose"
        )
    if math not in ("exact", "fast"):
        raise ValueError(f"math = {math!r} is not 'exact' or 'fast'")
    numbers = {
        "max_workspace_bytes": max_workspace_bytes,
        "max_packed_weights_bytes": max_packed_weights_bytes,
        "threads": threads,
        "min_macs": min_macs,
    }
    for name, number in numbers.items():
        if number is not None and (not isinstance(number, Integral) or number < 0):
            raise ValueError(f"{name} = {number!r} is not a whole number from 0 on")
    if _id_of(options) is not None:
        raise ValueError("these session options use convlow already; a session needs options of its own")
    _register()
    devices = [device for device in ort.get_ep_devices() if device.ep_name == _NAME]
    if not devices:
        raise RuntimeError("convlow found no CPU among the devices of ONNX Runtime")
    entries = {name: str(int(number)) for name, number in numbers.items() if number is not None}
    entries |= {"math": math, "verbose": str(int(verbose)), "id": f"python-{next(_numbers)}"}
    entries["intra_op_threads"] = str(options.intra_op_num_threads)
    options.add_provider_for_devices(devices[:1], entries)
    # Else ONNX Runtime warns of each node that is left to its own provider.
    own = [device for device in ort.get_ep_devices() if device.ep_name == _HOST]
    if own and _entry(options, "session.disable_cpu_ep_fallback") != "1":
        options.add_provider_for_devices(own[:1], {})
    # Else ONNX Runtime keeps a second block for all values of a run, from its second run of the same sizes on.
    options.enable_mem_pattern = False
    return options


def _entry(options: ort.SessionOptions, name: str) -> str | None:
    """An entry of the configuration, if it is there."""
    try:
        return str(options.get_session_config_entry(name))
    except RuntimeError:
        return None


def _id_of(options: ort.SessionOptions) -> str | None:
    """The name under which the library answers for sessions of these options."""
    return _entry(options, f"ep.{_NAME}.id")


@dataclass(frozen=True)
class Layer:
    """What became of a Conv or ConvTranspose."""

    node: str
    fused: tuple[str, ...]
    algorithm: str
    #: The sizes of the input that the algorithm and the bytes are for.
    input: tuple[int, ...]
    #: Whether some of these sizes are assumed: the model leaves them open, and no run has told them yet.
    assumed: bool
    workspace_bytes: int
    packed_bytes: int
    reason: str

    @property
    def claimed(self) -> bool:
        """Whether convlow computes it."""
        return not self.reason


@dataclass(frozen=True)
class Report:
    """The convolutions of a session; as text, a table."""

    layers: tuple[Layer, ...] = field(default_factory=tuple)

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    @property
    def claimed(self) -> int:
        """How many of them convlow computes."""
        return sum(layer.claimed for layer in self.layers)

    def __str__(self) -> str:
        head = ("node", "algorithm", "for an input of", "workspace", "packed", "fused, or why not claimed")
        rows = [
            (
                layer.node,
                layer.algorithm or "-",
                "x".join(map(str, layer.input)) + (", assumed" if layer.assumed else "") or "-",
                f"{layer.workspace_bytes:,}",
                f"{layer.packed_bytes:,}",
                layer.reason or " ".join(layer.fused),
            )
            for layer in self.layers
        ]
        widths = [max(len(row[at]) for row in (head, *rows)) for at in range(len(head))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in (head, *rows)
        ]
        lines.append(f"{self.claimed} of {len(self)} convolutions on convlow")
        return "\n".join(lines)


def report(session: ort.InferenceSession) -> Report:
    """What became of a session's convolutions."""
    name = _id_of(session.get_session_options())
    if name is None:
        raise ValueError("this session's options were not made ready by convlow_onnxruntime.use")
    if _NAME not in session.get_providers():
        raise ValueError(
            "this session is not on convlow: it was made with providers=…, which ONNX Runtime takes in place of convlow"
        )
    function = ctypes.CDLL(library_path()).convlow_onnxruntime_report
    function.restype = ctypes.c_size_t
    function.argtypes = (ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
    size = function(name.encode(), None, 0)
    text = ctypes.create_string_buffer(size + 1)
    function(name.encode(), text, size + 1)
    first, *others = text.value.decode(errors="replace").split("\f")
    if others:
        raise ValueError(
            f"{len(others)} open sessions were made from the same session options, and nothing tells their reports apart: "
            "make each from options of its own"
        )
    layers = []
    for line in filter(None, first.split("\n")):
        node, fused, algorithm, sizes, workspace, packed, reason = line.split("\t")
        layers.append(
            Layer(
                node,
                tuple(fused.split()),
                algorithm,
                tuple(int(size) for size in sizes.strip("~").split("x") if size),
                sizes.startswith("~"),
                int(workspace),
                int(packed),
                reason,
            )
        )
    return Report(tuple(layers))
