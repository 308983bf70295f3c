//! Descriptors.

use super::checked::output;
use super::status::{Status, guard};
use super::types::{
    CONVLOW_ACTIVATION_CLAMP, CONVLOW_ACTIVATION_NONE, CONVLOW_LAYOUT_NCHW, CONVLOW_LAYOUT_NHWC,
    CONVLOW_WEIGHTS_HWIO, CONVLOW_WEIGHTS_OHWI, CONVLOW_WEIGHTS_OIHW, Conv2dDesc,
};
use super::versioned;
use crate::error::{Result, invalid};
use crate::problem::{Axis, Clamp, Layout, Problem, WeightsLayout};

fn layout(field: &str, value: i32) -> Result<Layout> {
    match value {
        CONVLOW_LAYOUT_NCHW => Ok(Layout::Nchw),
        CONVLOW_LAYOUT_NHWC => Ok(Layout::Nhwc),
        other => invalid!("{field} = {other} is not a CONVLOW_LAYOUT_ constant"),
    }
}

/// The problem that a caller describes.
///
/// # Safety
/// A non-null pointer points to a descriptor.
pub(super) unsafe fn problem_of(desc: *const Conv2dDesc) -> Result<Problem> {
    // SAFETY: the caller's promise.
    let desc = unsafe { versioned::read(desc) }?;
    let axis = |input, kernel, stride, dilation, pad_before, pad_after| Axis {
        stride,
        dilation,
        pad_before,
        pad_after,
        ..Axis::dense(input, kernel)
    };
    Problem::new(Problem {
        batch: desc.batch,
        in_channels: desc.in_channels,
        out_channels: desc.out_channels,
        groups: desc.groups,
        rows: axis(
            desc.in_height,
            desc.kernel_height,
            desc.stride_height,
            desc.dilation_height,
            desc.pad_top,
            desc.pad_bottom,
        ),
        cols: axis(
            desc.in_width,
            desc.kernel_width,
            desc.stride_width,
            desc.dilation_width,
            desc.pad_left,
            desc.pad_right,
        ),
        src_layout: layout("src_layout", desc.src_layout)?,
        dst_layout: layout("dst_layout", desc.dst_layout)?,
        weights_layout: match desc.weights_layout {
            CONVLOW_WEIGHTS_OIHW => WeightsLayout::Oihw,
            CONVLOW_WEIGHTS_HWIO => WeightsLayout::Hwio,
            CONVLOW_WEIGHTS_OHWI => WeightsLayout::Ohwi,
            other => return invalid!("weights_layout = {other} is not a CONVLOW_WEIGHTS_ constant"),
        },
        clamp: match desc.activation {
            CONVLOW_ACTIVATION_NONE => None,
            CONVLOW_ACTIVATION_CLAMP => Some(Clamp { min: desc.activation_min, max: desc.activation_max }),
            other => return invalid!("activation = {other} is not a CONVLOW_ACTIVATION_ constant"),
        },
        accumulate: desc.accumulate != 0,
        ..Problem::UNIT
    })
}

/// Sets every field to its default. Pass sizeof(convlow_conv2d_desc). Sizes without a default are 0, which is
/// refused until they are set. NULL or an impossible size: nothing is written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn convlow_conv2d_desc_init(desc: *mut Conv2dDesc, struct_size: usize) {
    // SAFETY: the caller promises `struct_size` writable bytes.
    guard(|| unsafe { versioned::init(desc, struct_size) });
}

/// The output's rows and columns: floor((in + pads - (dilation * (kernel - 1) + 1)) / stride) + 1.
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
