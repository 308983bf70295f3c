//! Problems as text, in the syntax that oneDNN's benchdnn made common:
//! `ic64ih56oc64oh56kh3ph1n"name"`.
//!
//! Keys: `mb` batch (1), `g` groups (1), `ic`, `oc`, `id`/`ih`/`iw`, `od`/`oh`/`ow`, `kd`/`kh`/`kw`, `sd`/`sh`/`sw` stride
//! (1), `dd`/`dh`/`dw` dilation minus one (0), `pd`/`ph`/`pw` front, top and left padding (0), `n` a name to the end of the
//! entry. A missing `w` copies its `h`, and the reverse unless there is no height at all: then the problem has one
//! dimension, and rows of 1. It has three if there is any key of depth; a missing one then copies its `h`, and sizes that
//! have only depth copy that. Padding behind the input follows from the output size; without that it equals the padding
//! before.
//!
//! convlow adds: `pk`, `pb` and `pr` for back, bottom and right padding that says otherwise; `tr1` for a transposed
//! convolution, whose output size then says its output padding, too; `sc`, `sb`, `dc`, `db` for the channel and batch strides
//! of src and dst. `*count` behind or inside the name says how often a network has it.

use std::fmt::{self, Write};

use crate::error::{Error, Result, text};
use crate::problem::{Axis, DataType, Kind, Layout, Operation, Problem, Strides};

/// A problem with what a list says about it beside its sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The problem, NCHW to NCHW with OIHW weights.
    pub problem: Problem,
    /// Its name, or the text of its sizes.
    pub name: String,
    /// How often it occurs in its network.
    pub count: usize,
}

/// The numbers of one entry, in the order of [`KEYS`].
#[derive(Clone, Copy, Default)]
struct Numbers([Option<usize>; KEYS.len()]);

const KEYS: [&str; 30] = [
    "mb", "g", "ic", "id", "ih", "iw", "oc", "od", "oh", "ow", "kd", "kh", "kw", "sd", "sh", "sw", "dd",
    "dh", "dw", "pd", "ph", "pw", "pk", "pb", "pr", "tr", "sc", "sb", "dc", "db",
];

impl Numbers {
    fn place(&mut self, key: &str) -> &mut Option<usize> {
        let index = KEYS.iter().position(|name| *name == key);
        &mut self.0[index.expect("a key of the syntax")]
    }

    fn get(&self, key: &str) -> Option<usize> {
        KEYS.iter().zip(self.0).find(|(name, _)| **name == key).and_then(|(_, value)| value)
    }

    /// What is given for depth, height and width, or copied from another of them.
    fn all(&self, keys: [&str; 3]) -> [Option<usize>; 3] {
        let [d, h, w] = keys.map(|key| self.get(key));
        let (d, h, w) = (d.or(h).or(w), h.or(w).or(d), w.or(h).or(d));
        [d, h, w]
    }

    /// Whether any key of depth is given.
    fn has_depth(&self) -> bool {
        ["id", "od", "kd", "sd", "dd", "pd", "pk"].iter().any(|key| self.get(key).is_some())
    }
}

/// What is wrong with an entry: from a byte of it on, or with its sizes as a whole.
struct Mistake {
    at: Option<usize>,
    error: Error,
}

impl Mistake {
    /// The column in `text`, counted from 1.
    fn column(&self, text: &str) -> Option<usize> {
        self.at.map(|at| text.bytes().take(at).filter(|byte| !(0x80..0xc0).contains(byte)).count() + 1)
    }
}

impl From<Error> for Mistake {
    fn from(error: Error) -> Self {
        Self { at: None, error }
    }
}

fn wrong<T>(at: usize, text: impl fmt::Display) -> std::result::Result<T, Mistake> {
    Err(Mistake { at: Some(at), error: Error::InvalidArgument(text!("{text}")) })
}

/// All keys, to be printed.
struct Keys;

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, others @ ..] = KEYS;
        f.write_str(first)?;
        others.iter().try_for_each(|key| write!(f, ", {key}"))
    }
}

/// Where and why a list is not one of problems.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListError {
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1: that of the mistake, or where the entry begins if its sizes do not agree.
    pub column: usize,
    /// What was expected there, or which sizes make no sense.
    pub error: Error,
}

impl fmt::Display for ListError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}: {}", self.line, self.column, self.error)
    }
}

impl std::error::Error for ListError {}

/// Reads a list: one entry a line. Blank lines and lines that begin with `#` say nothing.
///
/// # Errors
/// The first line that is no entry.
pub fn parse_list(text: &str) -> std::result::Result<Vec<Entry>, ListError> {
    let mut entries = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let entry = line.trim();
        if entry.is_empty() || entry.starts_with('#') {
            continue;
        }
        entries.push(parse_entry(entry).map_err(|mistake| {
            let indent = line.chars().take_while(|char| char.is_whitespace()).count();
            let column = indent + mistake.column(entry).unwrap_or(1);
            ListError { line: index + 1, column, error: mistake.error }
        })?);
    }
    Ok(entries)
}

/// Reads one entry.
///
/// # Errors
/// [`Error::InvalidArgument`] names the column and what was expected there, or the size that makes no sense.
pub fn parse(text: &str) -> Result<Entry> {
    parse_entry(text).map_err(|mistake| match mistake.column(text) {
        Some(column) => Error::InvalidArgument(text!("column {column}: {}", mistake.error)),
        None => mistake.error,
    })
}

fn parse_entry(text: &str) -> std::result::Result<Entry, Mistake> {
    let (numbers, name) = numbers_of(text)?;
    let (name, count) = match name {
        Some(at) => name_and_count(at, &text[at..])?,
        None => (String::new(), 1),
    };
    let problem = problem_of(&numbers, text)?;
    let name = if name.is_empty() { problem.to_string() } else { name };
    Ok(Entry { problem, name, count })
}

/// The numbers of an entry, and the byte where its name begins, if it has one.
fn numbers_of(text: &str) -> std::result::Result<(Numbers, Option<usize>), Mistake> {
    let mut numbers = Numbers::default();
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with('_') {
            at += 1; // benchdnn allows underscores between keys.
        } else if rest.starts_with('n') {
            return Ok((numbers, Some(at + 1)));
        } else if let Some(&key) = KEYS.iter().find(|key| rest.starts_with(**key)) {
            let digits = rest[key.len()..].bytes().take_while(u8::is_ascii_digit).count();
            let value = &rest[key.len()..key.len() + digits];
            if digits == 0 {
                return wrong(at + key.len(), format_args!("expected a number behind {key}"));
            }
            let Ok(value) = value.parse() else {
                return wrong(at + key.len(), format_args!("{key} = {value} does not fit size_t"));
            };
            if numbers.place(key).replace(value).is_some() {
                return wrong(at, format_args!("{key} is given twice"));
            }
            at += key.len() + digits;
        } else {
            return wrong(at, format_args!("expected one of {Keys}, or n and a name, found {rest:?}"));
        }
    }
    Ok((numbers, None))
}

/// Reads back what [`Problem`] prints, and nothing else. Allocates nothing but the message of a refusal.
///
/// # Errors
/// [`Error::InvalidArgument`] says what is wrong with it.
pub(crate) fn parse_printed(text: &str) -> Result<Problem> {
    let mut parts = text.split(':');
    let (numbers, name) = numbers_of(parts.next().unwrap_or_default()).map_err(|mistake| mistake.error)?;
    let mut problem = problem_of(&numbers, text)?;
    for part in parts {
        match part.split_once('>').map(|names| (Layout::from_name(names.0), Layout::from_name(names.1))) {
            Some((Some(src_layout), Some(dst_layout))) => {
                problem = Problem { src_layout, dst_layout, ..problem }
            }
            None if part == "sum" => problem.accumulate = true,
            None if part == DataType::F64.name() => {
                problem = Problem::new(Problem { data_type: DataType::F64, ..problem })?;
            }
            _ => return Err(Error::InvalidArgument(text!("{text:?} ends with the unknown {part:?}"))),
        }
    }
    if name.is_some() || !prints(&problem, text) {
        return Err(Error::InvalidArgument(text!("{text:?} is not as problems are printed: {problem}")));
    }
    Ok(problem)
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

/// Splits `"name*3"` or `"name"*3` or `name`, which begins at byte `at`.
fn name_and_count(at: usize, text: &str) -> std::result::Result<(String, usize), Mistake> {
    let text = text.trim_end();
    if !text.matches('"').count().is_multiple_of(2) {
        return wrong(at + text.len(), "expected a closing \"");
    }
    let unquoted = |part: &str| part.replace('"', "");
    let Some((name, count)) = text.rsplit_once('*') else { return Ok((unquoted(text), 1)) };
    match unquoted(count).parse() {
        Ok(count) if count > 0 => Ok((unquoted(name), count)),
        _ => wrong(
            at + name.len() + 1,
            format_args!("expected a count of at least 1 behind *, found {count:?}"),
        ),
    }
}

fn problem_of(numbers: &Numbers, text: &str) -> Result<Problem> {
    let needed = |key: &str, value: Option<usize>| {
        value.ok_or_else(|| Error::InvalidArgument(text!("{text:?} has no {key}")))
    };
    let heights = ["ih", "kh", "oh"].iter().any(|key| numbers.get(key).is_some());
    if !heights && !numbers.has_depth() && numbers.get("iw").is_some() {
        let mut flat = *numbers;
        for (key, value) in [("ih", 1), ("kh", 1), ("oh", 1), ("sh", 1), ("dh", 0), ("ph", 0)] {
            *flat.place(key) = Some(value);
        }
        return problem_of(&flat, text);
    }
    let inputs = numbers.all(["id", "ih", "iw"]);
    let kernels = numbers.all(["kd", "kh", "kw"]);
    // An output size is copied in squares only: elsewhere it follows from the other sizes of its own axis.
    let of_outputs = ["od", "oh", "ow"];
    let given = |keys: [&str; 3]| keys.map(|key| numbers.get(key)).iter().flatten().count();
    let square = given(["id", "ih", "iw"]) == 1 && given(["kd", "kh", "kw"]) == 1;
    let outputs = if square { numbers.all(of_outputs) } else { of_outputs.map(|key| numbers.get(key)) };
    let strides = numbers.all(["sd", "sh", "sw"]);
    let dilations = numbers.all(["dd", "dh", "dw"]);
    let pads = numbers.all(["pd", "ph", "pw"]);
    let pads_after = ["pk", "pb", "pr"].map(|key| numbers.get(key));
    let operation = match numbers.get("tr") {
        None | Some(0) => Operation::Conv,
        Some(1) => Operation::ConvTranspose,
        Some(other) => {
            return Err(Error::InvalidArgument(text!("tr = {other} in {text:?}, but it is 0 or 1")));
        }
    };
    let axis = |at: usize, [input, kernel]: [&str; 2]| {
        let (input, kernel) = (needed(input, inputs[at])?, needed(kernel, kernels[at])?);
        axis(
            operation,
            Axis::dense(input, kernel),
            [strides[at], dilations[at], pads[at]],
            [outputs[at], pads_after[at]],
        )
    };
    let planes = if numbers.has_depth() { axis(0, ["id", "kd"])? } else { Axis::ONE };
    let strides = |keys: [&str; 2]| {
        let [channel, batch] = keys.map(|key| numbers.get(key).unwrap_or(0));
        Strides { channel, batch }
    };
    let problem = Problem::new(Problem {
        operation,
        batch: numbers.get("mb").unwrap_or(1),
        in_channels: needed("ic", numbers.get("ic"))?,
        out_channels: needed("oc", numbers.get("oc"))?,
        groups: numbers.get("g").unwrap_or(1),
        planes,
        rows: axis(1, ["ih", "kh"])?,
        cols: axis(2, ["iw", "kw"])?,
        src_strides: strides(["sc", "sb"]),
        dst_strides: strides(["dc", "db"]),
        ..Problem::UNIT
    })?;
    let computed = of_outputs.iter().zip(outputs).zip(problem.axes());
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
fn implied_paddings(
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

fn too_large() -> Error {
    Error::Overflow(text!("a padded size does not fit size_t"))
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

/// The sizes in the syntax of [`parse`], which reads them back; behind them the layouts where they are not
/// NCHW, `:f64` in float64, and `:sum` if dst accumulates. It identifies a problem in wisdom.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { planes, rows, cols, .. } = self;
        let is_volume = self.is(Kind::Volume);
        let unless = |f: &mut fmt::Formatter<'_>, default: usize, key: &str, value: usize| {
            if value == default { Ok(()) } else { write!(f, "{key}{value}") }
        };
        // Of a volume all sizes of its planes are printed, so that nothing is copied into them.
        let depth = |f: &mut fmt::Formatter<'_>, key: &str, value: fn(&Axis) -> usize| match is_volume {
            true => write!(f, "{key}{}", value(planes)),
            false => Ok(()),
        };
        unless(f, 1, "mb", self.batch)?;
        unless(f, 1, "g", self.groups)?;
        write!(f, "ic{}", self.in_channels)?;
        depth(f, "id", |axis| axis.input)?;
        write!(f, "ih{}", rows.input)?;
        unless(f, rows.input, "iw", cols.input)?;
        write!(f, "oc{}", self.out_channels)?;
        depth(f, "od", |axis| axis.output)?;
        write!(f, "oh{}", rows.output)?;
        if is_volume || rows.output != cols.output || rows.input != cols.input || rows.kernel != cols.kernel {
            write!(f, "ow{}", cols.output)?;
        }
        depth(f, "kd", |axis| axis.kernel)?;
        write!(f, "kh{}", rows.kernel)?;
        unless(f, rows.kernel, "kw", cols.kernel)?;
        for (key, value) in [
            ("sd", (|axis| axis.stride) as fn(&Axis) -> usize),
            ("dd", |axis| axis.dilation - 1),
            ("pd", |axis| axis.pad_before),
        ] {
            depth(f, key, value)?;
        }
        // Of two that differ, one left out would copy the other.
        for (keys, [h, w], missing) in [
            (["sh", "sw"], [rows.stride, cols.stride], 1),
            (["dh", "dw"], [rows.dilation - 1, cols.dilation - 1], 0),
        ] {
            if h != w || is_volume {
                write!(f, "{}{h}{}{w}", keys[0], keys[1])?;
            } else {
                unless(f, missing, keys[0], h)?;
            }
        }
        write!(f, "ph{}", rows.pad_before)?;
        unless(f, rows.pad_before, "pw", cols.pad_before)?;
        for (key, axis) in [("pk", planes), ("pb", rows), ("pr", cols)] {
            let paddings = (axis.pad_after, axis.output_padding);
            if implied_paddings(self.operation, axis, Some(axis.output), None) != Ok(paddings)
                && (is_volume || key != "pk")
            {
                write!(f, "{key}{}", axis.pad_after)?;
            }
        }
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
        if self.accumulate {
            write!(f, ":sum")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Entry {
        parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    fn refusal(text: &str) -> String {
        parse(text).expect_err(text).to_string()
    }

    #[test]
    fn what_is_not_given_has_its_default() {
        let Entry { problem, name, count } = parsed("ic3ih9oc4kh3");
        let axis = Axis { output: 7, ..Axis::dense(9, 3) };
        let expected = Problem {
            batch: 1,
            in_channels: 3,
            out_channels: 4,
            groups: 1,
            rows: axis,
            cols: axis,
            ..Problem::UNIT
        };
        assert_eq!(problem, expected);
        assert_eq!((name.as_str(), count), ("ic3ih9oc4oh7kh3ph0", 1));
    }

    #[test]
    fn every_key_reaches_its_field() {
        let problem = parsed("mb2_g4_ic8_ih20iw30_oc12_kh3kw5_sh2sw3_dh1dw2_ph4pw6").problem;
        assert_eq!((problem.batch, problem.groups), (2, 4));
        assert_eq!((problem.in_channels, problem.out_channels), (8, 12));
        let rows =
            Axis { stride: 2, dilation: 2, pad_before: 4, pad_after: 4, output: 12, ..Axis::dense(20, 3) };
        let cols =
            Axis { stride: 3, dilation: 3, pad_before: 6, pad_after: 6, output: 10, ..Axis::dense(30, 5) };
        assert_eq!((problem.rows, problem.cols), (rows, cols));
    }

    #[test]
    fn a_missing_width_copies_its_height_and_the_reverse() {
        let both = parsed("ic1ih9iw9oc1oh5ow5kh3kw3sh2sw2dh0dw0ph1pw1").problem;
        assert_eq!(parsed("ic1ih9oc1oh5kh3sh2dh0ph1").problem, both);
        assert_eq!(parsed("ic1ih9iw9oc1oh5ow5kw3sw2dw0pw1").problem, both);
        assert_eq!(parsed("ic1ih9oc1kh3iw20").problem.cols.input, 20);
    }

    #[test]
    fn an_output_width_beside_a_width_follows_from_it() {
        for (text, outputs) in [("ic16ih1iw8oc6oh1kh1kw3dh0dw2", (1, 2)), ("ic1ih9iw8oc1kh3sh1sw2", (7, 3))] {
            let problem = parsed(text).problem;
            assert_eq!((problem.rows.output, problem.cols.output), outputs, "{text}");
            assert_eq!(parsed(&problem.to_string()).problem, problem, "{problem}");
        }
    }

    #[test]
    fn a_problem_without_heights_has_one_row() {
        let problem = parsed("ic1iw9oc1ow5kw3sw2pw1").problem;
        assert_eq!(problem, parsed("ic1ih1iw9oc1oh1ow5kh1kw3sh1sw2ph0pw1").problem);
        assert_eq!((problem.rows.input, problem.rows.output, problem.rows.stride), (1, 1, 1));
    }

    #[test]
    fn the_count_stands_in_the_name_or_behind_it() {
        for (text, name, count) in [
            ("n\"res2*3\"", "res2", 3),
            ("n\"res2\"*3", "res2", 3),
            ("nres2*3", "res2", 3),
            ("n\"res2\"", "res2", 1),
            ("n\"a*b*12\" ", "a*b", 12),
        ] {
            let entry = parsed(&format!("ic3ih9oc4kh3{text}"));
            assert_eq!((entry.name.as_str(), entry.count), (name, count), "{text}");
        }
    }

    /// ResNet-50's first layer needs a row less below than above; its strided 1x1 layers leave a row unread.
    #[test]
    fn padding_behind_the_input_follows_from_the_output_size() {
        for (text, before, after) in [
            ("ic3ih224oc64oh112kh7sh2ph3", 3, 2),
            ("ic3ih224oc64kh7sh2ph3", 3, 3),
            ("ic8ih56oc8oh28kh1sh2ph0", 0, 0),
            ("ic8ih9oc8oh9kh3dh1ph2", 2, 2),
            ("ic8ih9oc8oh9kh2ph0", 0, 1),
        ] {
            let rows = parsed(text).problem.rows;
            assert_eq!((rows.pad_before, rows.pad_after), (before, after), "{text}");
        }
    }

    #[test]
    fn a_mistake_is_named_with_its_column() {
        for (text, expected) in [
            ("ic3ihoc4kh3", "column 6: expected a number behind ih"),
            ("ic3ih9oc4kz3", "column 10: expected one of mb, g, ic,"),
            ("ic3ih9oc4kh3 ", "column 13: expected one of mb, g, ic,"),
            ("ic3ih9oc4kh-3", "column 12: expected a number behind kh"),
            ("ic3ih9ic4kh3", "column 7: ic is given twice"),
            ("ic3ih99999999999999999999oc4", "column 6: ih = 99999999999999999999 does not fit size_t"),
            ("ic3ih9oc4kh3n\"a", "column 16: expected a closing \""),
            ("ic3ih9oc4kh3n\"a*0\"", "column 17: expected a count of at least 1 behind *"),
            ("ic3ih9oc4kh3n\"é*x\"", "column 17: expected a count of at least 1 behind *"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.starts_with(expected), "{text}: {refusal}");
        }
    }

    #[test]
    fn sizes_that_are_missing_or_disagree_are_named() {
        for (text, expected) in [
            ("", "has no ic"),
            ("ic3ih9kh3", "has no oc"),
            ("ic3ih9oc4", "has no kh"),
            ("ic3ih9oc4oh3kh3sh2", "oh = 3 in"),
            ("ic3ih9oc4oh7ow6kh3", "ow = 6 in"),
            ("g2ic3ih9oc4kh3", "groups = 2 does not divide in_channels = 3"),
            ("ic3ih0oc4kh3", "in_height = 0"),
            ("ic3ih9oc4kh3dh18446744073709551615", "does not fit size_t"),
        ] {
            let refusal = refusal(text);
            assert!(refusal.contains(expected), "{text}: {refusal}");
        }
    }

    #[test]
    fn what_a_problem_prints_is_read_back() {
        for text in [
            "ic256ih56oc256oh56kh3ph1",
            "ic3ih9oc4kh3sh2ph1",
            "mb2g3ic3ih9iw8oc6kh5kw3sh2sw1dh1dw0ph2pw7pb1pr0",
            "ic3id4ih9oc6kd2kh3sh2ph1",
            "ic3id4ih9iw7oc6od3oh9ow7kd3kh3kw2sd2sh1pd1ph1pw0pr1pk2",
            "ic64ih8oc32oh16kh4sh2ph1tr1",
            "ic64ih8oc32oh17kh4sh2ph1tr1",
            "ic64ih8oc32oh16ow19kh3sh2sw3ph1pb0tr1",
            "mb2ic4id3oc8kd2sd2tr1",
            "ic4ih5oc8kh3ph1sc64dc128db4000",
            "ic3ih4oc4kh1ph9pb0pr3",
        ] {
            let problem = parse(text).expect("a problem").problem;
            let printed = problem.to_string();
            assert_eq!(parse(&printed).map(|entry| entry.problem), Ok(problem), "{text}: {printed}");
        }
        let strided = parse("ic256ih28oc256oh14kh3sh2ph1").expect("a problem").problem;
        assert_eq!(strided.to_string(), "ic256ih28oc256oh14kh3sh2ph1");
    }

    #[test]
    fn a_printed_problem_is_read_back_with_its_layouts_and_in_no_other_spelling() {
        let square = parse("ic3ih9oc4kh3").expect("a problem").problem;
        let mixed = Problem { src_layout: Layout::Nhwc, accumulate: true, ..square };
        let double = Problem { data_type: DataType::F64, ..mixed };
        for problem in [square, mixed, double, Problem { dst_layout: Layout::Nhwc, ..mixed }] {
            assert_eq!(parse_printed(&problem.to_string()), Ok(problem));
        }
        for text in [
            "",
            "ic3ih9oc4kh3",
            "ic3ih9oc4oh7kh3ph0junk",
            "ic3ih9oc4oh7kh3ph0n",
            "ic3ih9oc4oh7kh3ph0:nchw>nchw",
            "ic3ih9oc4oh7kh3ph0:nhwc",
            "ic3ih9oc4oh7kh3ph0:sum:sum",
            "ic3ih9oc4oh7kh3ph0:f32",
            "ic3ih9oc4oh7kh3ph0:sum:f64",
            "ic03ih9oc4oh7kh3ph0",
            "ic3_ih9oc4oh7kh3ph0",
            "ic0ih9oc4oh7kh3ph0",
        ] {
            assert!(parse_printed(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_list_skips_blank_lines_and_comments() {
        let list = "# two layers\n\nic3ih9oc4kh3n\"a\"\r\n  # between\n  ic4ih7oc5kh1n\"b*2\"  \n";
        let entries = parse_list(list).expect("a list");
        let told: Vec<_> = entries.iter().map(|entry| (entry.name.as_str(), entry.count)).collect();
        assert_eq!(told, [("a", 1), ("b", 2)]);
        assert_eq!(parse_list("# nothing\n"), Ok(Vec::new()));
    }

    #[test]
    fn a_mistake_in_a_list_is_named_with_line_and_column() {
        let refusal = |list: &str| parse_list(list).expect_err(list);
        let ListError { line, column, error } = refusal("# layers\n\n  ic3ihoc4kh3\n");
        assert_eq!((line, column, error.message()), (3, 8, "expected a number behind ih"));
        let error = refusal("ic3ih9oc4kh3\n  ic3ih9oc4");
        assert_eq!(error.to_string(), "line 2, column 3: \"ic3ih9oc4\" has no kh");
    }
}
