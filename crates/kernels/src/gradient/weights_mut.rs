//! [`WeightsMut`]: the caller's weights, to be written block by block.

use std::marker::PhantomData;
use std::ops::Range;

use crate::matrix::{Matrix, MatrixMut};
use crate::moves::transpose_checked;
use crate::number::Number;

/// How many lanes, inputs and taps the weights of a group have, and how far apart they lie.
#[derive(Debug, Clone, Copy)]
pub struct Extent {
    /// Groups.
    pub groups: usize,
    /// Lanes, inputs and taps of a group.
    pub counts: [usize; 3],
    /// Elements from one group to the next.
    pub group: usize,
    /// Elements from one lane, input and tap to the next.
    pub steps: [usize; 3],
}

/// Weights divided into blocks: of each group, ranges of lanes, of inputs and of taps, all but the last of one size.
#[derive(Debug, Clone, Copy)]
pub struct Partition {
    /// The weights.
    pub of: Extent,
    /// Lanes, inputs and taps of a block.
    pub block: [usize; 3],
}

/// One of them.
#[derive(Debug, Clone)]
pub struct Block {
    /// The group.
    pub group: usize,
    /// Lanes, inputs and taps of the group.
    pub ranges: [Range<usize>; 3],
    /// Whether the sums of an input's taps lie one behind the other, rather than those of a tap's inputs: as the weights do, so
    /// that what is written lies in long rows.
    taps_first: bool,
}

impl Block {
    /// Rows of sums from one input and from one tap to the next.
    pub fn sum_steps(&self) -> [usize; 2] {
        let [_, inputs, taps] = &self.ranges;
        if self.taps_first { [taps.len(), 1] } else { [1, inputs.len()] }
    }

    /// How many rows of sums each of their two loops has, the inner one first, and how far apart their weights lie.
    fn loops(&self, [_, of_inputs, of_taps]: [usize; 3]) -> [(usize, usize); 2] {
        let [_, inputs, taps] = self.ranges.each_ref().map(|range| range.len());
        match self.taps_first && taps > 1 || inputs == 1 {
            true => [(taps, of_taps), (inputs, of_inputs)],
            false => [(inputs, of_inputs), (taps, of_taps)],
        }
    }

    /// Elements from one row of the weights to the next, where they lie as the sums do: evenly apart, the lanes side by side.
    fn ld(&self, steps: [usize; 3]) -> Option<usize> {
        let [lanes, inputs, taps] = self.ranges.each_ref().map(|range| range.len());
        let ([inner, outer], rows) = (self.loops(steps), inputs * taps);
        let is_even = inner.0 * inner.1 == outer.1 || outer.0 == 1;
        let fits = is_even && steps[0] == 1 && (rows == 1 || inner.1 >= lanes);
        fits.then_some(if rows == 1 { lanes } else { inner.1.max(lanes) })
    }
}

impl Partition {
    /// Ranges of lanes, of inputs and of taps in a group.
    pub fn parts(&self) -> [usize; 3] {
        std::array::from_fn(|at| self.of.counts[at].div_ceil(self.block[at]))
    }

    /// How many blocks there are.
    pub fn blocks(&self) -> usize {
        self.of.groups * self.parts().iter().product::<usize>()
    }

    /// Whether the weights of all blocks lie as their sums do: those of the first and of the last range of each kind.
    pub fn are_matrices(&self) -> bool {
        let [lanes, inputs, taps] = self.parts().map(|parts| [0, parts - 1]);
        let [_, all_inputs, all_taps] = self.parts();
        let places =
            lanes.into_iter().flat_map(|lane| inputs.map(|input| taps.map(|tap| [lane, input, tap])));
        places.flatten().all(|[lane, input, tap]| {
            self.block((lane * all_inputs + input) * all_taps + tap).ld(self.of.steps).is_some()
        })
    }

    /// Block `index`: lane by lane, those of one range of lanes one behind the other.
    pub fn block(&self, index: usize) -> Block {
        assert!(index < self.blocks());
        let [lanes, inputs, taps] = self.parts();
        let places = [index / (inputs * taps) % lanes, index / taps % inputs, index % taps];
        let range = |at: usize| {
            let first = places[at] * self.block[at];
            first..(first + self.block[at]).min(self.of.counts[at])
        };
        let taps_first = self.of.steps[2] < self.of.steps[1];
        Block { group: index / (inputs * taps * lanes), ranges: [range(0), range(1), range(2)], taps_first }
    }
}

/// Weights that several threads write, each a block of its own.
pub struct WeightsMut<'a, T> {
    first: *mut T,
    partition: Partition,
    add: bool,
    borrow: PhantomData<&'a mut [T]>,
}

// SAFETY: `WeightsMut` gives access to its elements only through `take`, whose contract keeps blocks disjoint.
unsafe impl<T: Send> Sync for WeightsMut<'_, T> {}

impl<'a, T: Number> WeightsMut<'a, T> {
    /// All of these weights. `add`: what is written is added to what they hold.
    ///
    /// # Panics
    /// If they are not as many as the extent says, or lie in another way than one behind the other.
    pub fn new(weights: &'a mut [T], partition: Partition, add: bool) -> Self {
        let Extent { groups, counts, group, steps } = partition.of;
        // Sizes in the order of their steps: each is a multiple of all that lies within the one before.
        let mut axes = [(group, groups), (steps[0], counts[0]), (steps[1], counts[1]), (steps[2], counts[2])];
        axes.sort_unstable();
        let mut dense = 1;
        for (step, count) in axes {
            assert!(count == 1 || step == dense, "weights lie one behind the other");
            dense *= count;
        }
        assert_eq!(weights.len(), dense);
        Self { first: weights.as_mut_ptr(), partition, add, borrow: PhantomData }
    }

    /// How they are divided.
    pub fn partition(&self) -> &Partition {
        &self.partition
    }

    /// Block `index` of the partition, to be written.
    ///
    /// # Safety
    /// No two views of one index may live at the same time.
    pub unsafe fn take(&self, index: usize) -> BlockMut<'_, T> {
        let block = self.partition.block(index);
        let Extent { group, steps, .. } = self.partition.of;
        let starts = block.ranges.iter().zip(steps);
        let first = starts.fold(block.group * group, |at, (range, step)| at + range.start * step);
        // SAFETY: the block lies inside the weights, as its ranges do.
        let first = unsafe { self.first.add(first) };
        BlockMut { first, steps, block, add: self.add, borrow: PhantomData }
    }
}

/// A block of the caller's weights, to be written.
pub struct BlockMut<'a, T> {
    first: *mut T,
    steps: [usize; 3],
    /// Which one it is.
    pub block: Block,
    add: bool,
    borrow: PhantomData<&'a mut [T]>,
}

impl<T: Number> BlockMut<'_, T> {
    /// Whether what is written is added to what its weights hold.
    pub fn is_added(&self) -> bool {
        self.add
    }

    /// The block as its sums lie, where its weights lie so.
    pub fn matrix(&mut self) -> Option<MatrixMut<'_, T>> {
        let [lanes, inputs, taps] = self.block.ranges.each_ref().map(|range| range.len());
        let (first, ld) = (self.first, self.block.ld(self.steps)?);
        Some(MatrixMut { first, addend: first, rows: inputs * taps, cols: lanes, ld, borrow: PhantomData })
    }

    /// Writes it, and what is written again is added. Its sums lie in rows of lanes, `ld` from each to the next, and the rows as
    /// [`Block::sum_steps`] says.
    pub fn write(&mut self, sums: &[T], ld: usize) {
        let [lanes, inputs, taps] = self.block.ranges.each_ref().map(|range| range.len());
        let rows = inputs * taps;
        assert!(ld >= lanes && sums.len() >= rows * ld);
        // Rows whose weights lie evenly apart.
        let [inner, outer] = self.block.loops(self.steps);
        let is_even = inner.0 * inner.1 == outer.1 || outer.0 == 1;
        let (of_part, parts) = if is_even { (rows, 1) } else { (inner.0, outer.0) };
        for part in 0..parts {
            let from = Matrix::new(&sums[part * of_part * ld..], of_part, lanes, ld);
            self.write_rows(&from, part * outer.1, inner.1);
        }
        self.add = true;
    }

    /// Rows of sums to weights that lie `step` apart from one on.
    fn write_rows(&mut self, from: &Matrix<'_, T>, at: usize, step: usize) {
        let lane_step = self.steps[0];
        let (rows, lanes) = (from.rows(), from.cols());
        // SAFETY: the rows are some of the block, whose elements lie inside the weights, and the block alone writes them.
        let first = unsafe { self.first.add(at) };
        let view = |rows: usize, cols: usize, ld: usize| {
            let addend = first.cast_const();
            MatrixMut { first, addend, rows, cols, ld, borrow: PhantomData }
        };
        if lane_step == 1 && (rows == 1 || step >= lanes) {
            view(rows, lanes, step.max(lanes)).for_each_row(|row, to| match self.add {
                true => to.iter_mut().zip(from.row(row)).for_each(|(to, &sum)| *to += sum),
                false => to.copy_from_slice(from.row(row)),
            });
        } else if step == 1 && (lanes == 1 || lane_step >= rows) {
            transpose_checked(from, &mut view(lanes, rows, lane_step.max(rows)), self.add);
        } else {
            for row in 0..rows {
                for (lane, &sum) in from.row(row).iter().enumerate() {
                    // SAFETY: as above.
                    let to = unsafe { &mut *first.add(row * step + lane * lane_step) };
                    *to = if self.add { *to + sum } else { sum };
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_cover_all_weights_once() {
        let orders = [[0, 1, 2, 3], [0, 1, 3, 2], [3, 2, 0, 1], [0, 2, 1, 3], [3, 0, 2, 1]];
        for (order, block) in orders.into_iter().zip([[4, 2, 9], [3, 5, 1], [16, 1, 3], [1, 1, 1], [2, 5, 9]])
        {
            let counts = [2, 7, 5, 9];
            let mut steps = [0; 4];
            let mut dense = 1;
            for &at in order.iter().rev() {
                steps[at] = dense;
                dense *= counts[at];
            }
            let of = Extent {
                groups: 2,
                counts: [7, 5, 9],
                group: steps[0],
                steps: [steps[1], steps[2], steps[3]],
            };
            let partition = Partition { of, block };
            for add in [false, true] {
                let mut weights = vec![0.5f32; dense];
                let view = WeightsMut::new(&mut weights, partition, add);
                for index in 0..partition.blocks() {
                    // SAFETY: one after the other.
                    let mut view = unsafe { view.take(index) };
                    let block = &view.block;
                    let [lanes, inputs, taps] = block.ranges.clone();
                    let [of_input, of_tap] = block.sum_steps();
                    let ld = lanes.len() + 3;
                    let mut sums = vec![0.0; inputs.len() * taps.len() * ld];
                    for (l, i, t) in lanes.clone().flat_map(|l| {
                        let taps = &taps;
                        inputs.clone().flat_map(move |i| taps.clone().map(move |t| (l, i, t)))
                    }) {
                        let row = (i - inputs.start) * of_input + (t - taps.start) * of_tap;
                        sums[row * ld + l - lanes.start] = (((block.group * 7 + l) * 5 + i) * 9 + t) as f32;
                    }
                    view.write(&sums, ld);
                }
                for (at, weight) in weights.into_iter().enumerate() {
                    let of = |axis: usize| at / steps[axis] % counts[axis];
                    let value = ((of(0) * 7 + of(1)) * 5 + of(2)) * 9 + of(3);
                    assert_eq!(weight, value as f32 + if add { 0.5 } else { 0.0 }, "{order:?}, {at}");
                }
            }
        }
    }
}
