//! Plans that read plain weights compute what plans of packed ones do, in 256 KiB more of workspace at most.

use std::collections::BTreeMap;

use convlow::algorithms::{Products, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{
    Activation, AlgorithmChoice, Arguments, Axis, DataType, Element, Error, Layout, Math, Operation, Options,
    Plan, Pool, Problem, Strides, WeightsFrom,
};

use crate::common::{Data, LAYOUTS, WEIGHTS, bits, options, padded, plain, run, run_by};

const MOST: usize = 256 << 10;

/// What a plan computes; what is added lies `apart` from dst, or there.
fn run_plain<T: Element>(plan: &Plan, data: &Data<T>, apart: bool) -> Vec<T> {
    let problem = plan.problem();
    let bytes = [problem.weights_len() * size_of::<T>(), plan.info().workspace_bytes];
    let copy = |weights: &[T], to: &mut [u8]| to.copy_from_slice(bytemuck::cast_slice(weights));
    run_by(plan.info().entry.name(), problem, bytes, data, copy, |arguments| {
        let residual = arguments.dst.to_vec();
        if apart {
            arguments.dst.fill(T::from_f64(f64::NAN));
        }
        let arguments = Arguments { residual: apart.then_some(&residual[..]), ..arguments };
        plan.execute_with(arguments).expect("a valid call");
    })
}

/// Problems whose weights fit one part, and such as take several: by groups, by output channels of a group, and by input channels.
fn problems() -> Vec<Problem> {
    let strided = |input, kernel, stride| Axis { stride, ..Axis::dense(input, kernel) };
    let square = padded([8, 24], [9, 11], [3, 3], 1);
    let relu = Activation::Clamp { min: 0.0, max: f64::INFINITY };
    let slices = |problem: Problem| Problem {
        src_strides: Strides { channel: 130, batch: 0 },
        dst_strides: Strides { channel: 340, batch: 0 },
        ..problem
    };
    vec![
        square,
        Problem { batch: 2, accumulate: true, ..square },
        Problem {
            operation: Operation::ConvTranspose,
            rows: strided(5, 3, 2),
            cols: strided(4, 3, 3),
            ..square
        },
        Problem { planes: Axis::dense(4, 3), ..square },
        Problem { groups: 24, ..plain([24, 48], [7, 6], [3, 3]) },
        Problem { groups: 8001, ..plain([8001, 8001], [3, 4], [3, 3]) },
        // 691, 622 and 400 KB.
        Problem { activation: Activation::Prelu, batch: 2, ..padded([64, 300], [5, 6], [3, 3], 1) },
        Problem { groups: 2, accumulate: true, activation: relu, ..padded([96, 360], [4, 5], [3, 3], 1) },
        Problem { groups: 100, batch: 2, ..plain([400, 2000], [5, 5], [5, 5]) },
        Problem { operation: Operation::ConvTranspose, groups: 2, ..plain([96, 260], [4, 3], [3, 3]) },
        slices(Problem { batch: 2, ..padded([64, 300], [5, 6], [3, 3], 1) }),
        padded([65, 130], [14, 14], [3, 3], 1),
        // 64 output channels, and 16, would take more than a part: 2.1 MB in all, 0.8 and 2.3.
        Problem { activation: Activation::Prelu, accumulate: true, ..padded([930, 70], [4, 3], [3, 3], 1) },
        Problem { groups: 2, batch: 2, activation: relu, ..padded([970, 48], [3, 3], [3, 3], 1) },
        Problem {
            operation: Operation::ConvTranspose,
            rows: strided(3, 3, 2),
            ..padded([930, 70], [3, 3], [3, 3], 1)
        },
    ]
}

/// One problem by one algorithm, packed and plain; the workspace of the plain plan, if the algorithm serves.
fn check<T: Element>(problem: &Problem, given: &Options) -> Option<usize> {
    let plan = |weights, max_workspace_bytes| {
        Plan::new(problem, &Options { weights, max_workspace_bytes, ..given.clone() })
    };
    let Ok(packed) = plan(WeightsFrom::Packed, usize::MAX) else { return None };
    let ours = plan(WeightsFrom::Plain, usize::MAX);
    let ours = match ours {
        Ok(ours) => ours,
        // What computes no slices computes no part of a problem.
        Err(Error::Unsupported(_)) => return None,
        Err(other) => panic!("{problem}: {other:?}"),
    };
    let (info, name) = (ours.info(), ours.info().entry.name());
    assert!(ours.reads_plain_weights() && !packed.reads_plain_weights());
    assert_eq!((info.packed_weights_bytes, ours.packing_id()), (0, 0));
    let named = packed.info().entry.id == info.entry.id;
    if named {
        let of_channel = packed.info().packed_weights_bytes / problem.group_out();
        let more = info.workspace_bytes.saturating_sub(packed.info().workspace_bytes);
        assert!(more <= MOST.max(of_channel) + 64, "{name} on {problem}: {more} bytes more");
    }
    let mut rng = fastrand::Rng::with_seed(5);
    let (whole, fractions) =
        (Data::<T>::integers(problem, true, &mut rng), Data::<T>::random(problem, true, &mut rng));
    let expected = run(&packed, &whole);
    let smooth =
        !matches!(problem.activation, Activation::None | Activation::Clamp { .. } | Activation::Prelu);
    let same = |plan: &Plan| {
        let found = run_plain(plan, &whole, false);
        if problem.accumulate && problem.dst_strides == Strides::PACKED {
            assert!(bits(&run_plain(plan, &whole, true)) == bits(&found), "{name} on {problem}");
        }
        let exact = plan.info().entry.is_exact() && packed.info().entry.is_exact();
        if exact && !smooth {
            assert!(bits(&found) == bits(&expected), "{name} on {problem}");
        } else {
            let most = expected.iter().map(|&value| Into::<f64>::into(value).abs()).fold(1.0, f64::max);
            let differs =
                |(a, b): (&T, &T)| (Into::<f64>::into(*a) - Into::<f64>::into(*b)).abs() > 1e-4 * most;
            assert!(!found.iter().zip(&expected).any(differs), "{name} on {problem}");
        }
    };
    same(&ours);
    // The same bits of fractions for every number of threads.
    let alone = bits(&run_plain(&ours, &fractions, false));
    let pool = Pool::new(3).expect("three threads");
    let shared = Options { weights: WeightsFrom::Plain, pool, ..given.clone() };
    let shared = Plan::new(problem, &shared).expect("as on one thread");
    assert_eq!(shared.info().entry.id, info.entry.id);
    assert!(bits(&run_plain(&shared, &fractions, false)) == alone, "{name} on {problem}");
    // Less workspace, down to what is refused.
    let mut limit = info.workspace_bytes / 2;
    while limit > 0 {
        match plan(WeightsFrom::Plain, limit) {
            Ok(smaller) => {
                assert!(smaller.info().workspace_bytes <= limit, "{name} on {problem}");
                same(&smaller);
            }
            Err(Error::WorkspaceLimit(_)) => break,
            Err(other) => panic!("{problem}: {other:?}"),
        }
        limit /= 2;
    }
    Some(info.workspace_bytes)
}

/// Every algorithm and AUTO, in both types, all layouts of tensors and weights.
#[test]
fn every_algorithm_reads_plain_weights() {
    let mut served = BTreeMap::<&str, usize>::new();
    for (at, problem) in problems().into_iter().enumerate() {
        for (src_layout, dst_layout) in LAYOUTS {
            let weights_layout = WEIGHTS[at % WEIGHTS.len()];
            for data_type in DataType::BUILT {
                let mut layer =
                    Problem { src_layout, dst_layout, weights_layout, data_type: *data_type, ..problem };
                if layer.src_strides != Strides::PACKED {
                    // Slices are told in each layout's own steps.
                    let step = |layout, channels: usize, pixels: usize| match layout {
                        Layout::Nhwc => channels + 7,
                        Layout::Nchw => pixels + 7,
                    };
                    layer.src_strides = Strides { channel: step(src_layout, 64, 30), batch: 0 };
                    layer.dst_strides = Strides { channel: step(dst_layout, 300, 30), batch: 0 };
                }
                let layer = Problem::new(layer).expect("valid");
                let mut tell = |name: &'static str, given: &Options| {
                    let done = match data_type {
                        DataType::F32 => check::<f32>(&layer, given),
                        DataType::F64 => check::<f64>(&layer, given),
                    };
                    *served.entry(name).or_default() += usize::from(done.is_some());
                };
                for math in [Math::Exact, Math::Fast] {
                    tell("AUTO", &Options { math, ..Options::default() });
                }
                // The others take long on large weights.
                let is_small = layer.weights_len() < MOST / 4;
                for entry in REGISTRY.iter().filter(|entry| is_small || entry.products == Products::Kernels) {
                    tell(entry.name(), &options(entry, BackendChoice::Auto, &Pool::SERIAL));
                }
            }
        }
    }
    println!("plain weights: {served:?}");
    for name in ["AUTO", "kn2row-register", "im2col-register", "depthwise-register", "direct-sum2d"] {
        assert!(served[name] > 8, "{name}: {}", served[name]);
    }
    assert_eq!(served["AUTO"], problems().len() * LAYOUTS.len() * DataType::BUILT.len() * 2);
}

/// Several threads have more room together. It must not change in how many parts the depth is summed.
#[test]
fn the_room_of_many_threads_changes_no_sum() {
    let problem = Problem::new(padded([256, 32], [64, 64], [3, 3], 1)).expect("valid");
    let entry = REGISTRY.iter().find(|entry| entry.name() == "kn2col-register").expect("it is there");
    assert!(check::<f32>(&problem, &options(entry, BackendChoice::Auto, &Pool::SERIAL)).is_some());
}

#[test]
fn what_makes_no_sense_is_refused() {
    let problem = Problem::new(padded([8, 24], [9, 11], [3, 3], 1)).expect("valid");
    let given = Options { weights: WeightsFrom::Plain, ..Options::default() };
    let plan = Plan::new(&problem, &given).expect("valid");
    let refused = |error: Error, text: &str| assert!(error.to_string().contains(text), "{error}");
    let mut packed = [0; 16];
    let weights = vec![0.0f32; problem.weights_len()];
    refused(plan.pack_weights(&weights, &mut packed).expect_err("nothing to pack"), "nothing to pack");
    let error = Plan::new(&problem, &Options { packing_id: 1, ..given.clone() }).err().expect("no packing");
    refused(error, "packing_id = 0x1");
    let (src, mut dst) = (vec![0.0f32; problem.src_len()], vec![0.0f32; problem.dst_len()]);
    let mut workspace = vec![0.0f32; plan.info().workspace_bytes / 4];
    let short = &bytemuck::cast_slice(&weights)[4..];
    let error = plan.execute(&src, short, None, &mut dst, &mut workspace).expect_err("too few");
    refused(error, "weights has a length");
    let one = AlgorithmChoice::One(&REGISTRY[0]);
    let limit = Options { max_workspace_bytes: 64, algorithm: one, ..given };
    let error = Plan::new(&problem, &limit).err().expect("too little for any part");
    assert!(matches!(error, Error::WorkspaceLimit(_)), "{error}");
}
