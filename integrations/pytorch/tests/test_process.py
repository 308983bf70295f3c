"""Threads, forks, processes, memory, settings, and weights that are kept."""

from __future__ import annotations

import gc
import multiprocessing
import os
import random
import resource
import socket
import tempfile
import threading
import unittest

import convlow_torch
import torch
import torch.nn.functional as F  # noqa: N812 - PyTorch's name for it
from test_gradients import network, step
from torch import nn


def train_in_turns(rank: int, port: int, folder: str) -> None:
    """One of two processes: a step on its half of a batch."""
    os.environ.update(MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    torch.manual_seed(7)
    x = torch.randn(4, 3, 8, 8)
    convlow_torch.enable()
    gradients = step(nn.parallel.DistributedDataParallel(network()), x[2 * rank : 2 * rank + 2])
    served = any(row.algorithm for row in convlow_torch.report().rows)
    torch.save((gradients, served), f"{folder}/{rank}")
    torch.distributed.destroy_process_group()


class Process(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(1)
        self.threads = torch.get_num_threads()
        convlow_torch.enable()
        convlow_torch.forget()

    def tearDown(self) -> None:
        convlow_torch.disable()
        torch.set_num_threads(self.threads)

    def test_bits_are_the_same_for_any_number_of_threads(self) -> None:
        for channels, dtype in [(3, torch.float32), (64, torch.float32), (32, torch.float64)]:
            layer = nn.Conv2d(channels, 48, 3, padding=1, dtype=dtype)
            x = torch.randn(3, channels, 40, 40, dtype=dtype, requires_grad=True)
            answers = []
            for threads in (1, 2, 4):
                torch.set_num_threads(threads)
                y = layer(x)
                answers.append([y, *torch.autograd.grad(y.square().sum(), [x, *layer.parameters()])])
            for others in answers[1:]:
                for a, b in zip(answers[0], others, strict=True):
                    self.assertTrue(torch.equal(a, b))

    def test_a_forked_process_computes(self) -> None:
        torch.set_num_threads(1)
        x, w = torch.randn(1, 3, 9, 9), torch.randn(4, 3, 3, 3)
        expected = F.conv2d(x, w)
        stop = threading.Event()

        def keep_busy() -> None:
            while not stop.is_set():
                F.conv2d(x, w)

        busy = threading.Thread(target=keep_busy)
        busy.start()
        try:
            for _ in range(20):
                child = multiprocessing.get_context("fork").Process(target=_compute, args=(x, w, expected))
                child.start()
                child.join(60)
                self.assertEqual(child.exitcode, 0)
        finally:
            stop.set()
            busy.join()

    def test_several_threads_at_once(self) -> None:
        x, layers = torch.randn(2, 8, 17, 17), [nn.Conv2d(8, 8 + n, 3) for n in range(4)]
        expected = [layer(x) for layer in layers]
        wrong = []

        def compute(at: int) -> None:
            for n in range(50):
                layer = (at + n) % 4
                if not torch.equal(layers[layer](x), expected[layer]):
                    wrong.append(layer)

        threads = [threading.Thread(target=compute, args=(at,)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])

    def test_a_thousand_shapes_take_no_more_memory(self) -> None:
        draw, layer = random.Random(1), nn.Conv2d(3, 8, 3)

        def shapes(count: int) -> int:
            for _ in range(count):
                layer(torch.randn(1, 3, draw.randrange(3, 200), draw.randrange(3, 200))).sum().backward()
            gc.collect()
            return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

        before = shapes(1000)
        self.assertLess(shapes(1500) - before, 8 << 10)
        self.assertLessEqual(len(convlow_torch.report().rows), 2048)

    def test_two_processes_have_the_gradients_of_one(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        torch.manual_seed(7)
        x = torch.randn(4, 3, 8, 8)
        expected = step(network(), x)
        with tempfile.TemporaryDirectory() as folder:
            torch.multiprocessing.spawn(train_in_turns, args=(port, folder), nprocs=2)
            for rank in range(2):
                gradients, served = torch.load(f"{folder}/{rank}")
                self.assertTrue(served)
                for a, b in zip(gradients, expected, strict=True):
                    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)

    def test_blocks_nest_and_restore(self) -> None:
        x, w = torch.randn(1, 16, 32, 32), torch.randn(16, 16, 3, 3)

        def last_math() -> set[str]:
            convlow_torch.forget()
            F.conv2d(x, w)
            return {row.math for row in convlow_torch.report().rows}

        with convlow_torch.enabled(math="fast"):
            self.assertEqual(last_math(), {"fast"})
            with convlow_torch.enabled():
                self.assertEqual(last_math(), {"exact"})
            self.assertEqual(last_math(), {"fast"})
        self.assertEqual(last_math(), {"exact"})
        convlow_torch.disable()
        self.assertEqual(last_math(), set())

    def test_the_workspace_stays_within_its_limit(self) -> None:
        for limit in (0, 100_000):
            with convlow_torch.enabled(max_workspace_bytes=limit):
                convlow_torch.forget()
                step(network(), torch.randn(4, 3, 64, 64))
                self.assertLessEqual(max(row.workspace_bytes for row in convlow_torch.report().rows), limit)

    def test_settings_that_make_no_sense_are_refused(self) -> None:
        for settings in ({"math": "quick"}, {"max_workspace_bytes": -1}, {"threads": 0}, {"max_packed_bytes": "1"}):
            with self.assertRaises(ValueError):
                convlow_torch.enable(**settings)

    def test_the_report_is_readable(self) -> None:
        self.assertEqual(str(convlow_torch.report()), "no convolution yet")
        F.conv2d(torch.randn(1, 3, 9, 9), torch.randn(4, 3, 3, 3))
        self.assertIn("4×3×3×3 on 1×3×9×9 float32, forward: ", str(convlow_torch.report()))


class Kept(unittest.TestCase):
    def setUp(self) -> None:
        torch.manual_seed(1)
        convlow_torch.enable()
        convlow_torch.forget()
        self.x = torch.randn(1, 8, 16, 16)
        self.layer = nn.Conv2d(8, 16, 3)

    def tearDown(self) -> None:
        convlow_torch.disable()

    def infer(self, *, frozen: bool = False) -> torch.Tensor:
        with torch.no_grad() if frozen else torch.inference_mode():
            return self.layer(self.x)

    def current(self) -> bool:
        """Whether inference sees the weights as they are."""
        ours = self.infer()
        convlow_torch.disable()
        theirs = self.infer()
        convlow_torch.enable()
        return bool(torch.allclose(ours, theirs, atol=1e-4))

    def test_inference_keeps_packed_weights(self) -> None:
        self.infer()
        self.infer()
        report = convlow_torch.report()
        self.assertEqual(report.kept_tensors, 1)
        self.assertGreater(report.kept_bytes, 0)

    def test_frozen_weights_are_kept_without_inference_mode(self) -> None:
        self.infer(frozen=True)
        self.assertEqual(convlow_torch.report().kept_tensors, 0)
        self.layer = nn.Conv2d(8, 16, 3).requires_grad_(False)
        self.infer(frozen=True)
        self.assertEqual(convlow_torch.report().kept_tensors, 1)

    def test_changes_are_seen(self) -> None:
        self.infer()
        with torch.no_grad():
            self.layer.weight.add_(1)
        self.assertTrue(self.current())
        self.layer.weight.data.mul_(2)
        self.assertTrue(self.current())
        self.layer.weight.detach().numpy()[:] = 3
        self.assertTrue(self.current())
        self.layer.weight.data = torch.randn_like(self.layer.weight)
        self.assertTrue(self.current())
        self.layer.weight.data[0, 0, 0, 1] += 1
        convlow_torch.forget()
        self.assertTrue(self.current())

    def test_training_drops_what_is_kept(self) -> None:
        self.infer()
        self.layer(self.x).sum().backward()
        self.assertEqual(convlow_torch.report().kept_bytes, 0)
        self.layer.weight.data[0, 0, 0, 1] += 1
        self.assertTrue(self.current())

    def test_weights_that_go_take_their_packing_along(self) -> None:
        for _ in range(20):
            self.layer = nn.Conv2d(8, 16, 3)
            self.infer()
        gc.collect()
        self.assertEqual(convlow_torch.report().kept_tensors, 1)
        del self.layer
        gc.collect()
        self.assertEqual(convlow_torch.report().kept_bytes, 0)

    def test_kept_bytes_are_bounded(self) -> None:
        layers = [nn.Conv2d(8, 16, 3) for _ in range(20)]
        with convlow_torch.enabled(max_packed_bytes=20_000), torch.inference_mode():
            for layer in layers:
                layer(self.x)
                self.assertLessEqual(convlow_torch.report().kept_bytes, 20_000)

    def test_inference_tensors_are_not_kept(self) -> None:
        with torch.inference_mode():
            self.layer = nn.Conv2d(8, 16, 3)
        self.infer()
        self.assertEqual(convlow_torch.report().kept_tensors, 0)


def _compute(x: torch.Tensor, w: torch.Tensor, expected: torch.Tensor) -> None:
    with torch.inference_mode():
        same = torch.allclose(F.conv2d(x, w), expected, atol=1e-5)  # packed weights may take another algorithm
    fresh = F.conv2d(torch.randn(1, 3, 11, 12), w).shape == (1, 4, 9, 10)
    os._exit(0 if same and fresh else 1)


if __name__ == "__main__":
    unittest.main()
