"""Gradients, gradients of gradients, and what PyTorch builds on them."""

from __future__ import annotations

import unittest
from typing import TYPE_CHECKING, Any

import convlow_torch
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's name for it
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.func import jvp, vmap
from torch.utils.checkpoint import checkpoint

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CALLS = [F.conv1d, F.conv2d, F.conv3d, F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d]


def tensors(call: Callable[..., Any], dtype: torch.dtype = torch.float64, groups: int = 2) -> tuple[torch.Tensor, ...]:
    """Input, weights and bias for a call."""
    axes = int(call.__name__[-2])
    shape = [4, 2] if "transpose" in call.__name__ else [4, 4 // groups]
    weights = torch.randn([*shape, *[2] * axes], dtype=dtype, requires_grad=True)
    x = torch.randn([2, 4, *[3] * axes], dtype=dtype, requires_grad=True)
    return x, weights, torch.randn(4, dtype=dtype, requires_grad=True)


def network(last: bool = False) -> nn.Module:
    """Some layers of each kind."""
    torch.manual_seed(3)
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, groups=8),
        nn.ReLU(),
        nn.ConvTranspose2d(8, 4, 2, stride=2),
        nn.Conv2d(4, 2, 1, padding="same"),
    )
    return layers.to(memory_format=torch.channels_last) if last else layers


def step(model: nn.Module, x: torch.Tensor) -> list[torch.Tensor]:
    """The gradients of one step."""
    model.zero_grad()
    model(x).square().mean().backward()
    return [parameter.grad.clone() for parameter in model.parameters()]


class Gradients(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(1)
        convlow_torch.forget()

    def tearDown(self) -> None:
        convlow_torch.disable()

    def close(self, ours: Iterable[Any], theirs: Iterable[Any], tolerance: float = 1e-4) -> None:
        for a, b in zip(ours, theirs, strict=True):
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)

    def test_gradcheck_and_gradgradcheck_of_every_kind(self) -> None:
        convlow_torch.enable()
        for call in CALLS:
            with self.subTest(call.__name__):
                arguments = tensors(call)

                def grouped(
                    x: torch.Tensor, w: torch.Tensor, b: torch.Tensor, call: Callable[..., Any] = call
                ) -> torch.Tensor:
                    return call(x, w, b, stride=2, padding=1, groups=2)

                self.assertTrue(gradcheck(grouped, arguments))
                self.assertTrue(gradgradcheck(grouped, arguments))
        self.assertTrue(all(row.algorithm for row in convlow_torch.report().rows))

    def test_gradients_of_a_layer_without_bias_are_served(self) -> None:
        convlow_torch.enable()
        nn.Conv2d(3, 4, 3, bias=False)(torch.randn(2, 3, 8, 8)).sum().backward()
        self.assertEqual({row.declined for row in convlow_torch.report().rows}, {None})

    def test_enabled_or_disabled_between_forward_and_backward(self) -> None:
        x = torch.randn(2, 3, 8, 8)
        model = network()
        theirs = step(model, x)
        for first, second in [(True, False), (False, True)]:
            model.zero_grad()
            convlow_torch.enable() if first else convlow_torch.disable()
            loss = model(x).square().mean()
            convlow_torch.enable() if second else convlow_torch.disable()
            loss.backward()
            self.close([p.grad for p in model.parameters()], theirs)

    def test_vmap_jvp_and_checkpoint(self) -> None:
        x, w, b = tensors(F.conv2d)
        xs = torch.randn(3, *x.shape, dtype=x.dtype)

        def call(x: torch.Tensor) -> torch.Tensor:
            return F.conv2d(x, w, b, groups=2)

        theirs = vmap(call)(xs), *jvp(call, (x,), (torch.ones_like(x),)), checkpoint(call, x, use_reentrant=False)
        with convlow_torch.enabled():
            ours = vmap(call)(xs), *jvp(call, (x,), (torch.ones_like(x),)), checkpoint(call, x, use_reentrant=False)
        self.close(ours, theirs, 1e-10)

    def test_autocast_goes_to_pytorch_with_a_reason(self) -> None:
        with convlow_torch.enabled(), torch.autocast("cpu", dtype=torch.bfloat16):
            self.assertEqual(network()(torch.randn(1, 3, 8, 8)).dtype, torch.bfloat16)
        self.assertEqual(
            {row.declined for row in convlow_torch.report().rows}, {"another type than float32 and float64"}
        )

    def test_compiled_programs_train_and_infer(self) -> None:
        for backend in ("aot_eager", "inductor"):
            for last in (False, True):
                with self.subTest(backend, last=last):
                    torch._dynamo.reset()
                    model = network(last)
                    x = torch.randn(2, 3, 8, 8)
                    x = x.contiguous(memory_format=torch.channels_last) if last else x
                    theirs = step(model, x)
                    convlow_torch.forget()
                    with convlow_torch.enabled():
                        compiled = torch.compile(model, backend=backend)
                        self.close(step(compiled, x), theirs)
                        with torch.no_grad():
                            self.close([compiled(x)], [model(x)])
                    self.assertTrue(any(row.algorithm for row in convlow_torch.report().rows))

    def test_exported_programs(self) -> None:
        model, x = network().eval(), torch.randn(2, 3, 8, 8)
        with convlow_torch.enabled():
            exported = torch.export.export(model, (x,)).module()
            self.close([exported(x)], [model(x)])


if __name__ == "__main__":
    unittest.main()
