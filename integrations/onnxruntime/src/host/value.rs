//! A value that nodes read or write, and its shape as far as a graph says it.

use ort_sys::OrtValueInfo;

use super::failure::Result;
use super::handle::Handle;
use super::tensor::{Tensor, element_of, sizes_of};

/// A value that nodes read or write.
#[derive(Clone, Copy)]
pub struct Value<'a>(Handle<'a, OrtValueInfo>);

/// The shape of a tensor, as far as a graph says it.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The number of ONNX's element type.
    pub element: i32,
    /// None where the graph does not say how many dimensions there are; the host does not tell that from a scalar.
    pub sizes: Vec<Size>,
}

impl Shape {
    /// Whether both are known to be of one type and shape.
    pub fn are_same(&self, other: &Self) -> bool {
        self == other && !self.sizes.is_empty() && !self.sizes.contains(&Size::Unknown)
    }

    /// Whether every size is known, and how large each is.
    pub fn known(&self) -> Option<Vec<usize>> {
        let known = |size: &Size| match size {
            Size::Known(size) => Some(*size),
            _ => None,
        };
        self.sizes.iter().map(known).collect()
    }

    /// Whether they may be, as far as is known, and are known to be of one type and as many dimensions.
    pub fn may_be(&self, other: &Self) -> bool {
        let may_be = |(a, b): (&Size, &Size)| match (a, b) {
            (Size::Known(a), Size::Known(b)) => a == b,
            _ => true,
        };
        self.element == other.element
            && !self.sizes.is_empty()
            && self.sizes.len() == other.sizes.len()
            && self.sizes.iter().zip(&other.sizes).all(may_be)
    }
}

/// A size of a tensor.
#[derive(Debug, Clone, PartialEq)]
pub enum Size {
    Known(usize),
    /// Known by a name: as large as every other one of this name.
    Named(String),
    Unknown,
}

impl<'a> Value<'a> {
    /// The values of a list; none for an optional one that is left out, which has no name.
    pub(super) fn all(values: Vec<Option<Handle<'a, OrtValueInfo>>>) -> Result<Vec<Option<Self>>> {
        let named = |value: Handle<'a, OrtValueInfo>| {
            let value = Self(value);
            Ok(if value.name()?.is_empty() { None } else { Some(value) })
        };
        values.into_iter().map(|value| value.map_or(Ok(None), named)).collect()
    }

    pub fn name(self) -> Result<String> {
        self.0.text(self.0.host().name_of_value())
    }

    pub fn is_graph_output(self) -> Result<bool> {
        self.0.get(self.0.host().is_graph_output())
    }

    /// Its tensor, if it is the same in every run.
    pub fn constant(self) -> Result<Option<Tensor<'a>>> {
        let host = self.0.host();
        if !self.0.get(host.is_constant())? {
            return Ok(None);
        }
        self.0.object(host.constant_of_value())?.map(Tensor::new).transpose()
    }

    /// Its shape; none if the graph says nothing of it, or it is no tensor.
    pub fn shape(self) -> Result<Option<Shape>> {
        let host = self.0.host();
        let Some(kind) = self.0.object(host.type_of_value())? else { return Ok(None) };
        let Some(tensor) = kind.object(host.tensor_of_type())? else { return Ok(None) };
        let names = tensor.texts(host.dimensions_of_shape(), host.names_of_shape())?;
        let size = |(size, name): (i64, String)| match usize::try_from(size) {
            Ok(size) => Size::Known(size),
            Err(_) if name.is_empty() => Size::Unknown,
            Err(_) => Size::Named(name),
        };
        let sizes = sizes_of(tensor)?.into_iter().zip(names).map(size).collect();
        Ok(Some(Shape { element: element_of(tensor)?, sizes }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_the_same_if_every_size_is_known_to_be() {
        let shape = |sizes: &[Size]| Shape { element: 1, sizes: sizes.to_vec() };
        let named = |name: &str| shape(&[Size::Named(name.to_string()), Size::Known(3)]);
        let unknown = shape(&[Size::Unknown, Size::Known(3)]);
        assert!(named("n").are_same(&named("n")));
        assert!(!named("n").are_same(&named("m")) && !unknown.are_same(&unknown));
        assert!(named("n").may_be(&unknown) && unknown.may_be(&named("m")));
        assert!(!unknown.may_be(&shape(&[Size::Unknown, Size::Known(1)])));
        assert!(!unknown.may_be(&shape(&[Size::Unknown])));
        // A shape of which nothing is known.
        assert!(!shape(&[]).are_same(&shape(&[])) && !shape(&[]).may_be(&shape(&[])));
    }
}
