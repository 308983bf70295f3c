//! The end of every convolution: bias, then clamp.

use pulp::Simd;

use crate::matrix::MatrixMut;
use crate::problem::{Clamp, Layout};

/// Adds the bias and clamps a part of dst: a channels × pixels matrix in NCHW, pixels × channels in NHWC.
/// `bias` holds one value for each of the part's channels.
pub fn finish(dst: &mut MatrixMut<'_>, layout: Layout, bias: Option<&[f32]>, clamp: Option<Clamp>) {
    if bias.is_none() && clamp.is_none() {
        return;
    }
    dst.for_each_row(|row, values| {
        match (bias, layout) {
            (None, _) => {}
            (Some(bias), Layout::Nchw) => values.iter_mut().for_each(|value| *value += bias[row]),
            (Some(bias), Layout::Nhwc) => {
                values.iter_mut().zip(bias).for_each(|(value, bias)| *value += bias);
            }
        }
        if let Some(Clamp { min, max }) = clamp {
            // `f32::clamp` lets a NaN through, which `min` and `max` would replace by a bound.
            values.iter_mut().for_each(|value| *value = value.clamp(min, max));
        }
    });
}

/// A vector of outputs, clamped. A NaN stays a NaN, since it compares with nothing.
#[inline(always)]
pub fn clamped<S: Simd>(simd: S, value: S::f32s, clamp: Option<Clamp>) -> S::f32s {
    let Some(Clamp { min, max }) = clamp else { return value };
    let (min, max) = (simd.splat_f32s(min), simd.splat_f32s(max));
    let value = simd.select_f32s(simd.less_than_f32s(value, min), min, value);
    simd.select_f32s(simd.less_than_f32s(max, value), max, value)
}
