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

    /// Bounds of sums that are still in registers; what takes more is [`Applied::finish`]ed in memory.
    #[inline(always)]
    pub fn bounds(&self) -> Option<[T; 2]> {
        match self.activation {
            PreparedActivation::Clamp(min, max) => Some([min, max]),
            _ => None,
        }
    }

    /// rows ← activation(rows) of as many rows of `len` elements as there are pointers, which lie in the first cache level. For
    /// bounds there is nothing left to do.
    ///
    /// # Safety
    /// The rows may be read and written, and are no more than [`MOST_VECTORS`] vectors.
    #[inline(always)]
    pub unsafe fn finish<S: Vectors>(&self, simd: S, rows: &[*mut T], len: usize) {
        if !matches!(self.activation, PreparedActivation::None | PreparedActivation::Clamp(..)) {
            simd.apart(OfRows { simd, applied: *self, rows, len });
        }
    }
}

/// The most vectors of a register tile.
pub const MOST_VECTORS: usize = 24;

/// Rows of a register tile that have been written.
struct OfRows<'a, S, T> {
    simd: S,
    applied: Applied<T>,
    rows: &'a [*mut T],
    len: usize,
}

impl<S: Vectors, T: Number> Apart for OfRows<'_, S, T> {
    #[inline(always)]
    fn run(self) {
        let Self { simd, applied, rows, len } = self;
        let vectors = len.div_ceil(T::lanes::<S>());
        let mut sums = [T::splat(simd, T::ZERO); MOST_VECTORS];
        let sums = &mut sums[..rows.len() * vectors];
        for (row, sums) in rows.iter().zip(sums.chunks_exact_mut(vectors)) {
            // SAFETY: the caller's promise.
            let row = unsafe { std::slice::from_raw_parts(*row, len) };
            load_row(simd, row, sums);
        }
        match (applied.activation, applied.slopes) {
            (PreparedActivation::Prelu, Slopes::OfLanes(first)) => {
                let mut slopes = [T::splat(simd, T::ZERO); MOST_VECTORS];
                let slopes = &mut slopes[..vectors];
                // SAFETY: a tile with these slopes has one for each of its channels.
                load_row(simd, unsafe { std::slice::from_raw_parts(first, len) }, slopes);
                for (at, sum) in sums.iter_mut().enumerate() {
                    *sum = functions::leaky_relu::<S, T>(simd, slopes[at % vectors], *sum);
                }
            }
            (PreparedActivation::Prelu, Slopes::OfRows(first)) => {
                for (at, sum) in sums.iter_mut().enumerate() {
                    // SAFETY: as above.
                    let slope = unsafe { *first.add(at / vectors) };
                    *sum = functions::leaky_relu::<S, T>(simd, T::splat(simd, slope), *sum);
                }
            }
            (PreparedActivation::Function(function), _) => {
                simd.apart(Apply { simd, function, values: bytemuck::cast_slice_mut(sums) });
            }
            (PreparedActivation::None | PreparedActivation::Clamp(..), _) => {}
        }
        for (row, sums) in rows.iter().zip(sums.chunks_exact(vectors)) {
            // SAFETY: the caller's promise.
            let row = unsafe { std::slice::from_raw_parts_mut(*row, len) };
            for (values, sum) in row.chunks_mut(T::lanes::<S>()).zip(sums) {
                if values.len() == T::lanes::<S>() {
                    T::store::<S>(values, *sum);
                } else {
                    T::store_part(simd, values, *sum);
                }
            }
        }
    }
}

/// The vectors of a row, and zeros behind the last element.
#[inline(always)]
fn load_row<S: Vectors, T: Number>(simd: S, row: &[T], vectors: &mut [T::Vector<S>]) {
    for (values, vector) in row.chunks(T::lanes::<S>()).zip(vectors) {
        *vector =
            if values.len() == T::lanes::<S>() { T::load::<S>(values) } else { T::load_part(simd, values) };
    }
}

/// How many of so many numbers fill vectors.
#[inline(always)]
fn whole<S: Vectors, T: Number>(len: usize) -> usize {
    len - len % T::lanes::<S>()
}
