//! The C functions for descriptors: defaults, output sizes, and the [`Problem`] that a descriptor describes.

use convlow_base::error::{Result, invalid};
use convlow_kernels::activation::Parameters;

use super::checked::output;
use super::status::{Status, guard};
use super::types::{
    CONVLOW_ACTIVATION_NONE, CONVLOW_LAYOUT_NCHW, CONVLOW_LAYOUT_NHWC, CONVLOW_OPERATION_CONV,
    CONVLOW_OPERATION_CONV_TRANSPOSE, CONVLOW_PROPAGATION_BACKWARD_DATA,
    CONVLOW_PROPAGATION_BACKWARD_WEIGHTS, CONVLOW_PROPAGATION_FORWARD, CONVLOW_WEIGHTS_HWIO,
    CONVLOW_WEIGHTS_OHWI, CONVLOW_WEIGHTS_OIHW, Conv2dDesc, ConvNdDesc,
};
use super::versioned::{self, Versioned};
use crate::problem::{
    Activation, Axis, AxisNames, DataType, Layout, Operation, Problem, Propagation, Strides, WeightsLayout,
};

fn layout(field: &str, value: i32) -> Result<Layout> {
    match value {
        CONVLOW_LAYOUT_NCHW => Ok(Layout::Nchw),
        CONVLOW_LAYOUT_NHWC => Ok(Layout::Nhwc),
        other => invalid!(
            "{field} = {other} is not a CONVLOW_LAYOUT_ constant: CONVLOW_LAYOUT_NCHW ({CONVLOW_LAYOUT_NCHW}) or \
             CONVLOW_LAYOUT_NHWC ({CONVLOW_LAYOUT_NHWC})"
        ),
    }
}

/// The problem that a caller describes in two dimensions.
///
/// # Safety
/// A non-null pointer points to a descriptor.
pub(super) unsafe fn problem_of(desc: *const Conv2dDesc) -> Result<Problem> {
    // SAFETY: the caller's promise.
    let desc = unsafe { versioned::read(desc) }?;
    let pair = |height, width, unused| [height, width, unused];
    let long = ConvNdDesc {
        src_layout: desc.src_layout,
        dst_layout: desc.dst_layout,
        weights_layout: desc.weights_layout,
        activation: desc.activation,
        accumulate: desc.accumulate,
        batch: desc.batch,
        in_channels: desc.in_channels,
        out_channels: desc.out_channels,
        groups: desc.groups,
        in_size: pair(desc.in_height, desc.in_width, 0),
        kernel_size: pair(desc.kernel_height, desc.kernel_width, 0),
        stride: pair(desc.stride_height, desc.stride_width, 1),
        dilation: pair(desc.dilation_height, desc.dilation_width, 1),
        pad_before: pair(desc.pad_top, desc.pad_left, 0),
        pad_after: pair(desc.pad_bottom, desc.pad_right, 0),
        activation_min: desc.activation_min.into(),
        activation_max: desc.activation_max.into(),
        activation_alpha: desc.activation_alpha,
        activation_beta: desc.activation_beta,
        ..ConvNdDesc::DEFAULT
    };
    problem_of_long(&long, AxisNames::NAMED)
}

/// The problem that a caller describes in any number of dimensions.
///
/// # Safety
/// A non-null pointer points to a descriptor.
pub(super) unsafe fn problem_of_nd(desc: *const ConvNdDesc) -> Result<Problem> {
    // SAFETY: the caller's promise.
    let desc = unsafe { versioned::read(desc) }?;
    let dims = dims_of(&desc)?;
    let untouched = ConvNdDesc::DEFAULT;
    for (name, found, filled_in) in [
        ("in_size", desc.in_size, untouched.in_size),
        ("kernel_size", desc.kernel_size, untouched.kernel_size),
        ("stride", desc.stride, untouched.stride),
        ("dilation", desc.dilation, untouched.dilation),
        ("pad_before", desc.pad_before, untouched.pad_before),
        ("pad_after", desc.pad_after, untouched.pad_after),
        ("output_padding", desc.output_padding, untouched.output_padding),
    ] {
        for at in dims..found.len() {
            if found[at] != filled_in[at] {
                return invalid!("{name}[{at}] = {}, but spatial_dims = {dims}", found[at]);
            }
        }
    }
    problem_of_long(&desc, AxisNames::COUNTED[dims])
}

fn dims_of(desc: &ConvNdDesc) -> Result<usize> {
    match desc.spatial_dims {
        dims @ 1..=3 => Ok(dims as usize),
        other => invalid!("spatial_dims = {other}, but it must be 1, 2 or 3"),
    }
}

/// `Err` for bounds that no activation reads. Both are 0 in a struct that was filled with zeros.
fn check_bounds(desc: &ConvNdDesc) -> Result<()> {
    let bounds = [desc.activation_min, desc.activation_max];
    let unset = [[f64::NEG_INFINITY, f64::INFINITY], [0.0; 2]].contains(&bounds);
    if desc.activation == CONVLOW_ACTIVATION_NONE && !unset {
        let [min, max] = bounds;
        return invalid!(
            "activation_min = {min} and activation_max = {max}, but activation = CONVLOW_ACTIVATION_NONE: set activation = \
             CONVLOW_ACTIVATION_CLAMP"
        );
    }
    Ok(())
}

fn activation(desc: &ConvNdDesc) -> Result<Activation> {
    check_bounds(desc)?;
    for (name, value) in
        [("activation_alpha", desc.activation_alpha), ("activation_beta", desc.activation_beta)]
    {
        if value.is_infinite() {
            return invalid!("{name} = {value}, but it must be finite, or NaN for the activation's default");
        }
    }
    let parameters = Parameters {
        min: desc.activation_min,
        max: desc.activation_max,
        alpha: desc.activation_alpha,
        beta: desc.activation_beta,
    };
    match Activation::of_code(desc.activation, parameters) {
        Some(activation) => Ok(activation),
        None => invalid!("activation = {} is not a CONVLOW_ACTIVATION_ constant", desc.activation),
    }
}

fn propagation(desc: &ConvNdDesc) -> Result<Propagation> {
    if desc.reserved1 != 0 {
        return invalid!(
            "reserved1 = {}, but it must be 0: call CONVLOW_CONVND_DESC_INIT(&desc) first",
            desc.reserved1
        );
    }
    match desc.propagation {
        CONVLOW_PROPAGATION_FORWARD => Ok(Propagation::Forward),
        CONVLOW_PROPAGATION_BACKWARD_DATA => Ok(Propagation::BackwardData),
        CONVLOW_PROPAGATION_BACKWARD_WEIGHTS => Ok(Propagation::BackwardWeights),
        other => invalid!("propagation = {other} is not a CONVLOW_PROPAGATION_ constant"),
    }
}

fn problem_of_long(desc: &ConvNdDesc, names: [&AxisNames; 3]) -> Result<Problem> {
    let operation = match desc.operation {
        CONVLOW_OPERATION_CONV => Operation::Conv,
        CONVLOW_OPERATION_CONV_TRANSPOSE => Operation::ConvTranspose,
        other => return invalid!("operation = {other} is not a CONVLOW_OPERATION_ constant"),
    };
    let Some(data_type) = DataType::from_constant(desc.r#type) else {
        return invalid!("type = {} is not a CONVLOW_TYPE_ constant", desc.r#type);
    };
    let dims = dims_of(desc)?;
    // The last axes are the caller's.
    let axis = |at: usize| match (at + dims).checked_sub(3) {
        None => Axis::ONE,
        Some(at) => Axis {
            stride: desc.stride[at],
            dilation: desc.dilation[at],
            pad_before: desc.pad_before[at],
            pad_after: desc.pad_after[at],
            output_padding: desc.output_padding[at],
            ..Axis::dense(desc.in_size[at], desc.kernel_size[at])
        },
    };
    let problem = Problem {
        operation,
        propagation: propagation(desc)?,
        data_type,
        batch: desc.batch,
        in_channels: desc.in_channels,
        out_channels: desc.out_channels,
        groups: desc.groups,
        planes: axis(0),
        rows: axis(1),
        cols: axis(2),
        src_layout: layout("src_layout", desc.src_layout)?,
        dst_layout: layout("dst_layout", desc.dst_layout)?,
        weights_layout: match desc.weights_layout {
            CONVLOW_WEIGHTS_OIHW => WeightsLayout::Oihw,
            CONVLOW_WEIGHTS_HWIO => WeightsLayout::Hwio,
            CONVLOW_WEIGHTS_OHWI => WeightsLayout::Ohwi,
            other => {
                return invalid!(
                    "weights_layout = {other} is not a CONVLOW_WEIGHTS_ constant: CONVLOW_WEIGHTS_OIHW \
                     ({CONVLOW_WEIGHTS_OIHW}), _HWIO ({CONVLOW_WEIGHTS_HWIO}) or _OHWI ({CONVLOW_WEIGHTS_OHWI})"
                );
            }
        },
        src_strides: Strides { channel: desc.src_channel_stride, batch: desc.src_batch_stride },
        dst_strides: Strides { channel: desc.dst_channel_stride, batch: desc.dst_batch_stride },
        activation: activation(desc)?,
        accumulate: desc.accumulate != 0,
    };
    Problem::named(problem, names)
}

/// Sets every field to its default. in_channels, out_channels and kernel_size become 0, which is refused until you
/// set them. in_size becomes 0, too, which is an empty image.
///
/// The function writes struct_size bytes to desc: pass sizeof(convlow_convnd_desc), or use CONVLOW_CONVND_DESC_INIT.
/// If desc is NULL or misaligned, or if no version of the struct can have this size, it writes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_convnd_desc_init(desc: *mut ConvNdDesc, struct_size: usize) {
    // SAFETY: the caller promises `struct_size` writable bytes.
    guard(|| unsafe { versioned::init(desc, struct_size) });
}

/// Writes the size of dst on each axis to size, which has three elements. Elements behind spatial_dims become 1. Here
/// pads is pad_before + pad_after:
/// - a convolution: floor((in + pads - (dilation * (kernel - 1) + 1)) / stride) + 1;
/// - a transposed convolution: (in - 1) * stride - pads + dilation * (kernel - 1) + output_padding + 1.
///
/// Neither pointer may be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_OVERFLOW, and
/// CONVLOW_ERROR_UNSUPPORTED for a gradient with an activation.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_convnd_output_size(desc: *const ConvNdDesc, size: *mut usize) -> Status {
    guard(|| {
        // SAFETY: the caller promises a descriptor and three writable places.
        unsafe {
            let size = output("size", size)?;
            let problem = problem_of_nd(desc)?;
            let dims = dims_of(&versioned::read(desc)?)?;
            let axes = problem.axes().map(|axis| axis.output);
            for at in 0..3 {
                size.add(at).write(axes.get(3 - dims + at).copied().unwrap_or(1));
            }
        }
        Ok(())
    })
}

/// Sets every field to its default. Channels and kernel sizes become 0, which is refused until you set them.
/// in_height and in_width become 0, too, which is an empty image.
///
/// The function writes struct_size bytes to desc: pass sizeof(convlow_conv2d_desc), or use CONVLOW_CONV2D_DESC_INIT.
/// If desc is NULL or misaligned, or if no version of the struct can have this size, it writes nothing.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_conv2d_desc_init(desc: *mut Conv2dDesc, struct_size: usize) {
    // SAFETY: the caller promises `struct_size` writable bytes.
    guard(|| unsafe { versioned::init(desc, struct_size) });
}

/// Writes the rows and the columns of dst: floor((in + pads - (dilation * (kernel - 1) + 1)) / stride) + 1 on each
/// axis. Here pads is the padding on both sides of the axis.
///
/// No pointer may be NULL. Errors: CONVLOW_ERROR_INVALID_ARGUMENT, CONVLOW_ERROR_OVERFLOW.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_conv2d_output_size(
    desc: *const Conv2dDesc,
    height: *mut usize,
    width: *mut usize,
) -> Status {
    guard(|| {
        // SAFETY: the caller promises a descriptor and two writable places.
        unsafe {
            let (height, width) = (output("height", height)?, output("width", width)?);
            let problem = problem_of(desc)?;
            height.write(problem.rows.output);
            width.write(problem.cols.output);
        }
        Ok(())
    })
}
