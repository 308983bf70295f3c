"""Verdicts on runs whose truth and noise are known."""

from __future__ import annotations

import math
import random
import unittest

from . import data, noise, page, tables
from .figures import Comparison, Record, Results

LAYERS = 36


def records(rng: random.Random, of_patches: float, sigma: float, threads: int = 1) -> list[Record]:
    """A measurement in which patches take so many times as long as low memory, but for noise."""
    found = []
    for layer in range(LAYERS):
        for family, factor in (("im2col", of_patches), ("kn2-as", 1.0)):
            found.append({
                "network": "some", "name": f"layer {layer}", "problem": "ic8ih9oc12kh3ph1", "count": 1,
                "family": family, "algorithm": family, "src_layout": "nchw", "dst_layout": "nchw",
                "gemm": "blas", "threads": threads,
                "median_seconds": (1 + layer) * 1e-3 * factor * math.exp(rng.gauss(0, sigma)),
            })  # fmt: skip
    return found


def verdicts(first: list[Record], second: list[Record]) -> list[str]:
    """What the page says of each number of threads: the ratio, its interval, what it gains over one thread, and the verdict."""
    results = Results(first, second, bursts=[], scaling=[], batches={}, winograd=[], peers=[])
    found = data.Data(
        data.Run("", "", "", 1, 1, "", {}, 1, [], 1, 1, 1, 0, 0, 0, 0), paper=list(tables.Tables(results).claims())
    )
    return [", ".join((row[0], row[1], row[2], f"{row[4]} ({row[5]})", *row[7:])) for row in page.claims(found)]


class Verdicts(unittest.TestCase):
    def test_much_noise_hides_a_small_difference(self) -> None:
        for of_patches in (0.97, 1.0, 1.03):
            rng = random.Random(1)
            (said,) = verdicts(records(rng, of_patches, 0.2), records(rng, of_patches, 0.2))
            self.assertIn("**within the noise**", said)

    def test_a_small_difference_shows_in_little_noise(self) -> None:
        for of_patches, word in ((1.03, "agrees"), (0.97, "disagrees")):
            rng = random.Random(2)
            (said,) = verdicts(records(rng, of_patches, 0.01), records(rng, of_patches, 0.01))
            self.assertRegex(said, rf"^as fast, BLAS, 1, {of_patches:.2f} \(.*\*\*{word}\*\*$")

    def test_a_shift_of_a_whole_measurement_is_noise(self) -> None:
        rng = random.Random(3)
        (said,) = verdicts(records(rng, 1.0, 0.001), records(rng, 1.06, 0.001))
        self.assertRegex(said, r", 1\.03 \(.*\*\*within the noise\*\*$")

    def test_level_is_rarely_taken_for_a_difference(self) -> None:
        rng = random.Random(4)
        for layers in (1, 2, 7, 36):
            runs = 400
            found = [
                noise.estimate([(rng.gauss(0, 0.1), rng.gauss(0, 0.1)) for _ in range(layers)]).verdict(
                    "agrees", "disagrees"
                )
                for _ in range(runs)
            ]
            self.assertLess(runs - found.count("within the noise"), 0.08 * runs, layers)

    def test_layers_may_differ_as_they_like(self) -> None:
        one = noise.estimate([(0.5, 0.5), (-0.4, -0.4), (0.0, 0.0)])
        self.assertEqual(one.verdict("agrees", "disagrees"), "agrees")

    def test_more_threads_are_compared_with_one_layer_by_layer(self) -> None:
        rng = random.Random(5)
        first, second = ([*records(rng, 1.0, 0.01), *records(rng, 1.1, 0.01, threads=2)] for _ in range(2))
        said = verdicts(first, second)[1]
        self.assertRegex(said, r"^faster, BLAS, 2, 1\..*, 1\.\d\d \(1\..*\*\*agrees\*\*$")


class Layers(unittest.TestCase):
    def count(self, pairs: list[tuple[float, float]], difference: float) -> int:
        """What `not_below` says of layers whose ratios in the two measurements have these logarithms."""
        found = [
            Comparison({
                ("some", f"{layer}", ""): ({"median_seconds": math.exp(pair[side])}, {"median_seconds": 1.0})
                for layer, pair in enumerate(pairs)
            })
            for side in (0, 1)
        ]  # fmt: skip
        return noise.Repeated(*found).not_below(difference)

    def test_a_layer_within_its_own_noise_is_level(self) -> None:
        slower = (-0.11, -0.09)
        self.assertEqual(self.count([slower, (0.2, 0.2), (-0.16, 0.04), (-0.0001, 0.0)], 0.0), 2 + 1)

    def test_a_layer_within_the_noise_of_the_others_is_level(self) -> None:
        slower = (-0.11, -0.09)
        self.assertEqual(self.count([slower], 0.19), 0)
        self.assertEqual(self.count([slower], 0.21), 1)


if __name__ == "__main__":
    unittest.main()
