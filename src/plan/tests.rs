//! Tests: units of any number of groups, one after the other and side by side.

use convlow_kernels::matrix::MatrixMut;
use convlow_threads::Pool;

use super::{Info, Plan, Schedule, Task, Work};
use crate::algorithms::{Cost, Element, Entry, Prepared, Unit};
use crate::buffer::Buffer;
use crate::computed::Computed;
use crate::lowering::weights::{MCIJ, Packing, WeightOrder};
use crate::planner::Options;
use crate::problem::{Axis, Layout, Problem};

/// A depthwise 1×1 convolution, some groups at once: dst[n, m, p] = weights[m] · src[n, m, p] + bias[m].
struct Scaling {
    problem: Problem,
    groups: usize,
}

impl Prepared for Scaling {
    fn groups_at_once(&self) -> usize {
        self.groups
    }

    fn weight_order(&self) -> WeightOrder {
        MCIJ
    }

    fn cost(&self) -> Cost {
        Cost::default()
    }

    fn run<T: Element>(&self, unit: &Unit<'_, T>, mut dst: MatrixMut<'_, T>, _: &mut [T]) {
        assert!(unit.weights.len() >= self.groups && unit.bias.map(<[T]>::len) == Some(self.groups));
        let by_channels = self.problem.dst_layout == Layout::Nchw;
        dst.for_each_row(|row, values| {
            for (col, value) in values.iter_mut().enumerate() {
                let (m, pixel) = if by_channels { (row, col) } else { (col, row) };
                let src = unit.src.at(m, 0, pixel).value(0);
                *value = unit.weights[m] * src + unit.bias.unwrap_or_default()[m];
            }
        });
    }
}

#[test]
fn units_of_any_groups_cover_the_problem() {
    let axis = |input| Axis { output: input, ..Axis::dense(input, 1) };
    for (src_layout, dst_layout) in Layout::PAIRS {
        let problem = Problem {
            batch: 5,
            in_channels: 6,
            out_channels: 6,
            groups: 6,
            rows: axis(2),
            cols: axis(3),
            src_layout,
            dst_layout,
            ..Problem::UNIT
        };
        let values = |len: usize| -> Vec<f32> { (0..len).map(|index| index as f32).collect() };
        let (src, weights, bias) = (values(problem.src_len()), values(6), values(6));
        let place = |layout: Layout, [n, m, p]: [usize; 3]| match layout {
            Layout::Nchw => (n * 6 + m) * 6 + p,
            Layout::Nhwc => (n * 6 + p) * 6 + m,
        };
        for groups in [1, 2, 6] {
            for units_at_once in [1, 3] {
                let entry = Entry::by_name(c"direct-sum2d").expect("registered");
                let info = Info {
                    counts: Cost::default().counts(0),
                    entry,
                    applicable: true,
                    backend: None,
                    isa: None,
                    workspace_bytes: 0,
                    packed_weights_bytes: Packing::new(&problem, MCIJ, 1).bytes().expect("a few bytes"),
                    gemm_calls: 0,
                    estimated_seconds: 0.0,
                    measured_seconds: 0.0,
                    reason: None,
                };
                let schedule = Schedule { prepared: Box::new(Scaling { problem, groups }), units_at_once };
                let pool = Pool::new(3).expect("three threads");
                let work = Work::of(Computed::new(&problem), schedule).expect("no scratch");
                let plan = Plan::of(&problem, info, Task::Convolution(work), &pool);
                let mut packed = Buffer::new(info.packed_weights_bytes).expect("a few bytes");
                plan.pack_weights(&weights, packed.bytes_mut()).expect("the lengths agree");
                let mut dst = vec![f32::NAN; problem.dst_len()];
                plan.execute(&src, packed.bytes(), Some(&bias), &mut dst, &mut []).expect("a valid call");
                for [n, m, p] in (0..5 * 36).map(|at| [at / 36, at / 6 % 6, at % 6]) {
                    let expected = weights[m] * src[place(src_layout, [n, m, p])] + bias[m];
                    assert_eq!(
                        dst[place(dst_layout, [n, m, p])],
                        expected,
                        "{groups} groups, {units_at_once}"
                    );
                }
            }
        }
    }
}

/// Without images an execute writes nothing; where no output sees an input, it writes the bias or adds it.
#[test]
fn plans_of_empty_tensors_end_what_nothing_was_summed_for() {
    let padded = |input| Axis { pad_before: 2, pad_after: 1, ..Axis::dense(input, 2) };
    for (src_layout, dst_layout) in Layout::PAIRS {
        for (batch, accumulate) in [(0, false), (2, false), (2, true)] {
            let plain = Problem { in_channels: 3, out_channels: 2, cols: Axis::dense(4, 3), ..Problem::UNIT };
            let problem = Problem { batch, rows: padded(0), src_layout, dst_layout, accumulate, ..plain };
            let problem = Problem::new(problem).expect("a valid problem");
            assert_eq!((problem.rows.output, problem.src_len()), (2, 0));
            assert_eq!(problem.dst_len(), batch * 2 * 2 * 2);
            let plan = Plan::new(&problem, &Options::default()).expect("an algorithm");
            assert_eq!(plan.info().workspace_bytes, 0);
            let mut packed = Buffer::new(plan.info().packed_weights_bytes).expect("a few bytes");
            plan.pack_weights(&[1.0f32; 2 * 3 * 2 * 3], packed.bytes_mut()).expect("the lengths agree");
            let mut dst = vec![10.0; problem.dst_len()];
            plan.execute(&[], packed.bytes(), Some(&[1.0, 2.0]), &mut dst, &mut []).expect("a valid call");
            for (at, value) in dst.into_iter().enumerate() {
                let channel = if dst_layout == Layout::Nchw { at / 4 % 2 } else { at % 2 };
                assert_eq!(value, 1.0 + channel as f32 + if accumulate { 10.0 } else { 0.0 });
            }
        }
    }
}
