//! What the grid of the conformance tests does not hold: sizes beyond those that register tiles take at once.

mod common;

use common::{Data, dilated, padded, plan_for};
use convlow::algorithms::Entry;
use convlow::gemm::BackendChoice;
use convlow::{Axis, Layout, Pool, Problem};

/// Integers, so that every sum is exact in any order.
fn check(problem: Problem) {
    common::instructions();
    let nhwc = Layout::Nhwc;
    let problem = Problem::new(Problem { src_layout: nhwc, dst_layout: nhwc, ..problem }).expect("valid");
    let entry = Entry::by_name(c"kn2row-register").expect("registered");
    let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
    let plan = plan_for(&problem, &options).expect("it takes every NHWC problem");
    let data: Data = Data::integers(&problem, true, &mut fastrand::Rng::with_seed(7));
    let found = common::run(&plan, &data);
    for (at, (found, expected)) in found.iter().zip(data.expected(&problem)).enumerate() {
        assert_eq!(f64::from(*found), expected.value, "output {at} of {problem}");
    }
}

#[test]
fn other_instructions_compute_the_same() {
    common::on_other_instructions(&[
        "absent_taps_of_many_channels_are_absent",
        "long_rows_and_large_tiles_are_taken_in_parts",
        "windows_of_many_runs_are_listed_in_parts",
        "far_taps_do_not_disturb_near_ones",
    ]);
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
