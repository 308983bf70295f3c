//! [`Computed`]: the convolution by which a problem is computed.

use crate::problem::{Axis, Kind, Operation, Problem, Propagation, WeightStrides};

/// A forward convolution that has a problem's values, and how it reads the problem's weights.
///
/// - The gradient of the data of a convolution is the transposed convolution of the gradient of dst, with input and output
///   channels exchanged; that of a transposed convolution is the ordinary one.
/// - The gradient of the weights of a transposed convolution is that of the ordinary one which exchanges its input and output.
/// - A transposed convolution of stride 1 is an ordinary one with its taps turned round, which more algorithms compute.
pub(crate) struct Computed {
    pub problem: Problem,
    pub source: WeightStrides,
}

impl Computed {
    /// That of a problem: the problem itself, if there is no simpler one. Not inlined, since many ask.
    #[inline(never)]
    pub fn new(problem: &Problem) -> Self {
        let (mut problem, mut source) = (*problem, problem.weight_strides());
        let of_weights = problem.propagation == Propagation::BackwardWeights;
        if problem.propagation == Propagation::BackwardData || of_weights && problem.is(Kind::Transposed) {
            exchange(&mut problem);
            (source.input, source.output, source.exchanged) = (source.output, source.input, true);
        }
        if !of_weights {
            source.turned_round = turn_round(&mut problem);
        }
        Self { problem, source }
    }
}

impl Problem {
    /// The problem with its input and output exchanged, whatever it is.
    #[cfg(feature = "training")]
    pub(crate) fn exchanged(&self) -> Self {
        let mut problem = *self;
        exchange(&mut problem);
        problem
    }
}

/// Makes a problem the convolution that the gradient of its data is. The output sizes are the problem's input sizes, whatever
/// the formula of the operation says: an ordinary convolution leaves out what no window reaches, and a transposed one adds it.
fn exchange(problem: &mut Problem) {
    let is_transposed = problem.is(Kind::Transposed);
    problem.operation = if is_transposed { Operation::Conv } else { Operation::ConvTranspose };
    if problem.propagation == Propagation::BackwardData {
        problem.propagation = Propagation::Forward;
    }
    for axis in [&mut problem.planes, &mut problem.rows, &mut problem.cols] {
        exchange_axis(axis, is_transposed);
    }
    std::mem::swap(&mut problem.in_channels, &mut problem.out_channels);
    std::mem::swap(&mut problem.src_layout, &mut problem.dst_layout);
    std::mem::swap(&mut problem.src_strides, &mut problem.dst_strides);
}

/// Not inlined: an axis has many sizes, and a problem three axes.
#[inline(never)]
fn exchange_axis(axis: &mut Axis, is_transposed: bool) {
    // Inputs behind the last window.
    axis.output_padding = match is_transposed {
        true => 0,
        false => {
            let padded = axis.input + axis.pad_before + axis.pad_after;
            padded.saturating_sub((axis.kernel - 1) * axis.dilation + 1) % axis.stride
        }
    };
    std::mem::swap(&mut axis.input, &mut axis.output);
}

/// Makes a transposed convolution the ordinary one that it is, if it is one: what the former cuts off its output, the latter
/// has too little of padding.
fn turn_round(problem: &mut Problem) -> bool {
    if !problem.is(Kind::Transposed) || !problem.unit_stride() {
        return false;
    }
    let [Some(planes), Some(rows), Some(cols)] = problem.axes().map(turned_axis) else { return false };
    let turned = Problem { operation: Operation::Conv, planes, rows, cols, ..*problem };
    // Sizes that the transposed one need not count may be too large.
    let is_valid = Problem::new(turned).is_ok();
    if is_valid {
        *problem = turned;
    }
    is_valid
}

/// Not inlined, for the same reason.
#[inline(never)]
fn turned_axis(axis: &Axis) -> Option<Axis> {
    let reach = (axis.kernel - 1).checked_mul(axis.dilation)?;
    let pad_before = reach.checked_sub(axis.pad_before)?;
    let pad_after = reach.checked_add(axis.output_padding)?.checked_sub(axis.pad_after)?;
    Some(Axis { pad_before, pad_after, output_padding: 0, ..*axis })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transposed(rows: Axis, cols: Axis) -> Problem {
        let operation = Operation::ConvTranspose;
        Problem::new(Problem { operation, rows, cols, ..Problem::UNIT }).expect("a valid problem")
    }

    #[test]
    fn a_transposed_convolution_of_stride_1_is_an_ordinary_one() {
        let rows = Axis { pad_before: 1, dilation: 2, ..Axis::dense(7, 3) };
        let cols = Axis { pad_after: 2, output_padding: 1, dilation: 2, ..Axis::dense(5, 2) };
        let problem = transposed(rows, cols);
        let Computed { problem: computed, source } = Computed::new(&problem);
        assert!(source.turned_round);
        assert_eq!(computed.operation, Operation::Conv);
        let of = |axis: &Axis| (axis.output, axis.pad_before, axis.pad_after, axis.output_padding);
        assert_eq!((of(&computed.rows), of(&computed.cols)), ((10, 3, 4, 0), (6, 2, 1, 0)));
        assert_eq!((problem.rows.output, problem.cols.output), (10, 6));
    }

    #[test]
    fn others_are_themselves() {
        let cut = Axis { pad_before: 3, ..Axis::dense(7, 3) };
        let strided = Axis { stride: 2, ..Axis::dense(7, 3) };
        for rows in [cut, strided] {
            let problem = transposed(rows, Axis::dense(4, 1));
            assert_eq!(Computed::new(&problem).problem, problem);
            assert_eq!(Computed::new(&problem).source, problem.weight_strides());
        }
    }
}
