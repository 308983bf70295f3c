//! Attack: changed packed weights.
//!
//! A plan must refuse a changed header or end mark, and must leave dst and workspace as they are. It must compute
//! with any numbers between header and end mark.

use crate::case::{CPlan, Case, Function, MAX_MACS, default_options, message};
use arbitrary::Arbitrary;
use convlow::algorithms::{Entry, REGISTRY};
use convlow::ffi::status::{CONVLOW_ERROR_WEIGHTS_MISMATCH, CONVLOW_OK};
use convlow::ffi::types::{CONVLOW_MATH_FAST, PlanOptions};
use convlow::reference::{self, Tensors};
use convlow::{Arguments, Buffer, DataType, Element, Problem, Strides, for_type};

/// What the bytes say.
#[derive(Arbitrary, Debug)]
pub struct Input {
    case: Case,
    algorithm: Option<u8>,
    changes: Vec<Change>,
    function: Option<Function>,
}

/// A byte of the blob, counted from its end or its beginning, to which bits are added.
#[derive(Arbitrary, Debug)]
struct Change {
    from_end: bool,
    at: u16,
    bits: u8,
}

const HEADER_BYTES: usize = 64;
/// Zeros behind the elements, which no result depends on, and the end mark.
const BEHIND_BYTES: usize = 64;
const END_BYTES: usize = 16;
const DIRT: f64 = 1234.5;

fn change(blob: &mut [u8], changes: &[Change]) {
    for change in changes {
        let at = usize::from(change.at) % blob.len();
        let at = if change.from_end { blob.len() - 1 - at } else { at };
        blob[at] ^= change.bits;
    }
}

/// Promise 3: a blob that is not the plan's is refused, and dst stays as it is.
fn check<T: Element>(input: &Input, problem: &Problem, plan: &CPlan) {
    let info = plan.info();
    let element = size_of::<T>();
    let whole = |value: usize| T::from_f64((value % 9) as f64 - 4.0);
    let src: Vec<T> = (0..problem.src_len()).map(whole).collect();
    // Each weight has a number of its own, so that its place in the blob is known.
    let numbers: Vec<T> = (0..problem.weights_len()).map(|at| T::from_f64(at as f64 + 1.0)).collect();
    let mut packed = Buffer::new(info.packed_weights_bytes).expect("a few bytes");
    plan.pack(&numbers, packed.bytes_mut());
    let end = info.packed_weights_bytes - END_BYTES;
    let elements = HEADER_BYTES..end - BEHIND_BYTES;
    let exact = Entry::by_id(info.algorithm).expect("registered").is_exact();
    let mut weights_at = Vec::new();
    if exact {
        let of_packed = &packed.elements::<T>()[elements.start / element..elements.end / element];
        weights_at = of_packed.iter().map(|&number| Into::<f64>::into(number) as usize - 1).collect();
        assert_eq!(weights_at.len(), numbers.len(), "the blob of {problem} holds each weight once");
    }
    let original = packed.bytes().to_vec();
    change(packed.bytes_mut(), &input.changes);
    let changed = packed.bytes().to_vec();
    let marks_changed =
        changed[..elements.start] != original[..elements.start] || changed[end..] != original[end..];

    let slopes: Vec<T> = (0..problem.out_channels).map(whole).collect();
    let dirt = T::from_f64(DIRT);
    let mut dst = vec![dirt; problem.dst_len()];
    let mut workspace = Buffer::new(info.workspace_bytes).expect("a small workspace");
    workspace.bytes_mut().fill(0xa5);
    let status = plan.execute(Arguments {
        src: &src,
        packed: packed.bytes(),
        weights: None,
        bias: None,
        slopes: Some(&slopes),
        residual: None,
        dst: &mut dst,
        workspace: workspace.elements_mut(),
        pool: None,
    });
    assert!(packed.bytes() == changed, "execute wrote to the weights of {problem}");
    if marks_changed {
        assert_eq!(status, CONVLOW_ERROR_WEIGHTS_MISMATCH, "{}", message());
        assert!(dst.iter().all(|&value| value == dirt), "a refusal wrote to dst of {problem}");
        assert!(workspace.bytes().iter().all(|&byte| byte == 0xa5), "a refusal wrote to the workspace");
        return;
    }
    assert_eq!(status, CONVLOW_OK, "{}", message());
    // Weights that are no numbers, or so large that sums are none, reach more outputs than the definition says.
    let mut weights = vec![T::ZERO; numbers.len()];
    let computed = &packed.elements::<T>()[elements.start / element..elements.end / element];
    for (&value, &at) in computed.iter().zip(&weights_at) {
        weights[at] = value;
    }
    let tame = |&value: &T| Into::<f64>::into(value).abs() < 1e9;
    if !exact || !weights.iter().all(tame) || (problem.src_strides, problem.dst_strides) != PACKED {
        return;
    }
    compare(problem, &src, &weights, &slopes, &dst);
}

/// Other numbers give what the definition says of them.
fn compare<T: Element>(problem: &Problem, src: &[T], weights: &[T], slopes: &[T], dst: &[T]) {
    let dst_before = &vec![T::from_f64(DIRT); dst.len()];
    let tensors = Tensors { src, weights, bias: None, slopes: Some(slopes), dst_before };
    let half_epsilon = if T::TYPE == DataType::F64 { 2f64.powi(-53) } else { 2f64.powi(-24) };
    let bound = (problem.depth() + 2) as f64 * half_epsilon;
    let sizes = [problem.out_channels, problem.planes.output, problem.rows.output, problem.cols.output];
    let pixels = problem.out_pixels();
    for (at, expected) in reference::outputs(problem, &tensors).into_iter().enumerate() {
        let (image, channel, pixel) =
            (at / pixels / problem.out_channels, at / pixels % problem.out_channels, at % pixels);
        let (row, col) = (pixel / problem.cols.output, pixel % problem.cols.output);
        let place = [image, channel, row / problem.rows.output, row % problem.rows.output, col];
        let found: f64 = dst[reference::index(problem.dst_layout, &place, &sizes)].into();
        let allowed = bound * expected.magnitude + expected.of_activation + f64::from(f32::MIN_POSITIVE);
        assert!(
            (found - expected.value).abs() <= allowed,
            "{problem}: output {place:?} is {found}, not {}",
            expected.value
        );
    }
}

const PACKED: (Strides, Strides) = (Strides::PACKED, Strides::PACKED);

/// Holds the promises.
pub fn run(input: &Input) {
    let case = input.case.with(input.function);
    let Ok(problem) = Problem::new(case.problem) else { return };
    if problem.macs() > MAX_MACS {
        return;
    }
    let options = PlanOptions {
        algorithm: input.algorithm.map_or(0, |at| REGISTRY[usize::from(at) % REGISTRY.len()].id),
        math: CONVLOW_MATH_FAST,
        ..default_options()
    };
    // SAFETY: there is no pool.
    let Ok(plan) = (unsafe { CPlan::new(&case.desc(), &options) }) else { return };
    for_type!(problem.data_type, T => check::<T>(input, &problem, &plan));
}
