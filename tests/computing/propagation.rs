//! A NaN or an infinity in one input pixel reaches exactly the outputs whose window holds it; with Winograd's algorithms,
//! those and no others than the rest of their tiles.

use convlow::algorithms::{Entry, Products, REGISTRY};
use convlow::gemm::BackendChoice;
use convlow::{Activation, Axis, DataType, Element, Operation, Pool, Problem, Strides};

use crate::common::{self, Data, LAYOUTS, dst_sizes, padded, places, plain, plan_for, run};

fn problems() -> Vec<Problem> {
    let mut uneven = plain([3, 5], [9, 8], [3, 3]);
    (uneven.rows.pad_before, uneven.cols.pad_before, uneven.cols.pad_after) = (2, 4, 1);
    (uneven.rows.dilation, uneven.cols.dilation) = (2, 1);
    let mut strided = padded([4, 6], [9, 11], [3, 5], 2);
    (strided.rows.stride, strided.cols.stride, strided.groups) = (2, 3, 2);
    let mut wide = padded([2, 3], [30, 40], [5, 5], 2);
    wide.accumulate = true;
    let mut transposed = padded([4, 20], [5, 4], [4, 3], 1);
    transposed.operation = Operation::ConvTranspose;
    (transposed.rows.stride, transposed.cols.stride) = (2, 3);
    let mut volume = padded([2, 9], [4, 5], [3, 3], 1);
    volume.planes = Axis { pad_before: 2, stride: 2, ..Axis::dense(4, 3) };
    let slice = Problem {
        src_strides: Strides { channel: 61, batch: 0 },
        dst_strides: Strides { channel: 64, batch: 0 },
        ..padded([4, 20], [7, 6], [3, 3], 1)
    };
    let plain = padded([4, 20], [7, 6], [3, 3], 1);
    let double = Problem { data_type: DataType::F64, ..plain };
    [plain, double, padded([3, 4], [5, 5], [1, 1], 0), uneven, strided, wide, transposed, volume, slice]
        .into_iter()
        .filter(|problem| DataType::BUILT.contains(&problem.data_type))
        .map(|problem| Problem::new(problem).expect("the problems are valid"))
        .collect()
}

/// Whether an output sees an input, both [image, channel, plane, row, column], by the definition.
fn sees(problem: &Problem, [on, m, output @ ..]: [usize; 5], [n, c, input @ ..]: [usize; 5]) -> bool {
    let tap = |axis: &Axis, output: usize, input: usize| {
        // A transposed convolution exchanges the two.
        let (from, to) = match problem.operation {
            Operation::Conv => (output, input),
            Operation::ConvTranspose => (input, output),
        };
        (0..axis.kernel).any(|tap| from * axis.stride + tap * axis.dilation == to + axis.pad_before)
    };
    let group = |channel: usize, channels: usize| channel / (channels / problem.groups);
    on == n
        && group(m, problem.out_channels) == group(c, problem.in_channels)
        && (0..3).all(|at| tap(problem.axes()[at], output[at], input[at]))
}

/// m of Winograd's tiles of m×m outputs.
fn tile(name: &str) -> Option<usize> {
    name.strip_prefix("winograd-strip-")?.chars().next()?.to_digit(10).map(|m| m as usize)
}

/// Whether any output of the tile that holds [n, m, 0, y, x] sees the input.
fn tile_sees(problem: &Problem, [n, m, z, y, x]: [usize; 5], spoiled: [usize; 5], size: usize) -> bool {
    let (top, left) = (y / size * size, x / size * size);
    (top..top + size).any(|y| (left..left + size).any(|x| sees(problem, [n, m, z, y, x], spoiled)))
}

#[test]
fn other_instructions_spread_them_alike() {
    common::on_other_instructions(
        module_path!(),
        &["nan_and_infinity_reach_exactly_the_windows_that_hold_them", "a_clamp_lets_nan_through"],
    );
}

/// Poisons inputs of a problem one by one, and looks which outputs each algorithm on these GEMMs spoils; how many runs.
fn spread<T: Element>(shape: &Problem, choices: &[BackendChoice]) -> usize {
    let double = |value: T| -> f64 { value.into() };
    // What has kernels runs on these without a GEMM.
    let kernels = |entry: &Entry| matches!(entry.products, Products::Kernels | Products::Either);
    let mut runs = 0;
    let (h, w) = (shape.rows.input, shape.cols.input);
    let d = shape.planes.input;
    let spoiled_pixels =
        [[0, 0, 0, 0, 0], [0, 1, d / 2, h / 2, w - 1], [0, 2, d - 1, h - 1, w / 2], [0, 1, 0, h / 2, w / 2]];
    for poison in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for [n, c, z, y, x] in spoiled_pixels {
            let c = c % shape.in_channels;
            let spoiled = [n, c, z, y, x];
            let mut rng = fastrand::Rng::with_seed(7);
            let mut data = Data::<T>::random(shape, true, &mut rng);
            // No weight may hide the poison.
            data.weights.iter_mut().for_each(|weight| *weight += T::from_f64(double(*weight).signum() * 0.1));
            data.src[((c * d + z) * h + y) * w + x] = T::from_f64(poison);
            for (src_layout, dst_layout) in LAYOUTS {
                let problem = Problem { src_layout, dst_layout, ..*shape };
                for entry in REGISTRY {
                    for &gemm in choices {
                        if gemm == BackendChoice::Auto && !kernels(entry) {
                            continue;
                        }
                        let options = common::options(entry, gemm, &Pool::SERIAL);
                        let Ok(plan) = plan_for(&problem, &options) else { continue };
                        for (value, place) in run(&plan, &data).iter().zip(places(dst_sizes(&problem))) {
                            let reached = match tile(entry.name()) {
                                // Whatever shares a tile with an output that sees the pixel may be reached.
                                Some(m) if !sees(&problem, place, spoiled) => {
                                    let may = tile_sees(&problem, place, spoiled, m);
                                    may && !double(*value).is_finite()
                                }
                                _ => sees(&problem, place, spoiled),
                            };
                            assert_eq!(
                                !double(*value).is_finite(),
                                reached,
                                "{} ({gemm:?}) on {problem}: {poison} at {spoiled:?}, {value} at {place:?}",
                                entry.name()
                            );
                        }
                        runs += 1;
                    }
                }
            }
        }
    }
    runs
}

/// Promise 4: padding is absent.
#[test]
fn nan_and_infinity_reach_exactly_the_windows_that_hold_them() {
    common::instructions();
    let mut runs = 0;
    let mut choices = vec![BackendChoice::Auto];
    if !common::in_part() {
        choices.extend(common::backends().iter().map(|(choice, _)| *choice));
    }
    for shape in problems() {
        runs += match shape.data_type {
            DataType::F32 => spread::<f32>(&shape, &choices),
            DataType::F64 => spread::<f64>(&shape, &choices),
        };
    }
    println!("propagation: {runs} runs");
    assert!(runs > if common::in_part() { 300 } else { 1000 });
}

#[test]
fn a_clamp_lets_nan_through() {
    let activation = Activation::Clamp { min: 0.0, max: 6.0 };
    let problem = Problem { activation, ..padded([1, 1], [3, 3], [1, 1], 0) };
    let mut data: Data = Data::random(&problem, false, &mut fastrand::Rng::with_seed(1));
    data.src[4] = f32::NAN;
    for entry in REGISTRY {
        let options = common::options(entry, BackendChoice::Auto, &Pool::SERIAL);
        let Ok(plan) = plan_for(&problem, &options) else { continue };
        let dst = run(&plan, &data);
        assert!(dst[4].is_nan() && dst.iter().filter(|x| x.is_nan()).count() == 1, "{}", entry.name());
    }
}
