//! [`Geometry`]: the three axes of a convolution together.

use std::ops::Range;

use crate::axis::{Axis, Operation, common_divisor};
use crate::class::Class;

/// The axes of a convolution: planes, rows and columns, outermost first. An axis that it does not have is [`Axis::ONE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// How outputs map to inputs.
    pub operation: Operation,
    /// The axes.
    pub axes: [Axis; 3],
}

impl Geometry {
    /// Taps of the whole kernel.
    #[inline]
    pub fn taps(&self) -> usize {
        self.axes.iter().map(|axis| axis.kernel).product()
    }

    /// Taps from one of an axis to the next, where all are counted as one row.
    fn tap_strides(&self) -> [usize; 3] {
        let [_, rows, cols] = self.axes;
        [rows.kernel * cols.kernel, cols.kernel, 1]
    }

    /// The first tap of a class, counted so.
    #[inline]
    pub fn first_tap(&self, classes: [&Class; 3]) -> usize {
        self.tap_strides().iter().zip(classes).map(|(stride, class)| class.first_tap * stride).sum()
    }

    /// From one tap of a class to the next on each axis: input positions, and taps counted so. Places wrap around where
    /// taps run backwards.
    #[inline]
    pub fn class_steps(&self) -> [(usize, usize); 3] {
        let strides = self.tap_strides();
        std::array::from_fn(|at| {
            let Axis { stride, dilation, .. } = self.axes[at];
            let (positions, taps) = match self.operation {
                Operation::Conv => (dilation, 1),
                Operation::ConvTranspose => {
                    let divisor = common_divisor(stride, dilation);
                    (dilation / divisor, (stride / divisor).wrapping_neg())
                }
            };
            (positions, taps.wrapping_mul(strides[at]))
        })
    }

    /// The classes that some outputs of an axis belong to, from that of the first one on.
    #[inline]
    pub fn classes(&self, axis: usize, outputs: &Range<usize>) -> impl Iterator<Item = Class> + use<> {
        let (operation, axis, first) = (self.operation, self.axes[axis], outputs.start);
        let count = match operation {
            Operation::Conv => 1,
            Operation::ConvTranspose => axis.stride.min(outputs.len()),
        };
        (first..first + count).map(move |output| class_of(operation, &axis, output))
    }

    /// The class of an output of an axis.
    #[inline]
    pub fn class_of(&self, axis: usize, output: usize) -> Class {
        class_of(self.operation, &self.axes[axis], output)
    }

    /// How many classes the outputs fall into.
    #[inline]
    pub fn count_classes(&self) -> usize {
        match self.operation {
            Operation::Conv => 1,
            Operation::ConvTranspose => self.axes.iter().map(|axis| axis.stride.min(axis.output)).product(),
        }
    }

    /// How many outputs see the same taps, in the mean: few on maps that are hardly larger than the kernel.
    pub fn mean_alike(&self) -> f64 {
        self.mean_alike_on(0) * self.mean_alike_on(1) * self.mean_alike_on(2)
    }

    #[inline(never)]
    fn mean_alike_on(&self, axis: usize) -> f64 {
        let class = self.class_of(axis, 0).axis;
        let full = class.outputs_of_all_taps().len();
        class.output as f64 / (class.output - full + full.min(1)) as f64
    }

    /// The input positions of an axis that some of its outputs see, those between their taps included; possibly empty.
    #[inline]
    pub fn window(&self, axis: usize, outputs: &Range<usize>) -> Range<usize> {
        match self.operation {
            Operation::Conv => self.axes[axis].window(outputs),
            Operation::ConvTranspose => self.axes[axis].transposed_window(outputs),
        }
    }

    /// The most input positions of an axis that so many neighbouring outputs see.
    pub fn largest_window(&self, axis: usize, outputs: usize) -> usize {
        match self.operation {
            Operation::Conv => self.axes[axis].largest_window(outputs),
            Operation::ConvTranspose => self.axes[axis].largest_transposed_window(outputs),
        }
    }

    /// Pairs of an output of an axis and a tap inside the input, as [`Axis::count_inside`] counts them.
    pub fn count_inside(&self, axis: usize) -> usize {
        let axis = self.axes[axis];
        match self.operation {
            Operation::Conv => axis.count_inside(),
            // The same pairs with input and output exchanged.
            Operation::ConvTranspose => axis.exchanged(&(0..axis.output)).count_inside(),
        }
    }
}

fn class_of(operation: Operation, axis: &Axis, output: usize) -> Class {
    match operation {
        Operation::Conv => Class::whole(axis),
        Operation::ConvTranspose => axis.transposed_class_of(output),
    }
}
