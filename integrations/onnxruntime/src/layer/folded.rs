//! The weights of a chain, with the factors of its channels multiplied in.

use crate::fuse::Chain;
use crate::host::{Failure, Result, Tensor};
use crate::number::Number;

/// The bias of a chain, with the shifts of its channels added.
pub fn folded_bias<T: Number>(chain: &Chain<'_>) -> Option<Vec<T>> {
    let line = chain.line.as_ref()?;
    Some(line.shifts.iter().map(|&shift| T::from_f64(shift)).collect())
}

/// The constant weights of a chain, with the factors of its channels multiplied in.
///
/// # Errors
/// If there is no memory for them.
pub fn folded_weights<T: Number>(chain: &Chain<'_>, given: &Tensor<'_>) -> Result<Vec<T>> {
    let given = given.elements::<T>()?;
    let mut weights = Vec::new();
    weights
        .try_reserve_exact(given.len())
        .map_err(|_| Failure(format!("{} weights could not be copied: there is no memory", given.len())))?;
    weights.extend_from_slice(given);
    let Some(line) = &chain.line else { return Ok(weights) };
    if line.factors.iter().any(|&factor| factor != 1.0) {
        for (at, run) in weights.chunks_exact_mut(chain.run()).enumerate() {
            let factor = line.factors[chain.channel_of(at)];
            run.iter_mut().for_each(|weight| *weight = T::from_f64(Into::<f64>::into(*weight) * factor));
        }
    }
    Ok(weights)
}
