//! The gradients of the weights and of the bias: their tensors, and a run with guards around what is written.

#![allow(dead_code)] // Each test program uses its part.

use convlow::reference::{Output, weight_gradients, weight_index};
use convlow::{Element, GradientArguments, Layout, Plan, Problem, WeightsLayout};

use super::common::{Lying, dst_sizes, packed, places, src_and_dst, src_sizes, weights_to_layout};

/// The tensors of a gradient in canonical layouts: src and diff_dst NCHW, weights OIHW.
pub struct Gradients<T> {
    pub src: Vec<T>,
    pub diff_dst: Vec<T>,
    pub weights_before: Vec<T>,
    pub bias_before: Vec<T>,
}

impl<T: Element> Gradients<T> {
    fn new(problem: &Problem, mut value: impl FnMut() -> f64) -> Self {
        let mut tensor = |len: usize| -> Vec<T> { (0..len).map(|_| T::from_f64(value())).collect() };
        Self {
            src: tensor(src_sizes(problem).iter().product()),
            diff_dst: tensor(dst_sizes(problem).iter().product()),
            weights_before: tensor(problem.weights_len()),
            bias_before: tensor(problem.out_channels),
        }
    }

    /// Small integers: every product and partial sum is exact.
    pub fn integers(problem: &Problem, rng: &mut fastrand::Rng) -> Self {
        Self::new(problem, || rng.i32(-4..=4).into())
    }

    /// Values in -1..1.
    pub fn random(problem: &Problem, rng: &mut fastrand::Rng) -> Self {
        Self::new(problem, || (rng.f32() * 2.0 - 1.0).into())
    }

    /// What the definition says, weights in OIHW.
    pub fn expected(&self, problem: &Problem) -> [Vec<Output>; 2] {
        let canonical = Problem { weights_layout: WeightsLayout::Oihw, ..packed(problem) };
        let canonical = Problem { src_layout: Layout::Nchw, dst_layout: Layout::Nchw, ..canonical };
        weight_gradients(&canonical, [&self.src, &self.diff_dst], [&self.weights_before, &self.bias_before])
    }
}

/// Elements of a pattern on both sides of what is written.
const GUARD: usize = 16;

/// Runs a plan with NaN in what it writes and in the gaps of what it reads, and with guards. Returns the gradients of the weights
/// in OIHW and of the bias; what was not asked for as it was before.
pub fn run_gradients<T: Element>(plan: &Plan, data: &Gradients<T>, asked_for: [bool; 2]) -> [Vec<T>; 2] {
    run_gradients_by(plan.problem(), plan.info().workspace_bytes, data, asked_for, |arguments| {
        plan.execute_gradient(arguments).expect("a valid call");
    })
}

/// [`run_gradients`] of a plan that needs so many bytes of workspace, through another function.
pub fn run_gradients_by<T: Element>(
    problem: &Problem,
    workspace_bytes: usize,
    data: &Gradients<T>,
    asked_for: [bool; 2],
    execute: impl FnOnce(GradientArguments<'_, T>),
) -> [Vec<T>; 2] {
    let nan = T::from_f64(f64::NAN);
    let [src, dst] = src_and_dst(problem);
    let lie = |values: &[T], lying: &Lying| {
        let mut tensor = vec![nan; lying.len];
        for (&value, place) in values.iter().zip(places(lying.sizes)) {
            tensor[lying.place(place)] = value;
        }
        tensor
    };
    let (src, diff_dst) = (lie(&data.src, &src), lie(&data.diff_dst, &dst));
    let guarded = |values: Vec<T>| {
        let guard = vec![T::from_f64(77.0); GUARD];
        [guard.clone(), values, guard].concat()
    };
    let before = |values: Vec<T>| if problem.accumulate { values } else { vec![nan; values.len()] };
    let mut weights = guarded(before(weights_to_layout(&data.weights_before, problem)));
    let mut bias = guarded(before(data.bias_before.clone()));
    let elements = workspace_bytes / size_of::<T>();
    let mut workspace = guarded(vec![nan; elements]);
    let inside = |tensor: &Vec<T>| GUARD..tensor.len() - GUARD;
    let (weights_range, bias_range, workspace_range) = (inside(&weights), inside(&bias), inside(&workspace));
    execute(GradientArguments {
        src: &src,
        diff_dst: &diff_dst,
        diff_weights: asked_for[0].then_some(&mut weights[weights_range.clone()]),
        diff_bias: asked_for[1].then_some(&mut bias[bias_range.clone()]),
        workspace: &mut workspace[workspace_range],
        pool: None,
    });
    for tensor in [&weights, &bias, &workspace] {
        let guards = tensor[..GUARD].iter().chain(&tensor[tensor.len() - GUARD..]);
        assert!(guards.copied().all(|value| value == T::from_f64(77.0)), "{problem}: a guard was written");
    }
    let canonical = Problem { weights_layout: WeightsLayout::Oihw, ..*problem };
    let [kd, kh, kw] = problem.axes().map(|axis| axis.kernel);
    let mut in_order = vec![nan; problem.weights_len()];
    for [m, c, taps @ ..] in places([problem.out_channels, problem.group_in(), kd, kh, kw]) {
        let place = |problem: &Problem| weight_index(problem, [m, c], taps);
        in_order[place(&canonical)] = weights[weights_range.clone()][place(problem)];
    }
    [in_order, bias[bias_range].to_vec()]
}
