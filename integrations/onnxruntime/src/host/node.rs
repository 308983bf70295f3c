//! A node of a graph: its operator, values and attributes.

use std::ffi::{CStr, c_void};

use ort_sys::{OrtNode, OrtOpAttr, OrtOpAttrType, OrtStatusPtr};

use super::failure::{Failure, Result};
use super::handle::Handle;
use super::value::Value;

/// A node of a graph.
#[derive(Clone, Copy)]
pub struct Node<'a>(Handle<'a, OrtNode>);

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.as_ptr(), other.as_ptr())
    }
}

impl<'a> Node<'a> {
    pub fn new(node: Handle<'a, OrtNode>) -> Self {
        Self(node)
    }

    pub fn as_ptr(self) -> *const OrtNode {
        self.0.as_ptr()
    }

    /// Its number in the graph.
    pub fn id(self) -> Result<usize> {
        self.0.get(self.0.host().id_of_node())
    }

    pub fn name(self) -> Result<String> {
        self.0.text(self.0.host().name_of_node())
    }

    /// Whether a provider has it already.
    pub fn is_assigned(self) -> Result<bool> {
        Ok(!self.0.text(self.0.host().provider_of_node())?.is_empty())
    }

    /// The operator, with its domain unless that is ONNX's own.
    pub fn operator(self) -> Result<String> {
        let name = self.0.text(self.0.host().operator_of_node())?;
        let domain = self.0.text(self.0.host().domain_of_node())?;
        Ok(if domain.is_empty() || domain == "ai.onnx" { name } else { format!("{domain}.{name}") })
    }

    /// The inputs; none for an optional one that is left out.
    pub fn inputs(self) -> Result<Vec<Option<Value<'a>>>> {
        let host = self.0.host();
        Value::all(self.0.objects(host.count_of_inputs(), host.inputs_of_node())?)
    }

    /// The values that graphs inside it read.
    pub fn implicit_inputs(self) -> Result<Vec<Option<Value<'a>>>> {
        let host = self.0.host();
        Value::all(self.0.objects(host.count_of_implicit_inputs(), host.implicit_inputs_of_node())?)
    }

    /// The outputs; none for an optional one that is left out.
    pub fn outputs(self) -> Result<Vec<Option<Value<'a>>>> {
        let host = self.0.host();
        Value::all(self.0.objects(host.count_of_outputs(), host.outputs_of_node())?)
    }

    /// The one output, if there is one alone.
    pub fn only_output(self) -> Result<Option<Value<'a>>> {
        let outputs: Vec<_> = self.outputs()?.into_iter().flatten().collect();
        Ok(match *outputs.as_slice() {
            [output] => Some(output),
            _ => None,
        })
    }

    pub fn ints(self, name: &CStr) -> Result<Option<Vec<i64>>> {
        let bytes = self.bytes(name, OrtOpAttrType::ORT_OP_ATTR_INTS)?;
        let int = |bytes: &[u8; 8]| i64::from_ne_bytes(*bytes);
        Ok(bytes.map(|bytes| bytes.as_chunks().0.iter().map(int).collect()))
    }

    pub fn int(self, name: &CStr) -> Result<Option<i64>> {
        let Some(attribute) = self.attribute(name, OrtOpAttrType::ORT_OP_ATTR_INT)? else { return Ok(None) };
        attribute.bytes_of_number().map(|bytes| Some(i64::from_ne_bytes(bytes)))
    }

    pub fn float(self, name: &CStr) -> Result<Option<f32>> {
        let Some(attribute) = self.attribute(name, OrtOpAttrType::ORT_OP_ATTR_FLOAT)? else {
            return Ok(None);
        };
        attribute.bytes_of_number().map(|bytes| Some(f32::from_ne_bytes(bytes)))
    }

    pub fn string(self, name: &CStr) -> Result<Option<String>> {
        let bytes = self.bytes(name, OrtOpAttrType::ORT_OP_ATTR_STRING)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_string()))
    }

    /// An attribute's bytes.
    fn bytes(self, name: &CStr, kind: OrtOpAttrType) -> Result<Option<Vec<u8>>> {
        let Some(attribute) = self.attribute(name, kind)? else { return Ok(None) };
        attribute.bytes().map(Some)
    }

    /// An attribute, if the node has it.
    fn attribute(self, name: &CStr, kind: OrtOpAttrType) -> Result<Option<Attribute<'a>>> {
        let host = self.0.host();
        let mut attribute = std::ptr::null();
        // SAFETY: `Handle` holds a live node, the name ends with a zero, and one pointer is written.
        let status =
            unsafe { (host.api.Node_GetAttributeByName)(self.0.as_ptr(), name.as_ptr(), &mut attribute) };
        // That there is none may be said by a status or by a null.
        if host.check(status).is_err() {
            return Ok(None);
        }
        // SAFETY: a node's attributes live as long as the node.
        let Some(attribute) = (unsafe { Handle::new(host, attribute) }) else { return Ok(None) };
        if attribute.number(host.type_of_attribute())? == kind as i32 {
            Ok(Some(Attribute { attribute, kind }))
        } else {
            Err(Failure(format!("{} has another type than its operator says", name.to_string_lossy())))
        }
    }
}

/// An attribute of a known type.
struct Attribute<'a> {
    attribute: Handle<'a, OrtOpAttr>,
    kind: OrtOpAttrType,
}

impl Attribute<'_> {
    /// Reads into `to`, as far as there is room for all; how many bytes there are.
    fn read(&self, to: &mut [u8]) -> (usize, OrtStatusPtr) {
        let to_first = if to.is_empty() { std::ptr::null_mut() } else { to.as_mut_ptr().cast::<c_void>() };
        let (api, mut size) = (self.attribute.host().api, 0);
        // SAFETY: `Handle` holds a live attribute, and the host writes no more than the length that it is told.
        let status =
            unsafe { (api.ReadOpAttr)(self.attribute.as_ptr(), self.kind, to_first, to.len(), &mut size) };
        (size, status)
    }

    /// All bytes of a list or a text.
    fn bytes(&self) -> Result<Vec<u8>> {
        let host = self.attribute.host();
        // It says how many bytes there are, with a status that says that there is no room for them.
        let (size, status) = self.read(&mut []);
        let _ = host.check(status);
        let mut bytes = vec![0; size];
        if size > 0 {
            host.check(self.read(&mut bytes).1)?;
        }
        Ok(bytes)
    }

    /// The bytes of one number.
    fn bytes_of_number<const SIZE: usize>(&self) -> Result<[u8; SIZE]> {
        let mut bytes = [0; SIZE];
        self.attribute.host().check(self.read(&mut bytes).1)?;
        Ok(bytes)
    }
}
