//! Activations: the function of each output at the end of a convolution.
//!
//! [`Activation`] names the function. [`PreparedActivation`] holds its constants in the type of the tensor: kernels
//! apply it to the sums of their tiles, and [`apply_to_slice`] to numbers in memory. [`exact`] is the definition, one
//! number at a time.
//!
//! | input | result |
//! |---|---|
//! | a number | at most 4 units in the last place from the activation of this number, also if the result is denormal |
//! | an infinity | the limit; a limit of 0 has the sign of the results before it |
//! | a NaN | a NaN |
//!
//! There is one exception, in float32: if beta is not a number of the tensor's type, alpha·y + beta of the hard
//! functions has an additional error of up to 2^−46·|beta|.
//!
//! All instructions with fused multiply-add give equal bits, because they take the same steps, and each step rounds
//! as IEEE 754 says. Over all float32, the largest measured error is 1.6 units for the hard functions with alpha 1/6,
//! 2.6 for SIGMOID and SILU, 2.7 for TANH and GELU_TANH, and 3.6 for GELU. Over millions of float64, no error is
//! above 3.5.

mod apply;
mod definition;
mod functions;
mod tables;
#[cfg(test)]
mod tests;
mod wide;

pub use apply::apply_to_slice;
pub use definition::{Activation, Function, Parameters, PreparedActivation, exact};
