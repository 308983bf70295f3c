//! Channels of planes that are moved to pixels, some whole rows or a part of one row at a time.

use std::ops::Range;

use convlow_kernels::depthwise_tile::DepthwiseTile;
use convlow_kernels::matrix::MatrixMut;
use convlow_kernels::moved::moved;
use convlow_kernels::moves::KEPT_BYTES;

use super::prepared::{MovedRows, PART_BYTES, PreparedDepthwiseRegister, parts_of};
use super::words::{WORD, Words};
use crate::algorithms::algorithm::{Element, Unit};
use crate::algorithms::tiling::{count, part_of_channels, part_of_pixels};

impl PreparedDepthwiseRegister {
    /// Some outputs, moved on the stack. Apart, since the array is there.
    #[inline(never)]
    pub(super) fn run_on_stack<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        moved_rows: MovedRows,
        outputs: &[Range<usize>; 3],
        channels: &Range<usize>,
        dst: MatrixMut<'_, T>,
    ) {
        let mut pixels = Words::<{ PART_BYTES / WORD }>::ZEROS;
        self.run_moved_rows(unit, moved_rows, (outputs, channels), dst, pixels.elements());
    }

    /// Some outputs, so many rows and columns of so many channels at a time. Apart, since its array is on the stack.
    #[inline(never)]
    pub(super) fn run_moved_rows<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        MovedRows { size: [height, width], channels: at_once }: MovedRows,
        ([planes, rows, cols], channels): (&[Range<usize>; 3], &Range<usize>),
        mut dst: MatrixMut<'_, T>,
        pixels: &mut [T],
    ) {
        let (layout, geometry) = (self.problem.dst_layout, self.problem.geometry());
        let mut kept = Words::<{ KEPT_BYTES / WORD }>::ZEROS;
        let parts = || {
            let rows = planes.clone().flat_map(|z| parts_of(rows, height).map(move |y| (z, y)));
            rows.flat_map(|(z, y)| parts_of(cols, width).map(move |x| [z..z + 1, y.clone(), x]))
        };
        for part in parts_of(channels, at_once) {
            let of_dst = part.start - channels.start..part.end - channels.start;
            let mut dst = part_of_channels(layout, &mut dst, of_dst);
            let src = unit.src.channels_from(part.start);
            let mut first = 0;
            for outputs in parts() {
                let of_part = first..first + count(&outputs);
                first = of_part.end;
                // 1. Move what these pixels see.
                let (image, origin) = moved::<T>(&src, &geometry, &outputs, part.len(), pixels);
                // 2. Sum all taps, 3. and finish.
                let tile = DepthwiseTile {
                    geometry: &geometry,
                    image: &image,
                    origin,
                    weights: self.weights(unit, &part),
                    end: unit.end().of_channels(part.clone()),
                    outputs,
                    layout,
                    dst: part_of_pixels(layout, &mut dst, of_part),
                };
                T::depthwise_tile(tile, kept.elements());
            }
        }
    }
}
