//! [`Task`]: what a plan does.

#[cfg(feature = "training")]
use super::gradient::Gradient;
use super::work::Work;
use crate::lowering::weights::Packing;

/// What a plan computes with.
pub(crate) enum Task {
    /// A convolution or the gradient of its data.
    Convolution(Work),
    /// The gradient of its weights.
    #[cfg(feature = "training")]
    Gradient(Gradient),
}

impl Task {
    /// How the caller packs the weights; none where they are not packed.
    pub fn packing(&self) -> Option<&Packing> {
        match self {
            Task::Convolution(work) => work.whole().map(|part| &part.packing),
            #[cfg(feature = "training")]
            Task::Gradient(_) => None,
        }
    }

    /// Whether it reads plain weights.
    pub fn is_plain(&self) -> bool {
        match self {
            Task::Convolution(work) => work.is_plain(),
            #[cfg(feature = "training")]
            Task::Gradient(_) => false,
        }
    }

    /// Bytes of the workspace; `None` if they overflow.
    pub fn bytes(&self) -> Option<usize> {
        match self {
            Task::Convolution(work) => work.bytes(),
            #[cfg(feature = "training")]
            Task::Gradient(gradient) => gradient.bytes(),
        }
    }
}
