//! Objects of the host's, and the functions that read them.
//!
//! A [`Getter`] or [`Lister`] can only be made here, in the list at the end, of a function that does nothing but read an
//! object and write one value, or so many. So whoever has a [`Handle`] may call any of them: [`Handle`] holds that the object
//! lives.

use std::ffi::{c_char, c_void};
use std::marker::PhantomData;
use std::ptr::NonNull;

use ort_sys::{
    ONNXTensorElementDataType, OrtGraph, OrtKeyValuePairs, OrtNode, OrtOpAttr, OrtOpAttrType,
    OrtSessionOptions, OrtStatusPtr, OrtTensorTypeAndShapeInfo, OrtTypeInfo, OrtValue, OrtValueInfo,
};

use super::failure::Result;
use super::table::{Host, text_of};

/// An object of the host's that lives as long as `'a`.
pub struct Handle<'a, T> {
    host: Host,
    object: NonNull<T>,
    lives: PhantomData<&'a T>,
}

impl<T> Clone for Handle<'_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Handle<'_, T> {}

/// A function that reads an object and writes one value.
pub struct Getter<T, V>(unsafe extern "system" fn(*const T, *mut V) -> OrtStatusPtr);

/// A function that reads an object and writes so many values.
pub struct Lister<T, V>(unsafe extern "system" fn(*const T, *mut V, usize) -> OrtStatusPtr);

/// A function that ends an object that a [`Getter`] made.
pub struct Releaser<T>(unsafe extern "system" fn(*mut T));

/// A type that a getter may write: each pattern of bits is a value, and `NONE` stands there before.
pub trait Plain: Copy {
    const NONE: Self;
}

impl Plain for usize {
    const NONE: Self = 0;
}

impl Plain for i64 {
    const NONE: Self = 0;
}

/// The host writes C's `bool`, which is 0 or 1.
impl Plain for bool {
    const NONE: Self = false;
}

impl<T> Plain for *const T {
    const NONE: Self = std::ptr::null();
}

impl<T> Plain for *mut T {
    const NONE: Self = std::ptr::null_mut();
}

impl<'a, T> Handle<'a, T> {
    /// A handle of an object; none for a null.
    ///
    /// # Safety
    /// The object is this host's, of this type, and lives as long as `'a`.
    pub unsafe fn new(host: Host, object: *const T) -> Option<Self> {
        Some(Self { host, object: NonNull::new(object.cast_mut())?, lives: PhantomData })
    }

    pub fn host(self) -> Host {
        self.host
    }

    pub fn as_ptr(self) -> *const T {
        self.object.as_ptr()
    }

    /// The value that a function writes.
    pub(super) fn get<V: Plain>(self, getter: Getter<T, V>) -> Result<V> {
        let mut value = V::NONE;
        // SAFETY: `Handle` holds a live object, `Getter` a function that writes one `V`, which any bits are.
        let status = unsafe { getter.0(self.as_ptr(), &mut value) };
        self.host.check(status)?;
        Ok(value)
    }

    /// The number of the enum that a function writes, which may be newer than Rust's enum.
    pub(super) fn number<E>(self, getter: Getter<T, E>) -> Result<i32> {
        const { assert!(size_of::<E>() == size_of::<i32>() && align_of::<E>() == align_of::<i32>()) };
        let mut value = 0i32;
        // SAFETY: as in `get`; the place has an enum's size, and is an integer for us.
        let status = unsafe { getter.0(self.as_ptr(), (&raw mut value).cast()) };
        self.host.check(status)?;
        Ok(value)
    }

    /// The values that a function lists; `count` tells how many.
    pub(super) fn list<V: Plain>(self, count: Getter<T, usize>, lister: Lister<T, V>) -> Result<Vec<V>> {
        let mut values = vec![V::NONE; self.get(count)?];
        if !values.is_empty() {
            // SAFETY: as in `get`, for as many values as there are places.
            let status = unsafe { lister.0(self.as_ptr(), values.as_mut_ptr(), values.len()) };
            self.host.check(status)?;
        }
        Ok(values)
    }

    /// A text that a function finds.
    pub(super) fn text(self, getter: Getter<T, *const c_char>) -> Result<String> {
        let text = self.get(getter)?;
        // SAFETY: the host's texts end with a zero and live as long as the object that they belong to.
        Ok(unsafe { text_of(text) })
    }

    /// Texts that a function lists; empty ones where there are none.
    pub(super) fn texts(
        self,
        count: Getter<T, usize>,
        lister: Lister<T, *const c_char>,
    ) -> Result<Vec<String>> {
        // SAFETY: as in `text`.
        Ok(self.list(count, lister)?.into_iter().map(|text| unsafe { text_of(text) }).collect())
    }

    /// An object that a function finds, if there is one.
    pub(super) fn object<U>(self, getter: Getter<T, *const U>) -> Result<Option<Handle<'a, U>>> {
        let object = self.get(getter)?;
        // SAFETY: an object that the host shows inside another, without handing it over, lives as long as that one.
        Ok(unsafe { Handle::new(self.host, object) })
    }

    /// Objects that a function lists; none in the places of those that are left out.
    pub(super) fn objects<U>(
        self,
        count: Getter<T, usize>,
        lister: Lister<T, *const U>,
    ) -> Result<Vec<Option<Handle<'a, U>>>> {
        let objects = self.list(count, lister)?;
        // SAFETY: as in `object`.
        Ok(objects.into_iter().map(|object| unsafe { Handle::new(self.host, object) }).collect())
    }

    /// An object that a function makes.
    ///
    /// # Errors
    /// The host's, or that it made none.
    pub(super) fn made<U>(self, getter: Getter<T, *mut U>, releaser: Releaser<U>) -> Result<Owned<U>> {
        let object = NonNull::new(self.get(getter)?).ok_or("ONNX Runtime has a defect: it made nothing")?;
        Ok(Owned { host: self.host, object, releaser })
    }
}

/// An object that the host made for us, and that is released once.
pub struct Owned<T> {
    host: Host,
    object: NonNull<T>,
    releaser: Releaser<T>,
}

impl<T> Owned<T> {
    pub(super) fn handle(&self) -> Handle<'_, T> {
        Handle { host: self.host, object: self.object, lives: PhantomData }
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: only `Handle::made` makes an `Owned`, which is not copied, and handles do not outlive it.
        unsafe { self.releaser.0(self.object.as_ptr()) };
    }
}

/// Functions of the host's table as methods of [`Host`].
macro_rules! functions {
    ($kind:ident: $($name:ident = $function:ident: $object:ty => $value:ty;)*) => {
        impl Host {
            $(pub(super) fn $name(self) -> $kind<$object, $value> {
                $kind(self.api.$function)
            })*
        }
    };
}

// Each of them reads its object, and writes one value of the second type and nothing else.
functions! { Getter:
    count_of_nodes = Graph_GetNumNodes: OrtGraph => usize;
    id_of_node = Node_GetId: OrtNode => usize;
    name_of_node = Node_GetName: OrtNode => *const c_char;
    provider_of_node = Node_GetEpName: OrtNode => *const c_char;
    operator_of_node = Node_GetOperatorType: OrtNode => *const c_char;
    domain_of_node = Node_GetDomain: OrtNode => *const c_char;
    count_of_inputs = Node_GetNumInputs: OrtNode => usize;
    count_of_implicit_inputs = Node_GetNumImplicitInputs: OrtNode => usize;
    count_of_outputs = Node_GetNumOutputs: OrtNode => usize;
    type_of_attribute = OpAttr_GetType: OrtOpAttr => OrtOpAttrType;
    name_of_value = GetValueInfoName: OrtValueInfo => *const c_char;
    is_graph_output = ValueInfo_IsGraphOutput: OrtValueInfo => bool;
    is_constant = ValueInfo_IsConstantInitializer: OrtValueInfo => bool;
    constant_of_value = ValueInfo_GetInitializerValue: OrtValueInfo => *const OrtValue;
    type_of_value = GetValueInfoTypeInfo: OrtValueInfo => *const OrtTypeInfo;
    tensor_of_type = CastTypeInfoToTensorInfo: OrtTypeInfo => *const OrtTensorTypeAndShapeInfo;
    shape_of_tensor = GetTensorTypeAndShape: OrtValue => *mut OrtTensorTypeAndShapeInfo;
    data_of_tensor = GetTensorData: OrtValue => *const c_void;
    element_of_shape = GetTensorElementType: OrtTensorTypeAndShapeInfo => ONNXTensorElementDataType;
    dimensions_of_shape = GetDimensionsCount: OrtTensorTypeAndShapeInfo => usize;
    config_of_options = GetSessionOptionsConfigEntries: OrtSessionOptions => *mut OrtKeyValuePairs;
}

// Each of them reads its object, and writes as many values of the second type as it is told.
functions! { Lister:
    nodes_of_graph = Graph_GetNodes: OrtGraph => *const OrtNode;
    inputs_of_node = Node_GetInputs: OrtNode => *const OrtValueInfo;
    implicit_inputs_of_node = Node_GetImplicitInputs: OrtNode => *const OrtValueInfo;
    outputs_of_node = Node_GetOutputs: OrtNode => *const OrtValueInfo;
    sizes_of_shape = GetDimensions: OrtTensorTypeAndShapeInfo => i64;
    names_of_shape = GetSymbolicDimensions: OrtTensorTypeAndShapeInfo => *const c_char;
}

impl Host {
    /// Ends an object of [`Host::shape_of_tensor`].
    pub(super) fn release_shape(self) -> Releaser<OrtTensorTypeAndShapeInfo> {
        Releaser(self.api.ReleaseTensorTypeAndShapeInfo)
    }

    /// Ends an object of [`Host::config_of_options`].
    pub(super) fn release_config(self) -> Releaser<OrtKeyValuePairs> {
        Releaser(self.api.ReleaseKeyValuePairs)
    }
}
