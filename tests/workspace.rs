//! The workspace figure is the formula of each family, written here a second time from the papers.

mod common;

use common::{LAYOUTS, plan_for};
use convlow::algorithms::REGISTRY;
use convlow::gemm::BackendChoice;
use convlow::{Options, Plan, Pool, Problem, descriptor};

const LISTS: [&str; 4] = [
    include_str!("../problems/alexnet.txt"),
    include_str!("../problems/googlenet.txt"),
    include_str!("../problems/resnet50.txt"),
    include_str!("../problems/vgg16.txt"),
];

fn layers() -> Vec<Problem> {
    let lists = LISTS.map(|list| descriptor::parse_list(list).expect("the lists are valid"));
    lists.into_iter().flatten().map(|entry| entry.problem).collect()
}

/// Bytes of one image and group; `None` where the formula is a bound.
fn formula(name: &str, p: &Problem) -> Option<usize> {
    let (c, m) = (p.in_channels / p.groups, p.out_channels / p.groups);
    let (h, w, oh, ow) = (p.rows.input, p.cols.input, p.rows.output, p.cols.output);
    let (kh, kw) = (p.rows.kernel, p.cols.kernel);
    let floats = match name {
        "direct-sum2d" => 0,
        "kn2row" | "kn2col" => kh * kw * m * h * w,
        "kn2row-as" | "kn2col-as" => m * h * w,
        _ if name.starts_with("im2col-") || name.starts_with("im2row-") => c * kh * kw * oh * ow,
        _ if name.starts_with("mec-") => kw * c * h * ow,
        _ if name.starts_with("conv-1x1-") => 0,
        _ if name.starts_with("kn2row-aa-") => return None,
        other => panic!("{other} has no formula here"),
    };
    Some(4 * floats)
}

#[test]
fn every_figure_is_its_formula() {
    let mut compared = 0;
    let two = Pool::new(2).expect("two threads");
    for layer in layers() {
        for (src_layout, dst_layout) in LAYOUTS {
            for (batch, groups) in [(1, 1), (2, 1)] {
                let problem = Problem { src_layout, dst_layout, batch, groups, ..layer };
                for entry in REGISTRY {
                    for pool in [&Pool::SERIAL, &two] {
                        let Ok(plan) = plan_for(&problem, &common::options(entry, BackendChoice::Auto, pool))
                        else {
                            continue;
                        };
                        let Some(bytes) = formula(entry.name(), &problem) else { continue };
                        // Units under 4 million multiplications run side by side.
                        let side_by_side = pool.threads() == 2 && batch == 2 && problem.macs() / 2 < 1 << 22;
                        let bytes = if side_by_side { 2 * bytes } else { bytes };
                        assert_eq!(plan.info().workspace_bytes, bytes, "{} on {problem}", entry.name());
                        compared += 1;
                    }
                }
            }
        }
    }
    assert!(compared > 1000, "{compared}");
}

#[test]
fn kn2row_aa_needs_at_most_64_kib_on_every_stride_1_layer_of_the_networks() {
    let mut plans = 0;
    for layer in layers().into_iter().filter(Problem::unit_stride) {
        for (src_layout, dst_layout) in LAYOUTS {
            for accumulate in [false, true] {
                let problem = Problem { src_layout, dst_layout, accumulate, ..layer };
                for entry in REGISTRY.iter().filter(|entry| entry.name().starts_with("kn2row-aa-")) {
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

/// A valid problem is never refused, whatever the limit.
#[test]
fn auto_fits_every_limit() {
    for layer in layers() {
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
