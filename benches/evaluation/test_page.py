"""The committed page against its data, and the data against measurements whose figures are known."""

from __future__ import annotations

import dataclasses
import math
import re
import tempfile
import unittest
from pathlib import Path
from typing import Any

from compare import problems
from compare.measured import Measured

from . import data, page, tables
from .figures import Results

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/evaluation"


class Committed(unittest.TestCase):
    def test_the_page_is_what_its_data_say(self) -> None:
        written = FOLDER.with_suffix(".md").read_text(encoding="utf-8")
        self.assertTrue(
            written == page.render(FOLDER), "docs/evaluation.md is not that of its data: ./dev evaluate --render"
        )
        self.assertLessEqual(len(written.splitlines()), page.MOST_LINES)

    def test_the_readme_has_the_table_of_the_data(self) -> None:
        expected = page.readme_table(data.read(FOLDER))
        self.assertTrue(expected in (ROOT / "README.md").read_text(encoding="utf-8"), f"README.md lacks\n{expected}")

    def test_every_file_and_column_is_explained(self) -> None:
        explained = set(re.findall(r"`([^`]+)`", (FOLDER / "README.md").read_text(encoding="utf-8")))
        sides = {f"{side}_{of}" for side in ("patches", "low_memory") for of in ("gemm", "ms", "bytes")}
        files: dict[str, type[Any]] = {**data.TABLES, "layers-LAYOUT-ARITHMETIC-THREADS": data.Layer}
        for table, kind in files.items():
            names = {data.file_of(table), *(column.name for column in dataclasses.fields(kind))}
            self.assertEqual(names - explained - sides, set(), table)


def measured(engine: str, name: str, problem: str, ratio: float, memory: int) -> Measured:
    """On a layer that takes convlow 1 ms; the quartiles lie 1 % from the median."""
    quartiles = (1.0, 1.0) if engine == "convlow" else (ratio * 0.99, ratio * 1.01)
    arithmetic = "winograd" if engine == "ncnn" else "exact"
    return Measured(
        engine, "1", "some", problem, name, 2, "net", "nchw", "f32", 1, 15, ratio * 1e-3, ratio, *quartiles, 10.0, memory,
        "exact", 100, arithmetic, 0.0, None, None, None, None,
    )  # fmt: skip


class Tables(unittest.TestCase):
    def setUp(self) -> None:
        first, second = "ic64ih28oc64kh3ph1", "g64ic64ih28oc64kh3ph1"
        peers = [
            measured("convlow", "one", first, 1.0, 10), measured("onednn", "one", first, 1.1, 20),
            measured("onnxruntime", "one", first, 2.0, 30), measured("ncnn", "one", first, 1.5, 50),
            measured("convlow:fast", "one", first, 0.5, 40),
            measured("convlow", "two", second, 1.0, 10), measured("onednn", "two", second, 0.9, 70),
        ]  # fmt: skip
        self.tables = tables.Tables(Results([], [], bursts=[], scaling=[], batches={}, winograd=[], peers=peers))

    def test_the_summary_takes_the_fastest_of_each_layer(self) -> None:
        exact, fast, plain = self.tables.summary()
        self.assertEqual((exact.arithmetic, exact.layers, exact.least, exact.least_layer), ("exact", 2, 0.9, "two"))
        self.assertAlmostEqual(exact.mean, (1.1 * 0.9) ** 0.5)
        self.assertAlmostEqual(exact.sums, 1.0)
        self.assertEqual((exact.convlow_bytes, exact.peer_bytes), (10, 70))
        assert exact.low is not None and exact.high is not None
        # 1.96 times 1.25 / 1.35 of what the quartiles' logarithms differ by, divided by the root of 15 rounds and of 2 layers.
        reach = 1.96 * 1.25 / 1.35 * math.log(1.01 / 0.99) / math.sqrt(15 * 2)
        self.assertAlmostEqual(math.log(exact.high / exact.low), 2 * reach)
        self.assertEqual(page.verdict(exact), "within the noise")
        self.assertEqual((fast.layers, round(fast.mean, 6), plain.layers), (1, 3.0, 1))
        self.assertEqual(page.verdict(fast), "convlow is faster")

    def test_files_keep_what_tables_hold(self) -> None:
        run = data.Run("2026-01-01", "m", "k", 2, 1.0, "convlow 1; b", {}, 1, [], 1, 1, 1, 0.01, 0.02, 0.03, 0.04)
        rows = list(self.tables.peers())
        written = data.Data(run, summary=list(self.tables.summary()), networks=rows, layers=self.tables.peer_layers())
        with tempfile.TemporaryDirectory() as folder:
            data.write(Path(folder), written)
            first = data.read(Path(folder))
            data.write(Path(folder), first)
            self.assertEqual(data.read(Path(folder)), first)
            self.assertIn("| net | 10 B |", page.render(Path(folder)))
        self.assertEqual([one.kind for one in first.layers["nchw", "exact", 1]], ["k×k", "depthwise"])
        self.assertEqual([one.engine for one in first.layers["nchw", "exact", 1]], ["onednn", "onednn"])
        self.assertEqual({one.convlow_packed_bytes for one in first.networks if one.layers == 2}, {400})

    def test_kinds_of_layers(self) -> None:
        for text, kind in (
            ("ic64ih28oc64kh1", "1×1"), ("ic64ih1oc64kh1", "1×1 on a 1×1 map"), ("ic3ih28oc64kh3ph1", "first layers"),
            ("ic64ih28oc64oh14kh3sh2ph1", "strided"), ("ic64ih28oc64kh3ph2dh1", "dilated"),
            ("g8ic64ih28oc64kh3ph1", "grouped"), ("ic64ih14oc64kh2sh2tr1", "transposed"),
            ("ic64id8ih8oc64kd3kh3pd1ph1", "3-D"),
        ):  # fmt: skip
            self.assertEqual(tables.kind_of(problems.parse(text, "")), kind, text)


if __name__ == "__main__":
    unittest.main()
