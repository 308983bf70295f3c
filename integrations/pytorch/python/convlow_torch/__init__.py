"""PyTorch's convolutions on convlow: less memory, the same bits on any number of threads.

import torch, convlow_torch

convlow_torch.enable(math="exact", max_workspace_bytes=2 << 20)
...                                      # every convolution of float32 and float64 on the CPU
print(convlow_torch.report())
convlow_torch.disable()
"""

from __future__ import annotations

import contextlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from convlow_torch import _library
from convlow_torch._report import Report, Row, report

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["Report", "Row", "disable", "enable", "enabled", "forget", "report"]
__version__ = "0.1.1"


@dataclass(frozen=True)
class _Settings:
    math: str
    max_workspace_bytes: int
    threads: int | None
    max_packed_bytes: int


_lock = threading.RLock()
_settings: _Settings | None = None


def enable(
    math: str = "exact",
    max_workspace_bytes: int = 2 << 20,
    threads: int | None = None,
    *,
    max_packed_bytes: int = 1 << 30,
) -> None:
    """Has convlow compute the convolutions of this process, and their gradients.

    math: "exact", or "fast" to allow Winograd's algorithms, whose rounding errors are larger.
    max_workspace_bytes: most memory beside tensors that one call takes; 0 always works.
    threads: how many of PyTorch's threads compute; None: all that torch.set_num_threads allows.
    max_packed_bytes: most memory for weights that are kept packed in inference; 0: none are kept.
    """
    _apply(_checked(_Settings(math, max_workspace_bytes, threads, max_packed_bytes)))


def disable() -> None:
    """Has PyTorch compute again."""
    _apply(None)


@contextlib.contextmanager
def enabled(
    math: str = "exact",
    max_workspace_bytes: int = 2 << 20,
    threads: int | None = None,
    *,
    max_packed_bytes: int = 1 << 30,
) -> Iterator[None]:
    """As enable() for a block, in the whole process; what held before it holds again behind it."""
    before = _settings
    enable(math, max_workspace_bytes, threads, max_packed_bytes=max_packed_bytes)
    try:
        yield
    finally:
        _apply(before)


def forget() -> None:
    """Drops plans and packed weights, as after a change of single weights through `.data` or NumPy in inference."""
    _library.forget()


def _checked(settings: _Settings) -> _Settings:
    if settings.math not in ("exact", "fast"):
        raise ValueError(f'math = {settings.math!r}, but it must be "exact" or "fast"')
    for name in ("max_workspace_bytes", "max_packed_bytes"):
        value = getattr(settings, name)
        if not isinstance(value, int) or not 0 <= value < 1 << 63:
            raise ValueError(f"{name} = {value!r}, but it must be a number of bytes")
    threads = settings.threads
    if threads is not None and (not isinstance(threads, int) or not 1 <= threads <= 1024):
        raise ValueError(f"threads = {threads!r}, but it must be None or 1 to 1024")
    return settings


def _apply(settings: _Settings | None) -> None:
    global _settings  # noqa: PLW0603 - PyTorch's dispatcher is one for the process
    with _lock:
        if settings is not None:
            fast, threads = settings.math == "fast", settings.threads or 0
            _library.set_options(fast, settings.max_workspace_bytes, threads, settings.max_packed_bytes)
            if _settings is None:
                _library.enable()
        elif _settings is not None:
            _library.disable()
        _settings = settings
