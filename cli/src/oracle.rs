//! The check of what was computed against the definition.

use convlow::reference::{self, Output, Tensors};
use convlow::{DataType, Element, Kind, Problem, Propagation};

use crate::execution::Operands;
use crate::seeded::Seeded;

/// Terms of the definition that a check may sum for a tensor: beyond it, the check takes a sample of the outputs.
const TERMS_CHECKED: usize = 1 << 24;

/// What Winograd's algorithms may err by, as a share of the largest output.
const FAST_SHARE: f64 = 1e-4;

/// Gradients of weights and bias are summed in parts of at most so many terms.
const TERMS_OF_PART: usize = 4096;

/// Exact outputs at some places of what is written for a problem, whatever its layouts.
pub(crate) struct Oracle {
    samples: Vec<Sample>,
}

/// Exact outputs of a tensor.
struct Sample {
    tensor: Written,
    outputs: Vec<(Place, Output)>,
    /// What an error may be, as a share of the magnitude of a sum.
    bound_factor: f64,
}

/// [n, channel, z, y, x], or an output channel, an input channel of its group, and a tap.
type Place = [usize; 5];

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
    /// `bias_gradient`: whether that is written with the gradient of the weights.
    pub(crate) fn new<T: Element>(
        problem: &Problem,
        operands: &Operands<'_, T>,
        bias_gradient: bool,
        seeded: &mut Seeded,
    ) -> Self {
        let samples = Written::all(problem, bias_gradient).iter().map(|&tensor| {
            let sizes = tensor.sizes(problem);
            let (all, terms) = (sizes.iter().product(), tensor.terms(problem));
            let affordable = (TERMS_CHECKED / terms).max(1);
            let indices = if affordable < all { seeded.sample(affordable, all) } else { (0..all).collect() };
            let places = indices.into_iter().map(|index| place(index, sizes));
            let outputs = places.map(|place| (place, tensor.output(problem, operands, place))).collect();
            Sample { tensor, outputs, bound_factor: tensor.bound_factor(problem) }
        });
        Self { samples: samples.collect() }
    }

    /// Compares what was written for the problem for which the oracle was made, or for that problem in other layouts.
    /// `exact_products`: by an algorithm that forms every product of the definition.
    pub(crate) fn check<T: Element>(&self, problem: &Problem, written: &[T], exact_products: bool) -> Check {
        let double = |x: T| -> f64 { x.into() };
        let largest = written.iter().fold(0.0f64, |largest, &x| largest.max(double(x).abs()));
        let compared = self.samples.iter().map(|sample| sample.outputs.len()).sum();
        let mut check = Check { error: 0.0, compared, outputs: written.len(), mistake: None };
        for Sample { tensor, outputs, bound_factor } in &self.samples {
            for (place, exact) in outputs {
                let found = double(written[tensor.index(problem, place)]);
                let error = (found - exact.value).abs();
                let bound =
                    if exact_products { bound_factor * exact.magnitude } else { FAST_SHARE * largest };
                // A NaN is beyond every bound.
                if error.is_nan() || error > bound {
                    check.mistake.get_or_insert_with(|| {
                        let (name, value) = (tensor.name(), exact.value);
                        format!("{name} {place:?} is {found:e}, but should be {value:e} ± {bound:.1e}")
                    });
                }
                if error > 0.0 {
                    check.error = check.error.max(error / largest);
                }
            }
        }
        if let Some(index) = written.iter().position(|&x| double(x).is_nan()) {
            check.mistake.get_or_insert_with(|| format!("the output at {index} in memory is NaN"));
        }
        check
    }
}

/// A tensor that is written.
#[derive(Clone, Copy)]
enum Written {
    Dst,
    DiffSrc,
    DiffWeights,
    /// It lies behind the gradient of the weights.
    DiffBias,
}

impl Written {
    /// All that is written for a problem.
    fn all(problem: &Problem, bias_gradient: bool) -> &'static [Self] {
        match problem.propagation {
            Propagation::Forward => &[Self::Dst],
            Propagation::BackwardData => &[Self::DiffSrc],
            Propagation::BackwardWeights if bias_gradient => &[Self::DiffWeights, Self::DiffBias],
            Propagation::BackwardWeights => &[Self::DiffWeights],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Dst => "output",
            Self::DiffSrc => "diff_src",
            Self::DiffWeights => "diff_weights",
            Self::DiffBias => "diff_bias",
        }
    }

    /// How many elements each index of a place has.
    fn sizes(self, problem: &Problem) -> Place {
        let Problem { batch, in_channels, out_channels, .. } = *problem;
        let ([outer, inner], [d, h, w]) = match self {
            Self::Dst => ([batch, out_channels], problem.axes().map(|axis| axis.output)),
            Self::DiffSrc => ([batch, in_channels], problem.axes().map(|axis| axis.input)),
            Self::DiffWeights => ([out_channels, problem.group_in()], problem.axes().map(|axis| axis.kernel)),
            Self::DiffBias => ([out_channels, 1], [1; 3]),
        };
        [outer, inner, d, h, w]
    }

    /// The most products of one sum.
    fn terms(self, problem: &Problem) -> usize {
        match self {
            Self::Dst => problem.depth(),
            Self::DiffSrc => problem.group_out() * problem.taps(),
            Self::DiffWeights if problem.is(Kind::Transposed) => problem.batch * problem.in_pixels(),
            Self::DiffWeights | Self::DiffBias => problem.batch * problem.out_pixels(),
        }
    }

    fn bound_factor(self, problem: &Problem) -> f64 {
        let half_epsilon = match problem.data_type {
            DataType::F32 => f64::from(f32::EPSILON) / 2.0,
            DataType::F64 => f64::EPSILON / 2.0,
        };
        let terms = self.terms(problem);
        let roundings = match self {
            // A sum of k terms in any order has an error of at most about k·u·Σ|term|, u = ε/2; as roundings
            // are independent it stays within λ·√k·u·Σ|term| except with probability 2·exp(−λ²/2). λ = 8 makes that
            // 10⁻¹³, and for the few terms where the first bound is the smaller one, 8·√k exceeds it still.
            Self::Dst => 8.0 * ((terms + 1) as f64).sqrt(),
            Self::DiffSrc => (terms + 3) as f64,
            Self::DiffWeights | Self::DiffBias => {
                (terms + 3).min(TERMS_OF_PART + terms / TERMS_OF_PART + 3) as f64
            }
        };
        roundings * half_epsilon
    }

    /// What the definition says.
    fn output<T: Element>(self, problem: &Problem, operands: &Operands<'_, T>, place: Place) -> Output {
        let Operands { src, diff_dst, weights, bias } = *operands;
        let image = |src, bias| {
            reference::output(problem, &Tensors { src, weights, bias, slopes: None, dst_before: &[] }, place)
        };
        let [m, c, tap @ ..] = place;
        match self {
            Self::Dst => image(src, Some(bias)),
            Self::DiffSrc => image(diff_dst, None),
            Self::DiffWeights => reference::weight_gradient(problem, [src, diff_dst], [m, c], tap),
            Self::DiffBias => reference::bias_gradient(problem, diff_dst, m),
        }
    }

    /// Where the element at this place lies in what is written.
    fn index(self, problem: &Problem, place: &Place) -> usize {
        let [_, sizes @ ..] = self.sizes(problem);
        let [m, c, tap @ ..] = *place;
        match self {
            Self::Dst => reference::index(problem.dst_layout, place, &sizes),
            Self::DiffSrc => reference::index(problem.src_layout, place, &sizes),
            Self::DiffWeights => reference::weight_index(problem, [m, c], tap),
            Self::DiffBias => problem.weights_len() + m,
        }
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

/// The index-th place of these sizes.
fn place(mut index: usize, sizes: Place) -> Place {
    let mut place = sizes;
    for at in place.iter_mut().rev() {
        (*at, index) = (index % *at, index / *at);
    }
    place
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution;
    use convlow::descriptor;

    /// Checks what is the oracle's, with one output replaced.
    fn checked(propagation: Propagation, index: usize, replace: impl Fn(f32) -> f32) -> Check {
        let problem = descriptor::parse("mb2ic3ih5iw4oc2kh3ph1").expect("a problem").problem;
        let problem = Problem { propagation, ..problem };
        let mut seeded = Seeded::new(7);
        let lengths = [problem.src_len(), problem.dst_len(), problem.weights_len(), problem.out_channels];
        let [src, diff_dst, weights, bias] = lengths.map(|len| match seeded.numbers::<f32>(len, 1.0) {
            Ok(numbers) => numbers,
            Err(_) => panic!("little memory is there"),
        });
        let operands = Operands::<f32> {
            src: src.elements(),
            diff_dst: diff_dst.elements(),
            weights: weights.elements(),
            bias: bias.elements(),
        };
        let mut written = vec![f32::NAN; execution::written_len(&problem, true)];
        for tensor in Written::all(&problem, true) {
            let sizes = tensor.sizes(&problem);
            for place in (0..sizes.iter().product()).map(|index| place(index, sizes)) {
                let exact = tensor.output(&problem, &operands, place);
                written[tensor.index(&problem, &place)] = exact.value as f32;
            }
        }
        written[index] = replace(written[index]);
        Oracle::new(&problem, &operands, true, &mut seeded).check(&problem, &written, true)
    }

    #[test]
    fn a_check_accepts_rounding_and_nothing_more() {
        for (propagation, last, name) in [
            (Propagation::Forward, 79, "output [1, 1, 0, 4, 3] is "),
            (Propagation::BackwardData, 119, "diff_src [1, 2, 0, 4, 3] is "),
            (Propagation::BackwardWeights, 53, "diff_weights [1, 2, 0, 2, 2] is "),
            (Propagation::BackwardWeights, 55, "diff_bias [1, 0, 0, 0, 0] is "),
        ] {
            let rounded = checked(propagation, 0, |x| x * (1.0 + f32::EPSILON));
            assert_eq!(rounded.mistake, None);
            assert!(rounded.error > 0.0 && rounded.error < 1e-6);
            assert_eq!(rounded.share(), "all");
            for wrong in [|x: f32| x * 1.01, |x: f32| -x, |_| f32::NAN, |_| f32::INFINITY] {
                let mistake = checked(propagation, last, wrong).mistake.expect("a mistake");
                assert!(mistake.starts_with(name), "{mistake}");
            }
        }
    }
}
