"""Checks the reading of lists, and what comparisons of the tiny problems of `selftest` wrote, where their folder is given."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path
from typing import Any

from . import problems

KEYS = {
    "engine",
    "version",
    "implementation",
    "problem",
    "name",
    "count",
    "network",
    "layout",
    "data_type",
    "threads",
    "rounds",
    "median_seconds",
    "ratio_median",
    "ratio_q1",
    "ratio_q3",
    "gflops",
    "memory_bytes",
    "memory_kind",
    "weights_bytes",
    "math",
    "error",
    "burst_median_seconds",
    "burst_ratio_median",
    "burst_ratio_q1",
    "burst_ratio_q3",
    "propagation",
}
STEP_KEYS = {
    "engine",
    "version",
    "network",
    "layout",
    "data_type",
    "batch",
    "threads",
    "rounds",
    "convolutions",
    "of_convolutions",
    "forward_seconds",
    "backward_data_seconds",
    "backward_weights_seconds",
    "seconds",
    "ratio",
    "memory_bytes",
    "memory_kind",
    "memory_at",
}


def check_lists() -> None:
    for network, layers in (("alexnet", 5), ("googlenet", 57), ("resnet50", 53), ("vgg16", 13)):
        assert sum(problem.count for problem in problems.load(network)) == layers, network
    problem = problems.parse('ic3_ih224oc64oh112kh7sh2ph3n"first*4"', "")
    assert (problem.name, problem.count) == ("first", 4)
    assert (problem.rows.before, problem.rows.behind, problem.cols.behind) == (3, 2, 2)
    assert problem.operations == 2 * 3 * 49 * 64 * 112 * 112
    volume = problems.parse("ic3id16ih112oc45od16oh56kd1kh7sd1sh2pd0ph3", "")
    assert volume.src_shape == (1, 3, 16, 112, 112) and volume.weights_shape == (45, 3, 1, 7, 7)
    assert (volume.planes.stride, volume.rows.stride, volume.is_plain) == (1, 2, False)
    transposed = problems.parse("ic512ih8oc256oh16kh5sh2ph2tr1", "")
    assert transposed.weights_shape == (512, 256, 5, 5) and transposed.rows.output_padding == 1
    assert transposed.operations == 2 * 512 * 256 * 25 * 8 * 8
    for wrong in (
        "ic3ih8kh3",
        "ic3oc4ih8oh30kh3sh2tr1",
        "ic3oc4ih8kh3oh3",
        "ic3oc4ih8kh3x",
        "g2ic3oc4ih8kh3",
        "ic3ic3oc4ih8kh3",
        "ic3oc4ih2kh3",
    ):
        try:
            problems.parse(wrong, "")
        except problems.Mistake:
            continue
        raise AssertionError(f"{wrong} is read")


Lines = list[dict[str, Any]]


def check_measured(results: Lines, table: str) -> None:
    for result in results:
        assert set(result) == KEYS, set(result) ^ KEYS
        assert result["memory_kind"] in ("exact", "rss") and result["math"] in ("exact", "winograd")
        assert (result["weights_bytes"] is None) == (result["memory_kind"] == "rss")
        assert result["memory_bytes"] >= 0 and result["median_seconds"] > 0 and result["gflops"] > 0
        for kind in ("", "burst_"):
            assert 0 < result[f"{kind}ratio_q1"] <= result[f"{kind}ratio_median"] <= result[f"{kind}ratio_q3"]
        assert result["burst_median_seconds"] > 0
        assert not math.isnan(result["error"]) and result["error"] <= 1e-3
        assert result["engine"] in table
    assert "burst ms" in table and "burst mean" in table


def check_engines(results: Lines, ours: set[str]) -> None:
    for layout in ("nchw", "nhwc"):
        for name in ("tiny:plain", "tiny:odd"):
            engines = {one["engine"] for one in results if (one["layout"], one["name"]) == (layout, name)}
            assert ours <= engines, (layout, name, engines)


def peers_of(results: Lines) -> str:
    peers = sorted({one["engine"] for one in results if not one["engine"].startswith("convlow")})
    assert peers, "no peer could be had"
    return ", ".join(peers)


def check_results(kind: str, results: Lines, table: str) -> None:
    check_measured(results, table)
    assert {result["propagation"] for result in results} == {kind}
    check_engines(results, {"convlow", "convlow:direct-sum2d"} if kind == "forward" else {"convlow"})


def check_steps(results: Lines, table: str) -> None:
    for result in results:
        assert set(result) == STEP_KEYS, set(result) ^ STEP_KEYS
        # tiny:plain twice and tiny:odd, forward and of the weights; of the data without the first.
        assert result["convolutions"] == result["of_convolutions"] == 3 + 2 + 3
        kinds = [result[f"{kind}_seconds"] for kind in ("forward", "backward_data", "backward_weights")]
        assert min(kinds) > 0 and math.isclose(sum(kinds), result["seconds"])
        assert result["memory_bytes"] > 0 and result["memory_at"].endswith((" of plain", " of odd"))
        assert result["engine"] in table and result["ratio"] > 0
    ours = [(one["layout"], one["ratio"]) for one in results if one["engine"] == "convlow"]
    assert ours == [("nchw", 1), ("nhwc", 1)], ours


if __name__ == "__main__":
    check_lists()
    for kind in ("forward", "backward-data", "backward-weights", "step") if sys.argv[1:] else ():
        written, printed = (Path(sys.argv[1], kind, name).read_text(encoding="utf-8") for name in ("json", "table"))
        results = [json.loads(line) for line in written.splitlines()]
        if kind == "step":
            check_steps(results, printed)
        else:
            check_results(kind, results, printed)
        print(f"selftest, {kind}: {len(results)} results, {peers_of(results)}")
