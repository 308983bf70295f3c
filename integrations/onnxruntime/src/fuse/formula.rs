//! The activation that terms spell.
//!
//! Models say HardSwish in one operator or as Add, Clip, Mul and Div, with the division before or behind the product; SiLU as
//! Sigmoid and Mul; GELU as Div, Erf, Add and two times Mul. All of these are formulas of one kind: of a value y a bend of
//! a·y + b, then p times that plus r, and perhaps y times all of it.

use convlow::Activation;

use super::headroom::{MOST, is_ordinary};
use super::step::Step;
use super::term::{Curve, Term};

/// How far constants of float32 may be from those of an activation, in proportion.
const TOLERANCE: f64 = 1e-6;

/// A times a value plus B.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Affine {
    factor: f64,
    shift: f64,
}

impl Affine {
    const IDENTITY: Self = Self { factor: 1.0, shift: 0.0 };

    fn of(self, value: f64) -> f64 {
        self.factor * value + self.shift
    }

    /// Whether it is 0 of a value, up to the rounding of its constants. Beside a value of 0 the least shift is more.
    fn vanishes_at(self, value: f64) -> bool {
        let cancelled = (self.factor * value).abs();
        cancelled.is_finite() && self.of(value).abs() <= TOLERANCE * cancelled
    }

    /// This and then the step; none if that is not affine, or is computed rightly as a step alone.
    fn then(self, step: Step<f64>) -> Option<Self> {
        let Self { factor, shift } = self;
        let both = match step {
            Step::Add(more) => Self { factor, shift: shift + more },
            Step::Subtract(less) => Self { factor, shift: shift - less },
            Step::Multiply(by) => Self { factor: factor * by, shift: shift * by },
            Step::Divide(by) => Self { factor: factor / by, shift: shift / by },
            Step::Clamp(..) | Step::Steepen(_) | Step::Note | Step::MultiplyByNoted => return None,
        };
        both.ordinary()
    }

    /// Itself; none if its constants overflow or lose digits where a model's own, one behind the other, do not.
    fn ordinary(self) -> Option<Self> {
        (is_ordinary(self.factor) && self.shift.abs() <= MOST).then_some(self)
    }
}

/// The part of a formula that is not affine.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Bend {
    Clamp(f64, f64),
    Steepen(f64),
    Slopes,
    Curve(Curve),
}

/// A formula of a value y: `outer` of the bend of `inner` of y, and y times that if it is gated.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Formula {
    inner: Affine,
    bend: Option<Bend>,
    outer: Affine,
    is_gated: bool,
}

impl Formula {
    /// The formula that leaves a value as it is.
    const NONE: Self = Self { inner: Affine::IDENTITY, bend: None, outer: Affine::IDENTITY, is_gated: false };

    /// The formula of these terms; none if they are no such formula.
    fn of(terms: &[Term]) -> Option<Self> {
        let (is_noted, terms) = match terms.split_first() {
            Some((Term::Step(Step::Note), rest)) => (true, rest),
            _ => (false, terms),
        };
        let formula = terms.iter().try_fold(Self::NONE, |formula, &term| formula.then(term))?;
        (formula.is_gated == is_noted).then_some(formula)
    }

    fn then(self, term: Term) -> Option<Self> {
        match term {
            Term::Step(Step::MultiplyByNoted) if !self.is_gated => Some(Self { is_gated: true, ..self }),
            Term::Step(Step::Clamp(min, max)) => self.bent(Bend::Clamp(min, max)),
            Term::Step(Step::Steepen(slope)) => self.bent(Bend::Steepen(slope)),
            Term::Slopes => self.bent(Bend::Slopes),
            Term::Curve(curve) => self.bent(Bend::Curve(curve)),
            Term::Step(step) if self.is_gated => {
                // y·(p·bend + r) may be scaled, but not shifted.
                let scale = Affine::IDENTITY.then(step).filter(|scale| scale.shift == 0.0)?;
                let Affine { factor, shift } = self.outer;
                let outer = Affine { factor: factor * scale.factor, shift: shift * scale.factor };
                Some(Self { outer: outer.ordinary()?, ..self })
            }
            Term::Step(step) if self.bend.is_some() => Some(Self { outer: self.outer.then(step)?, ..self }),
            Term::Step(step) => Some(Self { inner: self.inner.then(step)?, ..self }),
        }
    }

    /// With a bend behind everything that there is.
    fn bent(self, bend: Bend) -> Option<Self> {
        match (self.bend, bend) {
            (None, bend) if !self.is_gated => Some(Self { bend: Some(bend), ..self }),
            // One clamp behind another is one.
            (Some(Bend::Clamp(low, high)), Bend::Clamp(min, max))
                if !self.is_gated && self.outer == Affine::IDENTITY =>
            {
                let bend = Some(Bend::Clamp(low.clamp(min, max), high.clamp(min, max)));
                Some(Self { bend, ..self })
            }
            _ => None,
        }
    }
}

/// The activation that terms spell; none if they spell something else.
pub fn activation_of(terms: &[Term]) -> Option<Activation> {
    let Formula { inner, bend, outer, is_gated } = Formula::of(terms)?;
    let Affine { factor: alpha, shift: beta } = inner;
    let is_plain = inner == Affine::IDENTITY && outer == Affine::IDENTITY;
    match (bend?, is_gated) {
        (Bend::Clamp(min, max), false) if is_plain => Some(Activation::Clamp { min, max }),
        (Bend::Clamp(min, max), _) if outer.vanishes_at(min) && are_close(outer.of(max), 1.0) => {
            let [alpha, beta] = [outer.factor * alpha, outer.of(beta)];
            Some(match is_gated {
                true => Activation::HardSwish { alpha, beta },
                false => Activation::HardSigmoid { alpha, beta },
            })
        }
        (Bend::Steepen(alpha), false) if is_plain => Some(Activation::LeakyRelu { alpha }),
        (Bend::Slopes, false) if is_plain => Some(Activation::Prelu),
        (Bend::Curve(Curve::Sigmoid), false) if is_plain => Some(Activation::Sigmoid),
        (Bend::Curve(Curve::Sigmoid), true) if beta == 0.0 && outer == Affine::IDENTITY => {
            Some(Activation::Silu { alpha })
        }
        (Bend::Curve(Curve::Tanh), false) if is_plain => Some(Activation::Tanh),
        (Bend::Curve(Curve::Gelu), false) if is_plain => Some(Activation::Gelu),
        (Bend::Curve(Curve::GeluTanh), false) if is_plain => Some(Activation::GeluTanh),
        (Bend::Curve(Curve::Erf), true)
            if beta == 0.0
                && are_close(alpha, std::f64::consts::FRAC_1_SQRT_2)
                && are_close(outer.factor, 0.5)
                && are_close(outer.shift, 0.5) =>
        {
            Some(Activation::Gelu)
        }
        _ => None,
    }
}

/// Whether a constant is one that an activation has, whose size is about 1.
fn are_close(constant: f64, expected: f64) -> bool {
    (constant - expected).abs() <= TOLERANCE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn steps(steps: &[Step<f64>]) -> Vec<Term> {
        steps.iter().map(|&step| step.into()).collect()
    }

    /// y times the terms of y, and then the steps.
    fn gated(terms: &[Term], behind: &[Step<f64>]) -> Vec<Term> {
        [&steps(&[Step::Note])[..], terms, &steps(&[Step::MultiplyByNoted]), &steps(behind)].concat()
    }

    fn hard(terms: &[Term]) -> [f64; 2] {
        match activation_of(terms) {
            Some(Activation::HardSwish { alpha, beta } | Activation::HardSigmoid { alpha, beta }) => {
                [alpha, beta]
            }
            other => panic!("{terms:?} spell {other:?}"),
        }
    }

    #[test]
    fn hard_swish_is_found_however_it_is_spelled() {
        let bounds = steps(&[Step::Add(3.0), Step::Clamp(0.0, 6.0)]);
        let sixth = f64::from(1f32 / 6.0);
        for spelled in [
            gated(&bounds, &[Step::Divide(6.0)]),
            gated(&bounds, &[Step::Multiply(sixth)]),
            gated(&[&bounds[..], &steps(&[Step::Divide(6.0)])].concat(), &[]),
            gated(&steps(&[Step::Multiply(sixth), Step::Add(0.5), Step::Clamp(0.0, 1.0)]), &[]),
            gated(
                &steps(&[Step::Subtract(-3.0), Step::Clamp(0.0, f64::INFINITY), Step::Clamp(-9.0, 6.0)]),
                &[Step::Divide(6.0)],
            ),
        ] {
            assert!(matches!(activation_of(&spelled), Some(Activation::HardSwish { .. })), "{spelled:?}");
            let [alpha, beta] = hard(&spelled);
            assert!(are_close(alpha, 1.0 / 6.0) && are_close(beta, 0.5), "{alpha}, {beta}");
        }
        // Six times as much is none.
        assert_eq!(activation_of(&gated(&bounds, &[])), None);
        let sigmoid = [&bounds[..], &steps(&[Step::Divide(6.0)])].concat();
        assert!(matches!(activation_of(&sigmoid), Some(Activation::HardSigmoid { .. })));
        assert!(are_close(hard(&sigmoid)[1], 0.5));
    }

    #[test]
    fn curves_are_found_alone_and_as_gates() {
        let curve = |curve| [Term::Curve(curve)];
        assert_eq!(activation_of(&curve(Curve::Sigmoid)), Some(Activation::Sigmoid));
        assert_eq!(activation_of(&curve(Curve::Tanh)), Some(Activation::Tanh));
        assert_eq!(activation_of(&curve(Curve::Gelu)), Some(Activation::Gelu));
        assert_eq!(activation_of(&curve(Curve::GeluTanh)), Some(Activation::GeluTanh));
        assert_eq!(activation_of(&curve(Curve::Erf)), None);
        let silu = gated(&curve(Curve::Sigmoid), &[]);
        assert_eq!(activation_of(&silu), Some(Activation::Silu { alpha: 1.0 }));
        let scaled = [&steps(&[Step::Multiply(1.702)])[..], &curve(Curve::Sigmoid)].concat();
        assert_eq!(activation_of(&gated(&scaled, &[])), Some(Activation::Silu { alpha: 1.702 }));
        // A sigmoid of a shifted value, and steps behind a gate.
        let shifted = [&steps(&[Step::Add(1.0)])[..], &curve(Curve::Sigmoid)].concat();
        assert_eq!(activation_of(&shifted), None);
        assert_eq!(activation_of(&gated(&shifted, &[])), None);
        assert_eq!(activation_of(&gated(&curve(Curve::Sigmoid), &[Step::Multiply(2.0)])), None);
        assert_eq!(activation_of(&gated(&curve(Curve::Tanh), &[])), None);
    }

    #[test]
    fn gelu_is_found_however_it_is_spelled() {
        let root = f64::from(std::f32::consts::SQRT_2);
        let erf = |first, behind: &[Step<f64>]| {
            [&[Term::Step(first), Term::Curve(Curve::Erf)][..], &steps(behind)].concat()
        };
        for spelled in [
            gated(&erf(Step::Divide(root), &[Step::Add(1.0)]), &[Step::Multiply(0.5)]),
            gated(&erf(Step::Multiply(1.0 / root), &[Step::Add(1.0), Step::Multiply(0.5)]), &[]),
            gated(&erf(Step::Divide(root), &[Step::Divide(2.0), Step::Add(0.5)]), &[]),
        ] {
            assert_eq!(activation_of(&spelled), Some(Activation::Gelu));
        }
        for other in [
            gated(&erf(Step::Divide(1.5), &[Step::Add(1.0)]), &[Step::Multiply(0.5)]),
            gated(&erf(Step::Divide(root), &[Step::Add(1.0)]), &[]),
            gated(&erf(Step::Divide(root), &[Step::Add(1.1)]), &[Step::Multiply(0.5)]),
            erf(Step::Divide(root), &[Step::Add(1.0)]),
        ] {
            assert_eq!(activation_of(&other), None);
        }
    }

    #[test]
    fn bounds_and_slopes_are_found_where_nothing_else_is_done() {
        let relu = Step::Clamp(0.0, f64::INFINITY);
        assert_eq!(activation_of(&steps(&[relu])), Some(Activation::Clamp { min: 0.0, max: f64::INFINITY }));
        assert_eq!(
            activation_of(&steps(&[relu, Step::Clamp(-1.0, 6.0)])),
            Some(Activation::Clamp { min: 0.0, max: 6.0 })
        );
        assert_eq!(activation_of(&steps(&[Step::Steepen(0.1)])), Some(Activation::LeakyRelu { alpha: 0.1 }));
        assert_eq!(activation_of(&[Term::Slopes]), Some(Activation::Prelu));
        assert_eq!(activation_of(&[]), None);
        assert_eq!(activation_of(&steps(&[Step::Multiply(2.0), relu])), None);
        assert_eq!(activation_of(&steps(&[Step::Steepen(0.1), Step::Add(1.0)])), None);
        assert_eq!(activation_of(&steps(&[Step::Note, relu])), None);
        assert_eq!(activation_of(&steps(&[relu, Step::MultiplyByNoted])), None);
    }

    #[test]
    fn constants_out_of_the_ordinary_spell_no_activation() {
        let bounds = Step::Clamp(0.0, 1.0);
        for first in [
            &[Step::Multiply(f64::INFINITY)][..],
            &[Step::Multiply(1e30), Step::Multiply(1e30)],
            &[Step::Multiply(1e-30), Step::Multiply(1e30)],
            &[Step::Divide(0.0)],
            &[Step::Add(3e38), Step::Subtract(3e38)],
        ] {
            assert_eq!(activation_of(&steps(&[first, &[bounds]].concat())), None, "{first:?}");
            assert_eq!(activation_of(&gated(&steps(&[first, &[bounds]].concat()), &[])), None, "{first:?}");
        }
        // A shift that is small beside 1, but all that there is where bounds make 0.
        assert_eq!(activation_of(&steps(&[bounds, Step::Add(1e-9)])), None);
        assert_eq!(
            activation_of(&gated(&steps(&[bounds]), &[Step::Multiply(1e30), Step::Divide(1e30)])),
            None
        );
    }
}
