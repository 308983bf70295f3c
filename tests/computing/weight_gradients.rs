//! The gradient of the weights and of the bias against the definition, over the grid of all shapes.
//!
//! On small integers every sum is exact: bit for bit. On random values the bound of the API holds: sums of R terms are built in
//! parts of at most 4,096.

use std::collections::BTreeMap;
use std::sync::Mutex;

use convlow::algorithms::{Entry, Products, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{
    Activation, Axis, DataType, Element, Kind, Layout, Operation, Options, Plan, Pool, Problem, Propagation,
};

use super::conformance::{for_each_shape, shapes, with_gaps};
use super::gradients::{Gradients, run_gradients};
use crate::common::{self, LAYOUTS, WEIGHTS, bits, dst_sizes, packed, padded, places, plan_for, src_sizes};

fn double<T: Element>(value: T) -> f64 {
    value.into()
}

/// Runs by what they are of.
type Tally = Mutex<BTreeMap<String, usize>>;

fn check_shape<T: Element>(number: usize, shape: &Problem, pool: &Pool, tally: &Tally) {
    let half_epsilon = if T::TYPE == DataType::F32 { 2f64.powi(-24) } else { 2f64.powi(-53) };
    let mut rng = fastrand::Rng::with_seed(number as u64);
    let (integers, random) =
        (Gradients::<T>::integers(shape, &mut rng), Gradients::<T>::random(shape, &mut rng));
    let (exact, close) = (integers.expected(shape), random.expected(shape));
    let terms = shape.batch * if shape.is(Kind::Transposed) { shape.in_pixels() } else { shape.out_pixels() };
    for (pair, (src_layout, dst_layout)) in LAYOUTS.into_iter().enumerate() {
        let weights_layout = WEIGHTS[(number + pair) % WEIGHTS.len()];
        let problem = with_gaps(&Problem { src_layout, dst_layout, weights_layout, ..*shape });
        for entry in REGISTRY.iter().filter(|entry| entry.computes_weights()) {
            let by_gemm = entry.products == Products::Gemm;
            // They compute the same on all instructions, and take turns.
            if by_gemm && (common::in_part() || number / 3 % 3 != entry.id as usize % 3) {
                continue;
            }
            let pool = if (number + pair).is_multiple_of(2) { &Pool::SERIAL } else { pool };
            // Limits that leave whole blocks, small ones, and what the stack holds.
            let limit = if by_gemm { usize::MAX } else { [usize::MAX, 20_000, 0][(number / 2 + pair) % 3] };
            // Both where both are built.
            let gemm = if by_gemm && number.is_multiple_of(2) {
                BackendChoice::Embedded
            } else {
                BackendChoice::Auto
            };
            let options = common::options(entry, gemm, pool);
            let plan = match plan_for(&problem, &Options { max_workspace_bytes: limit, ..options }) {
                Ok(plan) => plan,
                Err(_) if !entry.takes_layouts((src_layout, dst_layout)) => continue,
                Err(reason) => panic!("{} on {problem}: {reason}", entry.name()),
            };
            let info = plan.info();
            assert!(by_gemm || info.workspace_bytes <= limit.min((256 << 10) * pool.threads()), "{problem}");
            let values = run_gradients(&plan, &integers, [true; 2]);
            for (values, expected) in values.iter().zip(&exact) {
                for ((&value, expected), at) in values.iter().zip(expected).zip(0..) {
                    // A GEMM may make a nothing negative.
                    let found = if by_gemm { double(value) + 0.0 } else { double(value) };
                    assert!(
                        found.to_bits() == expected.value.to_bits(),
                        "{} on {problem} ({problem:?}), integers: element {at} is {value}, not {}",
                        entry.name(),
                        expected.value
                    );
                }
            }
            for (values, (expected, terms)) in run_gradients(&plan, &random, [true; 2])
                .iter()
                .zip(close.iter().zip([terms, shape.batch * shape.out_pixels()]))
            {
                let gamma = (terms + 3).min(4096 + terms / 4096 + 3) as f64 * half_epsilon;
                for ((&value, expected), at) in values.iter().zip(expected).zip(0..) {
                    let error = (double(value) - expected.value).abs();
                    assert!(
                        error <= gamma * expected.magnitude,
                        "{} on {problem} ({problem:?}): element {at} is {value}, not {}: off by {error:e}",
                        entry.name(),
                        expected.value
                    );
                }
            }
            let mut tally = tally.lock().expect("no test panicked");
            let layouts = format!("{} to {}", src_layout.name(), dst_layout.name());
            let limit = format!("limit {limit}");
            let weights = format!("{weights_layout:?}");
            for what in [layouts, limit, weights, "runs".to_owned()] {
                *tally.entry(format!("{}, {what}", entry.name())).or_default() += 1;
            }
            for kind in Kind::ALL.into_iter().filter(|&kind| problem.is(kind)) {
                *tally.entry(format!("{}, {kind:?}", entry.name())).or_default() += 1;
            }
        }
    }
}

#[test]
fn other_instructions_compute_the_same() {
    common::on_other_instructions(module_path!(), &["gradients_of_weights_are_the_definitions"]);
}

/// Promise 6, for gradients.
#[test]
fn gradients_of_weights_are_the_definitions() {
    common::instructions();
    let (shapes, _) = shapes();
    let shapes: Vec<Problem> = shapes
        .into_iter()
        .map(|shape| Problem {
            propagation: Propagation::BackwardWeights,
            activation: Activation::None,
            ..shape
        })
        .collect();
    let tally = Tally::default();
    let share = for_each_shape(&shapes, |number, shape, pool| match shape.data_type {
        DataType::F32 => check_shape::<f32>(number, shape, pool, &tally),
        DataType::F64 => check_shape::<f64>(number, shape, pool, &tally),
    });
    let tally = tally.into_inner().expect("no test panicked");
    println!("gradients of weights, of 1 in {share} of {} shapes:", shapes.len());
    for (what, runs) in &tally {
        println!("  {runs:>6} {what}");
    }
    let built = |kind: Kind| kind != Kind::Float64 || DataType::BUILT.contains(&DataType::F64);
    let tried = |entry: &&Entry| entry.products != Products::Gemm || !common::in_part();
    for entry in REGISTRY.iter().filter(|entry| entry.computes_weights()).filter(tried) {
        let kinds = entry.kinds.iter().filter(|&&kind| built(kind)).map(|kind| format!("{kind:?}"));
        let limits = if entry.products == Products::Gemm { &[][..] } else { &["limit 0", "limit 20000"] };
        let weights = ["Oihw", "Hwio", "Ohwi"];
        for what in kinds.chain(limits.iter().chain(&weights).map(|&what| what.to_owned())) {
            let runs = tally.get(&format!("{}, {what}", entry.name()));
            assert!(runs.is_some_and(|&runs| runs >= 100_usize.div_ceil(share)), "{what}: {runs:?}");
        }
    }
}

fn weights_of(problem: Problem) -> Problem {
    Problem::new(Problem { propagation: Propagation::BackwardWeights, ..problem }).expect("a valid problem")
}

/// Promise 4: a NaN or an infinity in the gradient of dst reaches exactly the taps that read an input for its output, and one in
/// src exactly those that read it.
#[test]
fn a_nan_reaches_exactly_what_its_windows_hold() {
    for operation in [Operation::Conv, Operation::ConvTranspose] {
        for (channels, groups, stride) in
            [([7, 20], 1, 1), ([3, 17], 1, 2), ([24, 24], 24, 1), ([20, 3], 1, 1)]
        {
            for (src_layout, dst_layout) in LAYOUTS {
                let mut problem = padded(channels, [6, 9], [3, 3], 1);
                (problem.rows.stride, problem.cols.stride) = (stride, stride);
                let problem = Problem { operation, groups, src_layout, dst_layout, batch: 2, ..problem };
                let problem = weights_of(problem);
                let (sizes, src_len) = (dst_sizes(&problem), problem.src_len());
                let places = [0, places(sizes).count() - 1, sizes[4] + 2].map(|at| (true, at));
                for (in_dst, at) in places.into_iter().chain([(false, src_len / 2), (false, src_len - 1)]) {
                    for (value, limit) in [(f32::NAN, usize::MAX), (f32::INFINITY, usize::MAX), (f32::NAN, 0)]
                    {
                        let mut data = Gradients::<f32>::random(&problem, &mut fastrand::Rng::with_seed(3));
                        let tensor = if in_dst { &mut data.diff_dst } else { &mut data.src };
                        tensor[at] = value;
                        check_reach(&problem, &data, limit);
                    }
                }
            }
        }
    }
}

fn check_reach(problem: &Problem, data: &Gradients<f32>, limit: usize) {
    let options = Options { max_workspace_bytes: limit, ..Options::default() };
    let plan = Plan::new(problem, &options).expect("an algorithm");
    let expected = data.expected(problem);
    for (values, expected) in run_gradients(&plan, data, [true; 2]).iter().zip(&expected) {
        for (value, expected) in values.iter().zip(expected) {
            assert_eq!(value.is_finite(), expected.value.is_finite(), "{problem}, limit {limit}");
        }
    }
    assert!(expected[0].iter().any(|output| !output.value.is_finite()));
    assert!(expected[0].iter().any(|output| output.value.is_finite()));
}

/// Promise 8: the same bits for any number of threads.
#[test]
fn threads_change_no_bit() {
    let problems = [
        padded([64, 64], [14, 14], [3, 3], 1),
        padded([3, 40], [30, 31], [7, 7], 3),
        padded([100, 200], [9, 9], [1, 1], 0),
        Problem { groups: 48, ..padded([48, 48], [20, 20], [3, 3], 1) },
        Problem { groups: 8, ..padded([32, 64], [20, 20], [3, 3], 1) },
        Problem { data_type: DataType::F64, ..padded([20, 30], [12, 12], [3, 3], 1) },
        padded([200, 3], [12, 12], [3, 3], 1),
    ];
    // Rows of pixels that join where a block has fewer taps, or whole vectors.
    let strided = |problem: Problem, strides: [usize; 2]| Problem {
        rows: Axis { stride: strides[0], ..problem.rows },
        cols: Axis { stride: strides[1], ..problem.cols },
        batch: 40,
        ..problem
    };
    let nhwc = |problem: Problem| Problem { src_layout: Layout::Nhwc, dst_layout: Layout::Nhwc, ..problem };
    let joining = [
        Problem { dst_layout: Layout::Nhwc, ..strided(padded([24, 32], [8, 8], [3, 3], 1), [2, 2]) },
        strided(padded([30, 32], [9, 9], [3, 3], 0), [1, 1]),
        nhwc(Problem { groups: 24, ..strided(padded([24, 24], [14, 14], [1, 1], 0), [2, 2]) }),
        nhwc(Problem { groups: 24, ..strided(padded([24, 24], [9, 15], [3, 2], 0), [1, 2]) }),
    ];
    let problems = problems.map(|problem| Problem { batch: 3, ..problem }).into_iter().chain(joining);
    for problem in problems.filter(|problem| DataType::BUILT.contains(&problem.data_type)) {
        let problem = weights_of(problem);
        let bits_on = |threads: usize| {
            let pool = Pool::new(threads).expect("threads");
            let plan = Plan::new(&problem, &Options { pool, ..Options::default() }).expect("an algorithm");
            assert!(plan.info().workspace_bytes <= threads * (256 << 10));
            let mut rng = fastrand::Rng::with_seed(9);
            match problem.data_type {
                DataType::F32 => {
                    run_gradients(&plan, &Gradients::<f32>::random(&problem, &mut rng), [true; 2])
                        .map(|values| bits(&values))
                }
                DataType::F64 => {
                    run_gradients(&plan, &Gradients::<f64>::random(&problem, &mut rng), [true; 2])
                        .map(|values| bits(&values))
                }
            }
        };
        let alone = bits_on(1);
        for threads in [2, 3, 5, 9, 10, 16] {
            assert!(bits_on(threads) == alone, "{problem} on {threads} threads");
        }
    }
}

/// The bound of the API for sums of very many terms, all of one sign: they are built in parts. The bits of one gradient do not
/// depend on whether the other is asked for.
#[test]
fn sums_of_millions_of_terms_keep_their_digits() {
    let rows = |length: usize, stride: usize| Axis { stride, ..Axis::dense(length, 1) };
    let nhwc = |problem: Problem| Problem { src_layout: Layout::Nhwc, dst_layout: Layout::Nhwc, ..problem };
    let problems = [
        padded([1, 16], [1448, 1448], [1, 1], 0),
        nhwc(Problem { batch: 8, rows: rows(200_000, 2), ..padded([4, 16], [1, 1], [1, 1], 0) }),
        nhwc(Problem { batch: 24, ..padded([3, 8], [224, 224], [3, 3], 1) }),
        nhwc(Problem { batch: 8192, groups: 16, ..padded([16, 16], [7, 7], [7, 7], 3) }),
    ];
    for (problem, limit) in problems.into_iter().flat_map(|problem| [(problem, usize::MAX), (problem, 0)]) {
        let problem = weights_of(problem);
        let options = Options { max_workspace_bytes: limit, ..Options::default() };
        let plan = Plan::new(&problem, &options).expect("an algorithm");
        let data = Gradients::<f32> {
            src: vec![1.0; problem.src_len()],
            diff_dst: vec![0.7; problem.dst_len()],
            weights_before: vec![0.0; problem.weights_len()],
            bias_before: vec![0.0; problem.out_channels],
        };
        let [weights, bias] = run_gradients(&plan, &data, [true; 2]);
        assert!(bits(&bias) == bits(&run_gradients(&plan, &data, [false, true])[1]), "{problem}");
        let seen = |axis: &Axis, tap: usize| axis.outputs_of_tap(tap).len();
        let of = |value: f32, terms: usize| {
            let exact = terms as f64 * f64::from(0.7f32);
            let gamma = (terms + 3).min(4096 + terms / 4096 + 3) as f64 * 2f64.powi(-24);
            let error = (f64::from(value) / exact - 1.0).abs();
            assert!(error <= gamma, "{problem}, limit {limit}: {value}, not {exact}, {error:e}");
        };
        let taps = problem.rows.kernel * problem.cols.kernel;
        for (at, &value) in weights.iter().enumerate() {
            let (i, j) = (at % taps / problem.cols.kernel, at % problem.cols.kernel);
            of(value, problem.batch * seen(&problem.rows, i) * seen(&problem.cols, j));
        }
        bias.iter().for_each(|&value| of(value, problem.batch * problem.out_pixels()));
    }
}

/// Every limit makes a plan, also where a GEMM is asked for that needs a workspace.
#[cfg(feature = "gemm")]
#[test]
fn what_needs_no_workspace_serves_where_a_gemm_does_not_fit() {
    let problem = weights_of(padded([16, 64], [12, 12], [3, 3], 1));
    let chosen = |max_workspace_bytes: usize| {
        let gemm = BackendChoice::Embedded;
        let options = Options { gemm, max_workspace_bytes, ..Options::default() };
        let plan = Plan::new(&problem, &options).expect("every limit makes a plan");
        assert!(plan.info().workspace_bytes <= max_workspace_bytes);
        plan.info().entry.name()
    };
    assert_eq!([usize::MAX, 0].map(chosen), ["gradient-kn2row", "gradient-register"]);
}

/// Where nothing is summed, `accumulate` leaves every bit of what is there.
#[test]
fn what_sums_nothing_leaves_the_bits() {
    for (batch, size) in [(0, [7, 7]), (2, [0, 7])] {
        for (src_layout, dst_layout) in LAYOUTS {
            let problem =
                Problem { batch, groups: 2, src_layout, dst_layout, ..padded([64, 64], size, [3, 3], 2) };
            for accumulate in [false, true] {
                let problem = weights_of(Problem { accumulate, ..problem });
                let plan = Plan::new(&problem, &Options::default()).expect("an algorithm");
                let mut data = Gradients::<f32>::random(&problem, &mut fastrand::Rng::with_seed(3));
                data.weights_before.fill(-0.0);
                let [weights, bias] = run_gradients(&plan, &data, [true; 2]);
                let expected = if accumulate { -0.0f32 } else { 0.0 };
                assert!(weights.iter().all(|value| value.to_bits() == expected.to_bits()), "{problem}");
                let sums_nothing = problem.dst_len() == 0;
                let of_bias = |(value, before): (&f32, &f32)| {
                    let before = if accumulate { *before } else { 0.0 };
                    !sums_nothing || value.to_bits() == before.to_bits()
                };
                assert!(bias.iter().zip(&data.bias_before).all(of_bias), "{problem}");
            }
        }
    }
}

/// Each gradient may be asked for alone; accumulated twice they are the sum.
#[test]
fn each_is_asked_for_alone_and_accumulates() {
    for operation in [Operation::Conv, Operation::ConvTranspose] {
        for (channels, groups) in [([5, 20], 1), ([20, 5], 1), ([8, 8], 8)] {
            let problem = Problem { operation, groups, batch: 2, ..padded(channels, [7, 6], [3, 3], 1) };
            let problem = weights_of(problem);
            let twice = weights_of(Problem { accumulate: true, ..problem });
            let plan = |problem: &Problem| Plan::new(problem, &Options::default()).expect("an algorithm");
            let mut data = Gradients::<f32>::integers(&problem, &mut fastrand::Rng::with_seed(5));
            let both = run_gradients(&plan(&problem), &data, [true; 2]);
            let [weights, bias] = run_gradients(&plan(&problem), &data, [true, false]);
            assert!(weights == both[0] && bias.iter().all(|value| value.is_nan()));
            let [weights, bias] = run_gradients(&plan(&problem), &data, [false, true]);
            assert!(bias == both[1] && weights.iter().all(|value| value.is_nan()));
            [data.weights_before, data.bias_before] = both.clone();
            for (values, once) in run_gradients(&plan(&twice), &data, [true; 2]).iter().zip(&both) {
                assert!(values.iter().zip(once).all(|(value, once)| *value == 2.0 * once));
            }
        }
    }
}

/// Σ dy·y = Σ dw·w = Σ dx·x: the convolution is linear in each of both, so that this is its derivative along w and along x. In
/// float64, of what AUTO takes for problems of every kind.
#[test]
fn gradients_are_the_derivatives_of_the_forward_pass() {
    let (shapes, _) = shapes();
    let shapes = shapes.iter().filter(|shape| !shape.sums_nothing() && shape.weights_len() < 20_000);
    let mut tried = 0;
    for (number, shape) in shapes.enumerate().filter(|(number, _)| number.is_multiple_of(7)) {
        if !DataType::BUILT.contains(&DataType::F64) {
            return;
        }
        let (src_layout, dst_layout) = LAYOUTS[number % 4];
        let forward = Problem {
            data_type: DataType::F64,
            activation: Activation::None,
            accumulate: false,
            src_layout,
            dst_layout,
            ..packed(shape)
        };
        let plan = |propagation| {
            let problem = Problem::new(Problem { propagation, ..forward }).expect("the shapes are valid");
            Plan::new(&problem, &Options::default()).expect("an algorithm")
        };
        let mut rng = fastrand::Rng::with_seed(number as u64);
        let mut random = |len: usize| -> Vec<f64> { (0..len).map(|_| rng.f64() * 2.0 - 1.0).collect() };
        let [src, diff_dst] =
            [src_sizes(&forward), dst_sizes(&forward)].map(|sizes| random(sizes.iter().product()));
        let weights = random(forward.weights_len());
        let of = |propagation: Propagation, src: &[f64], len: usize| {
            let plan = plan(propagation);
            let before = vec![0.0; len];
            let data = common::Data {
                src: src.to_vec(),
                weights: weights.clone(),
                bias: None,
                slopes: None,
                dst_before: before,
            };
            common::run(&plan, &data)
        };
        let dst = of(Propagation::Forward, &src, diff_dst.len());
        let diff_src = of(Propagation::BackwardData, &diff_dst, src.len());
        let data = Gradients {
            src: src.clone(),
            diff_dst: diff_dst.clone(),
            weights_before: weights.clone(),
            bias_before: vec![0.0; forward.out_channels],
        };
        let [diff_weights, _] = run_gradients(&plan(Propagation::BackwardWeights), &data, [true; 2]);
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let loss = product(&dst, &diff_dst);
        let scale: f64 = dst.iter().zip(&diff_dst).map(|(a, b)| (a * b).abs()).sum::<f64>() + 1.0;
        for other in [product(&diff_weights, &weights), product(&diff_src, &src)] {
            assert!((loss - other).abs() <= 1e-12 * scale * 100.0, "{forward}: {loss} and {other}");
        }
        tried += 1;
    }
    assert!(tried > 200, "{tried}");
}
