//! The host's functions, with results in place of statuses, and views of its graphs, nodes and tensors that live no longer
//! than the call that showed them.
//!
//! # Safety
//! Nearly every unsafe block here calls a function of the host's table. The table is the host's own, as [`Host::new`] got it;
//! the pointers that are passed on are the host's, too, and live as long as the views that hold them, as those promise who make
//! views; what is written behind a pointer is a local variable.
#![expect(clippy::undocumented_unsafe_blocks, reason = "the module says it once")]

use std::collections::{BTreeSet, HashMap};
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fmt;
use std::ops::{AddAssign, DivAssign, MulAssign, SubAssign};
use std::panic::{AssertUnwindSafe, catch_unwind};

use ort_sys::{
    OrtApi, OrtApiBase, OrtErrorCode, OrtGraph, OrtKernelContext, OrtLogger, OrtLoggingLevel, OrtNode,
    OrtOpAttr, OrtOpAttrType, OrtSessionOptions, OrtStatusPtr, OrtTensorTypeAndShapeInfo, OrtTypeInfo,
    OrtValue, OrtValueInfo,
};

use crate::reserve;
use crate::sys::{API_VERSION, EpApi};

/// What went wrong, in a sentence.
#[derive(Debug)]
pub struct Failure(pub String);

pub type Result<T> = std::result::Result<T, Failure>;

impl<E: fmt::Display> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// The host's functions.
#[derive(Clone, Copy)]
pub struct Host {
    api: &'static OrtApi,
    pub ep: &'static EpApi,
}

/// No error.
pub const OK: OrtStatusPtr = OrtStatusPtr(std::ptr::null_mut());

/// The version of the API with which execution provider libraries came.
const FIRST_VERSION_OF_LIBRARIES: u32 = 22;

impl Host {
    /// The functions behind a base.
    ///
    /// # Errors
    /// A status of the host that says that it is too old; none if it is too old to say so.
    ///
    /// # Safety
    /// The base is the host's.
    pub unsafe fn new(base: *const OrtApiBase) -> std::result::Result<Self, OrtStatusPtr> {
        // SAFETY: the caller's promise; a version that the host does not know is null.
        unsafe {
            if let Some(api) = ((*base).GetApi)(API_VERSION).as_ref() {
                let ep = (api.GetEpApi)().cast::<EpApi>();
                return Ok(Self { api, ep: &*ep });
            }
            let version = CStr::from_ptr(((*base).GetVersionString)()).to_string_lossy().into_owned();
            let text = format!("convlow needs ONNX Runtime 1.{API_VERSION} or newer, but this is {version}");
            let old = ((*base).GetApi)(FIRST_VERSION_OF_LIBRARIES);
            if old.is_null() {
                return Err(OK);
            }
            // The struct of an older version is shorter, but begins alike.
            let create = std::ptr::addr_of!((*old).CreateStatus).read();
            Err(create(OrtErrorCode::ORT_NOT_IMPLEMENTED, c_string(&text).as_ptr()))
        }
    }

    /// A status that says what went wrong.
    pub fn status(self, failure: &Failure) -> OrtStatusPtr {
        // SAFETY: the text ends with a zero, and the host copies it.
        unsafe { (self.api.CreateStatus)(OrtErrorCode::ORT_EP_FAIL, c_string(&failure.0).as_ptr()) }
    }

    /// Runs what the host has called. Nothing unwinds into it.
    pub fn guard(self, f: impl FnOnce() -> Result<()>) -> OrtStatusPtr {
        if !reserve::is_intact() {
            // SAFETY: the text ends with a zero, and the host copies it.
            return unsafe {
                (self.api.CreateStatus)(OrtErrorCode::ORT_EP_FAIL, c"convlow has no memory left".as_ptr())
            };
        }
        match catch_unwind(AssertUnwindSafe(f)) {
            Ok(Ok(())) => OK,
            Ok(Err(failure)) => self.status(&failure),
            Err(_) => self.status(&Failure("convlow has a defect: a panic".to_string())),
        }
    }

    /// `Err` with the status's text unless it is none.
    pub fn check(self, status: OrtStatusPtr) -> Result<()> {
        if status.0.is_null() {
            return Ok(());
        }
        // SAFETY: the status is the host's, and is released once.
        unsafe {
            let text = CStr::from_ptr((self.api.GetErrorMessage)(status.0)).to_string_lossy().into_owned();
            (self.api.ReleaseStatus)(status.0);
            Err(Failure(text))
        }
    }

    /// What a function writes behind its last argument.
    fn get<T>(self, mut value: T, f: impl FnOnce(&mut T) -> OrtStatusPtr) -> Result<T> {
        self.check(f(&mut value))?;
        Ok(value)
    }

    /// A text that a function finds.
    fn text(self, f: impl FnOnce(*mut *const c_char) -> OrtStatusPtr) -> Result<String> {
        let text = self.get(std::ptr::null(), |text| f(text))?;
        // SAFETY: the host's texts end with a zero and live as long as what they belong to.
        Ok(unsafe { text_of(text) })
    }

    /// Objects that a function lists.
    fn list<T>(
        self,
        count: impl FnOnce(*mut usize) -> OrtStatusPtr,
        list: impl FnOnce(*mut *const T, usize) -> OrtStatusPtr,
    ) -> Result<Vec<*const T>> {
        let count = self.get(0, |to| count(to))?;
        let mut objects = vec![std::ptr::null(); count];
        if count > 0 {
            self.check(list(objects.as_mut_ptr(), count))?;
        }
        Ok(objects)
    }

    /// All entries of a session's configuration.
    ///
    /// # Safety
    /// The options are the host's.
    pub unsafe fn config_entries(self, options: *const OrtSessionOptions) -> Result<Vec<(String, String)>> {
        // SAFETY: the caller's promise; keys and values live until they are released.
        unsafe {
            let pairs = self.get(std::ptr::null_mut(), |pairs| {
                (self.api.GetSessionOptionsConfigEntries)(options, pairs)
            })?;
            let (mut keys, mut values, mut count) = (std::ptr::null(), std::ptr::null(), 0);
            (self.api.GetKeyValuePairs)(pairs, &mut keys, &mut values, &mut count);
            let entries = (0..count).map(|at| (text_of(*keys.add(at)), text_of(*values.add(at)))).collect();
            (self.api.ReleaseKeyValuePairs)(pairs);
            Ok(entries)
        }
    }

    /// Writes a line to a log.
    ///
    /// # Safety
    /// The logger is the host's.
    pub unsafe fn log(self, logger: *const OrtLogger, level: OrtLoggingLevel, text: &str) {
        let (file, function) = (c"convlow".as_ptr(), c"convlow".as_ptr());
        // SAFETY: the caller's promise; the texts end with zeros. That a line is lost fails nothing.
        let status = unsafe {
            (self.api.Logger_LogMessage)(logger, level, c_string(text).as_ptr(), file.cast(), 0, function)
        };
        let _ = self.check(status);
    }

    /// The type of a device: 0 is a CPU.
    ///
    /// # Safety
    /// The device is the host's.
    pub unsafe fn is_cpu(self, device: *const ort_sys::OrtHardwareDevice) -> bool {
        // SAFETY: the caller's promise.
        let kind = unsafe { (self.api.HardwareDevice_Type)(device) };
        kind == ort_sys::OrtHardwareDeviceType::OrtHardwareDeviceType_CPU
    }

    /// The nodes of a graph.
    ///
    /// # Safety
    /// The graph is the host's and lives as long as the view.
    pub unsafe fn graph<'a>(self, graph: *const OrtGraph) -> Result<Graph<'a>> {
        // SAFETY: the caller's promise.
        let nodes = self.list(
            |count| unsafe { (self.api.Graph_GetNumNodes)(graph, count) },
            |nodes, count| unsafe { (self.api.Graph_GetNodes)(graph, nodes, count) },
        )?;
        // SAFETY: the caller's promise.
        let nodes: Vec<Node<'a>> = nodes.into_iter().map(|node| unsafe { self.node(node) }).collect();
        let mut graph = Graph { nodes, readers: HashMap::new(), taken: BTreeSet::new() };
        for &node in &graph.nodes {
            for value in node.inputs()?.into_iter().flatten() {
                graph.readers.entry(value.name()?).or_default().push(Some(node));
            }
            for value in node.implicit_inputs()?.into_iter().flatten() {
                graph.readers.entry(value.name()?).or_default().push(None);
            }
            if node.is_assigned()? {
                graph.taken.insert(node.id()?);
            }
        }
        Ok(graph)
    }

    /// A node.
    ///
    /// # Safety
    /// It is the host's and lives as long as the view.
    pub unsafe fn node<'a>(self, node: *const OrtNode) -> Node<'a> {
        Node { host: self, node, graph: std::marker::PhantomData }
    }

    /// The inputs and outputs of a fused node while it is computed.
    ///
    /// # Safety
    /// The context is the host's and lives as long as the view.
    pub unsafe fn call<'a>(self, context: *mut OrtKernelContext) -> Call<'a> {
        Call { host: self, context, call: std::marker::PhantomData }
    }
}

/// The nodes of a graph. Who reads a value is found out here: some versions of the host fail at the question where a reader
/// lies outside of a fused node's graph.
pub struct Graph<'a> {
    /// Each behind those whose outputs it reads.
    pub nodes: Vec<Node<'a>>,
    /// The readers of each value, once for each time that they read it; none for a graph inside a node.
    readers: HashMap<String, Vec<Option<Node<'a>>>>,
    /// The numbers of nodes that somebody has.
    pub taken: BTreeSet<usize>,
}

impl<'a> Graph<'a> {
    /// The nodes that read a value, once for each time that they do, if they are known and nobody has one of them; none for
    /// an output of the graph.
    pub fn readers(&self, value: Value<'a>) -> Result<Vec<Node<'a>>> {
        let readers = self.readers.get(&value.name()?).into_iter().flatten().copied();
        let readers = readers.collect::<Option<Vec<_>>>().unwrap_or_default();
        if value.is_graph_output()? {
            return Ok(Vec::new());
        }
        for reader in &readers {
            if self.taken.contains(&reader.id()?) {
                return Ok(Vec::new());
            }
        }
        Ok(readers)
    }

    /// Whether anybody wants a value. Of what nobody reads the host gives a fused node no memory.
    pub fn is_read(&self, value: Value<'a>) -> Result<bool> {
        Ok(self.readers.contains_key(&value.name()?) || value.is_graph_output()?)
    }

    /// The node that alone reads a value, and that nobody has.
    pub fn only_reader(&self, value: Value<'a>) -> Result<Option<Node<'a>>> {
        Ok(match *self.readers(value)?.as_slice() {
            [reader] => Some(reader),
            _ => None,
        })
    }
}

/// A node of a graph.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    host: Host,
    node: *const OrtNode,
    graph: std::marker::PhantomData<&'a OrtGraph>,
}

impl PartialEq for Node<'_> {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self.node, other.node)
    }
}

// SAFETY of what follows: the functions that make views promise that what they show lives as long as the views.
impl<'a> Node<'a> {
    pub fn as_ptr(self) -> *const OrtNode {
        self.node
    }

    /// Its number in the graph.
    pub fn id(self) -> Result<usize> {
        self.host.get(0, |id| unsafe { (self.host.api.Node_GetId)(self.node, id) })
    }

    pub fn name(self) -> Result<String> {
        self.host.text(|text| unsafe { (self.host.api.Node_GetName)(self.node, text) })
    }

    /// Whether a provider has it already.
    pub fn is_assigned(self) -> Result<bool> {
        let provider = self.host.text(|text| unsafe { (self.host.api.Node_GetEpName)(self.node, text) })?;
        Ok(!provider.is_empty())
    }

    /// The operator, with its domain unless that is ONNX's own.
    pub fn operator(self) -> Result<String> {
        let name = self.host.text(|text| unsafe { (self.host.api.Node_GetOperatorType)(self.node, text) })?;
        let domain = self.host.text(|text| unsafe { (self.host.api.Node_GetDomain)(self.node, text) })?;
        Ok(if domain.is_empty() || domain == "ai.onnx" { name } else { format!("{domain}.{name}") })
    }

    /// The inputs; none for an optional one that is left out.
    pub fn inputs(self) -> Result<Vec<Option<Value<'a>>>> {
        let api = self.host.api;
        let values = self.host.list(
            |count| unsafe { (api.Node_GetNumInputs)(self.node, count) },
            |values, count| unsafe { (api.Node_GetInputs)(self.node, values, count) },
        )?;
        values.into_iter().map(|value| Value::named(self.host, value)).collect()
    }

    /// What graphs inside it read.
    pub fn implicit_inputs(self) -> Result<Vec<Option<Value<'a>>>> {
        let api = self.host.api;
        let values = self.host.list(
            |count| unsafe { (api.Node_GetNumImplicitInputs)(self.node, count) },
            |values, count| unsafe { (api.Node_GetImplicitInputs)(self.node, values, count) },
        )?;
        values.into_iter().map(|value| Value::named(self.host, value)).collect()
    }

    pub fn outputs(self) -> Result<Vec<Option<Value<'a>>>> {
        let api = self.host.api;
        let values = self.host.list(
            |count| unsafe { (api.Node_GetNumOutputs)(self.node, count) },
            |values, count| unsafe { (api.Node_GetOutputs)(self.node, values, count) },
        )?;
        values.into_iter().map(|value| Value::named(self.host, value)).collect()
    }

    /// An attribute, if the node has it.
    fn attribute(self, name: &CStr, kind: OrtOpAttrType) -> Result<Option<*const OrtOpAttr>> {
        let mut attribute = std::ptr::null();
        // That there is none may be said by a status or by a null.
        let status =
            unsafe { (self.host.api.Node_GetAttributeByName)(self.node, name.as_ptr(), &mut attribute) };
        if self.host.check(status).is_err() || attribute.is_null() {
            return Ok(None);
        }
        let mut found = 0;
        let kind_of: unsafe extern "system" fn(*const OrtOpAttr, *mut c_int) -> OrtStatusPtr =
            // SAFETY: the enum is an int of 32 bits, which here may have values that are not known.
            unsafe { std::mem::transmute(self.host.api.OpAttr_GetType as *const c_void) };
        self.host.check(unsafe { kind_of(attribute, &mut found) })?;
        if found == kind as c_int {
            Ok(Some(attribute))
        } else {
            Err(Failure(format!("{} has another type than its operator says", name.to_string_lossy())))
        }
    }

    /// An attribute's bytes.
    fn bytes(self, name: &CStr, kind: OrtOpAttrType) -> Result<Option<Vec<u8>>> {
        let Some(attribute) = self.attribute(name, kind)? else { return Ok(None) };
        let mut size = 0;
        // It says how many bytes there are, with a status that says that there is no room for them.
        let status =
            unsafe { (self.host.api.ReadOpAttr)(attribute, kind, std::ptr::null_mut(), 0, &mut size) };
        let _ = self.host.check(status);
        let mut bytes = vec![0u8; size];
        if size > 0 {
            let status = unsafe {
                (self.host.api.ReadOpAttr)(attribute, kind, bytes.as_mut_ptr().cast(), size, &mut size)
            };
            self.host.check(status)?;
        }
        Ok(Some(bytes))
    }

    pub fn ints(self, name: &CStr) -> Result<Option<Vec<i64>>> {
        let bytes = self.bytes(name, OrtOpAttrType::ORT_OP_ATTR_INTS)?;
        let int = |bytes: &[u8; 8]| i64::from_ne_bytes(*bytes);
        Ok(bytes.map(|bytes| bytes.as_chunks().0.iter().map(int).collect()))
    }

    pub fn int(self, name: &CStr) -> Result<Option<i64>> {
        let mut value = 0i64;
        self.number(name, OrtOpAttrType::ORT_OP_ATTR_INT, &mut value).map(|there| there.then_some(value))
    }

    pub fn float(self, name: &CStr) -> Result<Option<f32>> {
        let mut value = 0f32;
        self.number(name, OrtOpAttrType::ORT_OP_ATTR_FLOAT, &mut value).map(|there| there.then_some(value))
    }

    fn number<T>(self, name: &CStr, kind: OrtOpAttrType, value: &mut T) -> Result<bool> {
        let Some(attribute) = self.attribute(name, kind)? else { return Ok(false) };
        let (to, mut size) = ((value as *mut T).cast(), 0);
        let status = unsafe { (self.host.api.ReadOpAttr)(attribute, kind, to, size_of::<T>(), &mut size) };
        self.host.check(status).map(|()| true)
    }

    pub fn string(self, name: &CStr) -> Result<Option<String>> {
        let bytes = self.bytes(name, OrtOpAttrType::ORT_OP_ATTR_STRING)?;
        Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_string()))
    }
}

/// A value that nodes read or write.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    host: Host,
    value: *const OrtValueInfo,
    graph: std::marker::PhantomData<&'a OrtGraph>,
}

/// What is known of a tensor before it is there.
#[derive(Debug, Clone, PartialEq)]
pub struct Shape {
    /// The number of ONNX's element type.
    pub element: i32,
    pub sizes: Vec<Size>,
}

impl Shape {
    /// Whether both are known to be of one type and shape.
    pub fn are_same(&self, other: &Self) -> bool {
        self == other && !self.sizes.contains(&Size::Unknown)
    }

    /// Whether they may be, as far as is known, and are of one type and as many dimensions.
    pub fn may_be(&self, other: &Self) -> bool {
        let may_be = |(a, b): (&Size, &Size)| match (a, b) {
            (Size::Known(a), Size::Known(b)) => a == b,
            _ => true,
        };
        self.element == other.element
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
    /// None for an optional value that is left out, which has no name.
    fn named(host: Host, value: *const OrtValueInfo) -> Result<Option<Self>> {
        if value.is_null() {
            return Ok(None);
        }
        let value = Self { host, value, graph: std::marker::PhantomData };
        Ok(if value.name()?.is_empty() { None } else { Some(value) })
    }

    pub fn name(self) -> Result<String> {
        self.host.text(|text| unsafe { (self.host.api.GetValueInfoName)(self.value, text) })
    }

    pub fn is_graph_output(self) -> Result<bool> {
        self.host.get(false, |is| unsafe { (self.host.api.ValueInfo_IsGraphOutput)(self.value, is) })
    }

    /// Its tensor, if it is the same in every run.
    pub fn constant(self) -> Result<Option<Tensor<'a>>> {
        let api = self.host.api;
        let constant =
            self.host.get(false, |is| unsafe { (api.ValueInfo_IsConstantInitializer)(self.value, is) })?;
        if !constant {
            return Ok(None);
        }
        let value = self.host.get(std::ptr::null(), |value| unsafe {
            (api.ValueInfo_GetInitializerValue)(self.value, value)
        })?;
        if value.is_null() { Ok(None) } else { Tensor::of(self.host, value).map(Some) }
    }

    /// What is known of its shape; none if that is nothing, or it is no tensor.
    pub fn shape(self) -> Result<Option<Shape>> {
        let api = self.host.api;
        let kind: *const OrtTypeInfo = self
            .host
            .get(std::ptr::null(), |kind| unsafe { (api.GetValueInfoTypeInfo)(self.value, kind) })?;
        let tensor: *const OrtTensorTypeAndShapeInfo = self
            .host
            .get(std::ptr::null(), |tensor| unsafe { (api.CastTypeInfoToTensorInfo)(kind, tensor) })?;
        if tensor.is_null() {
            return Ok(None);
        }
        let sizes = sizes_of(self.host, tensor)?;
        let mut names = vec![std::ptr::null(); sizes.len()];
        if !names.is_empty() {
            self.host
                .check(unsafe { (api.GetSymbolicDimensions)(tensor, names.as_mut_ptr(), names.len()) })?;
        }
        let size = |(size, name): (i64, *const c_char)| match usize::try_from(size) {
            Ok(size) => Size::Known(size),
            // SAFETY: the host's text.
            Err(_) => match unsafe { text_of(name) } {
                name if name.is_empty() => Size::Unknown,
                name => Size::Named(name),
            },
        };
        let sizes = sizes.into_iter().zip(names).map(size).collect();
        Ok(Some(Shape { element: element_of(self.host, tensor)?, sizes }))
    }
}

fn sizes_of(host: Host, tensor: *const OrtTensorTypeAndShapeInfo) -> Result<Vec<i64>> {
    let count = host.get(0, |count| unsafe { (host.api.GetDimensionsCount)(tensor, count) })?;
    let mut sizes = vec![0i64; count];
    if count > 0 {
        host.check(unsafe { (host.api.GetDimensions)(tensor, sizes.as_mut_ptr(), count) })?;
    }
    Ok(sizes)
}

fn element_of(host: Host, tensor: *const OrtTensorTypeAndShapeInfo) -> Result<i32> {
    let element_of: unsafe extern "system" fn(*const OrtTensorTypeAndShapeInfo, *mut i32) -> OrtStatusPtr =
        // SAFETY: the enum is an int of 32 bits, which here may have values that are not known.
        unsafe { std::mem::transmute(host.api.GetTensorElementType as *const c_void) };
    host.get(0, |element| unsafe { element_of(tensor, element) })
}

/// A tensor that is there.
#[derive(Clone)]
pub struct Tensor<'a> {
    /// The number of ONNX's element type.
    pub element: i32,
    pub sizes: Vec<usize>,
    data: *const c_void,
    value: std::marker::PhantomData<&'a OrtValue>,
}

impl Tensor<'_> {
    fn of(host: Host, value: *const OrtValue) -> Result<Self> {
        let info =
            host.get(std::ptr::null_mut(), |info| unsafe { (host.api.GetTensorTypeAndShape)(value, info) })?;
        let found = (|| {
            let element = element_of(host, info)?;
            let sizes = sizes_of(host, info)?
                .into_iter()
                .map(usize::try_from)
                .collect::<std::result::Result<_, _>>()?;
            let data = host.get(std::ptr::null(), |data| unsafe { (host.api.GetTensorData)(value, data) })?;
            Ok(Self { element, sizes, data, value: std::marker::PhantomData })
        })();
        unsafe { (host.api.ReleaseTensorTypeAndShapeInfo)(info) };
        found
    }

    pub fn len(&self) -> usize {
        self.sizes.iter().product()
    }

    /// The elements, which must be of this type.
    ///
    /// # Errors
    /// If they are of another.
    pub fn elements<T: Listed>(&self) -> Result<&[T]> {
        if self.element != T::ELEMENT {
            return Err(Failure(format!(
                "a tensor has elements of type {}, not {}",
                self.element,
                T::ELEMENT
            )));
        }
        let data = if self.len() == 0 {
            std::ptr::NonNull::dangling().as_ptr()
        } else {
            self.data.cast_mut().cast()
        };
        // SAFETY: the host's tensor has as many elements of this type.
        Ok(unsafe { std::slice::from_raw_parts(data, self.len()) })
    }
}

/// An element of tensors.
pub trait Listed: Copy {
    /// The number of ONNX's element type.
    const ELEMENT: i32;
}

impl Listed for f32 {
    const ELEMENT: i32 = 1;
}

impl Listed for i64 {
    const ELEMENT: i32 = 7;
}

impl Listed for f64 {
    const ELEMENT: i32 = 11;
}

/// An element of the tensors that convolutions are computed of.
pub trait Number: convlow::Element + Listed + AddAssign + SubAssign + MulAssign + DivAssign {
    /// Itself, or times the slope if it is negative.
    fn steepened(self, slope: Self) -> Self;

    /// `min(max(self, min), max)`; a NaN stays a NaN.
    fn clamped(self, min: Self, max: Self) -> Self;
}

impl Number for f32 {
    #[inline(always)]
    fn steepened(self, slope: Self) -> Self {
        if self < 0.0 { self * slope } else { self }
    }

    #[inline(always)]
    fn clamped(self, min: Self, max: Self) -> Self {
        // `min` and `max` of the language would replace a NaN by a bound.
        self.clamp(min, max)
    }
}

impl Number for f64 {
    #[inline(always)]
    fn steepened(self, slope: Self) -> Self {
        if self < 0.0 { self * slope } else { self }
    }

    #[inline(always)]
    fn clamped(self, min: Self, max: Self) -> Self {
        // `min` and `max` of the language would replace a NaN by a bound.
        self.clamp(min, max)
    }
}

/// A fused node that is being computed.
#[derive(Clone, Copy)]
pub struct Call<'a> {
    host: Host,
    context: *mut OrtKernelContext,
    call: std::marker::PhantomData<&'a OrtKernelContext>,
}

impl<'a> Call<'a> {
    pub fn input(self, index: usize) -> Result<Tensor<'a>> {
        let value = self.host.get(std::ptr::null(), |value| unsafe {
            (self.host.api.KernelContext_GetInput)(self.context, index, value)
        })?;
        Tensor::of(self.host, value)
    }

    /// Memory for the node's output of these sizes.
    pub fn output<T: Number>(self, sizes: &[usize]) -> Result<&'a mut [T]> {
        let api = self.host.api;
        let len = sizes.iter().product();
        let sizes: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
        let value = self.host.get(std::ptr::null_mut(), |value| unsafe {
            (api.KernelContext_GetOutput)(self.context, 0, sizes.as_ptr(), sizes.len(), value)
        })?;
        let data =
            self.host.get(std::ptr::null_mut(), |data| unsafe { (api.GetTensorMutableData)(value, data) })?;
        let data = if len == 0 { std::ptr::NonNull::dangling().as_ptr() } else { data.cast() };
        // SAFETY: the host made a tensor of so many elements, which nobody else touches before the call returns.
        Ok(unsafe { std::slice::from_raw_parts_mut(data, len) })
    }

    /// The host's threads.
    ///
    /// # Errors
    /// For 0 threads or very many.
    ///
    /// # Safety
    /// The call outlives the pool.
    pub unsafe fn pool(&self, threads: usize) -> Result<convlow::Pool> {
        // SAFETY: `parallel_for` does what is asked of it, and the caller promises that its context lives.
        Ok(unsafe {
            convlow::Pool::external(parallel_for, (self as *const Self).cast_mut().cast(), threads)
        }?)
    }
}

/// [`convlow::ParallelFor`] on the host's threads.
unsafe extern "C" fn parallel_for(
    context: *mut c_void,
    jobs: usize,
    job: unsafe extern "C" fn(*mut c_void, usize),
    argument: *mut c_void,
) {
    // SAFETY: the context is the call of `Call::pool`.
    let Call { host, context, .. } = unsafe { *context.cast::<Call<'_>>() };
    // SAFETY: the job may run on any thread.
    let status = unsafe { (host.api.KernelContext_ParallelFor)(context, job, jobs, 0, argument) };
    if host.check(status).is_err() {
        // It refuses before it begins.
        (0..jobs).for_each(|index| unsafe { job(argument, index) });
    }
}

/// A text of the host's, or none.
///
/// # Safety
/// It ends with a zero.
unsafe fn text_of(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// A text for the host, up to the first zero.
fn c_string(text: &str) -> CString {
    let text = text.split('\0').next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
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
    }
}
