//! [`Finish`]: the rest of the last step, in memory, after register tiles have written dst.

use crate::data_type::Layout;
use crate::end::End;
use crate::matrix::{Matrix, MatrixMut};
use crate::moves::transpose_checked;
use crate::number::Number;
use crate::scheme::Scheme;

/// A scheme whose dst is finished in memory.
pub trait Finish: Scheme {
    /// Applies what an [`End`] leaves for memory: dst is channels × pixels with planes, else pixels × channels.
    fn finish_in_memory(end: &End<'_, Self>, dst: &mut MatrixMut<'_, Self::Dst>, layout: Layout);

    /// Moves finished sums of pixels to planes: to ← fromᵀ, or activation(addend + fromᵀ) where they are added.
    fn finish_planes(from: &Matrix<'_, Self::Dst>, to: &mut MatrixMut<'_, Self::Dst>, end: &End<'_, Self>);
}

impl<T: Number> Finish for T {
    fn finish_in_memory(end: &End<'_, T>, dst: &mut MatrixMut<'_, T>, layout: Layout) {
        end.finish_checked(dst, layout);
    }

    fn finish_planes(from: &Matrix<'_, T>, to: &mut MatrixMut<'_, T>, end: &End<'_, T>) {
        if end.accumulate {
            to.fill_with_addend();
        }
        transpose_checked(from, to, end.accumulate);
        end.finish_checked(to, Layout::Nchw);
    }
}
