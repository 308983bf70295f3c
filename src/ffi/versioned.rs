//! Structs that grow from version to version. Their first field, `struct_size`, tells which fields the caller knows.
//!
//! A struct grows by a multiple of 8 bytes. So a new field never lies in the padding that an older header had.

use std::mem::offset_of;

use convlow_base::error::{Result, invalid};

use super::types::{Conv2dDesc, ConvNdDesc, ExecuteArgs, PlanInfo, PlanOptions};

/// A larger `struct_size` is not a newer header but garbage.
const MAX_SIZE: usize = 4096;

/// A struct that starts with `size_t struct_size` and may end behind any of its fields.
///
/// # Safety
/// The type is `repr(C)`, begins with a `usize`, and every pattern of bits is a value of it.
pub(super) unsafe trait Versioned: Copy {
    /// The C name.
    const NAME: &'static str;
    /// What a caller does who has not set the size.
    const HINT: &'static str;
    /// Where fields begin: where a shorter struct may end.
    const OFFSETS: &'static [usize];
    /// What a field is that the caller does not know.
    const DEFAULT: Self;
}

macro_rules! versioned {
    ($type:ident, $name:literal, $hint:literal, { $($field:ident: $default:expr,)+ }) => {
        // SAFETY: repr(C) structs of integers, floats and pointers, beginning with `struct_size`.
        unsafe impl Versioned for $type {
            const NAME: &'static str = $name;
            const HINT: &'static str = $hint;
            const OFFSETS: &'static [usize] = &[$(offset_of!($type, $field)),+];
            const DEFAULT: Self = $type { $($field: $default,)+ };
        }
    };
}

versioned!(Conv2dDesc, "convlow_conv2d_desc", "call CONVLOW_CONV2D_DESC_INIT(&desc) first", {
    struct_size: size_of::<Conv2dDesc>(),
    src_layout: super::types::CONVLOW_LAYOUT_NCHW,
    dst_layout: super::types::CONVLOW_LAYOUT_NCHW,
    weights_layout: super::types::CONVLOW_WEIGHTS_OIHW,
    activation: super::types::CONVLOW_ACTIVATION_NONE,
    batch: 1,
    in_channels: 0,
    in_height: 0,
    in_width: 0,
    out_channels: 0,
    kernel_height: 0,
    kernel_width: 0,
    stride_height: 1,
    stride_width: 1,
    dilation_height: 1,
    dilation_width: 1,
    pad_top: 0,
    pad_left: 0,
    pad_bottom: 0,
    pad_right: 0,
    groups: 1,
    activation_min: f32::NEG_INFINITY,
    activation_max: f32::INFINITY,
    accumulate: 0,
    activation_alpha: f64::NAN,
    activation_beta: f64::NAN,
});

versioned!(ConvNdDesc, "convlow_convnd_desc", "call CONVLOW_CONVND_DESC_INIT(&desc) first", {
    struct_size: size_of::<ConvNdDesc>(),
    operation: super::types::CONVLOW_OPERATION_CONV,
    r#type: super::types::CONVLOW_TYPE_F32,
    spatial_dims: 2,
    src_layout: super::types::CONVLOW_LAYOUT_NCHW,
    dst_layout: super::types::CONVLOW_LAYOUT_NCHW,
    weights_layout: super::types::CONVLOW_WEIGHTS_OIHW,
    activation: super::types::CONVLOW_ACTIVATION_NONE,
    accumulate: 0,
    batch: 1,
    in_channels: 0,
    out_channels: 0,
    groups: 1,
    in_size: [0; 3],
    kernel_size: [0; 3],
    stride: [1; 3],
    dilation: [1; 3],
    pad_before: [0; 3],
    pad_after: [0; 3],
    output_padding: [0; 3],
    activation_min: f64::NEG_INFINITY,
    activation_max: f64::INFINITY,
    src_channel_stride: 0,
    src_batch_stride: 0,
    dst_channel_stride: 0,
    dst_batch_stride: 0,
    activation_alpha: f64::NAN,
    activation_beta: f64::NAN,
    propagation: super::types::CONVLOW_PROPAGATION_FORWARD,
    reserved1: 0,
});

versioned!(ExecuteArgs, "convlow_execute_args", "call CONVLOW_EXECUTE_ARGS_INIT(&args) first", {
    struct_size: size_of::<ExecuteArgs>(),
    src: std::ptr::null(),
    packed_weights: std::ptr::null(),
    bias: std::ptr::null(),
    dst: std::ptr::null_mut(),
    workspace: std::ptr::null_mut(),
    workspace_bytes: 0,
    residual: std::ptr::null(),
    pool_context: std::ptr::null_mut(),
    slopes: std::ptr::null(),
    packed_weights_bytes: 0,
    weights: std::ptr::null(),
    diff_dst: std::ptr::null(),
    diff_src: std::ptr::null_mut(),
    diff_weights: std::ptr::null_mut(),
    diff_bias: std::ptr::null_mut(),
});

versioned!(PlanOptions, "convlow_plan_options", "call CONVLOW_PLAN_OPTIONS_INIT(&options) first", {
    struct_size: size_of::<PlanOptions>(),
    algorithm: super::types::CONVLOW_ALGORITHM_AUTO,
    math: super::types::CONVLOW_MATH_EXACT,
    effort: super::types::CONVLOW_EFFORT_ESTIMATE,
    gemm: super::types::CONVLOW_GEMM_AUTO,
    max_workspace_bytes: usize::MAX,
    measure_budget_seconds: crate::planner::Options::DEFAULT_BUDGET_SECONDS,
    pool: std::ptr::null_mut(),
    measure_max_bytes: crate::planner::Options::DEFAULT_MEASURE_BYTES,
    max_packed_weights_bytes: usize::MAX,
    packing_id: 0,
    packing: super::types::CONVLOW_PACKING_CALLER,
    reserved0: 0,
});

versioned!(PlanInfo, "convlow_plan_info", "set info.struct_size = sizeof info first", {
    struct_size: size_of::<PlanInfo>(),
    algorithm: 0,
    applicable: 0,
    gemm: 0,
    reserved: 0,
    workspace_bytes: 0,
    packed_weights_bytes: 0,
    dst_height: 0,
    dst_width: 0,
    macs: 0,
    gemm_calls: 0,
    estimated_seconds: 0.0,
    measured_seconds: 0.0,
    reason: std::ptr::null(),
    isa: std::ptr::null(),
});

/// Whether a struct of this size ends between fields and has one beside its size, or may be that of a newer header.
fn is_possible<T: Versioned>(size: usize) -> bool {
    T::OFFSETS[2..].contains(&size) || (size_of::<T>()..=MAX_SIZE).contains(&size)
}

/// The size that a caller's struct gives itself, checked: its end lies between fields, and what the library
/// does not know is zero.
///
/// # Safety
/// A non-null pointer points to a struct whose first field is its size in bytes.
pub(super) unsafe fn size_of_struct<T: Versioned>(pointer: *const T) -> Result<usize> {
    if pointer.is_null() {
        return invalid!("{} is NULL", T::NAME);
    }
    if !pointer.is_aligned() {
        return invalid!("{} = {pointer:p} is not aligned to {} bytes", T::NAME, align_of::<T>());
    }
    // SAFETY: not NULL and aligned; the caller promises the first field.
    let size = unsafe { *pointer.cast::<usize>() };
    let known = size_of::<T>();
    if !is_possible::<T>(size) {
        return invalid!("{}.struct_size = {size}, but sizeof({}) is {known}: {}", T::NAME, T::NAME, T::HINT);
    }
    for at in known..size {
        // SAFETY: the struct has `size` bytes.
        if unsafe { *pointer.cast::<u8>().add(at) } != 0 {
            return invalid!(
                "{}.struct_size = {size}, but this library knows {known} bytes and byte {at} is not zero",
                T::NAME
            );
        }
    }
    Ok(size)
}

/// The struct with the caller's fields, and defaults for those the caller does not know.
///
/// # Safety
/// As [`size_of_struct`].
pub(super) unsafe fn read<T: Versioned>(pointer: *const T) -> Result<T> {
    // SAFETY: the caller's promise.
    let size = unsafe { size_of_struct(pointer) }?;
    let mut value = T::DEFAULT;
    // SAFETY: both have that many bytes, and any bits are a value of T.
    unsafe {
        std::ptr::copy_nonoverlapping(
            pointer.cast::<u8>(),
            (&raw mut value).cast(),
            size.min(size_of::<T>()),
        );
    }
    Ok(value)
}

/// Writes the fields the caller knows, all but `struct_size`.
///
/// # Safety
/// `pointer` points to a writable struct of `size` bytes.
pub(super) unsafe fn write<T: Versioned>(pointer: *mut T, size: usize, value: &T) {
    let skip = size_of::<usize>();
    let len = size.min(size_of::<T>()) - skip;
    // SAFETY: both have `skip + len` bytes, and a result never overlaps the library's own value.
    unsafe {
        std::ptr::copy_nonoverlapping(
            (&raw const *value).cast::<u8>().add(skip),
            pointer.cast::<u8>().add(skip),
            len,
        );
    }
}

/// Fills a struct of `size` bytes with defaults and zeros; nothing if the pointer or the size cannot be right.
///
/// # Safety
/// A non-null pointer points to `size` writable bytes.
pub(super) unsafe fn init<T: Versioned>(pointer: *mut T, size: usize) -> Result<()> {
    if pointer.is_null() {
        return invalid!("{} is NULL", T::NAME);
    }
    if !pointer.is_aligned() {
        return invalid!("{} = {pointer:p} is not aligned to {} bytes", T::NAME, align_of::<T>());
    }
    if !is_possible::<T>(size) {
        return invalid!("struct_size = {size}, but sizeof({}) is {}", T::NAME, size_of::<T>());
    }
    // SAFETY: the struct has `size` bytes, at least a usize.
    unsafe {
        pointer.cast::<u8>().write_bytes(0, size);
        pointer.cast::<usize>().write(size);
        write(pointer, size, &T::DEFAULT);
    }
    Ok(())
}
