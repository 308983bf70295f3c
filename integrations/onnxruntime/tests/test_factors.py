"""Constants behind a convolution that its weights and bias cannot take: what the model says is the sum first, and then the
rest, one operator behind the other."""

from __future__ import annotations

import itertools
import unittest
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import convlow_onnxruntime as convlow
import models
import numpy as np
import onnx
from comparing import node, session

CHANNELS = 4
Float = type[np.float32] | type[np.float64]
#: Wider than float64, so that nothing overflows or loses digits.
Wide = np.longdouble
#: The largest error, as a share of the largest output of the channel.
BOUNDS: dict[Float, float] = {np.float32: 1e-5, np.float64: 1e-13}


def sums_of(operator: str, x: np.ndarray, w: np.ndarray) -> np.ndarray:
    """A Conv or ConvTranspose of two dimensions, tap by tap."""
    x, w = x.astype(Wide), w.astype(Wide)
    (rows, cols), (height, width) = x.shape[2:], w.shape[2:]
    is_transposed = operator == "ConvTranspose"
    if is_transposed:
        y = np.zeros((x.shape[0], w.shape[1], rows + height - 1, cols + width - 1), Wide)
    else:
        y = np.zeros((x.shape[0], w.shape[0], rows - height + 1, cols - width + 1), Wide)
    with np.errstate(invalid="ignore"):
        for i, j in np.ndindex(height, width):
            if is_transposed:
                y[:, :, i : i + rows, j : j + cols] += np.einsum("nchw,cm->nmhw", x, w[:, :, i, j])
            else:
                pixels = x[:, :, i : i + y.shape[2], j : j + y.shape[3]]
                y += np.einsum("nchw,mc->nmhw", pixels, w[:, :, i, j])
    return y


@dataclass(frozen=True)
class Node:
    """An operator behind a convolution, with its constants: numbers for all channels, or one for each."""

    operator: str
    constants: Sequence[np.ndarray] = ()

    def of(self, y: np.ndarray) -> np.ndarray:
        """What it makes of sums."""
        numbers = [number.astype(Wide).reshape(-1, 1, 1) for number in self.constants]
        with np.errstate(all="ignore"):
            match self.operator:
                case "Mul":
                    y = y * numbers[0]
                case "Div":
                    y = y / numbers[0]
                case "Add":
                    y = y + numbers[0]
                case "Sub":
                    y = y - numbers[0]
                case "Relu":
                    y = np.maximum(y, 0)
                case "Clip":
                    y = np.clip(y, 0, 1)
                case "Sigmoid":
                    y = 1 / (1 + np.exp(-y))
                case "BatchNormalization":
                    scale, shift, mean, variance = numbers
                    # As ONNX Runtime says it, which tells where a factor is infinite.
                    factor = scale / np.sqrt(variance)
                    y = y * factor + (shift - mean * factor)
                case other:
                    raise ValueError(f"{other} is no operator that is known here")
        return y


class Case:
    """A convolution and what follows it."""

    def __init__(self, operator: str, x: np.ndarray, w: np.ndarray, nodes: Sequence[Node], bias: float = 0) -> None:
        self.operator, self.x, self.w, self.nodes = operator, x, w, nodes
        self.bias = np.full(CHANNELS, bias, x.dtype)

    def model(self) -> onnx.ModelProto:
        constants: dict[str, np.ndarray | np.float32] = {"w": self.w}
        inputs = ["x", "w"]
        if self.bias.any():
            constants["b"] = self.bias
            inputs.append("b")
        made = [node(self.operator, inputs, ["y0"], "c")]
        for at, behind in enumerate(self.nodes):
            inputs = [f"y{at}"]
            numbers = behind.constants
            if behind.operator == "Clip":
                numbers = [np.array(bound, self.x.dtype) for bound in (0, 1)]
            for index, number in enumerate(numbers):
                inputs.append(f"k{at}.{index}")
                by_channel = number.size > 1 and behind.operator != "BatchNormalization"
                constants[inputs[-1]] = number.reshape(-1, 1, 1) if by_channel else number
            attributes = {"epsilon": 0.0} if behind.operator == "BatchNormalization" else {}
            made.append(node(behind.operator, inputs, [f"y{at + 1}"], **attributes))
        made[-1].output[0] = "y"
        return models.small(made, constants, self.x.shape, self.x.dtype.type)

    def want(self) -> np.ndarray:
        y = sums_of(self.operator, self.x, self.w) + self.bias.astype(Wide).reshape(-1, 1, 1)
        for behind in self.nodes:
            y = behind.of(y)
        with np.errstate(over="ignore"):
            return y.astype(self.x.dtype)


def difference(got: np.ndarray, want: np.ndarray) -> float:
    """The largest error, as a share of the largest output of its channel; infinite where what is not finite differs."""
    finite = np.isfinite(want)
    if not np.array_equal(np.where(finite, 0, want), np.where(np.isfinite(got), 0, got), equal_nan=True):
        return np.inf
    got, want = (np.where(finite, values, 0).astype(Wide) for values in (got, want))
    axes = (0, 2, 3)
    largest = np.abs(want).max(axis=axes)
    return float((np.abs(got - want).max(axis=axes) / np.where(largest > 0, largest, 1)).max())


@dataclass(frozen=True)
class Kind:
    """Weights, an input and a factor; its name says what happens where weights take the factor."""

    name: str
    w: np.ndarray
    x: np.ndarray
    factor: float


def kinds(operator: str, dtype: Float) -> list[Kind]:
    rng = np.random.default_rng(7)
    # Exponents of float64 are eight times as great.
    power = 1.0 if dtype is np.float32 else 8.0
    limit = float(np.finfo(dtype).maxexp)
    large = float(np.finfo(dtype).max) / 32
    w = rng.standard_normal((CHANNELS, CHANNELS, 2, 2))
    x = rng.standard_normal((1, CHANNELS, 7, 6))
    positive = np.abs(x) + 0.5
    # Integers, whose sums are exact in any order, and nearly cancel.
    whole = rng.integers(-4, 5, w.shape).astype(float)
    pair = (slice(None), slice(0, 2)) if operator == "Conv" else (slice(0, 2),)
    other = (slice(None), slice(2, 4)) if operator == "Conv" else (slice(2, 4),)
    whole[other] = -whole[pair]
    whole[other] += rng.integers(0, 2, whole[other].shape) / 16
    same = rng.integers(1, 5, x.shape).astype(float)
    same[:, 2:] = same[:, :2]
    zeros = np.abs(w)
    zeros[..., 0] = 0
    return [
        Kind("weights overflow", 50 * w, 1e-3 * x, large),
        Kind("weights lose digits", 10 ** (-20 * power) * w, 10 ** (20 * power) * x, 10 ** (-24 * power)),
        Kind("weights vanish", 10 ** (-20 * power) * w, 10 ** (20 * power) * x, 10 ** (-36 * power)),
        Kind("products overflow and cancel", whole, 2.0 ** (0.75 * limit) * same, 2.0 ** (0.25 * limit - 2)),
        Kind("zeros meet infinities", zeros, positive, np.inf),
        Kind("zeros stay", 0 * w, x, large),
        Kind("an infinite input", w, np.where(x > 1.5, np.inf, x), 0.0),
    ]


def forms(factor: float, dtype: Float) -> Iterator[tuple[str, np.ndarray]]:
    """A number as a constant for all channels, one for each, and one for a channel alone."""
    number: np.ndarray = np.array(factor, dtype)
    yield "of all", number.reshape(1)
    yield "by channel", np.full(CHANNELS, number)
    yield "of one channel", np.array([0.75, number, 1.25, -0.5], dtype)


def norm(factors: np.ndarray) -> Node:
    """A BatchNormalization that multiplies by these."""
    factors = np.broadcast_to(factors, CHANNELS).copy()
    ones = np.ones_like(factors)
    return Node("BatchNormalization", (factors, 0 * ones, 0 * ones, ones))


#: A factor as nodes.
MULTIPLIED: dict[str, Callable[[np.ndarray], Node]] = {
    "Mul": lambda factors: Node("Mul", [factors]),
    "Div": lambda factors: Node("Div", [(1 / factors.astype(Wide)).astype(factors.dtype)]),
    "BatchNormalization": norm,
}
OPERATORS = ("Conv", "ConvTranspose")


class Factors(unittest.TestCase):
    """A convolution of any constants is claimed, and right."""

    def check(self, case: Case, fused: Sequence[str] | None = None) -> None:
        made = session(case.model(), as_written=True)
        (layer,) = convlow.report(made)
        self.assertEqual(layer.reason, "")
        got = made.run(None, {"x": case.x})[0]
        self.assertLessEqual(difference(got, case.want()), BOUNDS[case.x.dtype.type])
        if fused is not None:
            self.assertEqual(layer.fused, tuple(fused))

    def test_sums_come_first(self) -> None:
        count = 0
        for operator, dtype, end in itertools.product(OPERATORS, BOUNDS, ([], ["Relu"], ["Clip"], ["Sigmoid"])):
            for kind in kinds(operator, dtype):
                for (form, factors), (name, multiplied) in itertools.product(
                    forms(kind.factor, dtype), MULTIPLIED.items()
                ):
                    with np.errstate(all="ignore"):
                        nodes = [multiplied(factors), *map(Node, end)]
                    case = Case(operator, kind.x.astype(dtype), kind.w.astype(dtype), nodes)
                    if np.isfinite(kind.factor) and np.isfinite(kind.x).all():
                        self.assertTrue(np.isfinite(case.want()).all())
                    with self.subTest(kind.name, operator=operator, dtype=dtype.__name__, form=form, by=name, end=end):
                        self.check(case)
                        count += 1
        self.assertEqual(count, 2 * 2 * 4 * 7 * 3 * 3)

    def test_shifts_are_added_one_after_the_other(self) -> None:
        for operator, dtype in itertools.product(OPERATORS, BOUNDS):
            power = 1 if dtype is np.float32 else 8
            high, middle = 2.0 ** (np.finfo(dtype).maxexp - 1), 2.0 ** (60 * power)
            w = np.where(np.eye(CHANNELS), -1, 0).astype(dtype).reshape(CHANNELS, CHANNELS, 1, 1)
            ones = np.ones((1, CHANNELS, 3, 4), dtype)
            nearly = 1 - 2.0**-10
            cases = {
                "both overflow": (high, 0, [("Add", high), ("Add", high)]),
                "bias and shift overflow": (high, high, [("Add", high)]),
                "a shift overflows by a factor": (nearly * high, 0, [("Add", high), ("Mul", 8.0)]),
                "a bias overflows by a factor": (nearly * high, high, [("Mul", 8.0)]),
                "a great shift loses a small one": (middle, 0, [("Add", middle), ("Add", 3.0)]),
                "a great bias loses a small shift": (middle, middle, [("Sub", 3.0)]),
            }
            for name, (size, bias, steps) in cases.items():
                for is_one in (False, True):
                    nodes = []
                    for step, constant in steps:
                        number = np.array(constant, dtype).reshape(1)
                        if is_one:
                            number = np.array([1, constant, 1, 1], dtype)
                        nodes.append(Node(step, [number]))
                    x = (ones * size).astype(dtype)
                    if is_one:
                        x[:, [0, 2, 3]] = 1
                    case = Case(operator, x, w, nodes, bias)
                    if is_one and bias:
                        case.bias[[0, 2, 3]] = 1
                    with self.subTest(name, operator=operator, dtype=dtype.__name__, is_one=is_one):
                        self.assertTrue(np.isfinite(case.want()).all())
                        self.assertTrue(case.want().all() or is_one)
                        self.check(case)

    def test_a_great_shift_is_added_to_the_whole_sum(self) -> None:
        """A part of the sum and the shift overflow together, whichever comes first."""
        for operator, dtype, kernel in itertools.product(OPERATORS, BOUNDS, (1, 2)):
            large = 1.5 * 2.0 ** (np.finfo(dtype).maxexp - 1)
            for first, shifts in itertools.product((1, -1), ([large], [large, 1, 1, 1])):
                w = np.zeros((CHANNELS, CHANNELS, kernel, kernel), dtype)
                if operator == "Conv":
                    w[0, 0, 0, 0], w[0, 1, 0, 0] = first, -first
                else:
                    w[0, 0, 0, 0], w[1, 0, 0, 0] = first, -first
                x = np.full((1, CHANNELS, 5, 5), large, dtype)
                case = Case(operator, x, w, [Node("Add", [np.array(shifts, dtype)])])
                with self.subTest(operator=operator, dtype=dtype.__name__, kernel=kernel, first=first, shifts=shifts):
                    self.check(case)

    def test_bounds_keep_a_small_shift(self) -> None:
        for dtype in BOUNDS:
            w = np.full((CHANNELS, CHANNELS, 1, 1), -1, dtype)
            x = np.ones((1, CHANNELS, 3, 4), dtype)
            shift = np.array([1e-12], dtype)
            with self.subTest(dtype.__name__):
                self.check(Case("Conv", x, w, [Node("Clip"), Node("Add", [shift])]), fused=["Clip", "Add"])

    def test_divisors_whose_reciprocal_is_out_of_range(self) -> None:
        for operator, dtype in itertools.product(OPERATORS, BOUNDS):
            tiny = float(np.finfo(dtype).smallest_subnormal) * 1000
            large = float(np.finfo(dtype).max)
            rng = np.random.default_rng(3)
            w = rng.standard_normal((CHANNELS, CHANNELS, 2, 2))
            x = rng.standard_normal((1, CHANNELS, 5, 5))
            for divisor, scale in (
                (tiny, float(np.finfo(dtype).tiny)),
                (large, large / 2**10),
                (0.0, 1.0),
                (np.inf, 1.0),
            ):
                for form, divisors in forms(divisor, dtype):
                    case = Case(operator, (scale * x).astype(dtype), w.astype(dtype), [Node("Div", [divisors])])
                    if divisor == tiny:
                        # Those products are ordinary with large weights alone.
                        case.w *= dtype(2**20)
                    with self.subTest(operator=operator, dtype=dtype.__name__, divisor=divisor, form=form):
                        self.check(case)

    def test_normalizations_of_every_variance(self) -> None:
        rng = np.random.default_rng(4)
        for operator, dtype in itertools.product(OPERATORS, BOUNDS):
            x = rng.standard_normal((1, CHANNELS, 5, 5)).astype(dtype)
            w = rng.standard_normal((CHANNELS, CHANNELS, 2, 2)).astype(dtype)
            tiny = float(np.finfo(dtype).tiny)
            for constants in (
                {"variance": 0.0},
                {"variance": -1.0},
                {"variance": np.inf},
                {"variance": np.nan},
                {"variance": tiny, "scale": 1 / tiny**0.25},
                {"variance": tiny, "mean": 0.0},
                {"scale": np.inf},
                {"scale": np.nan},
                {"scale": 0.0},
                {"mean": np.inf},
                {"shift": np.inf},
                {"shift": np.nan},
            ):
                ordinary = {"scale": [0.5, 2, -1, 1], "shift": [1, 0, -2, 3], "mean": [0, 0.5, 1, -1]}
                numbers = {name: np.array(values, dtype) for name, values in ordinary.items()}
                numbers["variance"] = np.array([1, 0.5, 2, 0.1], dtype)
                for name, number in constants.items():
                    numbers[name][1] = number
                case = Case(operator, x, w, [Node("BatchNormalization", list(numbers.values())), Node("Relu")])
                with self.subTest(constants, operator=operator, dtype=dtype.__name__):
                    self.check(case, fused=())

    def test_ordinary_factors_are_in_the_weights(self) -> None:
        """A Sigmoid behind a factor is fused only if the factor is in the weights, and what is done by channel is only there."""
        rng = np.random.default_rng(5)
        ordinary = np.array([0.5, 2, -1, 1])
        for operator, dtype in itertools.product(OPERATORS, BOUNDS):
            x = rng.standard_normal((1, CHANNELS, 7, 5)).astype(dtype)
            w = rng.standard_normal((CHANNELS, CHANNELS, 2, 2)).astype(dtype)
            w[0, 0] = 0
            shifts, means = np.array([1, 0, -2, 3], dtype), np.array([0.3, 0, 1, -1], dtype)
            variance = np.array([1, 0.5, 2, 1e-4], dtype)
            of_norm = (ordinary.astype(dtype), shifts, means, variance)
            lists = [[Node("BatchNormalization", of_norm)]]
            for factor in (0.75, 1000.0, 1e-4):
                for (_, factors), by in itertools.product(forms(factor, dtype), MULTIPLIED):
                    lists.append([MULTIPLIED[by](factors)])
            lists.append([Node("Mul", [ordinary.astype(dtype)]), Node("Add", [shifts]), Node("Div", [means[:1]])])
            for nodes, bias in itertools.product(lists, (0, 0.3)):
                case = Case(operator, x, w, [*nodes, Node("Sigmoid")], bias)
                names = [behind.operator for behind in case.nodes]
                with self.subTest(names, operator=operator, dtype=dtype.__name__, bias=bias):
                    self.check(case, fused=names)
            for factor in (1e37, 1e-38, 0.0):
                nodes = [Node("Mul", [np.array([factor], dtype)]), Node("Sigmoid")]
                with self.subTest(factor, operator=operator, dtype=dtype.__name__):
                    fused = ["Mul", "Sigmoid"] if dtype is np.float64 and factor == 1e-38 else ["Mul"]
                    self.check(Case(operator, x, w, nodes), fused=fused)

    def test_constants_between_convolutions(self) -> None:
        large = 2.0**127
        steps: list[tuple[str, list[Node], float]] = [
            ("shifts overflow", [Node("Add", [np.full(CHANNELS, large, np.float32)])] * 2, -large),
            ("a small divisor", [Node("Div", [np.full(CHANNELS, 1e-40, np.float32)])], 0.0),
            ("a small shift", [Node("Add", [np.full(CHANNELS, k, np.float32)]) for k in (2.0**60, 3)], -(2.0**60)),
        ]
        for name, nodes, value in steps:
            middle = [
                node("MaxPool", ["a"], ["y0"], kernel_shape=[2, 2]),
                *(node(step.operator, [f"y{at}", f"k{at}"], [f"y{at + 1}"]) for at, step in enumerate(nodes)),
            ]
            ends = [node("Conv", ["x", "w"], ["a"], "first"), node("Conv", [f"y{len(nodes)}", "w"], ["y"], "last")]
            constants = {f"k{at}": step.constants[0].reshape(-1, 1, 1) for at, step in enumerate(nodes)}
            w = np.eye(CHANNELS, dtype=np.float32).reshape(CHANNELS, CHANNELS, 1, 1)
            x = np.full((1, CHANNELS, 5, 6), value, np.float32)
            want = x[:, :, 1:, 1:].astype(Wide)
            for step in nodes:
                want = step.of(want)
            model = models.small([ends[0], *middle, ends[1]], {"w": w, **constants}, x.shape)
            with self.subTest(name):
                got = session(model).run(None, {"x": x})[0]
                self.assertTrue(np.array_equal(got, want.astype(np.float32)))


if __name__ == "__main__":
    unittest.main()
