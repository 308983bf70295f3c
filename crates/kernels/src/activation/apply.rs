//! Activations of many numbers: of vectors in memory, and of slices.

use super::definition::{Function, PreparedActivation};
use super::functions::{self, Apply};
use crate::isa;
use crate::number::Number;
use crate::vectors::{Apart, Kernel, Vectors};

/// values ← activation(values). `slopes` are PRELU's: one for each of the values, or one for all; others read none.
pub fn apply_to_slice<T: Number>(activation: &PreparedActivation<T>, slopes: &[T], values: &mut [T]) {
    match (activation, slopes) {
        (PreparedActivation::None, _) => {}
        (PreparedActivation::Clamp(min, max), _) => {
            values.iter_mut().for_each(|value| *value = clamped(*value, *min, *max))
        }
        (PreparedActivation::Function(function), _) => isa::dispatch(ApplyToSlice { function, values }),
        (PreparedActivation::Prelu, [slope]) => {
            isa::dispatch(ApplyToSlice { function: &Function::LeakyRelu(*slope), values })
        }
        (PreparedActivation::Prelu, slopes) => isa::dispatch(ApplyPreluToSlice { slopes, values }),
    }
}

/// values ← slope·value where it is below 0, of whole vectors.
struct ApplyPrelu<'a, S, T> {
    simd: S,
    slopes: &'a [T],
    run: usize,
    values: &'a mut [T],
}

impl<S: Vectors, T: Number> Apart for ApplyPrelu<'_, S, T> {
    #[inline(always)]
    fn run(self) {
        let Self { simd, slopes, run, mut values } = self;
        let mut next = slopes;
        let mut left = run;
        while let Some((vector, rest)) = values.split_at_mut_checked(T::lanes::<S>()) {
            let y = functions::leaky_relu::<S, T>(simd, T::load::<S>(next), T::load::<S>(vector));
            T::store::<S>(vector, y);
            values = rest;
            left -= 1;
            if left == 0 {
                left = run;
                next = &next[T::lanes::<S>()..];
            }
            if next.is_empty() {
                next = slopes;
            }
        }
    }
}

/// values ← function(values) of a slice.
pub(super) struct ApplyToSlice<'a, T> {
    pub(super) function: &'a Function<T>,
    pub(super) values: &'a mut [T],
}

impl<T: Number> Kernel for ApplyToSlice<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) {
        let function = *self.function;
        let (values, rest) = self.values.split_at_mut(whole::<S, T>(self.values.len()));
        simd.apart(Apply { simd, function, values });
        if !rest.is_empty() {
            let mut vector = [T::load_part(simd, rest)];
            simd.apart(Apply { simd, function, values: bytemuck::cast_slice_mut(&mut vector) });
            T::store_part(simd, rest, vector[0]);
        }
    }
}

/// values ← slope·value where it is below 0, of a slice with a slope for each.
struct ApplyPreluToSlice<'a, T> {
    slopes: &'a [T],
    values: &'a mut [T],
}

impl<T: Number> Kernel for ApplyPreluToSlice<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, simd: S) {
        let whole = whole::<S, T>(self.values.len());
        let (values, rest) = self.values.split_at_mut(whole);
        let (slopes, rest_slopes) = self.slopes.split_at(whole);
        simd.apart(ApplyPrelu { simd, slopes, run: 1, values });
        if !rest.is_empty() {
            let slope = T::load_part(simd, &rest_slopes[..rest.len()]);
            let y = functions::leaky_relu::<S, T>(simd, slope, T::load_part(simd, rest));
            T::store_part(simd, rest, y);
        }
    }
}

/// `min(max(value, min), max)`; a NaN stays a NaN, since it compares with nothing.
fn clamped<T: Number>(value: T, min: T, max: T) -> T {
    let value = if value < min { min } else { value };
    if max < value { max } else { value }
}

/// How many of so many numbers fill vectors.
#[inline(always)]
fn whole<S: Vectors, T: Number>(len: usize) -> usize {
    len - len % T::lanes::<S>()
}
