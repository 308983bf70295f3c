//! The gradient of the weights: what an algorithm for it decides and computes.
//!
//! dw\[m, c, i, j\] = Σ over n, y, x of dy\[n, m, y, x\] · x\[n, c, y·s + i·d − pad, x·s + j·d − pad\]. One of the two tensors
//! holds the factors of rows (a channel under a tap), the other those of lanes (a channel): see [`form`].

mod blocks;
mod form;
mod moved;
mod register;
mod strips;

use convlow_kernels::isa::Length;
use convlow_threads::Pool;

pub use self::form::Form;
pub use self::register::GradientRegister;
use super::algorithm::{Declined, Element, Limits, Scratch};
use super::cost::Cost;
use crate::lowering::image::Images;

/// An algorithm for the gradient of the weights, with its variant fixed.
pub trait GradientAlgorithm: Sync {
    /// Decides once how the gradient is computed within the limits.
    ///
    /// # Errors
    /// The condition that the problem fails.
    fn prepare(&self, form: &Form, limits: Limits) -> Result<Box<dyn ReadyGradient>, Declined>;
}

/// An algorithm made ready for the gradient of one problem's weights. It never changes.
pub trait PreparedGradient: Send + Sync {
    /// The scratch of an execute.
    fn scratch(&self) -> Scratch;

    /// The length of the vectors that its kernels use.
    fn length(&self) -> Length {
        Length::Whole
    }

    /// What an execute costs.
    fn cost(&self) -> Cost;

    /// Computes what the unit asks for. `scratch` has as many elements of any content as [`PreparedGradient::scratch`] says.
    fn run<T: Element>(&self, unit: &mut GradientUnit<'_, T>, scratch: &mut [T])
    where
        Self: Sized;
}

/// What was prepared, whatever it is.
pub trait ReadyGradient: PreparedGradient {
    /// [`PreparedGradient::run`] in float32.
    fn run_f32(&self, unit: &mut GradientUnit<'_, f32>, scratch: &mut [f32]);

    /// [`PreparedGradient::run`] in float64.
    #[cfg(feature = "f64")]
    fn run_f64(&self, unit: &mut GradientUnit<'_, f64>, scratch: &mut [f64]);
}

impl<P: PreparedGradient> ReadyGradient for P {
    fn run_f32(&self, unit: &mut GradientUnit<'_, f32>, scratch: &mut [f32]) {
        self.run(unit, scratch);
    }

    #[cfg(feature = "f64")]
    fn run_f64(&self, unit: &mut GradientUnit<'_, f64>, scratch: &mut [f64]) {
        self.run(unit, scratch);
    }
}

/// The tensors of an execute, and what to compute with.
pub struct GradientUnit<'a, T> {
    /// What the factors of rows are read from.
    pub rows: Images<'a, T>,
    /// What those of lanes are read from.
    pub lanes: Images<'a, T>,
    /// The gradient of dst, which is one of both.
    pub diff_dst: Images<'a, T>,
    /// The gradient of the weights, if it is asked for.
    pub diff_weights: Option<&'a mut [T]>,
    /// That of the bias, if it is asked for.
    pub diff_bias: Option<&'a mut [T]>,
    /// Whether what is computed is added to what they hold.
    pub accumulate: bool,
    /// Where blocks run.
    pub pool: &'a Pool,
}
