//! The check of outputs against the definition.

use convlow::reference::{self, Output, Tensors};
use convlow::{DataType, Element, Problem};

use crate::seeded::Seeded;

/// Terms of the definition that a check may sum: beyond it, the check takes a sample of the outputs.
const TERMS_CHECKED: usize = 1 << 24;

/// What Winograd's algorithms may err by, as a share of the largest output.
const FAST_SHARE: f64 = 1e-4;

/// Exact outputs at some places of a problem's dst, whatever its layout.
pub(crate) struct Oracle {
    outputs: Vec<([usize; 5], Output)>,
    bound_factor: f64,
}

/// How far outputs are from the definition.
pub(crate) struct Check {
    /// The largest error, relative to the largest output.
    pub(crate) error: f64,
    compared: usize,
    outputs: usize,
    /// The first output beyond the bound.
    pub(crate) mistake: Option<String>,
}

impl Oracle {
    pub(crate) fn new<T: Element>(problem: &Problem, tensors: &Tensors<'_, T>, seeded: &mut Seeded) -> Self {
        // A sum of k terms in any order has an error of at most about k·u·Σ|term|, u = ε/2; as roundings
        // are independent it stays within λ·√k·u·Σ|term| except with probability 2·exp(−λ²/2). λ = 8 makes that
        // 10⁻¹³, and for the few terms where the first bound is the smaller one, 8·√k exceeds it still.
        let epsilon = match problem.data_type {
            DataType::F32 => f32::EPSILON.into(),
            DataType::F64 => f64::EPSILON,
        };
        let bound_factor = 4.0 * epsilon * ((problem.depth() + 1) as f64).sqrt();
        let affordable = (TERMS_CHECKED / problem.depth()).max(1);
        let indices = if affordable < problem.dst_len() {
            seeded.sample(affordable, problem.dst_len())
        } else {
            (0..problem.dst_len()).collect()
        };
        let positions = indices.into_iter().map(|index| position(problem, index));
        let outputs = positions.map(|position| (position, reference::output(problem, tensors, position)));
        Self { outputs: outputs.collect(), bound_factor }
    }

    /// Compares dst of the problem for which the oracle was made, or of that problem in other layouts.
    /// `exact_products`: by an algorithm that forms every product of the definition.
    pub(crate) fn check<T: Element>(&self, problem: &Problem, dst: &[T], exact_products: bool) -> Check {
        let double = |x: T| -> f64 { x.into() };
        let largest = dst.iter().fold(0.0f64, |largest, &x| largest.max(double(x).abs()));
        let mut check = Check { error: 0.0, compared: self.outputs.len(), outputs: dst.len(), mistake: None };
        let [d, h, w] = problem.axes().map(|axis| axis.output);
        let sizes = [problem.out_channels, d, h, w];
        for (position, exact) in &self.outputs {
            let found = double(dst[reference::index(problem.dst_layout, position, &sizes)]);
            let error = (found - exact.value).abs();
            let bound =
                if exact_products { self.bound_factor * exact.magnitude } else { FAST_SHARE * largest };
            // A NaN is beyond every bound.
            if error.is_nan() || error > bound {
                check.mistake.get_or_insert_with(|| {
                    format!("output {position:?} is {found:e}, but should be {:e} ± {bound:.1e}", exact.value)
                });
            }
            if error > 0.0 {
                check.error = check.error.max(error / largest);
            }
        }
        if let Some(index) = dst.iter().position(|&x| double(x).is_nan()) {
            check.mistake.get_or_insert_with(|| format!("the output at {index} in memory is NaN"));
        }
        check
    }
}

impl Check {
    /// The share of the outputs that were compared.
    pub(crate) fn share(&self) -> String {
        if self.compared == self.outputs {
            return "all".to_string();
        }
        let percent = 100.0 * self.compared as f64 / self.outputs as f64;
        if percent >= 0.1 { format!("{percent:.1}%") } else { format!("{percent:.0e}%") }
    }
}

/// [n, m, y, x] of output `index` in NCHW order.
fn position(problem: &Problem, index: usize) -> [usize; 5] {
    let [depth, height, width] = problem.axes().map(|axis| axis.output);
    let [z, y, x] = [index / (height * width) % depth, index / width % height, index % width];
    let image_channel = index / (depth * height * width);
    [image_channel / problem.out_channels, image_channel % problem.out_channels, z, y, x]
}

#[cfg(test)]
mod tests {
    use super::*;
    use convlow::descriptor;

    /// Checks a dst that is the oracle's, with one output replaced.
    fn checked(index: usize, replace: impl Fn(f32) -> f32) -> Check {
        let problem = descriptor::parse("mb2ic3ih5iw4oc2kh3ph1").expect("a problem").problem;
        let mut seeded = Seeded::new(7);
        let Ok(src) = seeded.numbers::<f32>(problem.src_len(), 1.0) else { panic!("little memory is there") };
        let Ok(weights) = seeded.numbers::<f32>(problem.weights_len(), 1.0) else {
            panic!("little memory is there")
        };
        let tensors = Tensors::<f32> {
            src: src.elements(),
            weights: weights.elements(),
            bias: None,
            slopes: None,
            dst_before: &[],
        };
        let mut dst: Vec<_> = (0..problem.dst_len())
            .map(|index| reference::output(&problem, &tensors, position(&problem, index)).value as f32)
            .collect();
        dst[index] = replace(dst[index]);
        Oracle::new(&problem, &tensors, &mut seeded).check(&problem, &dst, true)
    }

    #[test]
    fn a_check_accepts_rounding_and_nothing_more() {
        let rounded = checked(0, |x| x * (1.0 + f32::EPSILON));
        assert_eq!(rounded.mistake, None);
        assert!(rounded.error > 0.0 && rounded.error < 1e-6);
        assert_eq!(rounded.share(), "all");
        for wrong in [|x: f32| x * 1.01, |x: f32| -x, |_| f32::NAN, |_| f32::INFINITY] {
            let mistake = checked(79, wrong).mistake.expect("a mistake");
            assert!(mistake.starts_with("output [1, 1, 0, 4, 3] is "), "{mistake}");
        }
    }
}
