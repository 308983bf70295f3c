//! What the grid of the conformance tests does not hold: sizes beyond those that register tiles take at once.

use std::ffi::CStr;

use convlow::algorithms::{Element, Entry};
use convlow::gemm::BackendChoice;
use convlow::{Axis, DataType, Layout, Operation, Options, Pool, Problem, Strides};

use crate::common::{self, Data, dilated, padded, plan_for};

fn check(problem: Problem) {
    let nhwc = Layout::Nhwc;
    check_within::<f32>(Problem { src_layout: nhwc, dst_layout: nhwc, ..problem }, usize::MAX);
}

/// Integers, so that every sum is exact in any order.
fn check_within<T: Element>(problem: Problem, max_workspace_bytes: usize) {
    check_by::<T>(c"kn2row-register", problem, max_workspace_bytes);
}

/// The same in all layouts and both types, where planes lie and moved.
fn check_everywhere(problem: Problem) {
    for (at, (src_layout, dst_layout)) in Layout::PAIRS.into_iter().enumerate() {
        let problem = Problem { src_layout, dst_layout, accumulate: at % 2 == 0, ..problem };
        for bytes in [0, usize::MAX] {
            check_within::<f32>(problem, bytes);
            check_within::<f64>(problem, bytes);
        }
    }
}

/// The same by an algorithm.
fn check_by<T: Element>(name: &CStr, problem: Problem, max_workspace_bytes: usize) {
    common::instructions();
    if !DataType::BUILT.contains(&T::TYPE) {
        return;
    }
    let problem = Problem::new(Problem { data_type: T::TYPE, ..problem }).expect("valid");
    let entry = Entry::by_name(name).expect("registered");
    let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
    let plan = plan_for(&problem, &Options { max_workspace_bytes, ..options }).expect("it takes the problem");
    let data: Data<T> = Data::integers(&problem, true, &mut fastrand::Rng::with_seed(7));
    let found = common::run(&plan, &data);
    for (at, (found, expected)) in found.iter().zip(data.expected(&problem)).enumerate() {
        assert_eq!((*found).into(), expected.value, "output {at} of {problem}");
    }
}

#[test]
fn other_instructions_compute_the_same() {
    common::on_other_instructions(
        module_path!(),
        &[
            "absent_taps_of_many_channels_are_absent",
            "long_rows_and_large_tiles_are_taken_in_parts",
            "windows_of_many_runs_are_listed_in_parts",
            "far_taps_do_not_disturb_near_ones",
            "groups_of_every_size_are_computed_side_by_side",
            "taps_that_miss_all_outputs_are_added_to_none",
            "few_output_channels_are_sums_of_lanes",
        ],
    );
}

/// Few output channels, whose lanes are input channels: whole vectors of these and parts, in whole register tiles and pixel
/// by pixel, in planes that are moved and that are not, and in parts of the depth.
#[test]
fn few_output_channels_are_sums_of_lanes() {
    for outputs in 1..=6 {
        for inputs in [8, 16, 37, 64, 83] {
            check_everywhere(padded([inputs, outputs], [5, 9], [3, 3], 1));
        }
        let spread = |axis: Axis| Axis { stride: 2, dilation: 3, ..axis };
        let Problem { rows, cols, .. } = padded([32, outputs], [7, 9], [3, 2], 2);
        let strided =
            Problem { rows: spread(rows), cols: spread(cols), ..padded([32, outputs], [7, 9], [3, 2], 2) };
        check_everywhere(strided);
        check_everywhere(Problem { operation: Operation::ConvTranspose, ..strided });
        check_everywhere(Problem { groups: 3, ..padded([3 * 34, 3 * outputs], [4, 13], [1, 1], 0) });
    }
    check_everywhere(padded([2000, 5], [2, 3], [7, 7], 3));
}

/// Groups that share a vector, fill one or several, or leave a part of one, some of which are left over from whole blocks;
/// where they lie and moved.
#[test]
fn groups_of_every_size_are_computed_side_by_side() {
    let of = |problem: Problem, groups: usize, inputs: usize, outputs: usize| Problem {
        groups,
        in_channels: groups * inputs,
        out_channels: groups * outputs,
        ..problem
    };
    let problem = Problem { batch: 2, ..padded([1, 1], [4, 5], [3, 3], 1) };
    for outputs in [1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64] {
        for (groups, inputs) in [(2, 4), (5, 3)] {
            check_everywhere(of(problem, groups, inputs, outputs));
        }
    }
    // Of so many input channels that each group is computed by itself, though several would fill a vector.
    check_everywhere(of(problem, 2, 100, 4));
    check_everywhere(of(problem, 4, 100, 4));
    for (groups, inputs, outputs) in [(3, 1, 4), (9, 3, 4), (4, 4, 4), (9, 8, 8), (2, 65, 16), (7, 2, 2)] {
        check_everywhere(of(problem, groups, inputs, outputs));
    }
    // More inputs than an absent tap reads at once.
    check_everywhere(of(padded([1, 1], [2, 3], [3, 3], 1), 8, 300, 4));
    check_everywhere(of(padded([1, 1], [2, 3], [3, 3], 1), 4, 1100, 8));
    for text in [
        "g8ic32ih21iw19oc32oh21ow19kh3ph1",
        "g6ic24ih9oc48oh18kh4sh2ph1tr1",
        "g4ic32id4ih5oc32od4oh5kd3kh3pd1ph1",
        "g16ic64ih14oc64oh7kh1sh2ph0",
        "g4ic16iw70oc16kw3dw4pw10pr0",
    ] {
        check_everywhere(
            convlow::descriptor::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}")).problem,
        );
    }
}

#[test]
fn absent_taps_of_many_channels_are_absent() {
    check(padded([1030, 9], [3, 3], [3, 3], 1));
    check(padded([2049, 17], [1, 2], [3, 3], 1));
}

#[test]
fn long_rows_and_large_tiles_are_taken_in_parts() {
    check(padded([3, 20], [3, 1003], [3, 3], 1));
    check(padded([2, 8], [40, 25], [5, 3], 2));
}

#[test]
fn windows_of_many_runs_are_listed_in_parts() {
    check(dilated(padded([3, 20], [30, 40], [7, 9], 8), 2));
    check(padded([2, 8], [90, 9], [71, 3], 2));
}

/// Places in padding lie farther away than numbers reach.
#[test]
fn far_taps_do_not_disturb_near_ones() {
    let far = 1 << 50;
    let rows = Axis { dilation: far, pad_before: far, ..Axis::dense(1, 2) };
    check(Problem { rows, ..padded([1, 3], [1, 1 << 14], [1, 1], 0) });
    check(Problem { rows: Axis { stride: far, ..rows }, ..padded([1, 3], [1, 1 << 14], [1, 1], 0) });
}

/// The places of taps that see nothing lie so far away that their elements cannot be counted, or count as near ones.
#[test]
fn taps_that_miss_all_outputs_are_added_to_none() {
    let nhwc = Layout::Nhwc;
    let cols = |input: usize, kernel: usize, dilation: usize, pad_after: usize| Axis {
        dilation,
        pad_after,
        ..Axis::dense(input, kernel)
    };
    let check = |cols: Axis, operation: Operation, outputs: usize, apart: usize| {
        let plain = padded([1, outputs], [1, 1], [1, 1], 0);
        let dst_strides = Strides { channel: apart, batch: 0 };
        let problem = Problem { operation, cols, src_layout: nhwc, dst_layout: nhwc, dst_strides, ..plain };
        check_by::<f32>(c"kn2col-register", problem, usize::MAX);
        check_by::<f64>(c"kn2col-register", problem, usize::MAX);
    };
    for outputs in [1, 4, 16, 32] {
        for (operation, far) in [(Operation::Conv, 1 << 59), (Operation::ConvTranspose, 1 << 59)] {
            check(cols(1, 2, far, far), operation, outputs, 0);
        }
        let far = 558_992_244_657_865_200;
        check(cols(2, 2, far, far), Operation::Conv, outputs, 33);
        check(cols(3, 3, 1, 0), Operation::Conv, outputs, 1 << 40);
        check(cols(17, 17, 1, 0), Operation::Conv, outputs, 1 << 40);
    }
}
