//! Sizes of depthwise convolutions beyond those that are moved at once, which the grid of the conformance tests does not hold.

use convlow::algorithms::Entry;
use convlow::gemm::BackendChoice;
use convlow::{Axis, Layout, Options, Pool, Problem};

use crate::common::{self, Data, dilated, padded, plan_for};

/// Integers, so that every sum is exact in any order. Parts are moved in the workspace, or on the stack.
fn check(problem: Problem, multiplier: usize) {
    common::instructions();
    let groups = problem.in_channels;
    for (src_layout, dst_layout) in Layout::PAIRS {
        for accumulate in [false, true] {
            let problem = Problem {
                groups,
                out_channels: groups * multiplier,
                src_layout,
                dst_layout,
                accumulate,
                ..problem
            };
            let problem = Problem::new(problem).expect("valid");
            let entry = Entry::by_name(c"depthwise-register").expect("registered");
            let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
            let data: Data = Data::integers(&problem, true, &mut fastrand::Rng::with_seed(7));
            let expected = data.expected(&problem);
            for max_workspace_bytes in [128 << 10, 40 << 10, 0] {
                let plan = plan_for(&problem, &Options { max_workspace_bytes, ..options.clone() });
                let plan = plan.expect("it takes every depthwise problem");
                let found = common::run(&plan, &data);
                for (at, (found, expected)) in found.iter().zip(&expected).enumerate() {
                    assert_eq!(f64::from(*found), expected.value, "output {at} of {problem}");
                }
            }
        }
    }
}

#[test]
fn other_instructions_compute_the_same() {
    common::on_other_instructions(
        module_path!(),
        &[
            "large_kernels_are_taken_in_parts",
            "far_taps_are_moved_without_what_lies_between",
            "long_rows_are_taken_in_parts",
            "rows_of_every_width_are_computed",
            "transposed_deep_and_tall_ones_have_tiles",
        ],
    );
}

#[test]
fn large_kernels_are_taken_in_parts() {
    check(padded([3, 3], [20, 22], [17, 19], 8), 1);
    check(padded([2, 2], [33, 31], [31, 31], 15), 1);
    check(padded([2, 2], [4, 300], [3, 290], 9), 2);
}

#[test]
fn far_taps_are_moved_without_what_lies_between() {
    check(dilated(padded([19, 19], [37, 33], [3, 3], 18), 18), 1);
    let row = padded([3, 3], [2, 700], [1, 3], 0);
    check(Problem { cols: Axis { dilation: 300, pad_before: 600, pad_after: 9, ..row.cols }, ..row }, 3);
}

#[test]
fn long_rows_are_taken_in_parts() {
    check(padded([5, 5], [4, 1003], [3, 3], 1), 1);
    check(padded([17, 17], [40, 25], [5, 3], 2), 2);
}

/// Widths around the columns of a tile and channels around its vectors, for every kernel that has tiles of its own, from rows
/// that padding reaches on both sides at once.
#[test]
fn rows_of_every_width_are_computed() {
    for kernel in [3, 5, 7] {
        for width in [1, 2, 6, 7, 8, 13, 14, 15, 29] {
            for (stride, channels) in [(1, 24), (2, 24), (1, 13), (2, 37)] {
                let mut problem = padded([channels, channels], [5, width], [3, kernel], kernel / 2);
                (problem.rows.dilation, problem.rows.stride, problem.cols.stride) = (2, 2, stride);
                problem.rows.pad_before = 3;
                check(problem, 1);
            }
        }
    }
}

/// Transposed ones, of which some classes of outputs see no tap, volumes, maps that are higher than wide, and kernels of any
/// width, stride and dilation.
#[test]
fn transposed_deep_and_tall_ones_have_tiles() {
    for text in [
        "g21ic21ih9oc21oh18kh4sh2ph1tr1",
        "g16ic16ih5iw11oc16oh15ow33kh2sh3ph0tr1",
        "g8ic8id3ih4oc8od7oh9kd3kh3sd2sh2pd0ph0tr1",
        "g19ic19id4ih6iw8oc19od4oh6ow8kd3kh3pd1ph1",
        "g16ic16id40ih3iw2oc16od40oh3ow2kd5kh1kw1pd2ph0",
        "g33ic33ih40iw3oc33oh40ow3kh3kw3ph1",
        "g24ic24ih31oc24oh16kh9sh2ph4",
        "g24ic24ih30oc24oh8kh4sh4dh1ph3",
        "g17ic17iw90oc17kw5dw6pw24pr0",
        "g26ic26ih3iw9oc26oh6ow9kh2kw3sh2sw1dh2dw0ph1pw1tr1",
        "g30ic30ih5iw4oc30oh2ow4kh1kw3sh9sw1ph6pw1",
        "g31ic31ih10iw6oc31oh9ow2kh3kw1sh1sw181660874330225dh0dw181660874330224ph1pw181660874330225",
        "g24ic24ih1iw2oc24oh1ow2kh1kw1sh1sw1152921504606846977ph0pw1152921504606846976",
        "g12ic12ih1iw2oc12oh1ow2kh1kw1sh1sw2305843009213693953ph0pw2305843009213693952",
        "g24ic24ih3iw4oc24oh3ow4kh3kw1sh1sw1dh144115188075855872dw0ph144115188075855873pw0",
        "g12ic12ih3iw4oc12oh3ow4kh3kw1sh1sw1dh288230376151711744dw0ph288230376151711745pw0",
    ] {
        check(convlow::descriptor::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}")).problem, 1);
    }
}
