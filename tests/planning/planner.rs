//! AUTO takes the quickest of what fits: by the estimate, or by the clock once something was measured.

use convlow::algorithms::{Entry, Products};
use convlow::gemm::BackendChoice;
use convlow::planner::{query, wisdom};
use convlow::{
    AlgorithmChoice, Axis, Buffer, DataType, Effort, Info, Isa, Layout, Math, Operation, Options, Plan, Pool,
    Problem, WeightsFrom,
};

use crate::common;

/// One test for all measuring, because what is measured is known to the whole process.
#[test]
fn auto_takes_the_quickest_that_fits() {
    let problem = common::padded([16, 24], [20, 20], [3, 3], 1);
    let limits = [0, 20_000, 200_000, usize::MAX];
    for limit in limits {
        let options = Options { max_workspace_bytes: limit, ..Options::default() };
        check(&problem, &options);
    }
    for limit in limits {
        let options = Options {
            max_workspace_bytes: limit,
            effort: Effort::Measure,
            measure_budget_seconds: 60.0,
            ..Options::default()
        };
        check(&problem, &options);
    }
    // What was measured serves plans that do not measure, in this process and, as text, in the next.
    let known = wisdom::export().expect("a small copy").to_string();
    let by_measure = Plan::new(&problem, &Options::default()).expect("a valid problem");
    assert!(by_measure.info().measured_seconds > 0.0);
    wisdom::forget();
    let by_estimate = Plan::new(&problem, &Options::default()).expect("a valid problem");
    assert_eq!(by_estimate.info().measured_seconds, 0.0);
    wisdom::import(&known).expect("its own text");
    let again = Plan::new(&problem, &Options::default()).expect("a valid problem");
    assert_eq!(again.info().entry.id, by_measure.info().entry.id);
    assert_eq!(again.info().measured_seconds, by_measure.info().measured_seconds);
}

/// Of those that read the layer's packing, estimates within 6 % of the least say nothing on which is faster: the least
/// workspace is taken, and of these the quickest. What the clock says is taken as it is.
fn check(problem: &Problem, options: &Options) -> bool {
    let infos = query(problem, options).expect("a valid problem");
    let chosen: Vec<_> = infos.iter().filter(|info| info.reason.is_none()).collect();
    let [chosen] = chosen[..] else { panic!("{} were chosen", chosen.len()) };
    let plan = Plan::new(problem, options).expect("a valid problem");
    assert_eq!(plan.info().entry.id, chosen.entry.id);
    let fitting: Vec<_> = infos
        .iter()
        .filter(|info| info.applicable && info.workspace_bytes <= options.max_workspace_bytes)
        .filter(|info| match (options.gemm, info.entry.products) {
            (BackendChoice::Auto, products) => products != Products::Gemm,
            (_, products) => products != Products::Kernels && info.entry.in_parts,
        })
        .collect();
    assert!(chosen.workspace_bytes <= options.max_workspace_bytes);
    let least = |seconds: &mut dyn Iterator<Item = f64>| seconds.fold(f64::INFINITY, f64::min);
    if options.effort == Effort::Measure {
        assert!(fitting.iter().all(|info| info.measured_seconds > 0.0), "every one has a time");
        let quickest = least(&mut fitting.iter().map(|info| info.measured_seconds));
        assert_eq!(chosen.measured_seconds, quickest, "{}", chosen.entry.name());
        return false;
    }
    let packing = |info: &&&Info| {
        let options = Options { algorithm: AlgorithmChoice::One(info.entry), ..options.clone() };
        Plan::new(problem, &options).expect("it fits").packing_id()
    };
    let of_layer = plan.packing_id();
    // With a GEMM it follows from the algorithm.
    let any = options.gemm != BackendChoice::Auto;
    let fitting: Vec<_> = fitting.iter().filter(|info| any || packing(info) == of_layer).collect();
    let quickest = least(&mut fitting.iter().map(|info| info.estimated_seconds));
    let level: Vec<_> = fitting.iter().filter(|info| info.estimated_seconds <= 1.06 * quickest).collect();
    let bytes =
        level.iter().map(|info| info.workspace_bytes).min().expect("the quickest is level with itself");
    let frugal = level.iter().filter(|info| info.workspace_bytes == bytes);
    let expected = least(&mut frugal.map(|info| info.estimated_seconds));
    let name = chosen.entry.name();
    assert_eq!((chosen.workspace_bytes, chosen.estimated_seconds), (bytes, expected), "{name} on {problem}");
    chosen.estimated_seconds > quickest
}

/// The rule is no empty word: on some layers of real networks it takes another one than the quickest.
/// A layer of one output pixel is planned for that pixel, and not for a map of the usual size.
#[test]
fn a_fully_connected_layer_of_few_outputs_gets_the_quicker_algorithm() {
    let problem = Problem {
        src_layout: Layout::Nhwc,
        dst_layout: Layout::Nhwc,
        ..common::padded([64, 10], [7, 7], [7, 7], 0)
    };
    for batch in [1, 8, 64] {
        let problem = Problem::new(Problem { batch, ..problem }).expect("a valid problem");
        let plan = Plan::new(&problem, &Options::default()).expect("an algorithm");
        assert_eq!(plan.info().entry.name(), "kn2row-register", "batch {batch}");
    }
}

#[test]
fn of_those_estimated_level_the_least_workspace_is_taken() {
    let mut decided = 0;
    for layer in layers() {
        for (src_layout, dst_layout) in common::LAYOUTS {
            for max_workspace_bytes in [0, 100_000, usize::MAX] {
                for gemm in [BackendChoice::Auto, BackendChoice::Embedded] {
                    let options = Options { max_workspace_bytes, gemm, ..Options::default() };
                    let problem = Problem { src_layout, dst_layout, ..layer };
                    decided += usize::from(check(&problem, &options));
                }
            }
        }
    }
    println!("planner: the least workspace decided {decided} times");
    assert!(decided > 0);
}

/// Where a GEMM is asked for, AUTO lowers no whole image: its workspace stays that of a few rows on every layer.
#[test]
fn with_a_gemm_auto_lowers_no_whole_image() {
    let mut by_gemm = 0;
    for layer in layers() {
        for (src_layout, dst_layout) in common::LAYOUTS {
            for (gemm, _) in common::backends() {
                let problem = Problem { src_layout, dst_layout, ..layer };
                let plan = Plan::new(&problem, &Options { gemm, ..Options::default() }).expect("valid");
                let info = plan.info();
                assert!(info.entry.in_parts, "{} on {problem}", info.entry.name());
                assert_ne!(info.entry.products, Products::Kernels);
                by_gemm += usize::from(info.entry.products == Products::Gemm);
            }
        }
    }
    assert!(by_gemm > 1000, "{by_gemm}");
}

#[test]
fn a_plan_names_its_vector_instructions() {
    let isa = Isa::in_use().expect("instructions of this machine");
    let problem = common::padded([16, 64], [20, 20], [3, 3], 1);
    for info in query(&problem, &Options::default()).expect("a valid problem") {
        let kernels = matches!(info.entry.products, Products::Kernels);
        assert_eq!(info.isa.is_some(), kernels && info.applicable, "{}", info.entry.name());
        assert!(info.isa.is_none_or(|of_plan| of_plan == isa), "64 channels fill whole vectors");
    }
    // Groups of eight channels are vectors of AVX2.
    let grouped = Problem { groups: 4, in_channels: 32, out_channels: 32, ..problem };
    let plan = Plan::new(&grouped, &Options::default()).expect("a valid problem");
    let shorter = if isa == Isa::Avx512 { Isa::Avx2 } else { isa };
    assert_eq!(plan.info().isa, Some(shorter));
    // Of plain weights, which are packed in parts, the first part names them: 64 of 72 channels here.
    let parts = common::padded([128, 72], [7, 7], [3, 3], 1);
    let options = Options { weights: WeightsFrom::Plain, ..Options::default() };
    let plan = Plan::new(&parts, &options).expect("a valid problem");
    assert_eq!(plan.info().isa, Some(isa));
}

/// The layers of which Winograd's weights take longer to read than exact arithmetic takes: 512 channels on 3x3 took six
/// times as long.
#[test]
fn winograd_pays_for_its_weights() {
    let pool = Pool::new(2).expect("two threads");
    for (groups, channels, side, exact) in [
        // Few channels of a group leave vectors empty, and the groups' weights together are large.
        (32, 128, 56, true),
        (32, 1024, 7, true),
        (2, 256, 28, false),
        (1, 512, 3, true),
        (1, 512, 5, true),
        (1, 1024, 4, true),
        (1, 256, 4, true),
        (1, 512, 14, false),
        (1, 512, 28, false),
        (1, 1024, 32, false),
        (1, 64, 56, false),
        (1, 32, 64, false),
    ] {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for pool in [Pool::SERIAL, pool.clone()] {
                let of_layer = common::padded([channels; 2], [side; 2], [3; 2], 1);
                let problem = Problem { groups, src_layout: layout, dst_layout: layout, ..of_layer };
                let options = Options { math: Math::Fast, pool, ..Options::default() };
                let plan = Plan::new(&problem, &options).expect("valid");
                let info = plan.info();
                assert_eq!(info.entry.is_exact(), exact, "{} on {problem}", info.entry.name());
                let plain = size_of::<f32>() * problem.weights_len();
                assert!(info.packed_weights_bytes <= 4 * plain + (1 << 20), "{problem}");
            }
        }
    }
}

/// A network with dynamic shapes packs its weights once: the packing is a layer's, whatever the image, batch and threads.
/// Fast arithmetic has two of them, Winograd's and, on small maps, that of exact arithmetic.
#[test]
fn the_packing_is_the_same_for_every_image() {
    let pool = Pool::new(2).expect("two threads");
    let sized = |operation: Operation, axis: &Axis, outputs: usize| {
        let read = (outputs - 1) * axis.stride + (axis.kernel - 1) * axis.dilation + 1;
        let input = read.saturating_sub(axis.pad_before + axis.pad_after).max(1);
        Axis { input: if operation == Operation::ConvTranspose { outputs } else { input }, ..*axis }
    };
    let mut packings = 0;
    for layer in layers().filter(|layer| layer.in_pixels() > 1) {
        for layout in [Layout::Nchw, Layout::Nhwc] {
            for (data_type, math) in [
                (DataType::F32, Math::Exact),
                (DataType::F32, Math::Fast),
                (DataType::F64, Math::Exact),
                (DataType::F64, Math::Fast),
            ] {
                let problem = Problem { src_layout: layout, dst_layout: layout, data_type, ..layer };
                let plan = |math: Math, problem: &Problem, pool: &Pool| {
                    let options = Options { math, pool: pool.clone(), ..Options::default() };
                    Plan::new(problem, &options).expect("valid").packing_id()
                };
                let exact = plan(Math::Exact, &problem, &Pool::SERIAL);
                let mut of_winograd = None;
                for (outputs, batch) in [(3, 1), (9, 4), (28, 1), (31, 2), (100, 1)] {
                    let cols = sized(problem.operation, &problem.cols, outputs);
                    let rows = if problem.rows == Axis::ONE {
                        Axis::ONE
                    } else {
                        sized(problem.operation, &problem.rows, outputs)
                    };
                    let other = Problem { batch, rows, cols, ..problem };
                    let Ok(other) = Problem::new(other) else { continue };
                    if other.in_pixels() == 1 {
                        continue;
                    }
                    packings += 1;
                    let packing = plan(math, &other, &pool);
                    assert_eq!(plan(math, &Problem { batch: 1, ..other }, &Pool::SERIAL), packing, "{other}");
                    if math == Math::Exact || packing == exact {
                        assert_eq!(packing, exact, "{math:?}: {problem} and {other}");
                    } else {
                        assert_eq!(packing, *of_winograd.get_or_insert(packing), "{problem} and {other}");
                    }
                }
            }
        }
    }
    println!("planner: {packings} packings kept");
    assert!(packings > 10_000, "{packings}");
}

/// With default options, whatever the layouts: no channel of a depthwise convolution is computed alone.
#[test]
fn auto_takes_all_channels_of_depthwise_at_once() {
    for text in [
        "g64ic64ih28oc64oh28kh3ph1",
        "g40ic40ih28oc40oh14kh5sh2ph2",
        "g32ic32ih9oc32oh18kh4sh2ph1tr1",
        "g32ic32id8ih14oc32od8oh14kd3kh3pd1ph1",
        "g32ic32id5ih7oc32od10oh14kd2kh2sd2sh2pd0ph0tr1",
        "g64ic64iw500oc64kw3dw8pw16pr0",
    ] {
        let problem = convlow::descriptor::parse(text).unwrap_or_else(|e| panic!("{text}: {e:?}")).problem;
        for (src_layout, dst_layout) in Layout::PAIRS {
            let problem = Problem { src_layout, dst_layout, ..problem };
            let plan = Plan::new(&problem, &Options::default()).expect("a valid problem");
            assert_eq!(plan.info().entry.name, c"depthwise-register", "{problem}");
        }
    }
}

/// Of large problems of every kind a part is measured, within its budget.
#[test]
fn measuring_ends_on_problems_of_every_kind() {
    for text in [
        "ic64ih64oc64oh128kh4sh2ph1tr1",
        "g64ic64ih100oc64oh203kh5sh2ph1tr1",
        "mb2ic16id40ih40oc32od40oh40kd3kh3pd1ph1",
        "ic16id20ih20oc16od40oh40kd2kh2sd2sh2tr1",
        "ic64ih100oc64kh3ph1sc20000dc30000",
        "ic16iw90000oc16kw2dw511",
    ] {
        let problem = convlow::descriptor::parse(text).expect("a problem").problem;
        for data_type in [DataType::F32, DataType::F64] {
            let problem = Problem { data_type, ..problem };
            let options = Options {
                effort: Effort::Measure,
                measure_budget_seconds: 0.05,
                measure_max_bytes: 1 << 20,
                ..Options::default()
            };
            let start = std::time::Instant::now();
            let plan = Plan::new(&problem, &options).expect("a valid problem");
            assert!(plan.info().measured_seconds > 0.0, "{problem}");
            assert!(start.elapsed().as_secs_f64() < 5.0, "{problem}: {:?}", start.elapsed());
        }
    }
}

/// Every layer of every list.
fn layers() -> impl Iterator<Item = Problem> {
    common::lists().into_iter().flat_map(|file| {
        let list = std::fs::read_to_string(&file).expect("a list of problems/");
        convlow::descriptor::parse_list(&list).expect("a list").into_iter().map(|layer| layer.problem)
    })
}

/// Numbers below `limit`, the same in every run.
struct Draws(u64);

impl Draws {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit
    }

    fn axis(&mut self) -> Axis {
        let mut axis = Axis::dense(1 + self.below(12), 1 + self.below(4));
        (axis.stride, axis.dilation) = (1 + self.below(2), 1 + self.below(2));
        (axis.pad_before, axis.pad_after) = (self.below(3), self.below(3));
        axis
    }

    fn problem(&mut self) -> Problem {
        let groups = [1, 1, 1, 2, 4][self.below(5)];
        let layouts = common::LAYOUTS[self.below(4)];
        Problem {
            operation: if self.below(6) == 0 { Operation::ConvTranspose } else { Operation::Conv },
            batch: 1 + self.below(2),
            in_channels: groups * (1 + self.below(20)),
            out_channels: groups * (1 + self.below(40)),
            groups,
            rows: if self.below(3) == 0 { Axis::ONE } else { self.axis() },
            cols: self.axis(),
            src_layout: layouts.0,
            dst_layout: layouts.1,
            ..Problem::UNIT
        }
    }
}

/// What a plan computes of fractions, whose sums depend on their order.
fn bits(plan: &Plan, draws: &mut Draws) -> Vec<u32> {
    let problem = plan.problem();
    let mut fractions =
        |len: usize| -> Vec<f32> { (0..len).map(|_| draws.below(2000) as f32 / 999.0 - 1.0).collect() };
    let (src, weights) = (fractions(problem.src_len()), fractions(problem.weights_len()));
    let mut packed = Buffer::new(plan.info().packed_weights_bytes).expect("a few bytes");
    plan.pack_weights(&weights, packed.bytes_mut()).expect("the lengths agree");
    let mut dst = vec![0.0; problem.dst_len()];
    let mut workspace = vec![0.0; plan.info().workspace_bytes.div_ceil(4)];
    plan.execute(&src, packed.bytes(), None, &mut dst, &mut workspace).expect("a valid call");
    dst.iter().map(|value| value.to_bits()).collect()
}

/// The same on every layer of every list, in both layouts and types.
#[test]
fn auto_takes_the_same_for_the_layers_of_networks() {
    let pools: Vec<_> = (1..=7).map(|threads| Pool::new(threads).expect("a few threads")).collect();
    let mut plans = 0;
    for layer in layers() {
        for (data_type, layout) in
            [(DataType::F32, Layout::Nchw), (DataType::F32, Layout::Nhwc), (DataType::F64, Layout::Nchw)]
        {
            let problem = Problem { data_type, src_layout: layout, dst_layout: layout, ..layer };
            let problem = Problem::new(problem).expect("a layer");
            for math in [Math::Exact, Math::Fast] {
                let taken = |pool: &Pool| {
                    let options = Options { math, pool: pool.clone(), ..Options::default() };
                    let plan = Plan::new(&problem, &options).expect("a layer");
                    (plan.info().entry.name(), plan.packing_id())
                };
                let alone = taken(&pools[0]);
                for pool in &pools[1..] {
                    assert_eq!(taken(pool), alone, "{} threads: {problem}", pool.threads());
                    plans += 1;
                }
            }
        }
    }
    println!("planner: {plans} plans of the layers of networks");
}

/// Promise 5, where users meet it: with default options, and under limits.
#[test]
fn auto_takes_the_same_for_every_number_of_threads() {
    let pools: Vec<_> = (1..=7).map(|threads| Pool::new(threads).expect("a few threads")).collect();
    let (mut draws, mut valid, mut executed) = (Draws(1), 0, 0);
    while valid < 3000 {
        let Ok(problem) = Problem::new(draws.problem()) else { continue };
        valid += 1;
        for (max_workspace_bytes, math) in
            [(usize::MAX, Math::Exact), (usize::MAX, Math::Fast), (0, Math::Exact), (3000, Math::Exact)]
        {
            let options =
                |pool: &Pool| Options { max_workspace_bytes, math, pool: pool.clone(), ..Options::default() };
            let plans: Vec<_> = pools
                .iter()
                .map(|pool| Plan::new(&problem, &options(pool)).expect("a valid problem"))
                .collect();
            for (plan, threads) in plans.iter().zip(1..) {
                let (found, alone) = (plan.info().entry.name(), plans[0].info().entry.name());
                assert_eq!(found, alone, "{threads} threads, at most {max_workspace_bytes} bytes: {problem}");
                assert!(plan.info().workspace_bytes <= max_workspace_bytes);
                assert_eq!(plan.packing_id(), plans[0].packing_id());
            }
            if max_workspace_bytes == usize::MAX && valid % 4 == 0 {
                let seed = valid as u64;
                let expected = bits(&plans[0], &mut Draws(seed));
                for plan in [&plans[1], &plans[2], &plans[6]] {
                    assert!(bits(plan, &mut Draws(seed)) == expected, "{problem}");
                    executed += 1;
                }
            }
        }
    }
    println!(
        "planner: {valid} problems, {} plans of 1 to 7 threads, {executed} executes compared",
        valid * 4 * 7
    );
}

/// Weights of as many elements whose taps lie side by side, in both directions and in groups of as many channels, are all
/// of other formats: none is read as another.
#[test]
fn taps_side_by_side_are_formats_of_their_own() {
    let [spread, planes] = [c"kn2col-register", c"im2col-register"]
        .map(|name| Entry::by_name(name).expect("a registered algorithm"));
    let square = common::padded([8, 2], [9, 9], [3, 3], 1);
    let of_taps = common::padded([8, 18], [9, 9], [1, 1], 0);
    let plans = [
        (spread, square),
        (spread, Problem { operation: Operation::ConvTranspose, ..square }),
        (spread, common::padded([8, 3], [9, 9], [2, 3], 0)),
        (spread, of_taps),
        (planes, of_taps),
        (planes, square),
    ]
    .map(|(entry, problem)| {
        let problem = Problem::new(problem).expect("a valid problem");
        common::plan_for(&problem, &common::options(entry, BackendChoice::Auto, &Pool::SERIAL))
            .expect("computed")
    });
    for (at, plan) in plans.iter().enumerate() {
        assert_eq!(plan.info().packed_weights_bytes, plans[0].info().packed_weights_bytes);
        assert!(plans[..at].iter().all(|other| other.packing_id() != plan.packing_id()), "{at}");
    }
}
