//! No size, however large, makes a plan of nonsense: hostile problems are planned or refused. The tests' profile checks
//! every operation for overflow, so that one that nobody thought of is a panic here.

use convlow::algorithms::REGISTRY;
use convlow::planner::query;
use convlow::{Axis, Error, Math, Options, Plan, Pool, Problem};

use crate::common;

/// What the packed weights of one algorithm take, from the definition of Winograd's F(m×m, r×r): (m+r−1)² values a
/// kernel. In 128 bits nothing wraps.
fn least_packed_bytes(name: &str, problem: &Problem) -> u128 {
    let taps = match name.strip_prefix("winograd-strip-") {
        Some(sizes) => {
            let digits = sizes.bytes().filter(u8::is_ascii_digit).map(|digit| u128::from(digit - b'0'));
            let [m, _, r, _] = digits.collect::<Vec<_>>()[..] else { panic!("{name}") };
            (m + r - 1).pow(2)
        }
        None => problem.taps() as u128,
    };
    4 * problem.out_channels as u128 * problem.group_in() as u128 * taps
}

fn options(max_workspace_bytes: usize, pool: &Pool) -> Options {
    Options { math: Math::Fast, max_workspace_bytes, pool: pool.clone(), ..Options::default() }
}

/// Plans or refuses, and never makes up a size. How many algorithms could.
fn check(problem: &Problem, options: &Options) -> usize {
    let Ok(infos) = query(problem, options) else { return 0 };
    let able = infos.iter().filter(|info| info.applicable);
    for info in able.clone() {
        let packed = least_packed_bytes(info.entry.name(), problem);
        assert!(info.packed_weights_bytes as u128 >= packed, "{} on {problem:?}", info.entry.name());
        let seconds = info.estimated_seconds; // 0 where no output sees the input
        assert!(seconds.is_finite() && seconds >= 0.0, "{:?} on {problem:?}: {seconds}", info.entry);
    }
    let _ = Plan::new(problem, options);
    able.count()
}

#[test]
fn packed_weights_that_do_not_fit_are_an_overflow() {
    for (kernel, m) in [(3, 30), (5, 29)] {
        let problem = common::padded([1 << 27, 1 << m], [1, 1], [kernel, kernel], kernel / 2);
        for entry in REGISTRY.iter().filter(|entry| entry.family == "winograd") {
            let options = common::options(entry, convlow::gemm::BackendChoice::Auto, &Pool::SERIAL);
            match Plan::new(&problem, &options).map(|plan| plan.info().packed_weights_bytes) {
                Err(Error::Overflow(text)) => assert!(text.contains("packed weights"), "{text}"),
                Err(Error::Unsupported(_)) => {} // made for the other kernel
                other => panic!("{entry:?}: {other:?}"),
            }
        }
    }
}

#[test]
fn what_does_not_fit_is_named_with_its_values() {
    let huge = Problem {
        batch: 1 << 20,
        rows: Axis::dense(1 << 22, 1),
        ..common::plain([1 << 20, 1 << 20], [1, 1], [1, 1])
    };
    for (problem, expected) in [
        (
            huge,
            "bytes of src do not fit size_t (batch = 1048576, in_channels = 1048576, in_height = 4194304,",
        ),
        (
            Problem { batch: 1 << 40, ..common::plain([1 << 10, 1 << 18], [1, 1], [1, 1]) },
            "number of multiplications does not fit size_t (batch = 1099511627776, out_channels = 262144,",
        ),
        (
            Problem {
                cols: Axis { pad_after: usize::MAX, ..Axis::dense(5, 1) },
                ..common::plain([1, 1], [5, 5], [1, 1])
            },
            "in_width = 5 with pad_left = 0 and pad_right = 18446744073709551615 does not fit size_t",
        ),
    ] {
        let refusal = Problem::new(problem).expect_err(expected);
        assert!(matches!(&refusal, Error::Overflow(text) if text.contains(expected)), "{refusal}");
    }
}

#[test]
fn hostile_sizes_are_planned_or_refused() {
    const PROBLEMS: usize = 100_000;
    let mut rng = fastrand::Rng::with_seed(17);
    let (serial, pool) = (Pool::SERIAL, Pool::new(3).expect("a few threads"));
    let (mut valid, mut able) = (0, 0);
    for _ in 0..PROBLEMS {
        // Powers of two and their neighbours, mostly small, so that the others may be huge.
        let mut size = |most: u32| {
            let bits = if rng.u8(..3) == 0 { rng.u32(..=most) } else { rng.u32(..=most.min(6)) };
            (1usize << bits).wrapping_add(rng.usize(..3)).wrapping_sub(1).max(1)
        };
        let groups = size(20);
        let mut axis = || {
            let (kernel, input) = (size(24), size(40));
            Axis {
                stride: size(40),
                dilation: size(24),
                pad_before: size(40) - 1,
                pad_after: size(40) - 1,
                ..Axis::dense(input, kernel)
            }
        };
        let (rows, cols) = (axis(), axis());
        let problem = Problem {
            batch: size(40),
            in_channels: groups.saturating_mul(size(40)),
            out_channels: groups.saturating_mul(size(40)),
            groups,
            rows,
            cols,
            ..common::plain([1, 1], [1, 1], [1, 1])
        };
        let limit = [0, size(40), usize::MAX][size(6) % 3];
        let (src_layout, dst_layout) = common::LAYOUTS[size(6) % 4];
        let Ok(problem) = Problem::new(Problem { src_layout, dst_layout, ..problem }) else { continue };
        valid += 1;
        let pool = if size(6) % 2 == 0 { &pool } else { &serial };
        able += check(&problem, &options(limit, pool));
    }
    println!("sizes: {PROBLEMS} problems, {valid} valid, {able} algorithms able");
    assert!(valid > PROBLEMS / 10 && able > valid);
}
