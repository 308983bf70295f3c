//! The arithmetic of each output behind bias and residual: one activation, and the steps behind it.

use convlow::Activation;

use super::formula::activation_of;
use super::step::Step;
use super::term::Term;

/// The arithmetic of each output behind bias and residual.
#[derive(Debug, Clone, PartialEq)]
pub struct Ending {
    /// In the convolution's own end.
    pub activation: Activation,
    /// The arithmetic behind it, in the model's own order and type, so that its bits are the same.
    pub steps: Vec<Step<f64>>,
    /// Whether negative values are multiplied by their channel's slope behind that.
    pub has_slopes_last: bool,
}

impl Ending {
    /// The ending that leaves outputs as they are.
    pub const NONE: Self = Self { activation: Activation::None, steps: Vec::new(), has_slopes_last: false };

    /// The ending of these terms, as many of them as possible in one activation; none if there is no way to compute all.
    pub fn of(terms: &[Term]) -> Option<Self> {
        (0..=terms.len()).rev().find_map(|first| {
            let (front, behind) = terms.split_at(first);
            let activation = if front.is_empty() { Activation::None } else { activation_of(front)? };
            let (behind, has_slopes_last) = match behind.split_last() {
                Some((Term::Slopes, before)) => (before, true),
                _ => (behind, false),
            };
            let step = |term: &Term| match *term {
                Term::Step(step) => Some(step),
                Term::Curve(_) | Term::Slopes => None,
            };
            let steps = behind.iter().map(step).collect::<Option<Vec<_>>>()?;
            // A note needs its product.
            let notes = |of: Step<f64>| steps.iter().filter(|&&step| step == of).count();
            let are_whole = notes(Step::Note) == notes(Step::MultiplyByNoted);
            are_whole.then_some(Self { activation, steps, has_slopes_last })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::term::Curve;
    use super::*;

    #[test]
    fn as_much_as_may_be_is_one_activation() {
        let swish = [Step::Note, Step::Add(3.0), Step::Clamp(0.0, 6.0), Step::MultiplyByNoted];
        let terms = [&swish[..], &[Step::Divide(6.0), Step::Add(1.0)]].concat();
        let terms: Vec<Term> = terms.into_iter().map(Term::Step).collect();
        // As long as it is not divided it is no activation.
        let ending = Ending::of(&terms[..4]).expect("it can be computed");
        assert_eq!((ending.activation, ending.steps), (Activation::None, swish.to_vec()));
        for count in [5, 6] {
            let ending = Ending::of(&terms[..count]).expect("it can be computed");
            assert!(matches!(ending.activation, Activation::HardSwish { .. }));
            assert_eq!(ending.steps.len(), count - 5);
        }
        assert_eq!(Ending::of(&[]), Some(Ending::NONE));
    }

    #[test]
    fn slopes_are_an_activation_or_come_last() {
        let clamp = Term::Step(Step::Clamp(0.0, 1.0));
        let ending =
            |terms: &[Term]| Ending::of(terms).map(|ending| (ending.activation, ending.has_slopes_last));
        assert_eq!(ending(&[Term::Slopes]), Some((Activation::Prelu, false)));
        assert_eq!(ending(&[Term::Slopes, clamp]), Some((Activation::Prelu, false)));
        assert_eq!(ending(&[clamp, Term::Slopes]), Some((Activation::Clamp { min: 0.0, max: 1.0 }, true)));
        assert_eq!(ending(&[clamp, clamp, Term::Slopes, clamp]), None);
        assert_eq!(ending(&[Term::Curve(Curve::Erf)]), None);
        assert_eq!(ending(&[Term::Step(Step::Add(1.0)), Term::Curve(Curve::Sigmoid)]), None);
    }
}
