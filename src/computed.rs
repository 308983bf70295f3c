//! [`Computed`]: the convolution by which a problem is computed.

use crate::problem::{Axis, Kind, Operation, Problem, WeightStrides};

/// A convolution that has a problem's values, and how it reads the problem's weights. A transposed convolution of stride 1
/// is an ordinary one with its taps turned round, which more algorithms compute.
pub(crate) struct Computed {
    pub problem: Problem,
    pub source: WeightStrides,
}

impl Computed {
    /// That of a problem: the problem itself, if there is no simpler one.
    pub fn new(problem: &Problem) -> Self {
        let source = problem.weight_strides();
        match turned_round(problem) {
            Some(problem) => Self { problem, source: WeightStrides { turned_round: true, ..source } },
            None => Self { problem: *problem, source },
        }
    }
}

/// The ordinary convolution that a transposed one is, if there is one: what the latter cuts off its output, the former
/// has too little of padding.
fn turned_round(problem: &Problem) -> Option<Problem> {
    if !problem.is(Kind::Transposed) || !problem.unit_stride() {
        return None;
    }
    let axis = |axis: &Axis| {
        let reach = (axis.kernel - 1).checked_mul(axis.dilation)?;
        let pad_before = reach.checked_sub(axis.pad_before)?;
        let pad_after = reach.checked_add(axis.output_padding)?.checked_sub(axis.pad_after)?;
        Some(Axis { pad_before, pad_after, output_padding: 0, ..*axis })
    };
    let [planes, rows, cols] = problem.axes().map(axis);
    let (operation, planes, rows, cols) = (Operation::Conv, planes?, rows?, cols?);
    Problem::new(Problem { operation, planes, rows, cols, ..*problem }).ok()
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
