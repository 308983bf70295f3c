"""Many runs, threads and sessions."""

from __future__ import annotations

import ctypes
import gc
import resource
import threading
import unittest
from pathlib import Path
from typing import Any

import models
import onnxruntime as ort
from comparing import in_a_process, network, session, values


class Runs(unittest.TestCase):
    """Many runs, threads and sessions."""

    def test_results_do_not_depend_on_threads(self) -> None:
        for name in ("squeezenet", "shufflenet", "super-resolution", "ocr-detector"):
            model, feeds = models.named(name)
            # Only the nodes of convlow: the others are ONNX Runtime's, which makes no such promise.
            for math in ("exact", "fast"):
                with self.subTest(model=name, math=math):
                    first = None
                    settings: list[dict[str, Any]] = [{"threads": 1}, {"threads": 2}, {"threads": 4}, {}]
                    for options in settings:
                        for of_host in (1, 2, 4):
                            got = session(model, of_host, math=math, **options).run(None, feeds)
                            first = first or got
                            self.assertTrue(all((a == b).all() for a, b in zip(first, got, strict=True)))

    def test_a_thousand_runs_of_changing_shapes_do_not_grow(self) -> None:
        made = session(network(), 2, math="fast")
        made_sizes = [(1 + at % 3, 8, 6 + at * 7 % 40, 6 + at * 11 % 36) for at in range(1000)]
        feeds = [{"x": values(*sizes)} for sizes in made_sizes]
        for feed in feeds[:300]:
            made.run(None, feed)
        before = memory_in_use()
        for feed in feeds:
            made.run(None, feed)
        self.assertLess(memory_in_use() - before, 4 << 20)

    def test_plans_are_made_once_for_each_size(self) -> None:
        made = session(network())
        feeds = {"x": values(1, 8, 20, 20)}
        first = made.run(None, feeds)
        for _ in range(20):
            made.run(None, {"x": values(1, 8, 8, 8 + 2 * _)})
        self.assertTrue((made.run(None, feeds)[0] == first[0]).all())

    def test_threads_share_a_session_and_sessions_a_process(self) -> None:
        model = network()
        shared, second = session(model, 2, math="fast"), session(model, threads=2)
        inputs = [{"x": values(1, 8, 10 + 2 * at, 12)} for at in range(8)]
        expected = {made: [made.run(None, feed)[0] for feed in inputs] for made in (shared, second)}
        wrong = []

        def work(made: ort.InferenceSession, first: int) -> None:
            for turn in range(60):
                at = (first + turn) % len(inputs)
                if not (made.run(None, inputs[at])[0] == expected[made][at]).all():
                    wrong.append(at)

        workers = [threading.Thread(target=work, args=(made, 2 * at)) for made in (shared, second) for at in range(4)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(wrong, [])

    def test_sessions_come_and_go(self) -> None:
        model, feeds = network(), {"x": values(1, 8, 20, 20)}
        for at in range(200):
            session(model, threads=at % 3).run(None, feeds)
            if at == 50:
                gc.collect()
                before = memory_in_use()
        gc.collect()
        self.assertLess(memory_in_use() - before, 8 << 20)

    def test_the_library_can_be_unregistered_at_the_end(self) -> None:
        script = (
            "import gc\n"
            "import comparing as t\nimport test_options\n"
            "made = t.session(test_options.Options.model)\n"
            "made.run(None, {'x': t.values(1, 64, 56, 56)})\n"
            "del made; gc.collect()\n"
            "t.ort.unregister_execution_provider_library('convlow')\n"
            "print('unregistered', [device.ep_name for device in t.ort.get_ep_devices()])\n"
        )
        done = in_a_process(script)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("unregistered", done.stdout)
        self.assertNotIn("convlow", done.stdout)


def memory_in_use() -> int:
    """Bytes that lie in memory now."""
    ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


if __name__ == "__main__":
    unittest.main()
