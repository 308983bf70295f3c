//! Activations: the function that each output goes through at the end of a convolution.
//!
//! [`Activation`] names the function, [`PreparedActivation`] holds its constants in the tensor's type, which kernels apply to the sums of their
//! tiles and [`apply_to_slice`] to numbers in memory. [`exact`] is the definition, one number at a time.
//!
//! | input | result |
//! |---|---|
//! | a number | at most 4 units in the last place from the activation of this number, also where it is denormal |
//! | an infinity | the limit; a limit of 0 has the sign of the results before it |
//! | a NaN | a NaN |
//!
//! There is one exception: where beta is no number of the tensor's type, alpha·y + beta of the hard functions has an error of
//! up to 2^−46·|beta| besides, in float32.
//!
//! All instructions with fused multiply-add give equal bits, since they take the same steps and each step rounds as IEEE 754
//! says. Over all float32 the greatest error measured is 1.6 units for the hard functions with alpha 1/6, 2.6 for SIGMOID and SILU,
//! 2.7 for TANH and GELU_TANH, and 3.6 for GELU; over millions of float64 none is above 3.5.

mod apply;
mod definition;
mod functions;
mod tables;
#[cfg(test)]
mod tests;
mod wide;

pub use apply::apply_to_slice;
pub use definition::{Activation, Function, Parameters, PreparedActivation, exact};
