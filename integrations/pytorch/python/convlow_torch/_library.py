"""The library's functions, by ctypes. None of them is called in a convolution, except once for each tensor of weights."""

from __future__ import annotations

import ctypes
import json
import weakref
from pathlib import Path
from typing import Any

import torch

_OLDEST = (2, 13)


def _load() -> ctypes.PyDLL:
    version = tuple(int(part) for part in torch.__version__.split("+")[0].split(".")[:2])
    if version < _OLDEST:
        raise ImportError(f"convlow_torch needs PyTorch 2.13 or newer, but this is {torch.__version__}")
    path = Path(__file__).with_name("libconvlow_torch.so")
    if not path.exists():
        raise ImportError(f"convlow_torch is not installed whole: {path} is missing")
    return ctypes.PyDLL(str(path))


_library = _load()
_library.convlow_torch_enable.restype = ctypes.c_void_p
_library.convlow_torch_report.restype = ctypes.c_void_p
_library.convlow_torch_free.argtypes = [ctypes.c_void_p]
_library.convlow_torch_forget_tensor.argtypes = [ctypes.c_size_t]
_library.convlow_torch_set.argtypes = [
    ctypes.c_int,
    ctypes.c_size_t,
    ctypes.c_uint32,
    ctypes.c_size_t,
    ctypes.c_void_p,
]


def _text(pointer: int | None) -> str | None:
    if not pointer:
        return None
    text = ctypes.string_at(pointer).decode()
    _library.convlow_torch_free(pointer)
    return text


def _ask(weights: torch.Tensor, address: int) -> int:
    """When the weights may be kept packed: 0 never, 1 in inference mode, 2 wherever no gradients are recorded."""
    weakref.finalize(weights, _library.convlow_torch_forget_tensor, address).atexit = False
    if type(weights) not in (torch.Tensor, torch.nn.Parameter) or weights.is_inference():
        return 0
    return 1 if weights.requires_grad else 2


_ASK = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.py_object, ctypes.c_size_t)(_ask)


def set_options(fast: bool, workspace: int, threads: int, packed: int) -> None:
    _library.convlow_torch_set(fast, workspace, threads, packed, ctypes.cast(_ASK, ctypes.c_void_p))


def enable() -> None:
    refusal = _text(_library.convlow_torch_enable())
    if refusal is not None:
        raise RuntimeError(refusal)


def disable() -> None:
    _library.convlow_torch_disable()


def forget() -> None:
    _library.convlow_torch_forget()


def report() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(_text(_library.convlow_torch_report()) or "{}")
    return found
