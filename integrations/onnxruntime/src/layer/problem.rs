//! The problem of a chain before its input is there.

use convlow::{DataType, Layout, Problem, Strides, WeightsFrom};

use crate::fuse::Chain;
use crate::geometry::{Form, Geometry};
use crate::host::{Failure, Listed, Result, Size};

/// The size that stands for one that is not known before the first run, unless the kernel reaches over more.
const USUAL: usize = 56;

/// The problem of a chain: of the sizes that are known before the first run, and usual ones in place of the others.
///
/// # Errors
/// The reason why convlow does not compute it.
pub fn usual_problem(chain: &Chain<'_>, layouts: [Layout; 2]) -> Result<Problem> {
    let geometry = geometry(chain)?;
    let channels = match chain.transposed {
        false => chain.weights.sizes[1] * chain.groups,
        true => chain.weights.sizes[0],
    };
    let mut sizes = vec![1, channels];
    sizes.extend((0..geometry.dimensions()).map(|axis| USUAL.max(geometry.reach(axis).saturating_mul(2))));
    if let Some(shape) = chain.src.shape()? {
        if shape.element != chain.weights.element {
            return Err(Failure("input and weights have elements of two types".to_string()));
        }
        // Where nothing is known of the shape, the weights say how many dimensions there are.
        if !shape.sizes.is_empty() && shape.sizes.len() != sizes.len() {
            return Err(Failure(format!("its input has {} dimensions", shape.sizes.len())));
        }
        for (size, known) in sizes.iter_mut().zip(&shape.sizes) {
            match known {
                Size::Known(0) | Size::Named(_) | Size::Unknown => {}
                Size::Known(known) => *size = *known,
            }
        }
    }
    let data_type = match chain.weights.element {
        f32::ELEMENT => DataType::F32,
        _ => DataType::F64,
    };
    let form = Form {
        data_type,
        layouts,
        dst_strides: Strides::PACKED,
        activation: chain.ending.activation,
        accumulate: chain.residual.is_some(),
    };
    geometry.problem(&sizes, form)
}

/// Whether the weights of a chain are packed ahead.
pub fn weights_from(chain: &Chain<'_>) -> WeightsFrom {
    if chain.weights.computed().is_some() { WeightsFrom::Plain } else { WeightsFrom::Packed }
}

/// The convolution of a chain, of any input.
pub fn geometry(chain: &Chain<'_>) -> Result<Geometry> {
    Geometry::new(chain.nodes[0], chain.transposed, chain.groups, &chain.weights.sizes)
}
