"""Random convolutions, and PyTorch's own answers to them."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import Any

import convlow_torch
import torch

aten = torch.ops.aten


@dataclass
class Case:
    """The arguments of one convolution, and the gradient of its output."""

    input: torch.Tensor
    weights: torch.Tensor
    bias: torch.Tensor | None
    rest: tuple[Any, ...]
    mask: tuple[bool, ...]
    orders: tuple[str, ...]

    def forward(self) -> torch.Tensor:
        return aten.convolution(self.input, self.weights, self.bias, *self.rest)

    def backward(self, grad_output: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        sizes = None if self.bias is None else list(self.bias.shape)
        arguments = grad_output, self.input, self.weights, sizes, *self.rest, list(self.mask)
        gradients: tuple[torch.Tensor | None, ...] = aten.convolution_backward(*arguments)
        return gradients

    def __str__(self) -> str:
        sizes = f"{tuple(self.input.shape)} {self.input.stride()}, {tuple(self.weights.shape)} {self.weights.stride()}"
        return f"{self.input.dtype} {sizes}, bias {self.bias is not None}, {self.rest}, {self.mask}, {self.orders}"


def ordered(tensor: torch.Tensor, order: str) -> torch.Tensor:
    """The same values in another order of memory."""
    if order == "last" and tensor.dim() > 3:
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        return tensor.contiguous(memory_format=formats[tensor.dim()])
    if order == "strided last" and tensor.dim() > 3:
        formats = {4: torch.channels_last, 5: torch.channels_last_3d}
        # Unlike contiguous(), this has the strides of channels last where the tensor lies in both orders.
        return torch.empty_like(tensor, memory_format=formats[tensor.dim()]).copy_(tensor)
    if order == "permuted":
        axes = list(range(tensor.dim()))
        back = [axes[0], *reversed(axes[1:])]
        return tensor.permute(back).contiguous().permute(back)
    if order == "sliced":
        wide = tensor.new_zeros([*tensor.shape[:-1], tensor.shape[-1] + 3])
        wide[..., 1:-2] = tensor
        return wide[..., 1:-2]
    return tensor


def _values(shape: list[int], dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(shape, dtype=dtype)


def random_case(draw: random.Random) -> Case:
    """A convolution with an output of at least one element."""
    while True:
        axes, transposed, groups = draw.choice([1, 2, 2, 2, 3]), draw.random() < 0.35, draw.choice([1, 1, 1, 2, 3, 4])
        dtype = draw.choice([torch.float32, torch.float32, torch.float64])
        of_group, results = draw.choice([1, 1, 2, 3, 8]), draw.choice([1, 1, 2, 5, 8])
        spatial = [draw.choice([1, 1, 2, 5, 8, 9]) for _ in range(axes)]
        kernel = [draw.choice([1, 1, 2, 3, 3, 4]) for _ in range(axes)]
        stride, dilation = ([draw.choice([1, 1, 2, 3]) for _ in range(axes)] for _ in range(2))
        padding = [draw.choice([0, 0, 1, 2]) for _ in range(axes)]
        more = [draw.randrange(max(s, d)) if transposed else 0 for s, d in zip(stride, dilation, strict=True)]
        sizes = zip(spatial, kernel, stride, dilation, padding, more, strict=True)
        outputs = [
            (n - 1) * s - 2 * p + d * (k - 1) + o + 1 if transposed else (n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, d, p, o in sizes
        ]
        if min(outputs) >= 1:
            break
    channels = of_group * groups
    first, second = (channels, results) if transposed else (results * groups, of_group)
    orders = tuple(draw.choice(["first", "first", "last", "strided last", "permuted", "sliced"]) for _ in range(3))
    if draw.random() < 0.5:
        orders = (orders[0],) * 3
    return Case(
        ordered(_values([draw.choice([1, 1, 2, 3, 17]), channels, *spatial], dtype), orders[0]),
        ordered(_values([first, second, *kernel], dtype), orders[1]),
        _values([results * groups], dtype) if draw.random() < 0.5 else None,
        (stride, padding, dilation, transposed, more, groups),
        tuple(draw.random() < 0.7 for _ in range(3)),
        orders,
    )


def with_plain_weights(case: Case) -> Case:
    """PyTorch computes wrong values of some weights with one row or column whose strides are those of another order: no answer to
    compare with. Values are those of the same weights with channels first then."""
    weights = case.weights
    ambiguous = 1 in weights.shape[2:] and not weights.is_contiguous()
    return replace(case, weights=weights.contiguous()) if ambiguous and case.orders[1] == "permuted" else case


def compare(case: Case, math: str = "exact") -> list[str]:
    """How the answers differ from PyTorch's; empty if they do not."""
    case = with_plain_weights(case)
    theirs = case.forward()
    grad_output = ordered(torch.randn_like(theirs), case.orders[2])
    their_gradients = case.backward(grad_output)
    with convlow_torch.enabled(math):
        ours, our_gradients = case.forward(), case.backward(grad_output)
    found = []
    names = ("output", "gradient of input", "of weights", "of bias")
    # oneDNN returns the gradients of weights and bias both, even if only one is asked for.
    asked = (True, *case.mask)
    for name, wanted, a, b in zip(names, asked, (ours, *our_gradients), (theirs, *their_gradients), strict=True):
        if not wanted:
            continue
        found += [f"{name}: {text}" for text in differences(a, b, math)]
    return found


def differences(ours: torch.Tensor | None, theirs: torch.Tensor | None, math: str = "exact") -> list[str]:
    """How one tensor differs from another."""
    if ours is None or theirs is None:
        return [] if ours is theirs else ["one of both is None"]
    found = []
    for name in ("dtype", "shape"):
        a, b = getattr(ours, name), getattr(theirs, name)
        if a != b:
            found.append(f"{name} {a}, PyTorch has {b}")
    if ours.stride() != theirs.stride():
        found.append(f"strides {ours.stride()}, PyTorch has {theirs.stride()}")
    if not found and ours.numel():
        rounding = 1e-10 if ours.dtype == torch.float64 else 2e-4 if math == "exact" else 2e-3
        error = (ours.double() - theirs.double()).abs().max().item()
        if not error <= rounding * max(1.0, theirs.abs().max().item()):
            found.append(f"values differ by {error}")
    return found
