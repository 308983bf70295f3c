//! What is said of the algorithms that are not exact: their errors, and when they may be chosen.

use convlow::algorithms::{Entry, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::reference::{self, Tensors};
use convlow::{AlgorithmChoice, Effort, Error, Layout, Math, Options, Plan, Pool, Problem};

use crate::common::{self, Data, LAYOUTS, dst_sizes, padded, places, plan_for, run};

/// No plan may take a tile size that errs by more, as a share of the largest output.
const MOST: f64 = 1e-4;

/// A value of the normal distribution (Box and Muller).
fn normal(rng: &mut fastrand::Rng) -> f64 {
    let (radius, angle) = (1.0 - rng.f64(), rng.f64());
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

/// Inputs and weights as networks have them: normal values behind a ReLU, and He's weights, of deviation √(2/D).
fn data_of_networks(problem: &Problem, rng: &mut fastrand::Rng) -> Data {
    let deviation = (2.0 / problem.depth() as f64).sqrt();
    let mut data = Data::new(problem, false, || normal(rng) as f32);
    data.src.iter_mut().for_each(|value| *value = value.max(0.0));
    data.weights.iter_mut().for_each(|value| *value = (f64::from(*value) * deviation) as f32);
    data
}

/// The largest error and the root of the mean of their squares, as shares of the largest output.
fn errors(entry: &'static Entry, problem: &Problem, data: &Data, limit: usize) -> (f64, f64) {
    let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
    let options = Options { max_workspace_bytes: limit, ..options };
    let plan = plan_for(problem, &options).expect("it applies");
    let outputs = run(&plan, data);
    let tensors =
        Tensors { src: &data.src, weights: &data.weights, bias: None, dst_before: &data.dst_before };
    let largest = outputs.iter().fold(0f32, |most, output| most.max(output.abs()));
    let canonical = Problem { src_layout: Layout::Nchw, ..*problem };
    // Some thousand outputs, of all places in a tile.
    let step = (outputs.len() / 3000).max(1) | 1;
    let (mut most, mut squares, mut count) = (0f64, 0f64, 0);
    for (value, place) in outputs.iter().zip(places(dst_sizes(problem))).step_by(step) {
        let exact = reference::output(&canonical, &tensors, place).value;
        let error = (f64::from(*value) - exact).abs() / f64::from(largest);
        most = most.max(error);
        squares += error * error;
        count += 1;
    }
    (most, (squares / f64::from(count)).sqrt())
}

#[test]
fn errors_are_the_same_on_other_instructions() {
    common::on_other_instructions(module_path!(), &["errors_are_within_what_is_stated"]);
}

#[test]
fn errors_are_within_what_is_stated() {
    common::instructions();
    let mut rng = fastrand::Rng::with_seed(1509_09308);
    let layers = [
        padded([3, 64], [48, 48], [3, 3], 1),
        padded([64, 64], [28, 28], [3, 3], 1),
        padded([256, 64], [14, 14], [3, 3], 1),
        padded([512, 48], [14, 14], [3, 3], 1),
        padded([16, 32], [28, 28], [5, 5], 2),
        padded([96, 64], [27, 27], [5, 5], 2),
        padded([48, 128], [7, 7], [5, 5], 2),
    ];
    let mut compared = 0;
    for entry in REGISTRY {
        let Some(stated) = entry.stated_error else { continue };
        assert!(stated <= MOST, "{}", entry.name());
        let (mut most, mut mean) = (0f64, 0f64);
        for layer in layers.iter().filter(|layer| entry.check(layer).is_ok()) {
            let data = data_of_networks(layer, &mut rng);
            // Whole, and in parts of the tiles and of the depth.
            let layouts = [(usize::MAX, Layout::Nchw), (128 << 10, Layout::Nchw), (128 << 10, Layout::Nhwc)];
            for (limit, layout) in layouts {
                let layer = &Problem { src_layout: layout, ..*layer };
                let (largest, root) = errors(entry, layer, &data, limit);
                assert!(largest <= stated, "{} on {layer}: {largest:e} is over {stated:e}", entry.name());
                // Not a thousand times too generous either.
                assert!(largest >= stated / 1000.0, "{} on {layer}: {largest:e}", entry.name());
                (most, mean) = (most.max(largest), mean.max(root));
                compared += 1;
            }
        }
        println!(
            "{}: largest error {most:.1e}, root-mean-square {mean:.1e}, stated {stated:.0e}",
            entry.name()
        );
    }
    assert!(compared > 30);
}

/// A layer on which Winograd's algorithms are far ahead.
fn large() -> Problem {
    padded([128, 128], [56, 56], [3, 3], 1)
}

#[test]
fn exact_arithmetic_never_takes_them() {
    for (src_layout, dst_layout) in LAYOUTS {
        let problem = Problem { src_layout, dst_layout, ..large() };
        for effort in [Effort::Estimate, Effort::Measure] {
            let plan = |math: Math| {
                let options = Options { math, effort, measure_budget_seconds: 0.2, ..Options::default() };
                Plan::new(&problem, &options).expect("a valid problem").info().entry.is_exact()
            };
            assert!(!plan(Math::Fast), "{problem}");
            // What was measured is known now, and still no reason.
            assert!(plan(Math::Exact), "{problem}");
        }
    }
    for entry in REGISTRY.iter().filter(|entry| entry.name().ends_with("3x3")) {
        let options = Options { algorithm: AlgorithmChoice::One(entry), ..Options::default() };
        let refused = Plan::new(&large(), &options).map(|plan| plan.info().entry.id);
        let Err(Error::Unsupported(text)) = refused else { panic!("{refused:?}") };
        assert!(text.contains(entry.name()) && text.contains("math"), "{text}");
    }
}

#[test]
fn they_decline_what_they_cannot_compute() {
    let mut strided = large();
    strided.rows.stride = 2;
    let mut dilated = large();
    dilated.cols.dilation = 2;
    let wide = padded([8, 8], [9, 9], [3, 5], 2);
    for problem in [strided, dilated, wide] {
        let problem = Problem::new(Problem { src_layout: Layout::Nhwc, ..problem }).expect("valid");
        for entry in REGISTRY.iter().filter(|entry| entry.family == "winograd") {
            assert!(entry.check(&problem).is_err(), "{} on {problem}", entry.name());
        }
    }
}
