//! What workspace figures keep to: bounds, limits, and the schedule of units on threads. `formulas.rs` has their formulas.

use std::fs;
use std::path::PathBuf;

use convlow::algorithms::{Entry, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{Layout, Options, Plan, Pool, Problem, descriptor};

use crate::common::{self, LAYOUTS, plan_for};

fn layers_of(names: impl IntoIterator<Item = PathBuf>) -> Vec<Problem> {
    let lists = names.into_iter().map(|file| fs::read_to_string(&file).expect("a list of problems/"));
    let entries = lists.flat_map(|list| descriptor::parse_list(&list).expect("the lists are valid"));
    entries.map(|entry| entry.problem).collect()
}

/// The layers of four networks, for what tries every algorithm.
fn layers() -> Vec<Problem> {
    layers_of(["alexnet", "googlenet", "resnet50", "vgg16"].map(common::list))
}

/// Every line of every list, grouped and depthwise ones too.
fn layers_of_all_lists() -> Vec<Problem> {
    let layers = layers_of(common::lists());
    assert!(
        layers.iter().any(|layer| layer.groups > 1 && layer.groups < layer.in_channels),
        "no grouped layer"
    );
    assert!(
        layers.iter().any(|layer| layer.groups > 1 && layer.groups == layer.in_channels),
        "no depthwise one"
    );
    layers
}

fn of_family(family: &str) -> impl Iterator<Item = &'static Entry> {
    REGISTRY.iter().filter(move |entry| entry.family == family)
}

#[test]
fn depthwise_kernels_need_nothing_in_nhwc_and_may_do_without_in_nchw() {
    let entry = Entry::by_name(c"depthwise-register").expect("registered");
    let two = Pool::new(2).expect("two threads");
    let mut plans = 0;
    let depthwise = |layer: &Problem| layer.groups > 1 && layer.group_in() == 1;
    for layer in layers_of_all_lists().into_iter().filter(depthwise) {
        for (src_layout, dst_layout) in LAYOUTS {
            for pool in [&Pool::SERIAL, &two] {
                let problem = Problem { src_layout, dst_layout, ..layer };
                let options = common::options(entry, BackendChoice::Auto, pool);
                for max_workspace_bytes in [options.max_workspace_bytes, 0] {
                    let plan = plan_for(&problem, &Options { max_workspace_bytes, ..options.clone() });
                    let plan = plan.expect("it takes every depthwise problem");
                    let most = match src_layout {
                        Layout::Nhwc => 0,
                        Layout::Nchw => (pool.threads() * (128 << 10)).min(max_workspace_bytes),
                    };
                    assert!(plan.info().workspace_bytes <= most, "{problem}");
                    plans += 1;
                }
            }
        }
    }
    assert!(plans > 200, "{plans}");
}

#[test]
fn kn2row_aa_needs_at_most_64_kib_on_every_stride_1_layer_of_the_networks() {
    let mut plans = 0;
    for layer in layers().into_iter().filter(Problem::unit_stride) {
        for (src_layout, dst_layout) in LAYOUTS {
            for accumulate in [false, true] {
                let problem = Problem { src_layout, dst_layout, accumulate, ..layer };
                for entry in of_family("kn2-aa") {
                    let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
                    let Ok(plan) = plan_for(&problem, &options) else { continue };
                    let bytes = plan.info().workspace_bytes;
                    assert!(bytes <= 65_536, "{} on {problem}: {bytes}", entry.name());
                    plans += 1;
                }
            }
        }
    }
    assert!(plans > 200, "{plans}");
}

/// What is done in strips needs what its formula says for some strip, all of dst's at most, and a bounded strip
/// where one is possible.
#[test]
fn strips_need_what_their_size_says_and_no_more_than_their_bound() {
    let mut plans = 0;
    for layer in layers() {
        for (src_layout, dst_layout) in LAYOUTS {
            let problem = Problem { src_layout, dst_layout, ..layer };
            let (c, m) = (problem.in_channels, problem.out_channels);
            for entry in of_family("folded").chain(of_family("flat")) {
                let name = entry.name();
                let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
                let Ok(plan) = plan_for(&problem, &options) else { continue };
                let bytes = plan.info().workspace_bytes;
                let one_row = 4 * problem.cols.output * m;
                match entry.family {
                    // 448 KiB, unless the window of one output row, lowered Kw times, is larger.
                    "folded" => {
                        let lowered = problem.rows.kernel * problem.cols.output * problem.cols.kernel * c;
                        let least = 4 * (lowered + problem.cols.input * c) + one_row;
                        assert!(bytes <= least.max(448 * 1024), "{name} on {problem}: {bytes}");
                    }
                    // Half the kernel's width of columns, of all rows at most.
                    _ => {
                        let most = 4 * (problem.cols.kernel / 2) * problem.rows.output * m;
                        assert!(bytes <= most, "{name} on {problem}: {bytes}");
                    }
                }
                plans += 1;
            }
        }
    }
    assert!(plans > 300, "{plans}");
}

/// Winograd's strips hold α² values of whole tiles for a part of C, which is C halved or not, and for a block of channels,
/// and at most 2 MiB of them a thread.
#[test]
fn winograd_needs_what_its_tiles_say_and_at_most_2_mib() {
    let mut plans = 0;
    for layer in layers() {
        for (src_layout, dst_layout) in LAYOUTS {
            let problem = Problem { src_layout, dst_layout, ..layer };
            for entry in of_family("winograd") {
                let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
                let [m, r] = [15, 19].map(|at| usize::from(entry.name().as_bytes()[at] - b'0'));
                let (c, outputs) = (problem.in_channels, problem.out_channels);
                let parts = |channels: usize, most: usize| {
                    channels.div_ceil(channels.div_ceil(most)).next_multiple_of(16).min(channels)
                };
                let blocks = [64, 128, 256]
                    .map(|most| parts(outputs, most).next_multiple_of(parts(outputs, 32)).min(outputs));
                let depths: Vec<_> =
                    std::iter::successors(Some(c), |&c| Some(parts(c, c / 2)).filter(|_| c >= 128)).collect();
                let floats = (m + r - 1).pow(2);
                for limit in [usize::MAX, 512 << 10, 4 * floats * (c + blocks[0])] {
                    let options = Options { max_workspace_bytes: limit, ..options.clone() };
                    let Ok(plan) = plan_for(&problem, &options) else { continue };
                    let bytes = plan.info().workspace_bytes;
                    let of_tiles = |tile: usize| bytes % tile == 0 && (1..=96).contains(&(bytes / tile));
                    let tiles = depths.iter().flat_map(|c| blocks.map(|block| 4 * floats * (c + block)));
                    assert!(tiles.into_iter().any(of_tiles), "{} on {problem}: {bytes}", entry.name());
                    assert!(bytes <= limit.min(2 << 20), "{} on {problem}: {bytes}", entry.name());
                    plans += 1;
                }
            }
        }
    }
    assert!(plans > 500, "{plans}");
}

/// What AUTO takes by itself: nothing for an NHWC src, at most 256 KiB a thread for an NCHW one.
#[test]
fn auto_needs_no_more_than_is_promised() {
    for layer in layers_of_all_lists() {
        for (src_layout, dst_layout) in LAYOUTS {
            for threads in [1, 2, 4] {
                let pool = Pool::new(threads).expect("a few threads");
                let problem = Problem { src_layout, dst_layout, ..layer };
                let plan = Plan::new(&problem, &Options { pool, ..Options::default() }).expect("valid");
                let most = if src_layout == Layout::Nhwc { 0 } else { threads << 18 };
                let (name, bytes) = (plan.info().entry.name(), plan.info().workspace_bytes);
                assert!(bytes <= most, "{name} on {problem}: {bytes}");
            }
        }
    }
}

/// Strips shrink to a pixel or a row where the limit says so, and the figure is kept.
#[test]
fn strips_shrink_with_the_limit() {
    let problem = Problem {
        src_layout: Layout::Nchw,
        dst_layout: Layout::Nchw,
        ..descriptor::parse("ic64ih56oc64oh56kh3ph1").expect("a problem").problem
    };
    // One row: the three input rows that it sees, lowered, one of them moved, and its 64 channels.
    for (name, least) in [(c"kn2row-fold", 4 * (3 * 56 * 3 * 64 + 56 * 64 + 56 * 64))] {
        let entry = Entry::by_name(name).expect("registered");
        for limit in [least, 2 * least, 5 * least + 1] {
            let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
            let options = Options { max_workspace_bytes: limit, ..options };
            let plan = Plan::new(&problem, &options).expect("fits");
            assert!(plan.info().workspace_bytes <= limit && plan.info().workspace_bytes > limit / 2);
        }
        let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
        let options = Options { max_workspace_bytes: least - 1, ..options };
        assert!(Plan::new(&problem, &options).is_err(), "{entry:?}");
    }
}

/// Where C is at least 16, NHWC needs nothing at all.
#[test]
fn kn2row_tiled_serves_every_nhwc_layer_without_workspace() {
    for layer in layers() {
        let nhwc = Layout::Nhwc;
        let problem = Problem { src_layout: nhwc, dst_layout: nhwc, ..layer };
        let entry = Entry::by_name(c"kn2row-tiled").expect("registered");
        let options = common::options(entry, BackendChoice::Auto, &Pool::new(2).expect("two threads"));
        assert_eq!(Plan::new(&problem, &options).expect("applies").info().workspace_bytes, 0);
    }
}

/// A valid problem is never refused, whatever the limit.
#[test]
fn auto_fits_every_limit() {
    for layer in layers_of_all_lists() {
        for (src_layout, dst_layout) in LAYOUTS {
            let problem = Problem { src_layout, dst_layout, ..layer };
            for limit in [0, 1, 4, 1000, 1 << 20, usize::MAX] {
                let options = Options { max_workspace_bytes: limit, ..Options::default() };
                let plan = Plan::new(&problem, &options).expect("AUTO always finds one");
                assert!(plan.info().workspace_bytes <= limit);
            }
        }
    }
}

/// Units that run side by side each need a workspace, of which no more are taken than the limit holds.
#[test]
fn side_by_side_units_stay_within_the_limit() {
    let pool = Pool::new(4).expect("four threads");
    let problem = Problem { batch: 8, ..common::padded([3, 5], [9, 9], [3, 3], 1) };
    let entry = Entry::by_name(c"im2col-copy-short-ab-ki").expect("registered");
    let unit = 4 * 3 * 9 * 9 * 9;
    for units in 1..=6 {
        let max_workspace_bytes = unit * units + unit / 2;
        let options = Options { max_workspace_bytes, ..common::options(entry, BackendChoice::Auto, &pool) };
        let plan = Plan::new(&problem, &options).expect("one unit fits");
        assert_eq!(plan.info().workspace_bytes, unit * units.min(4));
    }
}

#[test]
fn gemm_calls_count_all_images_and_groups() {
    let calls = |batch: usize, groups: usize| {
        let problem =
            Problem { batch, groups, ..common::padded([3 * groups, 5 * groups], [9, 9], [3, 3], 1) };
        let entry = Entry::by_name(c"kn2row-as").expect("registered");
        let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
        Plan::new(&problem, &options).expect("a small problem").info().gemm_calls
    };
    assert_eq!(calls(1, 1), 9);
    assert_eq!(calls(2, 3), 54);
}

/// A matrix too wide for a BLAS's 32-bit integer goes to the embedded GEMM, or is refused if that may not be.
#[cfg(feature = "openblas")]
#[test]
fn sizes_beyond_the_blas_integer_are_not_given_to_it() {
    let problem = common::padded([1, 1], [1 << 16, 1 << 16], [1, 1], 0);
    let entry = Entry::by_name(c"conv-1x1-gemm-ab-ki").expect("registered");
    let options = |gemm| common::options(entry, gemm, &Pool::SERIAL);
    let plan = Plan::new(&problem, &options(BackendChoice::Auto)).expect("the embedded GEMM takes it");
    assert_eq!(plan.info().backend, Some(convlow::gemm::Backend::Embedded));
    let refusal = Plan::new(&problem, &options(BackendChoice::Blas)).map(|_| ()).expect_err("too wide");
    assert!(matches!(&refusal, convlow::Error::Overflow(text) if text.contains("32-bit")), "{refusal:?}");
    let auto = Options { gemm: BackendChoice::Blas, ..Options::default() };
    Plan::new(&problem, &auto).expect("direct-sum2d needs no BLAS");
}

/// A problem's fields are open; one that was changed into nonsense is refused like any other.
#[test]
fn a_problem_that_lost_its_sense_is_refused() {
    let valid = common::padded([2, 2], [4, 4], [1, 1], 0);
    for broken in [
        Problem { groups: 0, ..valid },
        Problem { groups: 3, ..valid },
        Problem { out_channels: (1 << 60) + 1, ..valid },
        Problem { in_channels: 0, ..valid },
    ] {
        assert!(Plan::new(&broken, &Options::default()).is_err(), "{broken:?}");
        assert!(convlow::planner::query(&broken, &Options::default()).is_err(), "{broken:?}");
    }
    // An output size that was never computed is computed.
    let mut unfinished = valid;
    unfinished.rows.output = 0;
    let plan = Plan::new(&unfinished, &Options::default()).expect("the sizes make sense");
    assert_eq!(plan.problem(), &valid);
}
