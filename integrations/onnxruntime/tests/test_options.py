"""The options of sessions, and what is refused."""

from __future__ import annotations

import subprocess
import sys
import unittest
from pathlib import Path
from unittest import mock

import convlow_onnxruntime as convlow
import models
import onnx
import onnxruntime as ort
from comparing import Feeds, assigned, error, node, plain, session, values


class Options(unittest.TestCase):
    model = models.small(
        [node("Conv", ["x", "w"], ["y"], "c", pads=[1] * 4)], {"w": values(64, 64, 3, 3)}, (1, 64, 56, 56)
    )

    def test_unknown_values_are_refused_with_what_there_is(self) -> None:
        for options in ({"math": "quick"}, {"threads": -1}, {"max_workspace_bytes": "much"}, {"min_macs": 1.5}):
            with self.subTest(options), self.assertRaisesRegex(Exception, "exact or fast"):
                session(self.model, **options)

    def test_unknown_names_are_refused_with_what_there_is(self) -> None:
        settings = ort.SessionOptions()
        settings.add_session_config_entry("ep.convlow.maths", "fast")
        with self.assertRaisesRegex(Exception, "no option maths = fast: there are math"):
            ort.InferenceSession(self.model.SerializeToString(), convlow.use(settings))
        with self.assertRaisesRegex(TypeError, "no option maths: there are math"):
            convlow.use(ort.SessionOptions(), maths="fast")

    def test_a_limit_of_memory_is_kept(self) -> None:
        feeds = {"x": values(1, 64, 56, 56)}
        [free] = convlow.report(session(self.model, math="fast"))
        self.assertGreater(free.workspace_bytes, 4096)
        for limit in (0, 4096, 65536):
            made = session(self.model, math="fast", max_workspace_bytes=limit)
            made.run(None, feeds)
            [layer] = convlow.report(made)
            self.assertLessEqual(layer.workspace_bytes, limit)

    def test_small_layers_can_be_left_to_onnxruntime(self) -> None:
        made = session(self.model, min_macs=10**9)
        [layer] = convlow.report(made)
        self.assertFalse(layer.claimed)
        self.assertIn("fewer than min_macs = 1000000000", layer.reason)
        self.assertEqual(assigned(made), [])
        self.assertTrue(next(iter(convlow.report(session(self.model, min_macs=10**8)))).claimed)

    def test_options_serve_once(self) -> None:
        settings = convlow.use(ort.SessionOptions())
        with self.assertRaisesRegex(ValueError, "already"):
            convlow.use(settings)

    def test_a_report_needs_options_of_convlow(self) -> None:
        with self.assertRaisesRegex(ValueError, "convlow_onnxruntime.use"):
            convlow.report(plain(self.model))

    def test_a_report_is_a_table(self) -> None:
        lines = str(convlow.report(session(self.model))).splitlines()
        self.assertRegex(lines[0], r"^node\s+algorithm\s+workspace\s+packed\s+fused, or why not claimed$")
        self.assertRegex(lines[1], r"^c\s+kn2row-register\s+[\d,]+\s+[\d,]+")

    def test_verbose_tells_what_becomes_of_every_node(self) -> None:
        script = (
            "import sys; sys.path[:0] = [sys.argv[1]]\n"
            "import test_options as t\n"
            "t.ort.set_default_logger_severity(2)\n"
            "settings = t.ort.SessionOptions()\n"
            "t.ort.InferenceSession(t.Options.model.SerializeToString(), t.convlow.use(settings, verbose=True, min_macs=10**9))\n"
        )
        done = subprocess.run(
            [sys.executable, "-c", script, str(Path(__file__).parent)], capture_output=True, text=True, check=True
        )
        self.assertIn("convlow leaves c to ONNX Runtime: it has 115605504 multiplications", done.stderr)


class Refusals(unittest.TestCase):
    """What is not claimed runs all the same, and says why."""

    def check(self, model: onnx.ModelProto, feeds: Feeds, reason: str) -> None:
        made = session(model)
        [layer] = [layer for layer in convlow.report(made) if not layer.claimed]
        self.assertIn(reason, layer.reason)
        self.assertLessEqual(error(made.run(None, feeds), plain(model).run(None, feeds)), 1e-6)

    def test_weights_that_are_computed(self) -> None:
        nodes = [node("Mul", ["w", "x"], ["v"]), node("Conv", ["x", "v"], ["y"], "c")]
        model = models.small(nodes, {"w": values(1, 1, 3, 3)}, (1, 1, 3, 3))
        self.check(model, {"x": values(1, 1, 3, 3)}, "its weights are no constants")

    def test_a_bias_that_is_computed(self) -> None:
        nodes = [
            node("ReduceMean", ["x"], ["b"], axes=[0, 2, 3], keepdims=0),
            node("Conv", ["x", "w", "b"], ["y"], "c"),
        ]
        model = models.small(nodes, {"w": values(4, 4, 3, 3)}, (1, 4, 9, 9))
        self.check(model, {"x": values(1, 4, 9, 9)}, "its bias is no constant")

    def test_what_nobody_reads(self) -> None:
        nodes = [node("Conv", ["x", "w"], ["a"], "c"), node("MaxPool", ["a"], ["b"], kernel_shape=[1, 1])]
        for unread in (nodes[:1], nodes):
            model = models.small([*unread, node("Relu", ["x"], ["y"])], {"w": values(5, 5, 1, 1)}, (1, 5, 4, 4))
            made = session(model)
            if len(unread) == 1:
                self.assertEqual([layer.reason for layer in convlow.report(made)], ["nobody reads what it computes"])
            feeds = {"x": values(1, 5, 4, 4)}
            self.assertEqual(error(made.run(None, feeds), plain(model).run(None, feeds)), 0)

    def test_an_input_that_does_not_fit_fails_the_run_alone(self) -> None:
        model = models.small([node("Conv", ["x", "w"], ["y"], "c")], {"w": values(4, 4, 3, 3)}, (None, 4, None, None))
        made = session(model)
        for _ in range(2):
            with self.assertRaises(Exception) as refused:
                made.run(None, {"x": values(1, 4, 2, 2)})
            self.assertIn("in_height", str(refused.exception))
            made.run(None, {"x": values(1, 4, 3, 3)})

    def test_an_older_onnxruntime(self) -> None:
        with (
            mock.patch.object(ort, "__version__", "1.22.1"),
            mock.patch.object(convlow, "_registered", False),
            self.assertRaisesRegex(RuntimeError, "needs onnxruntime 1.23 or newer, but this is 1.22.1"),
        ):
            convlow.use(ort.SessionOptions())

    def test_a_missing_library(self) -> None:
        with (
            mock.patch.object(convlow, "__file__", "/nowhere/__init__.py"),
            mock.patch.object(convlow, "_registered", False),
            self.assertRaisesRegex(FileNotFoundError, "/nowhere/libconvlow_onnxruntime.so is missing"),
        ):
            convlow.use(ort.SessionOptions())


if __name__ == "__main__":
    unittest.main()
