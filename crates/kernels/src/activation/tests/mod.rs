//! Tests: [`exact`] against points from another program, float64 against [`exact`], float32 against float64.

mod points;

use super::apply::ApplyToSlice;
use super::{Activation, Function, PreparedActivation, apply_to_slice, exact};
use crate::data_type::DataType;
use crate::isa::{self, Isa};
use crate::number::Number;
use crate::vectors::{Kernel, Vectors};
use points::POINTS;

/// Units in the last place that an error may have.
const MOST_UNITS: f64 = 4.0;

/// From one float32 that is tried to the next.
const STRIDE: usize = 4099;

/// Set for the long run, which tries all of them: half an hour on one core.
const EVERY: &str = "CONVLOW_TEST_EVERY_FLOAT";

/// What networks use.
const USUAL: [Activation; 12] = [
    Activation::LeakyRelu { alpha: 0.01 },
    Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
    Activation::HardSigmoid { alpha: 0.2, beta: 0.5 },
    Activation::HardSwish { alpha: 1.0 / 6.0, beta: 0.5 },
    Activation::Sigmoid,
    Activation::Silu { alpha: 1.0 },
    Activation::Silu { alpha: 1.702 },
    Activation::Tanh,
    Activation::Gelu,
    Activation::GeluTanh,
    Activation::HardSwish { alpha: -0.3, beta: 0.7 },
    Activation::Silu { alpha: 0.1 },
];

/// What nobody uses, on both sides of what vectors are computed with.
const UNUSUAL: [Activation; 22] = [
    Activation::LeakyRelu { alpha: 0.0 },
    Activation::LeakyRelu { alpha: -2.0 },
    Activation::LeakyRelu { alpha: 1e-40 },
    Activation::LeakyRelu { alpha: 1e40 },
    Activation::HardSigmoid { alpha: 0.0, beta: 0.25 },
    Activation::HardSigmoid { alpha: -1e9, beta: 1e9 },
    Activation::HardSigmoid { alpha: 1e-9, beta: -0.1 },
    Activation::HardSigmoid { alpha: 1e-12, beta: 0.0 },
    Activation::HardSigmoid { alpha: 1e30, beta: -1e30 },
    Activation::HardSwish { alpha: 0.0, beta: 0.25 },
    Activation::HardSwish { alpha: 0.0, beta: -1.0 },
    Activation::HardSwish { alpha: 1e300, beta: 0.5 },
    Activation::Silu { alpha: 0.0 },
    Activation::Silu { alpha: -1.0 },
    Activation::Silu { alpha: 1_073_741_824.0 },
    Activation::Silu { alpha: 1_073_741_825.0 },
    Activation::Silu { alpha: 1.0 / 1_073_741_824.0 },
    Activation::Silu { alpha: 1.0 / 1_073_741_825.0 },
    Activation::Silu { alpha: 1e300 },
    Activation::Silu { alpha: 1e-300 },
    Activation::Silu { alpha: -1e-60 },
    Activation::Silu { alpha: 3e38 },
];

fn function<T: Number>(activation: Activation) -> Function<T> {
    match PreparedActivation::new(activation) {
        PreparedActivation::Function(function) => function,
        other => panic!("{other:?} is no function"),
    }
}

/// The distance from the number of this type that is next to `value` to its neighbour.
fn unit(data_type: DataType, value: f64) -> f64 {
    let (digits, least) = match data_type {
        DataType::F32 => (23, -149),
        DataType::F64 => (52, -1074),
    };
    let exponent = (value.abs().to_bits() >> 52) as i32 - 1023;
    let power = (exponent - digits).max(least);
    if power < -1022 {
        f64::from_bits(1 << (power + 1074))
    } else {
        f64::from_bits(((1023 + power) as u64) << 52)
    }
}

/// How far `value` is from `exact`, in units in the last place; 0 if no number is nearer.
fn error<T: Number>(value: T, exact: f64) -> f64 {
    if value == T::from_f64(exact) { 0.0 } else { (value.into() - exact).abs() / unit(T::TYPE, exact) }
}

/// A function of some numbers.
struct Job<T> {
    function: Function<T>,
    values: Vec<T>,
}

impl<T: Number> Kernel for Job<T> {
    type Output = Vec<T>;

    #[inline(always)]
    fn run<S: Vectors>(mut self, simd: S) -> Vec<T> {
        ApplyToSlice { function: &self.function, values: &mut self.values }.run(simd);
        self.values
    }
}

/// A function of some numbers by each of this machine's instructions.
fn by_each<T: Number>(function: Function<T>, values: &[T]) -> Vec<(Isa, Vec<T>)> {
    isa::dispatch_each(|| Job { function, values: values.to_vec() })
}

/// Panics unless all instructions with fused multiply-add gave the same bits.
fn assert_equal_bits<T: Number>(results: &[(Isa, Vec<T>)]) {
    let mut fused = results.iter().filter(|(isa, _)| *isa != Isa::Portable);
    let Some((first_isa, first)) = fused.next() else { return };
    for (isa, other) in fused {
        let same = bytemuck::cast_slice::<T, u8>(first) == bytemuck::cast_slice::<T, u8>(other);
        assert!(same, "{first_isa:?} and {isa:?} differ");
    }
}

/// The greatest error of results, and where.
fn worst<T: Number>(values: &[T], results: &[T], exact: &[f64]) -> (f64, f64) {
    let errors = values.iter().zip(results).zip(exact).map(|((y, result), exact)| {
        let error = error(*result, *exact);
        // A NaN is worst.
        (if error.is_nan() { f64::INFINITY } else { error }, (*y).into())
    });
    errors.fold((0.0, 0.0), |worst, one| if one.0 > worst.0 { one } else { worst })
}

/// Float64 from all exponents, and those from −45 to 45 closer together.
fn float64s(count: u64) -> Vec<f64> {
    let from_everywhere = (0..count).map(|k| f64::from_bits(k * (u64::MAX / count)));
    let from_near = (0..count).map(|k| (k as f64 / count as f64 - 0.5) * 90.0);
    from_everywhere.chain(from_near).filter(|y| y.is_finite()).collect()
}

#[test]
fn the_definition_gives_points_computed_elsewhere() {
    for (activation, points) in POINTS {
        for (y, expected) in *points {
            let (y, expected) = (f64::from_bits(*y), f64::from_bits(*expected));
            let result = exact(*activation, y, f64::NAN);
            let most = if expected.abs() < f64::MIN_POSITIVE { 1.0 } else { 0.0 };
            assert!(error(result, expected) <= most, "{activation:?} of {y}: {result}, not {expected}");
        }
    }
}

#[test]
fn float64_is_near_the_definition() {
    for (activations, count) in [(&USUAL[..], 20_011), (&UNUSUAL[..], 1_009)] {
        let values = float64s(count);
        for activation in activations {
            let exact: Vec<f64> = values.iter().map(|y| exact(*activation, *y, f64::NAN)).collect();
            let results = by_each(function::<f64>(*activation), &values);
            assert_equal_bits(&results);
            for (isa, results) in results {
                let (error, y) = worst(&values, &results, &exact);
                println!("{activation:?}, float64, {}: {error:.2} units at {y:e}", isa.name());
                // The definition is rounded itself, by half a unit.
                assert!(error <= MOST_UNITS - 0.5, "{activation:?} of {y:e} by {isa:?}: {error} units");
            }
        }
    }
}

/// Every `stride`-th float32, from a first one on, and the greatest error by each instructions.
fn try_float32s(activation: Activation, stride: usize) {
    let mut found: Vec<(Isa, f64, f64)> = Vec::new();
    let mut next = 0_u64;
    while next < 1 << 32 {
        let bits = (next..1 << 32).step_by(stride).take(1 << 16);
        next += (stride as u64) << 16;
        let values: Vec<f32> =
            bits.map(|bits| f32::from_bits(bits as u32)).filter(|y| y.is_finite()).collect();
        let mut exact: Vec<f64> = values.iter().map(|y| f64::from(*y)).collect();
        apply_to_slice(&PreparedActivation::new(activation), &[], &mut exact);
        let results = by_each(function::<f32>(activation), &values);
        assert_equal_bits(&results);
        for (at, (isa, results)) in results.iter().enumerate() {
            let (error, y) = worst(&values, results, &exact);
            match found.get_mut(at) {
                None => found.push((*isa, error, y)),
                Some(worst) if error > worst.1 => *worst = (*isa, error, y),
                Some(_) => {}
            }
        }
    }
    for (isa, error, y) in found {
        println!("{activation:?}, float32, {}: {error:.3} units at {y:e}", isa.name());
        assert!(error <= MOST_UNITS, "{activation:?} of {y:e} by {isa:?}: {error} units");
    }
}

#[test]
fn float32_is_near_float64() {
    let stride = if std::env::var_os(EVERY).is_some() { 1 } else { STRIDE };
    for activation in USUAL {
        try_float32s(activation, stride);
    }
    for activation in UNUSUAL {
        try_float32s(activation, 257 * STRIDE);
    }
}

fn limits_are_kept<T: Number>() {
    let infinity = f64::INFINITY;
    let cases = [
        (Activation::LeakyRelu { alpha: 0.01 }, -infinity, infinity),
        (Activation::LeakyRelu { alpha: 0.0 }, -0.0, infinity),
        (Activation::LeakyRelu { alpha: -0.5 }, infinity, infinity),
        (Activation::HardSigmoid { alpha: 0.2, beta: 0.5 }, 0.0, 1.0),
        (Activation::HardSigmoid { alpha: -0.2, beta: 0.5 }, 1.0, 0.0),
        (Activation::HardSigmoid { alpha: 0.0, beta: 0.5 }, 0.5, 0.5),
        (Activation::HardSwish { alpha: 0.2, beta: 0.5 }, -0.0, infinity),
        (Activation::HardSwish { alpha: -0.2, beta: 0.5 }, -infinity, 0.0),
        (Activation::HardSwish { alpha: 0.0, beta: 0.0 }, -0.0, 0.0),
        (Activation::HardSwish { alpha: 0.0, beta: 0.5 }, -infinity, infinity),
        (Activation::HardSwish { alpha: 1e300, beta: 0.5 }, -0.0, infinity),
        (Activation::Sigmoid, 0.0, 1.0),
        (Activation::Silu { alpha: 1.0 }, -0.0, infinity),
        (Activation::Silu { alpha: 1e-9 }, -0.0, infinity),
        (Activation::Silu { alpha: 0.0 }, -infinity, infinity),
        (Activation::Silu { alpha: -1.0 }, -infinity, 0.0),
        (Activation::Silu { alpha: 1e-300 }, -0.0, infinity),
        (Activation::Tanh, -1.0, 1.0),
        (Activation::Gelu, -0.0, infinity),
        (Activation::GeluTanh, -0.0, infinity),
    ];
    for (activation, low, high) in cases {
        let least: f64 = T::LEAST.into();
        let values = [f64::NAN, -infinity, infinity, least, -least, -0.0, 0.0].map(T::from_f64);
        for (isa, results) in by_each(function::<T>(activation), &values) {
            let results: Vec<f64> = results.into_iter().map(Into::into).collect();
            assert!(results[0].is_nan(), "{activation:?} of a NaN by {isa:?}: {}", results[0]);
            let bits = |values: &[f64]| values.iter().map(|value| value.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&results[1..3]), bits(&[low, high]), "{activation:?} by {isa:?}: {results:?}");
            let definition = [0.0, -0.0].map(|y: f64| exact(activation, -y, f64::NAN));
            assert_eq!(bits(&results[5..]), bits(&definition), "{activation:?} by {isa:?}: {results:?}");
            assert!(!results.iter().skip(1).any(|result| result.is_nan()), "{activation:?}: {results:?}");
        }
        assert!(exact(activation, f64::NAN, f64::NAN).is_nan());
        for (y, limit) in [(-infinity, low), (infinity, high)] {
            assert_eq!(exact(activation, y, f64::NAN).to_bits(), limit.to_bits(), "{activation:?} of {y}");
        }
    }
}

#[test]
fn infinities_give_limits_and_a_nan_stays() {
    limits_are_kept::<f32>();
    limits_are_kept::<f64>();
}

/// Numbers that many different things happen to.
fn some<T: Number>(count: usize) -> Vec<T> {
    (0..count).map(|k| T::from_f64((k * 37 % 101) as f64 / 8.0 - 6.0)).collect()
}

fn slices_of_any_length<T: Number>() {
    const BEHIND: usize = 20;
    for activation in USUAL.into_iter().chain([Activation::None, Activation::Clamp { min: 0.0, max: 3.0 }]) {
        let prepared = PreparedActivation::<T>::new(activation);
        for len in 0..=40 {
            let before = some::<T>(len + BEHIND);
            let mut after = before.clone();
            apply_to_slice(&prepared, &[], &mut after[..len]);
            for (k, (before, after)) in before.iter().zip(&after).enumerate() {
                let y: f64 = (*before).into();
                let expected = if k < len { exact(activation, y, f64::NAN) } else { y };
                let most = if k < len { MOST_UNITS } else { 0.0 };
                assert!(
                    error(*after, expected) <= most,
                    "{activation:?}, {k} of {len}: {after}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn slices_of_any_length_end_where_they_end() {
    slices_of_any_length::<f32>();
    slices_of_any_length::<f64>();
}

fn prelu_of_slices<T: Number>() {
    let prelu = PreparedActivation::<T>::new(Activation::Prelu);
    for len in 0..=40 {
        let (values, slopes) = (some::<T>(len + 1), some::<T>(len + 7).split_off(7));
        for slopes in [&slopes[..], &slopes[..len.min(1)]] {
            let mut after = values.clone();
            apply_to_slice(&prelu, slopes, &mut after[..len]);
            for k in 0..=len {
                let slope: f64 =
                    if slopes.len() == 1 { slopes[0] } else { *slopes.get(k).unwrap_or(&T::ONE) }.into();
                let slope = if k < len { slope } else { 1.0 };
                let expected = exact(Activation::Prelu, values[k].into(), slope);
                assert!(error(after[k], expected) <= 1.0, "{k} of {len}: {} of {}", after[k], values[k]);
            }
        }
    }
}

#[test]
fn prelu_of_slices_takes_a_slope_for_each_or_one() {
    prelu_of_slices::<f32>();
    prelu_of_slices::<f64>();
}

#[test]
fn a_slope_of_zero_makes_an_infinity_zero() {
    let mut values = [f32::NEG_INFINITY, f32::INFINITY, f32::NEG_INFINITY, -2.0, f32::NAN];
    apply_to_slice(&PreparedActivation::new(Activation::Prelu), &[0.0, 0.0, 0.5, 0.0, 0.0], &mut values);
    assert_eq!(values[..4], [0.0, f32::INFINITY, f32::NEG_INFINITY, 0.0]);
    assert!(values[4].is_nan());
}
