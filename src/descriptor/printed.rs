//! Problems printed as text, and read back.

use std::fmt::{self, Write};

use convlow_base::error::{Error, Result, text};

use super::numbers::numbers_of;
use super::sizes::{implied_paddings, problem_of};
use crate::problem::{Axis, DataType, Kind, Layout, Problem, Propagation};

/// What benchdnn calls the gradient of the data.
const BACKWARD_DATA: &str = "bwd_d";
const BACKWARD_WEIGHTS: &str = "bwd_w";

/// The sizes in the syntax of [`parse`](super::parse), which reads them back; behind them the layouts where they are
/// not NCHW, `:f64` in float64, `:bwd_d` for the gradient of the data, and `:sum` if dst accumulates. It identifies a problem in wisdom.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_sizes(self, f)?;
        write_kernels(self, f)?;
        write_steps(self, f)?;
        write_paddings(self, f)?;
        unless(f, 0, "tr", usize::from(self.is(Kind::Transposed)))?;
        unless(f, 0, "sc", self.src_strides.channel)?;
        unless(f, 0, "sb", self.src_strides.batch)?;
        unless(f, 0, "dc", self.dst_strides.channel)?;
        unless(f, 0, "db", self.dst_strides.batch)?;
        if (self.src_layout, self.dst_layout) != (Layout::Nchw, Layout::Nchw) {
            write!(f, ":{}>{}", self.src_layout.name(), self.dst_layout.name())?;
        }
        if self.is(Kind::Float64) {
            write!(f, ":{}", self.data_type)?;
        }
        match self.propagation {
            Propagation::Forward => {}
            Propagation::BackwardData => write!(f, ":{BACKWARD_DATA}")?,
            Propagation::BackwardWeights => write!(f, ":{BACKWARD_WEIGHTS}")?,
        }
        if self.accumulate {
            write!(f, ":sum")?;
        }
        Ok(())
    }
}

fn unless(f: &mut fmt::Formatter<'_>, default: usize, key: &str, value: usize) -> fmt::Result {
    if value == default { Ok(()) } else { write!(f, "{key}{value}") }
}

/// A size of the planes. Of a volume all of them are printed, so that nothing is copied into them.
fn write_depth(
    problem: &Problem,
    f: &mut fmt::Formatter<'_>,
    key: &str,
    value: fn(&Axis) -> usize,
) -> fmt::Result {
    if problem.is(Kind::Volume) { write!(f, "{key}{}", value(&problem.planes)) } else { Ok(()) }
}

/// Images, groups, channels, inputs and outputs.
fn write_sizes(problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Problem { rows, cols, .. } = problem;
    unless(f, 1, "mb", problem.batch)?;
    unless(f, 1, "g", problem.groups)?;
    write!(f, "ic{}", problem.in_channels)?;
    write_depth(problem, f, "id", |axis| axis.input)?;
    write!(f, "ih{}", rows.input)?;
    unless(f, rows.input, "iw", cols.input)?;
    write!(f, "oc{}", problem.out_channels)?;
    write_depth(problem, f, "od", |axis| axis.output)?;
    write!(f, "oh{}", rows.output)?;
    let is_square = (rows.output, rows.input, rows.kernel) == (cols.output, cols.input, cols.kernel);
    if problem.is(Kind::Volume) || !is_square {
        write!(f, "ow{}", cols.output)?;
    }
    Ok(())
}

fn write_kernels(problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Problem { rows, cols, .. } = problem;
    write_depth(problem, f, "kd", |axis| axis.kernel)?;
    write!(f, "kh{}", rows.kernel)?;
    unless(f, rows.kernel, "kw", cols.kernel)
}

/// Strides and dilations; of a volume the planes' padding before them.
fn write_steps(problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Problem { rows, cols, .. } = problem;
    write_depth(problem, f, "sd", |axis| axis.stride)?;
    write_depth(problem, f, "dd", |axis| axis.dilation - 1)?;
    write_depth(problem, f, "pd", |axis| axis.pad_before)?;
    // Of two that differ, one left out would copy the other.
    for (keys, [h, w], missing) in [
        (["sh", "sw"], [rows.stride, cols.stride], 1),
        (["dh", "dw"], [rows.dilation - 1, cols.dilation - 1], 0),
    ] {
        if h != w || problem.is(Kind::Volume) {
            write!(f, "{}{h}{}{w}", keys[0], keys[1])?;
        } else {
            unless(f, missing, keys[0], h)?;
        }
    }
    Ok(())
}

/// The paddings of rows and columns before the input, and those behind it that no output size implies.
fn write_paddings(problem: &Problem, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let Problem { planes, rows, cols, .. } = problem;
    write!(f, "ph{}", rows.pad_before)?;
    unless(f, rows.pad_before, "pw", cols.pad_before)?;
    for (key, axis) in [("pk", planes), ("pb", rows), ("pr", cols)] {
        let paddings = (axis.pad_after, axis.output_padding);
        if implied_paddings(problem.operation, axis, Some(axis.output), None) != Ok(paddings)
            && (problem.is(Kind::Volume) || key != "pk")
        {
            write!(f, "{key}{}", axis.pad_after)?;
        }
    }
    Ok(())
}

/// Reads back what [`Problem`] prints, and nothing else. Allocates nothing but the message of a refusal.
///
/// # Errors
/// [`Error::InvalidArgument`] says what is wrong with it.
pub(crate) fn parse_printed(text: &str) -> Result<Problem> {
    let mut parts = text.split(':');
    let (numbers, name) = numbers_of(parts.next().unwrap_or_default()).map_err(|mistake| mistake.error)?;
    let layouts = parts.clone().find_map(layouts_of).unwrap_or([Layout::Nchw; 2]);
    let mut problem = problem_of(&numbers, text, layouts)?;
    for part in parts.filter(|part| layouts_of(part).is_none()) {
        match part {
            "sum" => problem.accumulate = true,
            BACKWARD_DATA => problem.propagation = Propagation::BackwardData,
            BACKWARD_WEIGHTS => problem.propagation = Propagation::BackwardWeights,
            _ => {
                let Some(data_type) = DataType::from_name(part) else {
                    return Err(Error::InvalidArgument(text!("{text:?} ends with the unknown {part:?}")));
                };
                problem = Problem::new(Problem { data_type, ..problem })?;
            }
        }
    }
    if name.is_some() || !prints(&problem, text) {
        return Err(Error::InvalidArgument(text!("{text:?} is not as problems are printed: {problem}")));
    }
    Ok(problem)
}

/// The layouts of src and dst, if the part names them.
fn layouts_of(part: &str) -> Option<[Layout; 2]> {
    let (src, dst) = part.split_once('>')?;
    Some([Layout::from_name(src)?, Layout::from_name(dst)?])
}

/// Whether a value is printed as exactly this text.
fn prints(value: &impl fmt::Display, text: &str) -> bool {
    /// What is left of the text.
    struct Compare<'a>(&'a str);
    impl Write for Compare<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut left = Compare(text);
    write!(left, "{value}").is_ok() && left.0.is_empty()
}
