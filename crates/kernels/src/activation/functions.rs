//! The activations, one vector at a time.
//!
//! An exponential keeps a power of 2 apart, and the last step multiplies by it. So no step overflows before a finite
//! result, and a denormal result is rounded once. The integer part of an exponent is taken away before any rounding,
//! because an error of the exponent grows with the exponent.

use super::definition::{Function, Linear, Silu, exact};
use super::tables::Tables;
use super::wide::power_of_two;
use crate::data_type::DataType;
use crate::number::Number;
use crate::vectors::{Apart, Vectors};

/// The same number in all lanes.
#[inline(always)]
fn constant<S: Vectors, T: Number>(simd: S, value: f64) -> T::Vector<S> {
    T::splat(simd, T::from_f64(value))
}

/// The polynomial with these coefficients, that of the lowest power first, by Horner's rule.
#[inline(always)]
fn polynomial<S: Vectors, T: Number>(simd: S, coefficients: &[f64], x: T::Vector<S>) -> T::Vector<S> {
    let mut power = coefficients.len() - 1;
    let mut sum = constant::<S, T>(simd, coefficients[power]);
    while power > 0 {
        power -= 1;
        sum = T::multiply_add(simd, sum, x, constant::<S, T>(simd, coefficients[power]));
    }
    sum
}

/// e^x·2^power as scale·(1 + rest), where the scale is a power of 2.
struct Exponential<V> {
    scale: V,
    rest: V,
}

/// The integer n whose n·ln 2 is next to an exponent, and n + power as [`Number::power_of_two`] takes it.
struct Split<V> {
    n: V,
    shifted: V,
}

/// That of x.
#[inline(always)]
fn split<S: Vectors, T: Number>(simd: S, x: T::Vector<S>, power: i32) -> Split<T::Vector<S>> {
    let offset = T::from_f64(T::exponent_zero::<S>().into() + f64::from(power));
    let shifted = T::next_integer(simd, x, constant::<S, T>(simd, Tables::of::<T>().log2_e), offset);
    Split { n: T::subtract(simd, shifted, T::splat(simd, offset)), shifted }
}

/// e^x·2^power of the remainder that x leaves when the greater part of ln 2, n times, is taken away.
#[inline(always)]
fn exponential<S: Vectors, T: Number>(
    simd: S,
    Split { n, shifted }: Split<T::Vector<S>>,
    remainder: T::Vector<S>,
) -> Exponential<T::Vector<S>> {
    let tables = Tables::of::<T>();
    let r = T::multiply_add(simd, n, constant::<S, T>(simd, -tables.ln_2[1]), remainder);
    let square = T::multiply(simd, r, r);
    let rest = T::multiply_add(simd, square, polynomial::<S, T>(simd, tables.exp, r), r);
    Exponential { scale: T::power_of_two(simd, shifted), rest }
}

/// e^x·2^power.
#[inline(always)]
fn exp<S: Vectors, T: Number>(simd: S, x: T::Vector<S>, power: i32) -> Exponential<T::Vector<S>> {
    let split = split::<S, T>(simd, x, power);
    let whole = constant::<S, T>(simd, -Tables::of::<T>().ln_2[0]);
    let remainder = T::multiply_add(simd, split.n, whole, x);
    exponential::<S, T>(simd, split, remainder)
}

/// e^((a + below)·b)·2^power.
#[inline(always)]
fn exp_of_product<S: Vectors, T: Number>(
    simd: S,
    a: T::Vector<S>,
    below: Option<T::Vector<S>>,
    b: T::Vector<S>,
    power: i32,
) -> Exponential<T::Vector<S>> {
    let split = split::<S, T>(simd, T::multiply(simd, a, b), power);
    let whole = T::multiply(simd, split.n, constant::<S, T>(simd, -Tables::of::<T>().ln_2[0]));
    let mut remainder = T::multiply_add_exactly(simd, a, b, whole);
    if let Some(below) = below {
        remainder = T::multiply_add(simd, below, b, remainder);
    }
    exponential::<S, T>(simd, split, remainder)
}

/// y brought within bounds; a NaN stays a NaN.
#[inline(always)]
fn within<S: Vectors, T: Number>(simd: S, y: T::Vector<S>, [low, high]: [T; 2]) -> T::Vector<S> {
    let y = T::at_least(simd, y, T::splat(simd, low));
    T::at_most(simd, y, T::splat(simd, high))
}

/// numerator / (2^power + e) of e = e^−x·2^power, which is numerator·2^−power / (1 + e^−x).
#[inline(always)]
fn logistic<S: Vectors, T: Number>(
    simd: S,
    numerator: T::Vector<S>,
    e: &Exponential<T::Vector<S>>,
) -> T::Vector<S> {
    let one = constant::<S, T>(simd, power_of_two(Tables::of::<T>().logistic_power));
    let more = T::multiply_add(simd, e.scale, e.rest, T::add_vectors(simd, e.scale, one));
    T::divide(simd, numerator, more)
}

/// 1 / (1 + e^−y).
#[inline(always)]
pub fn sigmoid<S: Vectors, T: Number>(simd: S, y: T::Vector<S>) -> T::Vector<S> {
    let tables = Tables::of::<T>();
    let y = within::<S, T>(simd, y, tables.logistic_ends.map(T::from_f64));
    let e = exp::<S, T>(simd, T::negate(simd, y), tables.logistic_power);
    logistic::<S, T>(simd, constant::<S, T>(simd, power_of_two(tables.logistic_power)), &e)
}

/// y brought within bounds, and how far that is below y: 0 or negative.
#[inline(always)]
fn split_at<S: Vectors, T: Number>(simd: S, y: T::Vector<S>, [low, high]: [T; 2]) -> [T::Vector<S>; 2] {
    let y = T::at_least(simd, y, T::splat(simd, low));
    let within = T::at_most(simd, y, T::splat(simd, high));
    [within, T::subtract(simd, within, y)]
}

/// y / (1 + e^−x) of y in two parts as [`split_at`] makes them. Where there is a second one, 1 + e^−x is 1.
#[inline(always)]
fn step<S: Vectors, T: Number>(
    simd: S,
    [within, below]: [T::Vector<S>; 2],
    e: &Exponential<T::Vector<S>>,
) -> T::Vector<S> {
    let unit = constant::<S, T>(simd, power_of_two(Tables::of::<T>().logistic_power));
    // The negative of 0 is added, so that a result of −0 keeps its sign.
    T::multiply_add(simd, logistic::<S, T>(simd, within, e), unit, T::negate(simd, below))
}

/// y / (1 + e^(−alpha·y)).
#[inline(always)]
pub fn silu<S: Vectors, T: Number>(simd: S, silu: Silu<T>, y: T::Vector<S>) -> T::Vector<S> {
    let parts = split_at::<S, T>(simd, y, silu.ends);
    let slope = T::splat(simd, silu.minus_alpha[0]);
    let below = T::splat(simd, silu.minus_alpha[1]);
    let e = exp_of_product::<S, T>(simd, slope, Some(below), parts[0], Tables::of::<T>().logistic_power);
    step::<S, T>(simd, parts, &e)
}

/// y/2 · (1 + tanh(√(2/π)·(y + 0.044715·y³))), which is y / (1 + e^−x) of x = y·(line + cube·y²).
#[inline(always)]
pub fn gelu_tanh<S: Vectors, T: Number>(simd: S, y: T::Vector<S>) -> T::Vector<S> {
    let tables = Tables::of::<T>();
    let parts = split_at::<S, T>(simd, y, tables.gelu_tanh_ends.map(T::from_f64));
    let y = parts[0];
    let minus_y = T::negate(simd, y);
    let square = T::multiply(simd, y, y);
    let square_above = T::multiply_add_exactly(simd, minus_y, y, square);
    // The slope in two parts. `line` has so few digits that its difference from the first is exact.
    let line = constant::<S, T>(simd, tables.line[0]);
    let cube = constant::<S, T>(simd, tables.cube[0]);
    let slope = T::multiply_add(simd, cube, square, line);
    let below = T::multiply_add_exactly(simd, cube, square, T::subtract(simd, line, slope));
    let below = T::multiply_add(simd, constant::<S, T>(simd, -tables.cube[0]), square_above, below);
    let line = constant::<S, T>(simd, tables.line[1]);
    let cube = constant::<S, T>(simd, tables.cube[1]);
    let below = T::add_vectors(simd, below, T::multiply_add(simd, cube, square, line));
    let e = exp_of_product::<S, T>(simd, slope, Some(below), minus_y, tables.logistic_power);
    step::<S, T>(simd, parts, &e)
}

/// (e^2y − 1) / (e^2y + 1).
#[inline(always)]
pub fn tanh<S: Vectors, T: Number>(simd: S, y: T::Vector<S>) -> T::Vector<S> {
    let x = T::at_most(simd, T::magnitude(simd, y), constant::<S, T>(simd, Tables::of::<T>().tanh_end));
    let e = exp::<S, T>(simd, T::add_vectors(simd, x, x), 0);
    let one_less = T::subtract(simd, e.scale, T::splat(simd, T::ONE));
    let one_less = T::multiply_add(simd, e.scale, e.rest, one_less);
    let one_more = T::add_vectors(simd, one_less, constant::<S, T>(simd, 2.0));
    T::with_sign_of(simd, T::divide(simd, one_less, one_more), y)
}

/// y·Φ(y): max(y, 0) − t·Φ(−t) of t = |y|, with e^(−t²/2)·P / (k·t·P + R) for Φ(−t).
#[inline(always)]
pub fn gelu<S: Vectors, T: Number>(simd: S, y: T::Vector<S>) -> T::Vector<S> {
    let tables = Tables::of::<T>();
    let t = T::at_most(simd, T::magnitude(simd, y), constant::<S, T>(simd, tables.gelu_end));
    let half = T::multiply(simd, t, constant::<S, T>(simd, -0.5));
    let e = exp_of_product::<S, T>(simd, half, None, t, tables.gelu_power);
    let product = T::multiply(simd, t, polynomial::<S, T>(simd, tables.tail[0], t));
    let r = polynomial::<S, T>(simd, tables.tail[1], t);
    let divisor = T::multiply_add(simd, product, constant::<S, T>(simd, tables.tail_slope), r);
    let tail = T::multiply(simd, T::divide(simd, product, divisor), e.scale);
    let tail = T::multiply(simd, tail, constant::<S, T>(simd, power_of_two(-tables.gelu_power)));
    let tail = T::multiply_add(simd, tail, e.rest, tail);
    T::subtract(simd, T::at_least(simd, y, constant::<S, T>(simd, -0.0)), tail)
}

/// min(max(alpha·y + beta, 0), 1). The parts of alpha and beta are added one after the other, the greatest first, so
/// that nothing is lost where they cancel.
#[inline(always)]
pub fn hard_sigmoid<S: Vectors, T: Number>(simd: S, line: Linear<T>, y: T::Vector<S>) -> T::Vector<S> {
    // Beyond, the result is the same, and an infinity times 0 would be a NaN.
    let y = within::<S, T>(simd, y, [-Linear::<T>::FAR, Linear::<T>::FAR].map(T::from_f64));
    let mut sum =
        T::multiply_add_exactly(simd, T::splat(simd, line.alpha[0]), y, T::splat(simd, line.beta[0]));
    if T::TYPE == DataType::F32 {
        sum = T::multiply_add_exactly(simd, T::splat(simd, line.alpha[1]), y, sum);
        sum = T::add_vectors(simd, sum, T::splat(simd, line.beta[1]));
        sum = T::multiply_add_exactly(simd, T::splat(simd, line.alpha[2]), y, sum);
    }
    within::<S, T>(simd, sum, [T::ZERO, T::ONE])
}

/// y · min(max(alpha·y + beta, 0), 1).
#[inline(always)]
pub fn hard_swish<S: Vectors, T: Number>(simd: S, line: Linear<T>, y: T::Vector<S>) -> T::Vector<S> {
    let y = within::<S, T>(simd, y, line.swish_ends);
    T::multiply(simd, y, hard_sigmoid::<S, T>(simd, line, y))
}

/// slope·y where y < 0, else y.
#[inline(always)]
pub fn leaky_relu<S: Vectors, T: Number>(simd: S, slope: T::Vector<S>, y: T::Vector<S>) -> T::Vector<S> {
    let zero = T::splat(simd, T::ZERO);
    // 0 times the least finite number, where 0 times an infinity would be a NaN.
    let finite = T::at_least(simd, y, constant::<S, T>(simd, T::LEAST.into()));
    let factor = T::if_less(simd, zero, T::magnitude(simd, slope), y, finite);
    T::if_less(simd, y, zero, T::multiply(simd, slope, factor), y)
}

/// values ← function(values) of whole vectors.
pub struct Apply<'a, S, T> {
    pub simd: S,
    pub function: Function<T>,
    pub values: &'a mut [T],
}

impl<S: Vectors, T: Number> Apart for Apply<'_, S, T> {
    #[inline(always)]
    fn run(self) {
        let Self { simd, function, values } = self;
        match function {
            Function::LeakyRelu(slope) => each::<S, T>(
                values,
                #[inline(always)]
                |y| leaky_relu::<S, T>(simd, T::splat(simd, slope), y),
            ),
            Function::HardSigmoid(line) => each::<S, T>(
                values,
                #[inline(always)]
                |y| hard_sigmoid(simd, line, y),
            ),
            Function::HardSwish(line) => each::<S, T>(
                values,
                #[inline(always)]
                |y| hard_swish(simd, line, y),
            ),
            Function::Sigmoid => each::<S, T>(
                values,
                #[inline(always)]
                |y| sigmoid::<S, T>(simd, y),
            ),
            Function::Silu(constants) => each::<S, T>(
                values,
                #[inline(always)]
                |y| silu(simd, constants, y),
            ),
            Function::Tanh => each::<S, T>(
                values,
                #[inline(always)]
                |y| tanh::<S, T>(simd, y),
            ),
            Function::Gelu => each::<S, T>(
                values,
                #[inline(always)]
                |y| gelu::<S, T>(simd, y),
            ),
            Function::GeluTanh => each::<S, T>(
                values,
                #[inline(always)]
                |y| gelu_tanh::<S, T>(simd, y),
            ),
            Function::OneByOne(activation) => {
                for y in values {
                    *y = T::from_f64(exact(activation, (*y).into(), f64::NAN));
                }
            }
        }
    }
}

/// One vector after the other. A machine that takes instructions out of order computes several at a time: taking four
/// in each step was no faster.
#[inline(always)]
fn each<S: Vectors, T: Number>(mut values: &mut [T], f: impl Fn(T::Vector<S>) -> T::Vector<S>) {
    while let Some((vector, rest)) = values.split_at_mut_checked(T::lanes::<S>()) {
        T::store::<S>(vector, f(T::load::<S>(vector)));
        // Otherwise the compiler makes vectors of portable vectors: four times the code, and no faster.
        values = std::hint::black_box(rest);
    }
}
