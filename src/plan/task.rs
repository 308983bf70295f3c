//! [`Task`]: what a plan does.

#[cfg(feature = "training")]
use super::gradient::Gradient;
use super::work::Work;
use crate::algorithms::Cost;
use crate::lowering::weights::Packing;
use convlow_kernels::isa::Length;

/// What a plan computes with.
#[allow(clippy::large_enum_variant)] // A plan has one, and no more.
pub(crate) enum Task {
    /// A convolution or the gradient of its data.
    Convolution(Work),
    /// The gradient of its weights.
    #[cfg(feature = "training")]
    Gradient(Gradient),
}

impl Task {
    /// What computes a convolution or the gradient of its data.
    pub fn work(&self) -> Option<&Work> {
        match self {
            Task::Convolution(work) => Some(work),
            #[cfg(feature = "training")]
            Task::Gradient(_) => None,
        }
    }

    /// What the gradient of the weights costs, and the vectors that compute it.
    pub fn cost_of_gradient(&self) -> Option<(Cost, Length)> {
        match self {
            Task::Convolution(_) => None,
            #[cfg(feature = "training")]
            Task::Gradient(gradient) => Some((gradient.prepared.cost(), gradient.prepared.length())),
        }
    }

    /// How the caller packs the weights; none where they are not packed.
    pub fn packing(&self) -> Option<&Packing> {
        self.work()?.whole().map(|part| &part.packing)
    }

    /// Whether it reads plain weights.
    pub fn is_plain(&self) -> bool {
        self.work().is_some_and(Work::is_plain)
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
