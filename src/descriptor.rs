//! Problems as text, in the syntax that oneDNN's benchdnn made common:
//! `ic64ih56oc64oh56kh3ph1n"name"`.
//!
//! Keys: `mb` batch (1), `g` groups (1), `ic`, `oc`, `ih`/`iw`, `oh`/`ow`, `kh`/`kw`, `sh`/`sw` stride (1),
//! `dh`/`dw` dilation minus one (0), `ph`/`pw` top and left padding (0), `n` a name to the end of the entry.
//! A missing `w` copies its `h` and the reverse. Bottom and right padding follow from `oh` and `ow`; without
//! those they equal the top and left. `*count` behind or inside the name says how often a network has it.

use std::fmt;

use crate::error::{Error, Result};
use crate::problem::{Axis, Layout, Problem, WeightsLayout};

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

/// The numbers of one entry by key.
#[derive(Default)]
struct Numbers(Vec<(&'static str, usize)>);

const KEYS: &[&str] =
    &["mb", "g", "ic", "ih", "iw", "oc", "oh", "ow", "kh", "kw", "sh", "sw", "dh", "dw", "ph", "pw"];

impl Numbers {
    fn get(&self, key: &str) -> Option<usize> {
        self.0.iter().find(|(name, _)| *name == key).map(|(_, value)| *value)
    }

    fn pair(&self, keys: [&str; 2]) -> [Option<usize>; 2] {
        let [h, w] = keys.map(|key| self.get(key));
        [h.or(w), w.or(h)]
    }
}

/// What is wrong with an entry: at a column, counted from 0, or with its sizes as a whole.
struct Mistake {
    column: Option<usize>,
    error: Error,
}

impl From<Error> for Mistake {
    fn from(error: Error) -> Self {
        Self { column: None, error }
    }
}

fn wrong<T>(column: usize, text: impl fmt::Display) -> std::result::Result<T, Mistake> {
    Err(Mistake { column: Some(column), error: Error::InvalidArgument(text.to_string()) })
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
            let indent = line.len() - line.trim_start().len();
            let column = indent + mistake.column.unwrap_or(0) + 1;
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
    parse_entry(text).map_err(|mistake| match mistake.column {
        Some(column) => Error::InvalidArgument(format!("column {}: {}", column + 1, mistake.error)),
        None => mistake.error,
    })
}

fn parse_entry(text: &str) -> std::result::Result<Entry, Mistake> {
    let mut numbers = Numbers::default();
    let mut name = None;
    let mut at = 0;
    while at < text.len() {
        let rest = &text[at..];
        if rest.starts_with('_') {
            at += 1; // benchdnn allows underscores between keys.
        } else if let Some(quoted) = rest.strip_prefix('n') {
            name = Some(quoted);
            break;
        } else if let Some(&key) = KEYS.iter().find(|key| rest.starts_with(**key)) {
            let digits = rest[key.len()..].bytes().take_while(u8::is_ascii_digit).count();
            let value = &rest[key.len()..key.len() + digits];
            if digits == 0 {
                return wrong(at + key.len(), format_args!("expected a number behind {key}"));
            }
            let Ok(value) = value.parse() else {
                return wrong(at + key.len(), format_args!("{key} = {value} does not fit size_t"));
            };
            if numbers.get(key).is_some() {
                return wrong(at, format_args!("{key} is given twice"));
            }
            numbers.0.push((key, value));
            at += key.len() + digits;
        } else {
            let keys = KEYS.join(", ");
            return wrong(at, format_args!("expected one of {keys}, or n and a name, found {rest:?}"));
        }
    }
    let (name, count) = match name {
        Some(name) => name_and_count(at + 1, name)?,
        None => (String::new(), 1),
    };
    let problem = problem_of(&numbers, text)?;
    let name = if name.is_empty() { problem.to_string() } else { name };
    Ok(Entry { problem, name, count })
}

/// Splits `"name*3"` or `"name"*3` or `name`, which begins at `column`.
fn name_and_count(column: usize, text: &str) -> std::result::Result<(String, usize), Mistake> {
    let text = text.trim_end();
    if text.matches('"').count() % 2 != 0 {
        return wrong(column + text.len(), "expected a closing \"");
    }
    let unquoted = |part: &str| part.replace('"', "");
    let Some((name, count)) = text.rsplit_once('*') else { return Ok((unquoted(text), 1)) };
    match unquoted(count).parse() {
        Ok(count) if count > 0 => Ok((unquoted(name), count)),
        _ => wrong(
            column + name.len() + 1,
            format_args!("expected a count of at least 1 behind *, found {count:?}"),
        ),
    }
}

fn problem_of(numbers: &Numbers, text: &str) -> Result<Problem> {
    let needed = |key: &str, value: Option<usize>| {
        value.ok_or_else(|| Error::InvalidArgument(format!("{text:?} has no {key}")))
    };
    let [ih, iw] = numbers.pair(["ih", "iw"]);
    let [kh, kw] = numbers.pair(["kh", "kw"]);
    let [oh, ow] = numbers.pair(["oh", "ow"]);
    let [sh, sw] = numbers.pair(["sh", "sw"]);
    let [dh, dw] = numbers.pair(["dh", "dw"]);
    let [ph, pw] = numbers.pair(["ph", "pw"]);
    let problem = Problem::new(Problem {
        batch: numbers.get("mb").unwrap_or(1),
        in_channels: needed("ic", numbers.get("ic"))?,
        out_channels: needed("oc", numbers.get("oc"))?,
        groups: numbers.get("g").unwrap_or(1),
        rows: axis(needed("ih", ih)?, needed("kh", kh)?, oh, sh, dh, ph)?,
        cols: axis(needed("iw", iw)?, needed("kw", kw)?, ow, sw, dw, pw)?,
        src_layout: Layout::Nchw,
        dst_layout: Layout::Nchw,
        weights_layout: WeightsLayout::Oihw,
        clamp: None,
        accumulate: false,
    })?;
    for (key, given, computed) in [("oh", oh, problem.rows.output), ("ow", ow, problem.cols.output)] {
        if let Some(given) = given.filter(|&given| given != computed) {
            return Err(Error::InvalidArgument(format!(
                "{key} = {given} in {text:?}, but the other sizes give {computed}"
            )));
        }
    }
    Ok(problem)
}

fn axis(
    input: usize,
    kernel: usize,
    output: Option<usize>,
    stride: Option<usize>,
    dilation: Option<usize>,
    pad: Option<usize>,
) -> Result<Axis> {
    let (stride, pad) = (stride.unwrap_or(1), pad.unwrap_or(0));
    let too_large = || Error::Overflow("a padded size does not fit size_t".to_string());
    let dilation = dilation.unwrap_or(0).checked_add(1).ok_or_else(too_large)?;
    let pad_after = match output {
        None | Some(0) => pad,
        // What the last output reaches beyond the input and the padding before it.
        Some(output) => {
            let last = (output - 1).checked_mul(stride).ok_or_else(too_large)?;
            let reach = kernel.saturating_sub(1).checked_mul(dilation).ok_or_else(too_large)?;
            let end = last.checked_add(reach).and_then(|end| end.checked_add(1)).ok_or_else(too_large)?;
            end.saturating_sub(input).saturating_sub(pad)
        }
    };
    Ok(Axis { stride, dilation, pad_before: pad, pad_after, ..Axis::dense(input, kernel) })
}

/// The sizes in the same syntax. Unlike [`parse`]'s input it may carry `pb`/`pr` for padding that the output
/// size does not tell, and layouts where they are not the default; it identifies a problem in wisdom.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Problem { rows, cols, .. } = self;
        let unless = |f: &mut fmt::Formatter<'_>, default: usize, key: &str, value: usize| {
            if value == default { Ok(()) } else { write!(f, "{key}{value}") }
        };
        unless(f, 1, "mb", self.batch)?;
        unless(f, 1, "g", self.groups)?;
        write!(f, "ic{}ih{}", self.in_channels, rows.input)?;
        unless(f, rows.input, "iw", cols.input)?;
        write!(f, "oc{}oh{}", self.out_channels, rows.output)?;
        unless(f, rows.output, "ow", cols.output)?;
        write!(f, "kh{}", rows.kernel)?;
        unless(f, rows.kernel, "kw", cols.kernel)?;
        unless(f, 1, "sh", rows.stride)?;
        unless(f, rows.stride, "sw", cols.stride)?;
        unless(f, 0, "dh", rows.dilation - 1)?;
        unless(f, rows.dilation - 1, "dw", cols.dilation - 1)?;
        write!(f, "ph{}", rows.pad_before)?;
        unless(f, rows.pad_before, "pw", cols.pad_before)?;
        unless(f, rows.pad_before, "pb", rows.pad_after)?;
        unless(f, cols.pad_before, "pr", cols.pad_after)?;
        if (self.src_layout, self.dst_layout) != (Layout::Nchw, Layout::Nchw) {
            write!(f, ":{}>{}", self.src_layout.name(), self.dst_layout.name())?;
        }
        if self.accumulate {
            write!(f, ":sum")?;
        }
        Ok(())
    }
}

impl Layout {
    /// `nchw` or `nhwc`.
    pub fn name(self) -> &'static str {
        match self {
            Layout::Nchw => "nchw",
            Layout::Nhwc => "nhwc",
        }
    }
}
