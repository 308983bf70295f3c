//! Constants that nodes read: numbers, one for all or one a channel, and bounds.

use crate::host::{Listed, Node, Result, Tensor, Value};

/// The elements of a float32 or float64 tensor.
///
/// # Errors
/// If it is of another type.
pub fn numbers(tensor: &Tensor<'_>) -> Result<Vec<f64>> {
    Ok(match tensor.element {
        f32::ELEMENT => tensor.elements::<f32>()?.iter().map(|&value| value.into()).collect(),
        _ => tensor.elements::<f64>()?.to_vec(),
    })
}

/// Values that constants are combined with.
#[derive(Debug, Clone, Copy)]
pub struct Channeled {
    /// The number of ONNX's element type.
    pub element: i32,
    pub channels: usize,
    /// Axes of pixels.
    pub spatial: usize,
}

impl Channeled {
    /// Whether a tensor has one value for each channel.
    pub fn is_by_channel(self, tensor: &Tensor<'_>) -> bool {
        tensor.element == self.element && is_by_channel(&tensor.sizes, self.channels, self.spatial)
    }

    /// A constant of one element, which gives the values no further dimension.
    ///
    /// # Errors
    /// The host's.
    pub fn scalar(self, value: Value<'_>) -> Result<Option<f64>> {
        let Some(tensor) = value.constant()? else { return Ok(None) };
        if tensor.len() != 1 || tensor.element != self.element || tensor.sizes.len() > 3 {
            return Ok(None);
        }
        Ok(numbers(&tensor)?.first().copied())
    }
}

/// Whether a tensor of these sizes, combined with one of so many channels, has one value for each.
fn is_by_channel(sizes: &[usize], channels: usize, spatial: usize) -> bool {
    let from_channels = sizes.len().checked_sub(spatial + 1);
    from_channels.is_some_and(|before| {
        before <= 1
            && sizes[..before].iter().all(|&size| size == 1)
            && sizes[before] == channels
            && sizes[before + 1..].iter().all(|&size| size == 1)
    })
}

/// The bounds of a Relu, or the constant ones of a Clip, as inputs or, in old models, as attributes; none if they are not
/// constant, or not in order.
pub fn bounds(node: Node<'_>) -> Result<Option<[f64; 2]>> {
    if node.operator()? == "Relu" {
        return Ok(Some([0.0, f64::INFINITY]));
    }
    let inputs = node.inputs()?;
    let [min, max] = [1, 2].map(|index| inputs.get(index).copied().flatten());
    let bound = |value: Option<Value<'_>>, attribute, otherwise: f64| -> Result<Option<f64>> {
        let Some(value) = value else {
            return Ok(Some(node.float(attribute)?.map_or(otherwise, f64::from)));
        };
        let Some(tensor) = value.constant()? else { return Ok(None) };
        if tensor.len() != 1 {
            return Ok(None);
        }
        Ok(match tensor.element {
            f32::ELEMENT => Some(f64::from(tensor.elements::<f32>()?[0])),
            f64::ELEMENT => Some(tensor.elements::<f64>()?[0]),
            _ => None,
        })
    };
    let (min, max) = (bound(min, c"min", f64::NEG_INFINITY)?, bound(max, c"max", f64::INFINITY)?);
    Ok(min.zip(max).filter(|(min, max)| min <= max).map(|(min, max)| [min, max]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_value_a_channel_is_told_from_others() {
        assert!(is_by_channel(&[8, 1, 1], 8, 2) && is_by_channel(&[1, 8, 1, 1], 8, 2));
        assert!(!is_by_channel(&[8], 8, 2) && !is_by_channel(&[2, 8, 1, 1], 8, 2));
        assert!(!is_by_channel(&[8, 1, 3], 8, 2) && !is_by_channel(&[1, 1, 8, 1, 1], 8, 2));
        assert!(is_by_channel(&[8, 1], 8, 1));
    }
}
