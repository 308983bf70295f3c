"""`python -m convlow_onnxruntime`: what it prints, and that wrong words are answered without a traceback."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

import models
import numpy as np
import onnx
from comparing import node, values
from convlow_onnxruntime.compare import Comparison, Measured


class Command(unittest.TestCase):
    folder: tempfile.TemporaryDirectory[str]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = tempfile.TemporaryDirectory(prefix="command-")
        cls.addClassCleanup(cls.folder.cleanup)
        folder = Path(cls.folder.name)
        weights = {"w": values(8, 3, 3, 3)}
        conv = [node("Conv", ["x", "w"], ["y"], "c")]
        for name, sizes in (("fixed", (1, 3, 20, 20)), ("batch", ("n", 3, 20, 20)), ("open", ("n", 3, "h", "w"))):
            onnx.save(models.small(conv, weights, sizes), folder / f"{name}.onnx")
        (folder / "text.onnx").write_text("no model")

    def run_it(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "convlow_onnxruntime", *words, "--rounds", "2"]
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=self.folder.name)

    def refused(self, text: str, *words: str) -> None:
        done = self.run_it(*words)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn(text, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_what_it_prints(self) -> None:
        for words in (["fixed.onnx"], ["batch.onnx", "--math", "fast"], ["open.onnx", "--sizes", "x=2,3,30,40"]):
            done = self.run_it(*words)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn("1 of 1 convolutions on convlow", done.stdout)
            self.assertIn("times as fast", done.stdout)
            self.assertEqual(done.stderr, "")

    def test_sizes_that_are_open_are_asked_for(self) -> None:
        self.refused("open (n, 3, h, w): add --sizes x=1,3,N,N", "open.onnx")

    def test_a_small_output_is_explained(self) -> None:
        def measured(value: float) -> Measured:
            return Measured([1.0, 1.0], 1 << 20, 1.0, [np.array([value])], None)

        text = str(Comparison(measured(6e-5), measured(6.02e-5)))
        self.assertIn("The largest value of an output is 6.0e-05", text)
        self.assertNotIn("largest value of an output", str(Comparison(measured(6e-5), measured(6e-5))))
        self.assertNotIn("largest value of an output", str(Comparison(measured(6.0), measured(6.02))))

    def test_wrong_words(self) -> None:
        self.refused("there is no file missing.onnx", "missing.onnx")
        self.refused("text.onnx is no model that ONNX Runtime can run", "text.onnx")
        self.refused("'x=1,a' is not like input=1,3,224,224", "open.onnx", "--sizes", "x=1,a")
        self.refused("'1,3' is not like input=1,3,224,224", "open.onnx", "--sizes", "1,3")
        self.refused("there is no input z: there are x", "open.onnx", "--sizes", "z=1,3,9,9")
        self.refused("cannot run on made-up inputs of these sizes", "fixed.onnx", "--sizes", "x=1,3,9,9")
        self.refused("'-1' is not a whole number from 0 on", "fixed.onnx", "--max-workspace-bytes", "-1")


if __name__ == "__main__":
    unittest.main()
