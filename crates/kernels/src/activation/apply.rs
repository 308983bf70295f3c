//! Activations of many numbers: vectors in memory, and slices.

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

/// Where PRELU's slopes of the sums of a tile lie.
#[derive(Debug, Clone, Copy)]
pub enum Slopes<T> {
    /// One a channel, which the lanes of the vectors are.
    OfLanes(*const T),
    /// One a channel, which the rows of vectors are.
    OfRows(*const T),
}

/// An activation as the kernels of a tile apply it.
#[derive(Debug, Clone, Copy)]
pub struct Applied<T> {
    pub activation: PreparedActivation<T>,
    /// Read for PRELU alone.
    pub slopes: Slopes<T>,
}

impl<T> Applied<T> {
    /// Nothing.
    pub const NOTHING: Self =
        Self { activation: PreparedActivation::None, slopes: Slopes::OfLanes(std::ptr::null()) };
}

impl<T: Number> Applied<T> {
    /// The same for the channels from this one on.
    #[inline(always)]
    pub fn at_channel(self, channel: usize) -> Self {
        let slopes = match self.slopes {
            Slopes::OfLanes(first) => Slopes::OfLanes(first.wrapping_add(channel)),
            Slopes::OfRows(first) => Slopes::OfRows(first.wrapping_add(channel)),
        };
        Self { slopes, ..self }
    }

    /// sums ← activation(sums) of rows of vectors in registers, of which so many lanes are there.
    #[inline(always)]
    pub fn apply<S: Vectors, const P: usize, const V: usize>(
        &self,
        simd: S,
        lanes: usize,
        mut sums: [[T::Vector<S>; V]; P],
    ) -> [[T::Vector<S>; V]; P] {
        match self.activation {
            PreparedActivation::None => {}
            PreparedActivation::Clamp(min, max) => {
                let (min, max) = (T::splat(simd, min), T::splat(simd, max));
                let mut p = 0;
                while p < P {
                    let mut v = 0;
                    while v < V {
                        sums[p][v] = T::at_most(simd, T::at_least(simd, sums[p][v], min), max);
                        v += 1;
                    }
                    p += 1;
                }
            }
            _ => {
                // A copy of them: their own place is in registers.
                let mut spilled = sums;
                self.apply_in_memory(simd, V, lanes, spilled.as_flattened_mut());
                sums = spilled;
            }
        }
        sums
    }

    /// The same of rows of one vector in memory.
    #[cfg(feature = "winograd")]
    #[inline(always)]
    pub fn apply_to_rows<S: Vectors>(&self, simd: S, lanes: usize, sums: &mut [T::Vector<S>]) {
        match self.activation {
            PreparedActivation::None => {}
            PreparedActivation::Clamp(min, max) => {
                let (min, max) = (T::splat(simd, min), T::splat(simd, max));
                for sum in sums {
                    *sum = T::at_most(simd, T::at_least(simd, *sum, min), max);
                }
            }
            _ => self.apply_in_memory(simd, 1, lanes, sums),
        }
    }

    #[inline(always)]
    fn apply_in_memory<S: Vectors>(&self, simd: S, vectors: usize, lanes: usize, sums: &mut [T::Vector<S>]) {
        let Self { activation, slopes } = self;
        let sums = bytemuck::cast_slice_mut(sums);
        simd.apart(OfTile { simd, activation, slopes: *slopes, vectors, lanes, sums });
    }
}

/// The sums of a register tile on the stack: rows of vectors.
struct OfTile<'a, S, T> {
    pub simd: S,
    pub activation: &'a PreparedActivation<T>,
    pub slopes: Slopes<T>,
    /// Vectors of a row, and how many lanes of them are there.
    pub vectors: usize,
    pub lanes: usize,
    pub sums: &'a mut [T],
}

impl<S: Vectors, T: Number> Apart for OfTile<'_, S, T> {
    #[inline(always)]
    fn run(self) {
        let Self { simd, activation, slopes, vectors, lanes, sums } = self;
        let of_row = vectors * T::lanes::<S>();
        match (activation, slopes) {
            (PreparedActivation::None | PreparedActivation::Clamp(..), _) => {}
            (PreparedActivation::Function(function), _) => {
                simd.apart(Apply { simd, function: *function, values: sums });
            }
            (PreparedActivation::Prelu, Slopes::OfLanes(from)) => {
                // SAFETY: a tile with these slopes has one for each of its channels.
                let slopes = unsafe { std::slice::from_raw_parts(from, lanes) };
                for row in sums.chunks_exact_mut(of_row) {
                    for at in (0..lanes).step_by(T::lanes::<S>()) {
                        let few = &slopes[at..lanes.min(at + T::lanes::<S>())];
                        let values = &mut row[at..at + T::lanes::<S>()];
                        let y = T::load::<S>(values);
                        T::store::<S>(
                            values,
                            functions::leaky_relu::<S, T>(simd, T::load_part(simd, few), y),
                        );
                    }
                }
            }
            (PreparedActivation::Prelu, Slopes::OfRows(from)) => {
                for (row, values) in sums.chunks_exact_mut(of_row).enumerate() {
                    // SAFETY: as above.
                    let function = Function::LeakyRelu(unsafe { *from.add(row) });
                    simd.apart(Apply { simd, function, values });
                }
            }
        }
    }
}

/// How many of so many numbers fill vectors.
#[inline(always)]
fn whole<S: Vectors, T: Number>(len: usize) -> usize {
    len - len % T::lanes::<S>()
}
