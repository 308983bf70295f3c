//! Planes that are computed one by one, from a padded copy of the rows that some outputs see.

use std::ops::Range;

use convlow_kernels::end::End;
use convlow_kernels::flat_tile::FlatTile;
use convlow_kernels::matrix::MatrixMut;
use convlow_kernels::phases::{MOST_PLANE_TAPS, Phases};

use super::prepared::{PHASE_BYTES, PreparedDepthwiseRegister, SUM_BYTES, parts_of};
use super::words::{WORD, Words};
use crate::algorithms::algorithm::{Element, Unit};
use crate::problem::Layout;

/// Bytes of the outputs that are computed at once by the widest vectors.
const AT_ONCE_BYTES: usize = 128;

impl PreparedDepthwiseRegister {
    /// Whole output rows from this one on, a plane after the other. Apart, since its arrays are on the stack.
    #[inline(never)]
    pub(super) fn run_planes<T: Element>(
        &self,
        unit: &Unit<'_, T>,
        phases: &Phases,
        first_row: usize,
        channels: &Range<usize>,
        mut dst: MatrixMut<'_, T>,
    ) {
        let (all, plane) = (self.problem.cols.output, self.problem.rows.input * self.problem.cols.input);
        let mut of_phases = Words::<{ PHASE_BYTES / WORD }>::ZEROS;
        let of_phases: &mut [T] = of_phases.elements();
        let mut sums = Words::<{ SUM_BYTES / WORD }>::ZEROS;
        let sums = &mut sums.elements()[..phases.outputs_len(self.block)];
        let mut weights = Words::<{ MOST_PLANE_TAPS * AT_ONCE_BYTES / WORD }>::ZEROS;
        let weights: &mut [T] = weights.elements();
        let height = dst.cols() / all;
        for xs in parts_of(&(0..all), phases.part()[1]) {
            if xs.start > 0 {
                // What lies outside the input is no longer where it was.
                of_phases.fill(T::ZERO);
            }
            let copies = phases.copies([first_row, xs.start], unit.src.row);
            let outputs = phases.outputs([height, xs.len()], all);
            for channel in channels.clone() {
                // 1. Copy what the rows see.
                let from = unit.src.at(channel / self.problem.group_out(), 0, 0).run(0, plane);
                T::fill(&copies, from, of_phases);
                // 2. Sum all taps.
                self.repeat_weights(unit, channel, weights);
                let end = unit.end().of_channels(channel..channel + 1);
                let row = channel - channels.start;
                T::flat_tile(FlatTile {
                    src: of_phases,
                    runs: phases.runs(),
                    step: phases.step(),
                    weights,
                    end: end.before_move(),
                    dst: sums,
                });
                // 3. Write them.
                if end.accumulate {
                    let mut dst = dst.part(row..row + 1, 0..height * all);
                    add_rows(&end.of_move(), sums, phases.pitch(), &xs, all, &mut dst);
                } else {
                    outputs.copy(sums, &mut dst.row_mut(row)[xs.start..]);
                }
            }
        }
    }

    /// The weights of a channel, each as often as a block has channels.
    fn repeat_weights<T: Element>(&self, unit: &Unit<'_, T>, channel: usize, to: &mut [T]) {
        let taps = self.problem.taps();
        let block = channel / self.block * self.block;
        let of_block = self.block.min(self.problem.out_channels - block);
        let packed = unit.weights[block * taps + channel - block..].iter().step_by(of_block);
        for (packed, to) in packed.zip(to.chunks_exact_mut(self.block)).take(taps) {
            to.fill(*packed);
        }
    }
}

/// Adds sums, whose rows lie so far apart, to the columns `xs` of the rows of a plane, which are `width` long.
fn add_rows<T: Element>(
    end: &End<'_, T>,
    sums: &[T],
    pitch: usize,
    xs: &Range<usize>,
    width: usize,
    plane: &mut MatrixMut<'_, T>,
) {
    for y in 0..plane.cols() / width {
        let mut row = plane.part(0..1, y * width + xs.start..y * width + xs.end);
        row.fill_with_addend();
        row.row_mut(0).iter_mut().zip(&sums[y * pitch..]).for_each(|(to, sum)| *to += *sum);
        T::finish(end, &mut row, Layout::Nchw);
    }
}
