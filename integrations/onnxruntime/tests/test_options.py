"""The options of sessions, and what is refused."""

from __future__ import annotations

import unittest
from unittest import mock

import convlow_onnxruntime as convlow
import models
import onnx
import onnxruntime as ort
from comparing import Feeds, assigned, error, in_a_process, node, plain, session, values

MATHS = ("exact", "fast")


class Options(unittest.TestCase):
    model = models.small(
        [node("Conv", ["x", "w"], ["y"], "c", pads=[1] * 4)], {"w": values(64, 64, 3, 3)}, (1, 64, 56, 56)
    )

    def test_unknown_values_are_refused_with_what_there_is(self) -> None:
        for name, value, what in (
            ("math", "quick", "'exact' or 'fast'"),
            ("threads", -1, "a whole number from 0 on"),
            ("max_workspace_bytes", "much", "a whole number from 0 on"),
            ("max_packed_weights_bytes", -1, "a whole number from 0 on"),
            ("min_macs", 1.5, "a whole number from 0 on"),
        ):
            with self.subTest(name), self.assertRaisesRegex(ValueError, f"{name} = {value!r} is not {what}"):
                convlow.use(ort.SessionOptions(), **{name: value})  # type: ignore[arg-type]

    def test_unknown_values_of_entries_are_refused_with_what_there_is(self) -> None:
        for name, value, what in (
            ("math", "quick", "exact or fast"),
            ("max_workspace_bytes", "-1", "a whole number from 0 on"),
            ("verbose", "yes", "0 or 1"),
        ):
            settings = convlow.use(ort.SessionOptions())
            settings.add_session_config_entry(f"ep.convlow.{name}", value)
            with self.subTest(name), self.assertRaisesRegex(Exception, f"{name} = {value} is not {what}"):
                ort.InferenceSession(self.model.SerializeToString(), settings)

    def test_unknown_names_are_refused_with_what_there_is(self) -> None:
        settings = ort.SessionOptions()
        settings.add_session_config_entry("ep.convlow.maths", "fast")
        with self.assertRaisesRegex(Exception, "no option maths: there are math"):
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
        settings = convlow.use(ort.SessionOptions())
        made = ort.InferenceSession(self.model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        with self.assertRaisesRegex(ValueError, "made with providers="):
            convlow.report(made)

    def test_a_report_is_of_one_session(self) -> None:
        settings = convlow.use(ort.SessionOptions())
        first, second = (ort.InferenceSession(self.model.SerializeToString(), settings) for _ in range(2))
        for made in (first, second):
            with self.assertRaisesRegex(ValueError, "2 open sessions were made from the same session options"):
                convlow.report(made)
        del made, first
        self.assertEqual(convlow.report(second).claimed, 1)

    def test_a_report_says_what_size_its_figures_are_for(self) -> None:
        weights = {"w": values(64, 8, 3, 3)}
        model = models.small([node("Conv", ["x", "w"], ["y"], "c", pads=[1] * 4)], weights, ("n", 8, "h", "w"))
        made = session(model)
        [layer] = convlow.report(made)
        self.assertTrue(layer.assumed)
        made.run(None, {"x": values(2, 8, 30, 40)})
        [layer] = convlow.report(made)
        self.assertEqual((layer.input, layer.assumed), ((2, 8, 30, 40), False))
        [layer] = convlow.report(session(self.model))
        self.assertEqual((layer.input, layer.assumed), ((1, 64, 56, 56), False))

    def test_packed_weights_stay_within_their_limit(self) -> None:
        nodes = [
            node("Conv", ["x", "v"], ["a"], "first", pads=[1] * 4),
            node("Conv", ["a", "w"], ["y"], "second", pads=[1] * 4),
        ]
        model = models.small(nodes, {"v": values(128, 128, 3, 3), "w": values(128, 128, 3, 3)}, (1, 128, 28, 28))
        exact, fast = ([layer.packed_bytes for layer in convlow.report(session(model, math=math))] for math in MATHS)
        self.assertGreater(min(fast), max(exact))
        for limit, count in ((0, 0), (sum(exact), 0), (exact[0] + fast[0], 1), (sum(fast), 2)):
            made = session(model, math="fast", max_packed_weights_bytes=limit)
            made.run(None, {"x": values(1, 128, 28, 28)})
            packed = [layer.packed_bytes for layer in convlow.report(made)]
            self.assertEqual(sum(bytes_ > max(exact) for bytes_ in packed), count, (limit, packed))
            self.assertLessEqual(sum(packed), max(limit, sum(exact)))

    def test_a_report_is_a_table(self) -> None:
        lines = str(convlow.report(session(self.model))).splitlines()
        self.assertRegex(
            lines[0], r"^node\s+algorithm\s+for an input of\s+workspace\s+packed\s+fused, or why not claimed$"
        )
        self.assertRegex(lines[1], r"^c\s+kn2row-register\s+1x64x56x56\s+[\d,]+\s+[\d,]+")
        self.assertEqual(lines[-1], "1 of 1 convolutions on convlow")

    def test_verbose_tells_what_becomes_of_every_node(self) -> None:
        script = (
            "import test_options as t\n"
            "t.ort.set_default_logger_severity(2)\n"
            "settings = t.ort.SessionOptions()\n"
            "t.ort.InferenceSession(t.Options.model.SerializeToString(), t.convlow.use(settings, verbose=True, min_macs=10**9))\n"
        )
        done = in_a_process(script)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("convlow leaves c to ONNX Runtime: it has 115605504 multiplications", done.stderr)


class Quiet(unittest.TestCase):
    def test_a_session_prints_nothing(self) -> None:
        script = (
            "import numpy as np, onnxruntime as ort, convlow_onnxruntime as convlow, models\n"
            "from comparing import node, values\n"
            "ort.set_default_logger_severity(2)\n"
            "nodes = [node('Conv', ['x', 'w'], ['a'], 'c'), node('Softmax', ['a'], ['b']), node('TopK', ['b', 'k'], ['y', 'i'])]\n"
            "model = models.small(nodes, {'w': values(8, 3, 3, 3), 'k': np.array([2], np.int64)}, ('n', 3, 'h', 'w'))\n"
            "made = ort.InferenceSession(model.SerializeToString(), convlow.use(ort.SessionOptions()))\n"
            "made.run(None, {'x': values(1, 3, 9, 9)})\n"
            "assert convlow.report(made).claimed == 1\n"
        )
        done = in_a_process(script)
        self.assertEqual((done.returncode, done.stdout, done.stderr), (0, "", ""))


class Refusals(unittest.TestCase):
    """What is not claimed runs all the same, and says why."""

    def check(self, model: onnx.ModelProto, feeds: Feeds, reason: str) -> None:
        made = session(model)
        [layer] = [layer for layer in convlow.report(made) if not layer.claimed]
        self.assertIn(reason, layer.reason)
        self.assertLessEqual(error(made.run(None, feeds), plain(model).run(None, feeds)), 1e-6)

    def test_computed_weights_of_sizes_that_nobody_knows(self) -> None:
        nodes = [node("Mul", ["w", "x"], ["v"]), node("Conv", ["x", "v"], ["y"], "c")]
        model = models.small(nodes, {"w": values(1, 1, 1, 1)}, (1, 1, "h", "w"))
        self.check(
            model, {"x": values(1, 1, 3, 3)}, "its weights are computed in the run, and their sizes are not known"
        )

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
