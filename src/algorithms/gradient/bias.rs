//! The gradient of the bias: db\[m\] = Σ over n, y, x of dy\[n, m, y, x\].

use convlow_kernels::gradient::{Extent, LanePlaces, Partition, ProductSums, Rows, Run, WeightsMut};
use convlow_kernels::isa::Length;
use convlow_kernels::matrix::MatrixMut;

use super::blocks::{PIXELS_OF_PART, STACK};
use super::moved::move_pixels;
use super::strips::{Strips, whole};
use crate::algorithms::algorithm::{Element, GradientUnit};
use crate::tiles::for_each_block;

/// The most pixels that are moved at once.
const MOST_PIXELS: usize = 512;

/// Some channels in groups, in blocks of so many.
pub fn partition(channels: usize, groups: usize, block: usize) -> Partition {
    let of_group = channels / groups;
    let of = Extent { groups, counts: [of_group, 1, 1], group: of_group, steps: [1, 1, 1] };
    Partition { of, block: [block, 1, 1] }
}

/// Computes the gradient of the bias, if it is asked for, in blocks of so many lanes: whole vectors of this length. The stack
/// serves where it has more room than the scratch of a slot.
pub fn bias<T: Element>(
    unit: &mut GradientUnit<'_, T>,
    (lanes, length): (usize, Length),
    scratch: &mut [T],
    slots: usize,
) {
    let (problem, accumulate, images) = (unit.diff_dst.problem(), unit.accumulate, unit.diff_dst);
    let Some(bias) = unit.diff_bias.take() else { return };
    let bias = WeightsMut::new(bias, partition(problem.in_channels, 1, lanes), accumulate);
    let [planes, rows, cols] = problem.axes().map(|axis| axis.input);
    for_each_block(unit.pool, &bias, None, scratch, slots, |mut block, _, scratch| {
        let mut stack = [T::ZERO; STACK];
        let scratch = if scratch.len() < STACK { &mut stack } else { scratch };
        // The sums, and so many pixels.
        let room = (scratch.len() / lanes - 1).min(MOST_PIXELS);
        let (sums, of_lanes) = scratch.split_at_mut(lanes);
        of_lanes.fill(T::ZERO);
        let channels = block.block.ranges[0].clone();
        let parts = Strips::new([problem.batch, planes, rows, cols], PIXELS_OF_PART);
        let strips = Strips::new(parts.sizes(), room);
        sums.fill(nothing(block.is_added()));
        for part in parts.each() {
            for [batch, at @ ..] in strips.of(&part) {
                let pixels: usize = at.iter().map(ExactSizeIterator::len).product();
                let seen = whole(at);
                for (image, to) in batch.clone().zip(of_lanes.chunks_mut(pixels * lanes)) {
                    let image = images.image(image, &(0..problem.groups)).channels_from(channels.start);
                    move_pixels(&image, problem.src_layout, &seen, (channels.len(), lanes), to);
                }
                let run = Run { rows: 0, lanes: 0, pixels: batch.len() * pixels };
                add_bias(of_lanes, LanePlaces::ByPixel(lanes), &[run], (lanes, length), sums);
            }
            block.write(sums, lanes);
            sums.fill(nothing(true));
        }
        // Where no part was written.
        block.write(sums, lanes);
    });
}

/// What a sum of no products is: 0, or where it is added to a number the zero that leaves its bits.
pub fn nothing<T: Element>(is_added: bool) -> T {
    T::from_f64(if is_added { -0.0 } else { 0.0 })
}

/// Adds the factors of lanes of some pixels to the sums of the bias.
pub fn add_bias<T: Element>(
    of_lanes: &[T],
    lane_places: LanePlaces,
    runs: &[Run],
    (lanes, length): (usize, Length),
    sums: &mut [T],
) {
    T::product_sums(ProductSums {
        length,
        is_first: false,
        of_rows: &[T::ONE],
        row_step: 0,
        each_lane: false,
        of_lanes,
        lane_places,
        runs,
        rows: Rows { counts: [1; 3], factors: [0; 3], sums: [0; 3], first: 0 },
        lanes,
        sums: MatrixMut::new(sums, 1, lanes, lanes),
    });
}
