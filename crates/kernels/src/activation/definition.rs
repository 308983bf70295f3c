//! [`Activation`]: a function and its parameters. [`PreparedActivation`]: its constants, in the type of the tensor.
//!
//! [`exact`] is the definition of an activation. It takes one number at a time, in [`Wide`] arithmetic, and is slow.
//! Tests compare vectors with it.

use super::tables::Tables;
use super::wide::{Wide, power_of_two};
use crate::number::Number;

/// A function that each output goes through. Parameters are taken as they are, not as the nearest number of the
/// tensor's type; bounds of [`Activation::Clamp`] alone are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Activation {
    /// y.
    #[default]
    None,
    /// min(max(y, min), max).
    Clamp {
        /// The smallest output; 0 for ReLU.
        min: f64,
        /// The largest output; infinity for ReLU, 6 for ReLU6.
        max: f64,
    },
    /// alpha·y where y < 0, else y.
    LeakyRelu {
        /// The slope below 0.
        alpha: f64,
    },
    /// min(max(alpha·y + beta, 0), 1).
    HardSigmoid {
        /// The slope between the bounds.
        alpha: f64,
        /// The value at 0, if it is within the bounds.
        beta: f64,
    },
    /// y · min(max(alpha·y + beta, 0), 1).
    HardSwish {
        /// As in [`Activation::HardSigmoid`].
        alpha: f64,
        /// As in [`Activation::HardSigmoid`].
        beta: f64,
    },
    /// 1 / (1 + e^−y).
    Sigmoid,
    /// y / (1 + e^(−alpha·y)).
    Silu {
        /// How steep the step is; 1 for SiLU and Swish.
        alpha: f64,
    },
    /// (e^y − e^−y) / (e^y + e^−y).
    Tanh,
    /// y/2 · (1 + erf(y/√2)).
    Gelu,
    /// y/2 · (1 + tanh(√(2/π)·(y + 0.044715·y³))), of the decimal number 0.044715.
    GeluTanh,
    /// slope·y where y < 0, else y, with a slope for each output channel.
    Prelu,
}

/// What a descriptor says of an activation beside which one it is. NaN asks for the activation's default.
#[derive(Debug, Clone, Copy)]
pub struct Parameters {
    /// Bounds of [`Activation::Clamp`].
    pub min: f64,
    /// See `min`.
    pub max: f64,
    /// Of the activations that have one.
    pub alpha: f64,
    /// Of the activations that have one.
    pub beta: f64,
}

impl Activation {
    /// That of a number of the C surface, if there is one.
    pub fn of_code(code: i32, Parameters { min, max, alpha, beta }: Parameters) -> Option<Self> {
        let or = |value: f64, default: f64| if value.is_nan() { default } else { value };
        let line = (or(alpha, 1.0 / 6.0), or(beta, 0.5));
        Some(match code {
            0 => Self::None,
            1 => Self::Clamp { min, max },
            2 => Self::LeakyRelu { alpha: or(alpha, 0.01) },
            3 => Self::HardSigmoid { alpha: line.0, beta: line.1 },
            4 => Self::HardSwish { alpha: line.0, beta: line.1 },
            5 => Self::Sigmoid,
            6 => Self::Silu { alpha: or(alpha, 1.0) },
            7 => Self::Tanh,
            8 => Self::Gelu,
            9 => Self::GeluTanh,
            10 => Self::Prelu,
            _ => return None,
        })
    }
}

impl Activation {
    /// Its alpha and beta; 0 where it has none.
    pub fn alpha_and_beta(self) -> [f64; 2] {
        match self {
            Self::LeakyRelu { alpha } | Self::Silu { alpha } => [alpha, 0.0],
            Self::HardSigmoid { alpha, beta } | Self::HardSwish { alpha, beta } => [alpha, beta],
            _ => [0.0; 2],
        }
    }

    /// The largest slope that it has anywhere: what an error of the sum is multiplied by at most. `slope` is PRELU's.
    pub fn steepest(self, slope: f64) -> f64 {
        match self {
            Self::None | Self::Clamp { .. } | Self::Tanh => 1.0,
            Self::LeakyRelu { alpha } => alpha.abs().max(1.0),
            Self::Prelu => slope.abs().max(1.0),
            Self::HardSigmoid { alpha, .. } => alpha.abs(),
            // Of y·(alpha·y + beta) it is 2·(alpha·y + beta) − beta, where that factor is between 0 and 1.
            Self::HardSwish { beta, .. } => beta.abs().max((2.0 - beta).abs()).max(1.0),
            Self::Sigmoid => 0.25,
            Self::Silu { .. } => 1.0999,
            Self::Gelu | Self::GeluTanh => 1.13,
        }
    }
}

/// 2·√(2/π), 0.044715, and 1/√(2π).
const SLOPE: Wide = Wide { high: 1.595_769_121_605_730_8, low: -9.969_308_809_110_92e-17 };
const CUBE: Wide = Wide { high: 0.044_715, low: 2.196_021_142_708_559_5e-18 };
const DENSITY: Wide = Wide { high: 0.398_942_280_401_432_7, low: -2.492_327_202_277_73e-17 };

/// An exponent beyond which e^−x, times any number, is nothing.
const FAR: f64 = 4000.0;

/// The activation of y, rounded once: the float64 nearest to it, unless the exact value is so near to the middle of
/// two that 70 bits do not tell which is nearer, or denormal; then within 1 unit in the last place. `slope` is
/// PRELU's, and read by it alone.
pub fn exact(activation: Activation, y: f64, slope: f64) -> f64 {
    if y.is_nan() {
        return y;
    }
    match activation {
        Activation::None => y,
        Activation::Clamp { min, max } => y.clamp(min, max),
        Activation::LeakyRelu { alpha } => leaky_relu(alpha, y),
        Activation::HardSigmoid { alpha, beta } => unit_line(alpha, beta, y).high,
        Activation::HardSwish { alpha, beta } => match unit_line(alpha, beta, y) {
            Wide { high: 0.0, .. } => 0.0 * y.signum(),
            line => times(y, line, 0),
        },
        Activation::Sigmoid => logistic(1.0, y.into()),
        Activation::Silu { alpha } => match Wide::product(alpha, y) {
            _ if alpha == 0.0 => logistic(y, 0.0.into()),
            Wide { low, .. } if !low.is_finite() => logistic(y, (alpha.signum() * y.signum() * FAR).into()),
            x => logistic(y, x),
        },
        Activation::Tanh => tanh(y),
        Activation::Gelu => gelu(y),
        Activation::GeluTanh if y.abs() > 50.0 => logistic(y, (y.signum() * FAR).into()),
        Activation::GeluTanh => {
            let y = Wide::from(y);
            logistic(y.high, SLOPE * y * (Wide::ONE + CUBE * y * y))
        }
        Activation::Prelu => leaky_relu(slope, y),
    }
}

/// 0 times an infinity is 0, the limit.
fn leaky_relu(slope: f64, y: f64) -> f64 {
    match (y < 0.0, slope == 0.0) {
        (false, _) => y,
        (true, true) => -slope,
        (true, false) => slope * y,
    }
}

/// min(max(alpha·y + beta, 0), 1).
fn unit_line(alpha: f64, beta: f64, y: f64) -> Wide {
    let line = match Wide::product(alpha, y) {
        _ if alpha == 0.0 => beta.into(),
        Wide { low, .. } if !low.is_finite() => (alpha.signum() * y).into(),
        product => product + beta.into(),
    };
    match line.high {
        ..=0.0 => 0.0.into(),
        1.0.. => 1.0.into(),
        _ => line,
    }
}

/// y·factor·2^power, rounded once.
fn times(y: f64, factor: Wide, power: i32) -> f64 {
    if y == 0.0 || y.is_infinite() {
        return y * factor.high;
    }
    // Of a middling y the product's rest is a normal number.
    let y_power = if y.abs() > 1.0 { 500 } else { -500 };
    let y = y * power_of_two(-y_power);
    (Wide::from(y) * factor).round(power + y_power)
}

/// y / (1 + e^−x).
fn logistic(y: f64, x: Wide) -> f64 {
    if x.high.abs() >= FAR {
        return if x.high > 0.0 { y } else { 0.0 * y.signum() };
    }
    let (e, power) = (if x.high > 0.0 { -x } else { x }).exp();
    let factor = Wide::ONE / (Wide::ONE + if power > -200 { e.scaled(power) } else { 0.0.into() });
    if x.high > 0.0 { times(y, factor, 0) } else { times(y, e * factor, power) }
}

/// (e^2y − 1) / (e^2y + 1), odd.
fn tanh(y: f64) -> f64 {
    let t = y.abs();
    let magnitude = if t < 1e-9 {
        // The next term, 2/15·t^5, is below 2^−120 of it.
        times(t, Wide::ONE - Wide::product(t, t) / 3.0.into(), 0)
    } else if t < 40.0 {
        let (e, power) = Wide::from(2.0 * t).exp();
        let e = e.scaled(power);
        ((e - Wide::ONE) / (e + Wide::ONE)).high
    } else {
        1.0
    };
    magnitude.copysign(y)
}

/// y·Φ(y).
fn gelu(y: f64) -> f64 {
    let t = y.abs();
    if t > 50.0 {
        return y.max(-0.0);
    }
    let (e, power) = (-(Wide::product(t, t) * 0.5.into())).exp();
    let density = DENSITY * e;
    if t < 5.0 {
        // Φ(t) − 1/2 = φ(t)·(t + t³/3 + t⁵/(3·5) + …); φ(5) is not small.
        let beyond_half = density.scaled(power) * odd_series(t);
        let half = Wide::from(0.5);
        return times(y, if y < 0.0 { half - beyond_half } else { half + beyond_half }, 0);
    }
    // Φ(−t) = φ(t)/(t + 1/(t + 2/(t + 3/…))).
    let t = Wide::from(t);
    let divisor = (1..=100).rev().fold(t, |divisor, k| t + Wide::from(f64::from(k)) / divisor);
    let tail = density / divisor;
    if y < 0.0 { times(y, tail, power) } else { times(y, Wide::ONE - tail.scaled(power.max(-200)), 0) }
}

/// t + t³/3 + t⁵/(3·5) + …
fn odd_series(t: f64) -> Wide {
    let square = Wide::product(t, t);
    let mut term = Wide::from(t);
    let mut sum = term;
    let mut odd = 1.0;
    while term.high > sum.high * 1e-33 {
        odd += 2.0;
        term = term * square / odd.into();
        sum = sum + term;
    }
    sum
}

/// An activation of numbers of one type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum PreparedActivation<T> {
    /// Nothing is done.
    None,
    /// Bounds, in registers.
    Clamp(T, T),
    /// A slope for each channel.
    Prelu,
    /// What takes more than a few instructions.
    Function(Function<T>),
}

/// A function with constants.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Function<T> {
    /// alpha·y where y < 0, else y.
    LeakyRelu(T),
    /// min(max(alpha·y + beta, 0), 1).
    HardSigmoid(Linear<T>),
    /// y · min(max(alpha·y + beta, 0), 1).
    HardSwish(Linear<T>),
    /// 1 / (1 + e^−y).
    Sigmoid,
    /// y / (1 + e^(−alpha·y)).
    Silu(Silu<T>),
    /// tanh y.
    Tanh,
    /// y·Φ(y).
    Gelu,
    /// Nearly that, by tanh.
    GeluTanh,
    /// By its definition, one number at a time: parameters out of the ordinary.
    OneByOne(Activation),
}

/// alpha·y + beta.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Linear<T> {
    /// Its sum is alpha: all 53 digits, also in float32.
    pub(super) alpha: [T; 3],
    /// Its sum is beta, to 48 digits in float32.
    pub(super) beta: [T; 2],
    /// Bounds of the factor y, finite where the other factor is 0.
    pub(super) swish_ends: [T; 2],
}

/// −alpha, and how far y matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Silu<T> {
    /// Its sum is −alpha.
    pub(super) minus_alpha: [T; 2],
    /// Below the first the result is 0, above the second y.
    pub(super) ends: [T; 2],
}

/// The greatest parameter, and the inverse of the least, that vectors are computed with: 2^30. With it nothing
/// overflows.
const GREATEST: f64 = 1_073_741_824.0;

/// Whether vectors are computed with this slope.
fn is_ordinary(alpha: f64) -> bool {
    (1.0 / GREATEST..=GREATEST).contains(&alpha.abs())
}

/// `N` numbers whose sum is `value`, as nearly as they can.
fn parts<T: Number, const N: usize>(value: f64) -> [T; N] {
    let mut rest = value;
    [(); N].map(|()| {
        let part = T::from_f64(rest);
        rest -= part.into();
        part
    })
}

impl<T: Number> Linear<T> {
    /// Beyond, with ordinary parameters, the line is far from 0 and 1: 2^96.
    pub(super) const FAR: f64 = 79_228_162_514_264_337_593_543_950_336.0;

    fn new(alpha: f64, beta: f64) -> Option<Self> {
        if !(alpha == 0.0 || is_ordinary(alpha)) || beta.abs() > GREATEST {
            return None;
        }
        let is_nothing = |slope: f64| slope < 0.0 || slope == 0.0 && beta <= 0.0;
        let least: f64 = T::LEAST.into();
        let low = if is_nothing(-alpha) { least } else { f64::NEG_INFINITY };
        let high = if is_nothing(alpha) { -least } else { f64::INFINITY };
        let swish_ends = [low, high].map(T::from_f64);
        Some(Self { alpha: parts(alpha), beta: parts(beta), swish_ends })
    }
}

impl<T: Number> Silu<T> {
    fn new(alpha: f64) -> Option<Self> {
        let ends = Tables::of::<T>().logistic_ends.map(|end| T::from_f64(end / alpha));
        (alpha > 0.0 && is_ordinary(alpha)).then(|| Self { minus_alpha: parts(-alpha), ends })
    }
}

impl<T: Number> PreparedActivation<T> {
    /// That of an activation.
    pub fn new(activation: Activation) -> Self {
        let function = match activation {
            Activation::None => return Self::None,
            Activation::Clamp { min, max } => return Self::Clamp(T::from_f64(min), T::from_f64(max)),
            Activation::Prelu => return Self::Prelu,
            Activation::LeakyRelu { alpha } => {
                let slope = T::from_f64(alpha);
                (alpha == 0.0 || is_ordinary(alpha)).then_some(Function::LeakyRelu(slope))
            }
            Activation::HardSigmoid { alpha, beta } => Linear::new(alpha, beta).map(Function::HardSigmoid),
            Activation::HardSwish { alpha, beta } => Linear::new(alpha, beta).map(Function::HardSwish),
            Activation::Sigmoid => Some(Function::Sigmoid),
            // y/2.
            Activation::Silu { alpha: 0.0 } => Linear::new(0.0, 0.5).map(Function::HardSwish),
            Activation::Silu { alpha } => Silu::new(alpha).map(Function::Silu),
            Activation::Tanh => Some(Function::Tanh),
            Activation::Gelu => Some(Function::Gelu),
            Activation::GeluTanh => Some(Function::GeluTanh),
        };
        Self::Function(function.unwrap_or(Function::OneByOne(activation)))
    }
}
