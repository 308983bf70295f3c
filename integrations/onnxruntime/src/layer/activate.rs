//! The activation of sums that no convolution's end can reach: those with a residual whose shape is another one, which is rare.

use std::sync::Arc;

use convlow::{Activation, Axis, Buffer, Layout, Math, Problem, WeightsFrom};

use super::execute::{Constants, Tensors, execute};
use super::plans::{Asked, new_plan};
use crate::host::{Failure, Result};
use crate::number::Number;
use crate::session::{Session, Threads};

/// Sums of these sizes, batch and channels first.
pub struct Sums<'a, T> {
    pub sizes: &'a [usize],
    pub layout: Layout,
    /// PRelu's, if that is the activation.
    pub slopes: Option<&'a [T]>,
}

impl<T: Number> Sums<'_, T> {
    /// Applies an activation to the sums: as the end of a convolution that multiplies each of them by 1.
    ///
    /// # Errors
    /// The library's, or that there is no memory for a copy of the sums.
    pub fn activate(
        &self,
        activation: Activation,
        sums: &mut [T],
        session: &Session,
        threads: &Threads<'_>,
    ) -> Result<()> {
        let &[batch, channels, ref pixels @ ..] = self.sizes else {
            return Err(Failure(format!("sums of {} dimensions have no channels", self.sizes.len())));
        };
        if activation == Activation::None {
            return Ok(());
        }
        let problem = Problem::new(Problem {
            data_type: T::TYPE,
            batch,
            groups: channels,
            in_channels: channels,
            out_channels: channels,
            cols: Axis { input: pixels.iter().product(), ..Axis::ONE },
            src_layout: self.layout,
            dst_layout: self.layout,
            activation,
            ..Problem::UNIT
        })?;
        let plan = new_plan(&problem, session, Asked::first(Math::Exact, WeightsFrom::Packed))?;
        let mut packed = Buffer::new(plan.info().packed_weights_bytes)?;
        plan.pack_weights(&vec![T::from_f64(1.0); channels], packed.bytes_mut())?;
        let packed = Arc::new(packed);
        let constants = Constants { packed, bias: None, slopes: self.slopes.map(<[T]>::to_vec) };
        session.with_workspace(size_of_val(sums), |copy| {
            let copy = &mut copy.elements_mut()[..sums.len()];
            copy.copy_from_slice(sums);
            let tensors = Tensors { src: copy, weights: None, bias: None, residual: None, dst: sums };
            execute(session, &plan, &constants, tensors, threads)
        })?
    }
}
