//! From the numbers of an entry to its problem: copied sizes, defaults, implied paddings.

use convlow_base::error::{Error, Result, text};

use super::numbers::Numbers;
use crate::problem::{Axis, Layout, Operation, Problem, Strides};

/// The problem of these numbers, which stand in `text`, with these layouts of src and dst: they say what the strides are of.
pub(super) fn problem_of(
    numbers: &Numbers,
    text: &str,
    [src_layout, dst_layout]: [Layout; 2],
) -> Result<Problem> {
    let numbers = &with_heights(numbers);
    let outputs = outputs_of(numbers);
    let operation = operation_of(numbers, text)?;
    let axis = |at: usize| axis_of(numbers, text, operation, outputs, at);
    let planes = if numbers.has_depth() { axis(0)? } else { Axis::ONE };
    let strides = |keys: [&str; 2]| {
        let [channel, batch] = keys.map(|key| numbers.get(key).unwrap_or(0));
        Strides { channel, batch }
    };
    let problem = Problem::new(Problem {
        operation,
        batch: numbers.get("mb").unwrap_or(1),
        in_channels: needed(text, "ic", numbers.get("ic"))?,
        out_channels: needed(text, "oc", numbers.get("oc"))?,
        groups: numbers.get("g").unwrap_or(1),
        planes,
        rows: axis(1)?,
        cols: axis(2)?,
        src_layout,
        dst_layout,
        src_strides: strides(["sc", "sb"]),
        dst_strides: strides(["dc", "db"]),
        ..Problem::UNIT
    })?;
    let computed = OUTPUTS.iter().zip(outputs).zip(problem.axes());
    for ((key, given), axis) in computed.skip(usize::from(!numbers.has_depth())) {
        if let Some(given) = given.filter(|&given| given != axis.output) {
            return Err(Error::InvalidArgument(text!(
                "{key} = {given} in {text:?}, but the other sizes give {}",
                axis.output
            )));
        }
    }
    Ok(problem)
}

/// The keys of the output sizes.
const OUTPUTS: [&str; 3] = ["od", "oh", "ow"];

fn needed(text: &str, key: &str, value: Option<usize>) -> Result<usize> {
    value.ok_or_else(|| Error::InvalidArgument(text!("{text:?} has no {key}")))
}

/// The same numbers; a problem of widths alone has rows of 1.
fn with_heights(numbers: &Numbers) -> Numbers {
    let mut numbers = *numbers;
    let heights = ["ih", "kh", "oh"].iter().any(|key| numbers.get(key).is_some());
    if !heights && !numbers.has_depth() && numbers.get("iw").is_some() {
        for (key, value) in [("ih", 1), ("kh", 1), ("oh", 1), ("sh", 1), ("dh", 0), ("ph", 0)] {
            *numbers.place(key) = Some(value);
        }
    }
    numbers
}

/// The output sizes. One is copied in squares only: elsewhere it follows from the other sizes of its own axis.
fn outputs_of(numbers: &Numbers) -> [Option<usize>; 3] {
    let given = |keys: [&str; 3]| keys.map(|key| numbers.get(key)).iter().flatten().count();
    let square = given(["id", "ih", "iw"]) == 1 && given(["kd", "kh", "kw"]) == 1;
    if square { numbers.all(OUTPUTS) } else { OUTPUTS.map(|key| numbers.get(key)) }
}

fn operation_of(numbers: &Numbers, text: &str) -> Result<Operation> {
    match numbers.get("tr") {
        None | Some(0) => Ok(Operation::Conv),
        Some(1) => Ok(Operation::ConvTranspose),
        Some(other) => Err(Error::InvalidArgument(text!("tr = {other} in {text:?}, but it is 0 or 1"))),
    }
}

/// Planes, rows or columns: axis 0, 1 or 2.
fn axis_of(
    numbers: &Numbers,
    text: &str,
    operation: Operation,
    outputs: [Option<usize>; 3],
    at: usize,
) -> Result<Axis> {
    let value = |keys: [&str; 3]| numbers.all(keys)[at];
    let input = needed(text, ["id", "ih", "iw"][at], value(["id", "ih", "iw"]))?;
    let kernel = needed(text, ["kd", "kh", "kw"][at], value(["kd", "kh", "kw"]))?;
    axis(
        operation,
        Axis::dense(input, kernel),
        [value(["sd", "sh", "sw"]), value(["dd", "dh", "dw"]), value(["pd", "ph", "pw"])],
        [outputs[at], numbers.get(["pk", "pb", "pr"][at])],
    )
}

fn axis(
    operation: Operation,
    axis: Axis,
    [stride, dilation, pad_before]: [Option<usize>; 3],
    [output, pad_after]: [Option<usize>; 2],
) -> Result<Axis> {
    let axis = Axis {
        stride: stride.unwrap_or(1),
        dilation: dilation.unwrap_or(0).checked_add(1).ok_or_else(too_large)?,
        pad_before: pad_before.unwrap_or(0),
        ..axis
    };
    let (pad_after, output_padding) = implied_paddings(operation, &axis, output, pad_after)?;
    Ok(Axis { pad_after, output_padding, ..axis })
}

/// The padding behind the input and the output padding that an output size implies.
pub(super) fn implied_paddings(
    operation: Operation,
    axis: &Axis,
    output: Option<usize>,
    pad_after: Option<usize>,
) -> Result<(usize, usize)> {
    if operation == Operation::Conv {
        let pad_after = pad_after.map_or_else(|| implied_padding(axis, output), Ok)?;
        return Ok((pad_after, 0));
    }
    let Some(output) = output else { return Ok((pad_after.unwrap_or(axis.pad_before), 0)) };
    let steps = axis.input.saturating_sub(1).checked_mul(axis.stride).ok_or_else(too_large)?;
    let reach = axis.kernel.saturating_sub(1).checked_mul(axis.dilation).ok_or_else(too_large)?;
    let reached = steps.checked_add(reach).and_then(|end| end.checked_add(1)).ok_or_else(too_large)?;
    // What is cut off behind, less the output padding.
    let cut = reached as i128 - axis.pad_before as i128 - output as i128;
    let added = |pad_after: usize| usize::try_from(pad_after as i128 - cut).ok();
    let size = |size: i128| usize::try_from(size).unwrap_or(0);
    Ok(match (pad_after, added(axis.pad_before)) {
        (Some(pad_after), _) => (pad_after, added(pad_after).unwrap_or(0)),
        (None, Some(added)) if added < axis.stride.max(axis.dilation) => (axis.pad_before, added),
        _ => (size(cut), size(-cut)),
    })
}

/// The padding behind the input: what the last output reaches beyond the input and the padding before it, or,
/// without an output size, as much as before.
fn implied_padding(axis: &Axis, output: Option<usize>) -> Result<usize> {
    let Some(last) = output.and_then(|output| output.checked_sub(1)) else {
        return Ok(axis.pad_before);
    };
    let start = last.checked_mul(axis.stride).ok_or_else(too_large)?;
    let reach = axis.kernel.saturating_sub(1).checked_mul(axis.dilation).ok_or_else(too_large)?;
    let end = start.checked_add(reach).and_then(|end| end.checked_add(1)).ok_or_else(too_large)?;
    Ok(end.saturating_sub(axis.input).saturating_sub(axis.pad_before))
}

fn too_large() -> Error {
    Error::Overflow(text!("a padded size does not fit size_t"))
}
