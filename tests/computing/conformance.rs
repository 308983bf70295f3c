//! Every registered algorithm against the definition, over one grid of shapes.
//!
//! Integer inputs make every sum exact, so all algorithms must agree with the float64 oracle bit for bit,
//! whatever order they add in. Random inputs must stay within the bound that holds for every order of
//! summation: γ = (D + 2)·2⁻²⁴ (2⁻⁵³ in float64) times the sum of the terms' magnitudes (Higham, Accuracy and Stability of
//! Numerical Algorithms, §3.1). Winograd's algorithms are held to their stated error, as a share of the largest such
//! sum, on both.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use convlow::algorithms::{Entry, Products, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{
    Activation, Axis, DataType, Element, Kind, Layout, Operation, Pool, Problem, Propagation, Strides,
};

use crate::common::{self, Data, LAYOUTS, WEIGHTS, padded, plain, plan_for, run};

/// Shapes that seeded choice adds to the ones written out.
const CHOSEN_SHAPES: usize = 1400;
/// The same of problems that are not plain.
const SHAPES_OF_OTHER_KINDS: usize = 900;
/// Of each algorithm in each of its layouts and on each of its kinds of problem, the fewest runs.
const LEAST_RUNS: usize = 10;
/// Multiplications of one shape at most, so that the oracle keeps up.
const MAX_MACS: usize = 400_000;

/// Shapes at the corners of what a descriptor can say.
fn written_out() -> Vec<Problem> {
    let mut shapes = Vec::new();
    let mut add =
        |problem: Problem| shapes.push(Problem::new(problem).expect("written-out shapes are valid"));
    // Kernels as large as the input, inputs of one pixel, row or column.
    for (input, kernel) in [
        ([1, 1], [1, 1]),
        ([1, 9], [1, 5]),
        ([9, 1], [5, 1]),
        ([7, 7], [7, 7]),
        ([5, 3], [5, 3]),
        ([40, 40], [1, 1]),
    ] {
        for channels in [[1, 1], [3, 17], [17, 3]] {
            add(plain(channels, input, kernel));
        }
    }
    // 1x1 kernels, whose image is its own patch matrix.
    for channels in [[1, 1], [3, 17], [17, 3], [64, 17], [64, 64], [1, 64], [64, 1]] {
        for input in [[1, 1], [2, 3], [7, 7], [1, 40], [28, 2]] {
            for batch in [1, 3] {
                add(Problem { batch, ..plain(channels, input, [1, 1]) });
                let grouped = channels.map(|channels| channels * 2);
                add(Problem { batch, groups: 2, ..plain(grouped, input, [1, 1]) });
            }
        }
    }
    // Padding: none, one-sided, larger than kernel and input, windows wholly outside the input.
    for pads in
        [[0, 1, 0, 0], [0, 0, 0, 1], [2, 0, 0, 0], [0, 0, 2, 0], [1, 2, 3, 4], [9, 9, 9, 9], [0, 7, 5, 0]]
    {
        for input in [[1, 1], [2, 6], [6, 2], [5, 5]] {
            for kernel in [[1, 1], [2, 2], [3, 3], [1, 5], [5, 1]] {
                for dilation in [1, 3, 5] {
                    let mut problem = plain([3, 5], input, kernel);
                    let [top, left, bottom, right] = pads;
                    (problem.rows.pad_before, problem.rows.pad_after) = (top, bottom);
                    (problem.cols.pad_before, problem.cols.pad_after) = (left, right);
                    (problem.rows.dilation, problem.cols.dilation) = (dilation, dilation);
                    if Problem::new(problem).is_ok() {
                        add(problem);
                        add(Problem { accumulate: true, ..problem });
                    }
                }
            }
        }
    }
    // As many outputs as inputs, but others: padding makes up for a stride.
    for (input, stride, before, after) in [([1, 2], 4, 0, 3), ([1, 5], 2, 2, 3), ([3, 1], 3, 0, 4)] {
        for batch in [1, 2] {
            let mut problem = Problem { batch, ..plain([7, 5], input, [1, 1]) };
            for axis in [&mut problem.rows, &mut problem.cols].into_iter().filter(|axis| axis.input > 1) {
                (axis.stride, axis.pad_before, axis.pad_after) = (stride, before, after);
            }
            add(problem);
            add(Problem { accumulate: true, ..problem });
        }
    }
    // Strides and dilations as far as they come: over one output, and from one padding to the other.
    for (channels, groups) in [([8, 5], 1), ([8, 40], 2), ([6, 12], 6)] {
        for (stride, dilation, pad) in [
            (1 << 62, 1, 1),
            (isize::MAX as usize - 15, 1, 1),
            (1 << 60, 1 << 60, 1 << 60),
            (1 << 61, 1, 1 << 61),
        ] {
            for at in 0..2 {
                let mut problem = Problem { groups, ..plain(channels, [4, 3], [3, 2]) };
                let axis = [&mut problem.rows, &mut problem.cols].into_iter().nth(at).expect("two axes");
                (axis.stride, axis.dilation) = (stride, dilation);
                (axis.pad_before, axis.pad_after) = (pad, pad);
                add(problem);
            }
        }
    }
    // Outputs as wide as the input, where kn2row-aa joins rows, over several strips.
    for kernel in [3, 5, 7] {
        for input in [[40, 36], [13, 40], [40, 13]] {
            for accumulate in [false, true] {
                let mut problem = Problem { accumulate, ..plain([2, 3], input, [kernel, kernel]) };
                for axis in [&mut problem.rows, &mut problem.cols] {
                    (axis.pad_before, axis.pad_after) = (kernel / 2, kernel / 2);
                }
                add(problem);
                // The same width with all padding on one side.
                problem.cols.pad_before = 0;
                problem.cols.pad_after = kernel - 1;
                add(problem);
                (problem.cols.pad_before, problem.cols.pad_after) = (kernel - 1, 0);
                add(problem);
            }
        }
    }
    // Enough channels for several tiles along them, and each group a unit of its own.
    for (channels, groups) in [([16, 300], 1), ([32, 280], 2), ([24, 24], 24), ([12, 24], 12), ([64, 64], 4)]
    {
        // Three of each, since every third shape goes without bias.
        for (batch, accumulate) in [(2, false), (2, true), (1, false)] {
            let mut problem = Problem { groups, batch, accumulate, ..plain(channels, [6, 6], [3, 3]) };
            (problem.rows.pad_before, problem.rows.pad_after) = (1, 1);
            (problem.cols.pad_before, problem.cols.pad_after) = (1, 1);
            add(problem);
        }
    }
    shapes
}

/// Each kind of problem by itself, and several together, of layers that all algorithms have among them. Gaps stand for strides.
fn of_each_kind() -> Vec<Problem> {
    let layers = [
        padded([17, 20], [9, 8], [3, 3], 1),
        padded([5, 6], [12, 7], [5, 5], 2),
        plain([6, 9], [7, 5], [1, 1]),
        Problem { groups: 17, ..padded([17, 17], [9, 7], [3, 3], 1) },
        Problem { groups: 2, ..padded([6, 34], [7, 9], [3, 3], 1) },
        Problem { groups: 2, ..padded([4, 6], [7, 9], [5, 5], 2) },
        Problem { groups: 2, ..plain([6, 8], [5, 6], [1, 1]) },
    ];
    let (src_strides, dst_strides) = (Strides { channel: 3, batch: 5 }, Strides { channel: 2, batch: 0 });
    let plane = Axis { pad_before: 1, pad_after: 1, ..Axis::dense(4, 3) };
    let mut shapes = Vec::new();
    for (batch, accumulate) in [(1, false), (2, false), (2, true)] {
        for layer in layers {
            let layer = Problem { batch, accumulate, ..layer };
            let sliced = Problem { src_strides, dst_strides, ..layer };
            let double = |problem: Problem| Problem { data_type: DataType::F64, ..problem };
            let plane = if layer.taps() == 1 { Axis { input: 3, ..Axis::ONE } } else { plane };
            shapes.extend([sliced, double(layer), double(sliced)]);
            shapes.extend([Problem { planes: plane, ..layer }, double(Problem { planes: plane, ..sliced })]);
            shapes.push(Problem { operation: Operation::ConvTranspose, ..sliced });
        }
    }
    // Their output sizes are those of packed tensors.
    let complete = |problem: &Problem| {
        let whole = Problem::new(common::packed(problem)).expect("the layers are valid");
        let Problem { src_strides, dst_strides, .. } = *problem;
        Problem { src_strides, dst_strides, ..whole }
    };
    let built = shapes.iter().filter(|shape| DataType::BUILT.contains(&shape.data_type));
    built.map(complete).collect()
}

/// A shape drawn from the whole range, or `None` if it is invalid or too large.
fn choose(rng: &mut fastrand::Rng) -> Option<Problem> {
    let kernels =
        [[1, 1], [2, 2], [3, 3], [4, 4], [5, 5], [6, 6], [7, 7], [1, 5], [5, 1], [3, 2], [1, 3], [7, 1]];
    let channels = [1, 3, 17, 64];
    let mut pick = |choices: &[usize]| choices[rng.usize(..choices.len())];
    let kernel = kernels[pick(&[0, 0, 0, 1, 2, 2, 2, 2, 3, 4, 4, 5, 6, 7, 8, 9, 10, 11])];
    let groups = pick(&[1, 1, 1, 1, 1, 2, 3]);
    let mut problem = plain([groups * pick(&channels), groups * pick(&channels)], [1, 1], kernel);
    problem.groups = groups;
    if pick(&[0, 0, 0, 0, 0, 0, 0, 1]) == 1 {
        let groups = pick(&[5, 8, 16, 17, 24, 40, 67]);
        (problem.in_channels, problem.groups, problem.out_channels) =
            (groups, groups, groups * pick(&[1, 1, 1, 2, 3]));
    }
    problem.batch = pick(&[1, 1, 1, 2, 3]);
    let strides = [1, 1, 1, 1, 2, 2, 3, 4];
    let (stride, dilation) = (pick(&strides), pick(&[1, 1, 1, 2, 3]));
    let uneven = pick(&[0, 0, 0, 1]) == 1;
    for (axis, taps) in [(&mut problem.rows, kernel[0]), (&mut problem.cols, kernel[1])] {
        axis.input = 1 + pick(&(0..40).collect::<Vec<_>>());
        axis.stride = if uneven { pick(&strides) } else { stride };
        axis.dilation = if uneven { pick(&[1, 2, 3]) } else { dilation };
        let same = (taps - 1) * axis.dilation / 2;
        axis.pad_before = pick(&[0, same, same, same, 1, 2, taps + 3]);
        axis.pad_after = pick(&[0, same, same, same, 1, 3, taps + 2]);
    }
    problem.accumulate = pick(&[0, 0, 0, 1]) == 1;
    // Half of the problems have none, so that what they compute otherwise is seen.
    problem.activation = match pick(&(0..24).collect::<Vec<_>>()) {
        0 => Activation::LeakyRelu { alpha: 0.25 },
        1 => Activation::LeakyRelu { alpha: 0.01 },
        2 => Activation::HardSigmoid { alpha: 1.0 / 6.0, beta: 0.5 },
        3 => Activation::HardSwish { alpha: 1.0 / 6.0, beta: 0.5 },
        4 => Activation::Sigmoid,
        5 => Activation::Silu { alpha: 1.0 },
        6 => Activation::Silu { alpha: 1.702 },
        7 => Activation::Tanh,
        8 => Activation::Gelu,
        9 => Activation::GeluTanh,
        10 => Activation::Prelu,
        11 | 12 => Activation::Clamp { min: 0.0, max: f64::INFINITY },
        13 => Activation::Clamp { min: -3.0, max: 6.0 },
        _ => Activation::None,
    };
    Problem::new(problem).ok().filter(|problem| problem.macs() <= MAX_MACS)
}

/// Another kind of problem made of a plain one: transposed, with a third axis, on slices of wider tensors, of float64, or
/// several of these.
fn of_other_kind(rng: &mut fastrand::Rng, plain: &Problem) -> Option<Problem> {
    let mut problem = *plain;
    let kinds = rng.usize(1..16);
    if kinds & 1 > 0 {
        problem.operation = Operation::ConvTranspose;
        for axis in [&mut problem.rows, &mut problem.cols] {
            axis.output_padding = rng.usize(..axis.stride.max(axis.dilation));
        }
    }
    if kinds & 2 > 0 {
        problem.planes = Axis {
            stride: rng.usize(1..3),
            dilation: rng.usize(1..3),
            pad_before: rng.usize(..3),
            pad_after: rng.usize(..3),
            ..Axis::dense(rng.usize(1..6), rng.usize(1..4))
        };
    }
    if kinds & 8 > 0 && DataType::BUILT.contains(&DataType::F64) {
        problem.data_type = DataType::F64;
    }
    let problem = Problem::new(problem).ok().filter(|problem| problem.macs() <= MAX_MACS)?;
    if kinds & 4 == 0 {
        return Some(problem);
    }
    // Gaps, which become strides once the layouts are known.
    let mut gaps = || Strides { channel: rng.usize(..7), batch: rng.usize(..9) };
    let (src_strides, dst_strides) = (gaps(), gaps());
    Some(Problem { src_strides, dst_strides, ..problem })
}

/// The problem whose strides are gaps, with strides.
pub fn with_gaps(problem: &Problem) -> Problem {
    let packed = common::packed(problem);
    let strides = |run: usize, runs: usize, gaps: Strides| {
        let channel = run + gaps.channel;
        Strides { channel, batch: runs * channel + gaps.batch }
    };
    let of = |layout: Layout, channels: usize, pixels: usize, gaps: Strides| match (gaps, layout) {
        (Strides::PACKED, _) => Strides::PACKED,
        (_, Layout::Nhwc) => strides(channels, pixels, gaps),
        (_, Layout::Nchw) => strides(pixels, channels, gaps),
    };
    Problem {
        src_strides: of(problem.src_layout, packed.in_channels, packed.in_pixels(), problem.src_strides),
        dst_strides: of(problem.dst_layout, packed.out_channels, packed.out_pixels(), problem.dst_strides),
        ..packed
    }
}

/// Transposed ones of stride 1: they are ordinary ones, but for those that cut off more than the kernel reaches, and so what
/// every algorithm computes.
const TURNED_ROUND: &str = "transposed of stride 1";

/// What happened, by algorithm.
#[derive(Default)]
struct Tally {
    runs: BTreeMap<&'static str, usize>,
    /// Of those, by layouts and by kind of problem.
    of_layouts: BTreeMap<(&'static str, [&'static str; 2]), usize>,
    of_kind: BTreeMap<(&'static str, String), usize>,
    /// Of those with a GEMM: which one served, on how many threads.
    served: BTreeMap<(&'static str, &'static str, usize), usize>,
    /// Gradients of the data, which are counted by themselves: their kinds are those of the forward convolution.
    gradients: BTreeMap<&'static str, usize>,
    declined: BTreeMap<String, usize>,
    worst: f64,
}

impl Tally {
    fn count(&mut self, entry: &Entry, problem: &Problem) {
        if problem.propagation != Propagation::Forward {
            *self.gradients.entry(entry.name()).or_default() += 1;
            return;
        }
        let layouts = [problem.src_layout, problem.dst_layout].map(Layout::name);
        *self.runs.entry(entry.name()).or_default() += 1;
        *self.of_layouts.entry((entry.name(), layouts)).or_default() += 1;
        for kind in Kind::ALL.into_iter().filter(|&kind| problem.is(kind)) {
            let name = match kind {
                Kind::Transposed if problem.unit_stride() => TURNED_ROUND.to_owned(),
                kind => format!("{kind:?}"),
            };
            *self.of_kind.entry((entry.name(), name)).or_default() += 1;
        }
    }

    /// Each algorithm ran, several times, in all layouts and on all kinds of problem that its entry names, and on no others.
    fn check_nothing_was_left_out(&self, share: usize) {
        for entry in tried() {
            let name = entry.name();
            let check = |what: &str, runs: Option<&usize>, named: bool| {
                let (runs, least) = (runs.copied().unwrap_or_default(), LEAST_RUNS.div_ceil(share));
                assert!(if named { runs >= least } else { runs == 0 }, "{name}, {what}: {runs} runs");
            };
            for (src, dst) in LAYOUTS {
                let layouts = [src, dst].map(Layout::name);
                let runs = self.of_layouts.get(&(name, layouts));
                check(&layouts.join(" to "), runs, entry.takes_layouts((src, dst)));
            }
            for kind in Kind::ALL {
                let built = kind != Kind::Float64 || DataType::BUILT.contains(&DataType::F64);
                let kind_name = format!("{kind:?}");
                let runs = self.of_kind.get(&(name, kind_name.clone()));
                check(&kind_name, runs, built && entry.kinds.contains(&kind));
            }
            let gradients = self.gradients.get(name);
            check("gradients of the data", gradients, cfg!(feature = "training"));
            let turned_round = self.of_kind.contains_key(&(name, TURNED_ROUND.to_owned()));
            assert!(turned_round || share > 1, "{name}, {TURNED_ROUND}: no runs");
        }
    }
}

/// One shape, in every pair of layouts, through every algorithm and backend.
fn check_shape<T: Element>(number: usize, shape: &Problem, pool: &Pool, tally: &Mutex<Tally>) {
    let double = |value: T| -> f64 { value.into() };
    let half_epsilon = match T::TYPE {
        DataType::F32 => 2f64.powi(-24),
        DataType::F64 => 2f64.powi(-53),
    };
    let mut rng = fastrand::Rng::with_seed(number as u64);
    let bias = !number.is_multiple_of(3);
    let integers = Data::<T>::integers(shape, bias, &mut rng);
    let random = Data::<T>::random(shape, bias, &mut rng);
    let (exact, close) = (integers.expected(shape), random.expected(shape));
    let backends = common::backends();
    for (pair, (src_layout, dst_layout)) in LAYOUTS.into_iter().enumerate() {
        // The pairs of layouts take turns.
        if shape.propagation == Propagation::BackwardData && !(number + pair).is_multiple_of(2) {
            continue;
        }
        let weights_layout = WEIGHTS[(number + pair) % WEIGHTS.len()];
        let problem = with_gaps(&Problem { src_layout, dst_layout, weights_layout, ..*shape });
        for entry in tried() {
            // Backends take turns, and so do a pool and none: independence of both is tested elsewhere.
            let turn = number + entry.id as usize;
            // What has kernels beside the GEMMs runs on these too.
            let choices = (backends.len() + usize::from(entry.products == Products::Either)).max(1);
            let (gemm, backend) = match backends.get(turn % choices).filter(|_| !common::in_part()) {
                Some(&(gemm, backend)) => (gemm, Some(backend)),
                None => (BackendChoice::Auto, None),
            };
            let pool = if (turn / choices).is_multiple_of(2) { &Pool::SERIAL } else { pool };
            let options = common::options(entry, gemm, pool);
            let plan = match plan_for(&problem, &options) {
                Ok(plan) => plan,
                Err(reason) => {
                    *tally.lock().expect("no test panicked").declined.entry(reason).or_default() += 1;
                    continue;
                }
            };
            let served = plan.info().backend;
            assert!(served.is_none() || served == backend, "{served:?} for {gemm:?}");
            if let Some(served) = plan.info().gemm_name() {
                let mut tally = tally.lock().expect("no test panicked");
                *tally.served.entry((entry.name(), served, pool.threads())).or_default() += 1;
            }
            if let Some(share) = entry.stated_error {
                // It is that of float32.
                let share = share * half_epsilon / 2f64.powi(-24);
                for (data, expected) in [(&integers, &exact), (&random, &close)] {
                    let bound = share * expected.iter().fold(0f64, |most, output| most.max(output.magnitude));
                    for ((value, expected), at) in run(&plan, data).iter().zip(expected).zip(0..) {
                        let error = (double(*value) - expected.value).abs();
                        assert!(
                            error <= bound + expected.of_activation,
                            "{} on {problem} ({problem:?}): output {at} is {value}, not {}",
                            entry.name(),
                            expected.value
                        );
                    }
                }
                tally.lock().expect("no test panicked").count(entry, &problem);
                continue;
            }
            for ((value, expected), at) in run(&plan, &integers).iter().zip(&exact).zip(0..) {
                let (value, allowed, expected) = (double(*value), expected.of_activation, expected.value);
                assert!(
                    value.to_bits() == expected.to_bits() || (value - expected).abs() <= allowed,
                    "{} on {problem} ({problem:?}), integers: output {at} is {value}, not {expected}",
                    entry.name()
                );
            }
            let terms = match problem.propagation {
                Propagation::Forward => problem.depth(),
                _ => problem.group_out() * problem.taps(),
            };
            let gamma = (terms + 2) as f64 * half_epsilon;
            let mut worst = 0f64;
            for ((value, expected), at) in run(&plan, &random).iter().zip(&close).zip(0..) {
                let error = (double(*value) - expected.value).abs();
                let bound = gamma * expected.magnitude + expected.of_activation;
                assert!(
                    error <= bound,
                    "{} on {problem} ({problem:?}): output {at} is {value}, not {}: off by {error:e}, over {bound:e}",
                    entry.name(),
                    expected.value
                );
                worst = worst.max(if bound > 0.0 { error / bound } else { 0.0 });
            }
            let mut tally = tally.lock().expect("no test panicked");
            tally.count(entry, &problem);
            tally.worst = tally.worst.max(worst);
        }
    }
}

/// The grid, and how many of its shapes are written out.
pub fn shapes() -> (Vec<Problem>, usize) {
    let mut rng = fastrand::Rng::with_seed(1709_03395);
    let mut shapes = written_out();
    shapes.extend(of_each_kind());
    let written_out = shapes.len();
    shapes.extend(std::iter::repeat_with(|| choose(&mut rng)).flatten().take(CHOSEN_SHAPES));
    let mut chosen = std::iter::repeat_with(|| {
        let plain = choose(&mut rng)?;
        of_other_kind(&mut rng, &plain)
    });
    shapes.extend(chosen.by_ref().flatten().take(SHAPES_OF_OTHER_KINDS));
    (shapes, written_out)
}

/// Calls `f` for each shape, or in a program that tries a part for one of as many as it returns, on all cores.
pub fn for_each_shape(shapes: &[Problem], f: impl Fn(usize, &Problem, &Pool) + Sync) -> usize {
    // Of a part every fifth, so that bias and layouts of weights, which repeat every third, keep changing.
    let share = if common::in_part() { 5 } else { 1 };
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                // One each: a pool that is busy leaves a caller to itself.
                let pool = Pool::new(3).expect("a few threads");
                loop {
                    let number = next.fetch_add(share, Ordering::Relaxed);
                    let Some(shape) = shapes.get(number) else { break };
                    f(number, shape, &pool);
                }
            });
        }
    });
    share
}

/// The algorithms that are tried: all, or those whose products the kernels compute.
fn tried() -> impl Iterator<Item = &'static Entry> {
    let on_kernels = |entry: &Entry| matches!(entry.products, Products::Kernels | Products::Either);
    let convolutions = REGISTRY.iter().filter(|entry| !entry.computes_weights());
    convolutions.filter(move |entry| !common::in_part() || on_kernels(entry))
}

#[test]
fn other_instructions_compute_the_same() {
    common::on_other_instructions(module_path!(), &["every_algorithm_computes_the_definition"]);
}

/// Promise 6: the definition of ONNX.
#[test]
fn every_algorithm_computes_the_definition() {
    common::instructions();
    let in_part = common::in_part();
    let (shapes, written_out) = shapes();
    let tally = Mutex::new(Tally::default());
    let share = for_each_shape(&shapes, |number, shape, pool| {
        let propagation = Propagation::BackwardData;
        let gradient = Problem { propagation, activation: Activation::None, ..*shape };
        for shape in [shape, &gradient] {
            match shape.data_type {
                DataType::F32 => check_shape::<f32>(number, shape, pool, &tally),
                DataType::F64 => check_shape::<f64>(number, shape, pool, &tally),
            }
        }
    });

    let (shapes, primitives) = (shapes.len().div_ceil(share), tried().count());
    let tally = tally.into_inner().expect("no test panicked");
    let runs: usize = tally.runs.values().sum();
    let declined: usize = tally.declined.values().sum();
    println!(
        "conformance: {shapes} shapes (1 in {share} of {written_out} written out, {CHOSEN_SHAPES} plain and {SHAPES_OF_OTHER_KINDS} others chosen) x {} layout pairs x {primitives} primitives:",
        LAYOUTS.len()
    );
    println!(
        "  {runs} plans run, each on integers (bit for bit, or Winograd's stated error) and random values (at most {:.3} of the bound)",
        tally.worst
    );
    println!("  {declined} declined with a reason; none skipped");
    for entry in tried() {
        let kinds = tally.of_kind.iter().filter(|((name, _), _)| *name == entry.name());
        let kinds: Vec<String> = kinds.map(|((_, kind), runs)| format!("{runs} {kind}")).collect();
        let runs = tally.runs.get(entry.name()).unwrap_or(&0);
        println!("  {runs:>6} {} ({})", entry.name(), kinds.join(", "));
    }
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for (reason, count) in &tally.declined {
        *reasons.entry(reason.split(": ").last().unwrap_or(reason)).or_default() += count;
    }
    for (reason, count) in reasons {
        println!("  {count:>6} declined: {reason}");
    }
    let backends = if in_part { Vec::new() } else { common::backends() };
    for products in backends.iter().map(|(_, backend)| backend.name()).chain(["kernels"]) {
        for threads in [1, 3] {
            let of = |(_, served, on): &(&str, &str, usize)| (*served, *on) == (products, threads);
            let served = tally.served.iter().filter(|(key, _)| of(key));
            let runs = served.clone().map(|(_, count)| count).sum::<usize>();
            println!("  {runs:>6} on {products} with {threads} threads");
            let alone = if products == "kernels" { Products::Kernels } else { Products::Gemm };
            let able = |entry: &&Entry| {
                [alone, Products::Either].contains(&entry.products) && !entry.computes_weights()
            };
            assert!(served.clone().all(|(_, &count)| count >= 10usize.div_ceil(share)));
            let names = REGISTRY.iter().filter(able).map(Entry::name).collect::<BTreeSet<_>>();
            assert_eq!(served.map(|(key, _)| key.0).collect::<BTreeSet<_>>(), names);
        }
    }
    for entry in tried() {
        let runs = tally.runs.get(entry.name()).copied().unwrap_or_default();
        assert!(runs >= 50usize.div_ceil(share), "{} ran on {runs} shapes only", entry.name());
    }
    tally.check_nothing_was_left_out(share);
    if !in_part {
        assert_eq!(tally.runs["direct-sum2d"], shapes * LAYOUTS.len(), "the fall-back takes everything");
    }
}
