//! The end of every convolution: bias, then clamp.

use pulp::Simd;

use crate::matrix::MatrixMut;
use crate::number::Number;
use crate::problem::{Clamp, Layout};

/// Adds the bias and clamps a part of dst: a channels × pixels matrix in NCHW, pixels × channels in NHWC.
/// `bias` holds one value for each of the part's channels.
pub fn finish<T: Number>(
    dst: &mut MatrixMut<'_, T>,
    layout: Layout,
    bias: Option<&[T]>,
    clamp: Option<Clamp>,
) {
    if bias.is_none() && clamp.is_none() {
        return;
    }
    dst.for_each_row(|row, values| {
        match (bias, layout) {
            (None, _) => {}
            (Some(bias), Layout::Nchw) => values.iter_mut().for_each(|value| *value += bias[row]),
            (Some(bias), Layout::Nhwc) => {
                values.iter_mut().zip(bias).for_each(|(value, bias)| *value += *bias);
            }
        }
        if let Some(clamp) = clamp.map(Clamp::of) {
            values.iter_mut().for_each(|value| *value = value.clamped(clamp));
        }
    });
}

/// A vector of outputs, clamped.
#[inline(always)]
pub fn clamped<S: Simd, T: Number>(simd: S, value: T::Vector<S>, clamp: Option<Clamp<T>>) -> T::Vector<S> {
    match clamp {
        None => value,
        Some(clamp) => T::clamp_vector(simd, value, clamp),
    }
}
