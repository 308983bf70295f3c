//! The activations of a convolution's end.

use super::step::Step;

/// A function of each output y, behind bias and residual.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Activation {
    /// y.
    None,
    /// min(max(y, `min`), `max`).
    Clamp { min: f64, max: f64 },
    /// y, times `alpha` where it is negative.
    LeakyRelu { alpha: f64 },
    /// min(max(`alpha`·y + `beta`, 0), 1).
    HardSigmoid { alpha: f64, beta: f64 },
    /// y times the hard sigmoid.
    HardSwish { alpha: f64, beta: f64 },
    /// 1 / (1 + exp(−y)).
    Sigmoid,
    /// y times the sigmoid of `alpha`·y.
    Silu { alpha: f64 },
    /// tanh(y).
    Tanh,
    /// y·(1 + erf(y/√2)) / 2.
    Gelu,
    /// Its approximation by tanh.
    GeluTanh,
    /// y, times the channel's slope where it is negative.
    Prelu,
}

impl Activation {
    /// The activation of the library's own end.
    pub fn of_library(self) -> convlow::Activation {
        match self {
            Self::Clamp { min, max } => convlow::Activation::Clamp { min, max },
            _ => convlow::Activation::None,
        }
    }

    /// The rest, which a pass over the outputs does behind the library's end, slopes aside; none if the host's own kernels
    /// are faster, so that the activation is left to them.
    pub fn steps(self) -> Option<Vec<Step<f64>>> {
        let hard_sigmoid =
            |alpha, beta| [Step::Multiply(alpha), Step::Add(beta), Step::Clamp(0.0, 1.0)].to_vec();
        match self {
            Self::None | Self::Clamp { .. } | Self::Prelu => Some(Vec::new()),
            Self::LeakyRelu { alpha } => Some(vec![Step::Steepen(alpha)]),
            Self::HardSigmoid { alpha, beta } => Some(hard_sigmoid(alpha, beta)),
            Self::HardSwish { alpha, beta } => {
                let gate = hard_sigmoid(alpha, beta).into_iter();
                Some([Step::Note].into_iter().chain(gate).chain([Step::MultiplyByNoted]).collect())
            }
            Self::Sigmoid | Self::Silu { .. } | Self::Tanh | Self::Gelu | Self::GeluTanh => None,
        }
    }
}
