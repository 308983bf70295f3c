"""The answers are PyTorch's: values, types, strides, errors."""

from __future__ import annotations

import random
import unittest
from typing import TYPE_CHECKING, Any

import convlow_torch
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's name for it
from cases import compare, differences, random_case
from torch.testing._internal.common_methods_invocations import op_db

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = 600
NAMES = {f"nn.functional.conv{kind}{n}d" for kind in ("", "_transpose") for n in (1, 2, 3)}


def outcome(call: Callable[..., Any], *arguments: Any, **keywords: Any) -> Any:
    """What a call returns, or the type and text of its exception."""
    try:
        return call(*arguments, **keywords)
    except Exception as error:
        return type(error), str(error)


class Agreement(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(1)
        convlow_torch.forget()
        self.threads = torch.get_num_threads()

    def tearDown(self) -> None:
        convlow_torch.disable()
        torch.set_num_threads(self.threads)

    def test_random_cases_agree_in_values_and_strides(self) -> None:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            for seed in range(CASES):
                torch.manual_seed(seed)
                case = random_case(random.Random(seed))
                self.assertEqual(compare(case), [], f"seed {seed}, {threads} threads: {case}")
        served = [row for row in convlow_torch.report().rows if row.algorithm]
        self.assertGreater(len(served), CASES // 4)

    def test_fast_mathematics_agree_within_its_rounding(self) -> None:
        for seed in range(100):
            torch.manual_seed(seed)
            case = random_case(random.Random(seed))
            self.assertEqual(compare(case, "fast"), [], f"seed {seed}: {case}")

    def test_samples_of_pytorchs_own_tests_agree(self) -> None:
        found = set()
        for op in op_db:
            if op.name not in NAMES:
                continue
            found.add(op.name)
            for dtype in (torch.float32, torch.float64, torch.bfloat16, torch.complex64):
                if dtype not in op.supported_dtypes("cpu"):
                    continue
                for sample in op.sample_inputs("cpu", dtype, requires_grad=False):
                    arguments = (op.op, sample.input, *sample.args)
                    theirs = outcome(*arguments, **sample.kwargs)
                    with convlow_torch.enabled():
                        ours = outcome(*arguments, **sample.kwargs)
                    if dtype in (torch.float32, torch.float64):
                        self.assertEqual(differences(ours, theirs), [], f"{op.name} {sample}")
                    elif dtype.is_complex:
                        # PyTorch computes it as convolutions of real numbers, which convlow takes over.
                        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-3)
                    else:
                        self.assertTrue(torch.equal(ours, theirs), f"{op.name} {sample}")
        self.assertEqual(found, NAMES)

    def test_errors_are_pytorchs(self) -> None:
        x, w = torch.randn(1, 3, 5, 5), torch.randn(2, 3, 3, 3)
        for arguments in [
            (x, torch.randn(2, 4, 3, 3)),
            (x, torch.randn(2, 3, 9, 9)),
            (x, w, torch.randn(5)),
            (x, w.double()),
            (x, w, None, 0),
            (x, w, None, 1, -1),
            (x, w, None, 1, 0, 0),
            (x, w, None, 1, 0, 1, 2),
            (x, w, None, 1, 0, 1, 0),
            (x, w, None, (1, 1, 1)),
            (x[0, 0], w),
            (torch.randn(1, 3, 0, 5), w),
        ]:
            theirs = outcome(F.conv2d, *arguments)
            with convlow_torch.enabled():
                ours = outcome(F.conv2d, *arguments)
            self.assertIsInstance(theirs, tuple)
            self.assertEqual(ours, theirs)

    def test_empty_batches_are_pytorchs(self) -> None:
        x, w = torch.randn(0, 3, 5, 5, requires_grad=True), torch.randn(2, 3, 3, 3, requires_grad=True)
        with convlow_torch.enabled():
            y = F.conv2d(x, w)
            y.sum().backward()
            self.assertIn("an empty tensor", {row.declined for row in convlow_torch.report().rows})
        self.assertEqual(y.shape, (0, 2, 3, 3))
        self.assertEqual(w.grad.abs().max(), 0)


if __name__ == "__main__":
    unittest.main()
