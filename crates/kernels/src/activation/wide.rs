//! [`Wide`]: numbers with twice the digits of float64, for definitions. They are slow, and have the same bits on
//! every machine.

use std::ops::{Add, Div, Mul, Neg, Sub};

/// An unevaluated sum: the float64 nearest to it, and the rest. Operations are within 2^−102 of their exact results,
/// relative to those, as long as the rests are normal numbers.
#[derive(Debug, Clone, Copy)]
pub struct Wide {
    pub high: f64,
    pub low: f64,
}

/// 2^power, of powers that normal numbers have.
pub const fn power_of_two(power: i32) -> f64 {
    f64::from_bits(((1023 + power) as u64) << 52)
}

impl Wide {
    pub const ONE: Self = Self { high: 1.0, low: 0.0 };
    const LN_2: Self = Self { high: std::f64::consts::LN_2, low: 2.319_046_813_846_299_6e-17 };

    /// a + b.
    pub fn sum(a: f64, b: f64) -> Self {
        let high = a + b;
        let of_b = high - a;
        Self { high, low: (a - (high - of_b)) + (b - of_b) }
    }

    /// a·b.
    pub fn product(a: f64, b: f64) -> Self {
        let high = a * b;
        Self { high, low: a.mul_add(b, -high) }
    }

    /// Times 2^power, which makes nothing too great or too small.
    pub fn scaled(self, power: i32) -> Self {
        let factor = power_of_two(power);
        Self { high: self.high * factor, low: self.low * factor }
    }

    /// The float64 nearest to the number times 2^power; next to nearest it may be where that is denormal.
    pub fn round(self, power: i32) -> f64 {
        // In steps of which only the last can round.
        let step = power.clamp(-900, 900);
        let rest = (power - step).clamp(-900, 900);
        self.high * power_of_two(rest) * power_of_two(step)
    }

    /// e^x as a number from 0.7 to 1.5 and a power of 2, of |x| ≤ 4000.
    pub fn exp(self) -> (Self, i32) {
        let power = (self.high / std::f64::consts::LN_2).round();
        let r = self - Self::LN_2 * power.into();
        // |r|^30 / 30! is below 2^−150.
        let sum = (1..30).rev().fold(Self::ONE, |sum, k| Self::ONE + sum * r / f64::from(k).into());
        (sum, power as i32)
    }
}

impl From<f64> for Wide {
    fn from(high: f64) -> Self {
        Self { high, low: 0.0 }
    }
}

impl Neg for Wide {
    type Output = Self;

    fn neg(self) -> Self {
        Self { high: -self.high, low: -self.low }
    }
}

impl Add for Wide {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let sum = Self::sum(self.high, other.high);
        let rest = Self::sum(self.low, other.low);
        let sum = Self::sum(sum.high, sum.low + rest.high);
        Self::sum(sum.high, sum.low + rest.low)
    }
}

impl Sub for Wide {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        self + -other
    }
}

impl Mul for Wide {
    type Output = Self;

    fn mul(self, other: Self) -> Self {
        let product = Self::product(self.high, other.high);
        let rest = self.high.mul_add(other.low, self.low * other.high);
        Self::sum(product.high, product.low + rest)
    }
}

impl Div for Wide {
    type Output = Self;

    fn div(self, other: Self) -> Self {
        let first = self.high / other.high;
        let rest = self - other * first.into();
        let second = rest.high / other.high;
        let rest = rest - other * second.into();
        Self::sum(first, second) + (rest.high / other.high).into()
    }
}
