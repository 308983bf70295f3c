//! Wisdom: the times that this process has measured or imported, and their text form.
//!
//! The first line names the format. Each further line holds problem, threads, backend, algorithm and seconds,
//! separated by blanks. Wisdom belongs to one machine: import it where it was measured.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use convlow_base::error::{Error, Result, invalid, text};
use convlow_base::memory;

use crate::algorithms::{Entry, REGISTRY};
use crate::descriptor;
use crate::gemm::{Backend, BackendChoice};
use crate::problem::{Axis, DataType, Layout, Operation, Problem, Propagation, Strides};

const FIRST_LINE: &str = "convlow-wisdom 1";

/// The most times that are kept: those of some hundred networks, in about 20 MB.
pub const MOST_TIMES: usize = 1 << 16;

/// What a time was measured of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    problem: Sizes,
    threads: usize,
    backend: Option<Backend>,
    algorithm: i32,
}

/// A problem without what its time does not depend on, and so that it can be a key.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Sizes {
    operation: Operation,
    propagation: Propagation,
    data_type: DataType,
    counts: [usize; 4],
    axes: [Axis; 3],
    layouts: [Layout; 2],
    strides: [Strides; 2],
    accumulate: bool,
}

impl Sizes {
    fn of(problem: &Problem) -> Self {
        Self {
            operation: problem.operation,
            propagation: problem.propagation,
            data_type: problem.data_type,
            counts: [problem.batch, problem.groups, problem.in_channels, problem.out_channels],
            axes: problem.axes().map(|axis| *axis),
            layouts: [problem.src_layout, problem.dst_layout],
            strides: [problem.src_strides, problem.dst_strides],
            accumulate: problem.accumulate,
        }
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ([batch, groups, in_channels, out_channels], [planes, rows, cols]) = (self.counts, self.axes);
        let ([src_layout, dst_layout], [src_strides, dst_strides]) = (self.layouts, self.strides);
        let problem = Problem {
            operation: self.operation,
            propagation: self.propagation,
            data_type: self.data_type,
            batch,
            groups,
            in_channels,
            out_channels,
            planes,
            rows,
            cols,
            src_layout,
            dst_layout,
            src_strides,
            dst_strides,
            accumulate: self.accumulate,
            ..Problem::UNIT
        };
        problem.fmt(f)
    }
}

type Known = HashMap<Key, f64, BuildHasherDefault<DefaultHasher>>;

static KNOWN: Mutex<Known> = Mutex::new(HashMap::with_hasher(BuildHasherDefault::new()));

fn known() -> MutexGuard<'static, Known> {
    KNOWN.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(problem: &Problem, threads: usize, backend: Option<Backend>, entry: &Entry) -> Key {
    Key { problem: Sizes::of(problem), threads, backend, algorithm: entry.id }
}

/// The seconds that were measured, if any.
pub(super) fn recall(
    problem: &Problem,
    threads: usize,
    backend: Option<Backend>,
    entry: &Entry,
) -> Option<f64> {
    known().get(&key(problem, threads, backend, entry)).copied()
}

/// Remembers a measurement, unless there is no room for it: the plan at hand uses it all the same.
pub(super) fn learn(
    problem: &Problem,
    threads: usize,
    backend: Option<Backend>,
    entry: &Entry,
    seconds: f64,
) {
    let mut known = known();
    let key = key(problem, threads, backend, entry);
    if known.contains_key(&key) || (known.len() < MOST_TIMES && known.try_reserve(1).is_ok()) {
        known.insert(key, seconds);
    }
}

/// What is known at one moment, sorted. It prints as the text that [`import`] reads.
pub struct Wisdom(Vec<(Key, f64)>);

impl fmt::Display for Wisdom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{FIRST_LINE}")?;
        self.0.iter().try_for_each(|(key, seconds)| {
            let algorithm = Entry::by_id(key.algorithm).map_or("", Entry::name);
            writeln!(f, "{} {} {} {algorithm} {seconds:e}", key.problem, key.threads, name_of(key.backend))
        })
    }
}

/// Everything known.
///
/// # Errors
/// [`Error::OutOfMemory`] if there is no room for a copy.
pub fn export() -> Result<Wisdom> {
    let known = known();
    let mut times = memory::vec(known.len())?;
    times.extend(known.iter().map(|(key, seconds)| (*key, *seconds)));
    times.sort_unstable_by_key(|(key, _)| *key);
    Ok(Wisdom(times))
}

/// The word for what served: a backend, or none.
fn name_of(backend: Option<Backend>) -> &'static str {
    backend.map_or("none", Backend::name)
}

/// Adds what a text holds to what is known; on an error nothing is added.
///
/// # Errors
/// [`Error::InvalidArgument`] names the line and what is wrong with it, or that there would be more than
/// [`MOST_TIMES`]; [`Error::OutOfMemory`] if there is no room.
pub fn import(text: &str) -> Result<()> {
    let mut lines = text.lines();
    match lines.next() {
        Some(FIRST_LINE) => {}
        first => {
            let found = first.unwrap_or_default();
            let end = found.char_indices().nth(40).map_or(found.len(), |(end, _)| end);
            return invalid!("wisdom begins with {:?}, not with {FIRST_LINE:?}", &found[..end]);
        }
    }
    if !text.ends_with('\n') {
        return invalid!("the wisdom's last line has no end: it was cut short");
    }
    // The text is read twice, so that a mistake on its last line finds nothing added yet.
    let mut known = known();
    let mut added = 0;
    for (index, line) in lines.clone().enumerate() {
        let (key, _) = parse_line(index + 2, line)?;
        added += usize::from(!known.contains_key(&key));
    }
    if known.len() + added > MOST_TIMES {
        let times = known.len();
        return invalid!(
            "the wisdom adds {added} times to {times}, more than the {MOST_TIMES} that are kept"
        );
    }
    known.try_reserve(added).map_err(|_| memory::exhausted(added * size_of::<(Key, f64)>()))?;
    for (index, line) in lines.enumerate() {
        let (key, seconds) = parse_line(index + 2, line)?;
        known.insert(key, seconds);
    }
    Ok(())
}

fn parse_line(number: usize, line: &str) -> Result<(Key, f64)> {
    let mut fields = line.split(' ');
    let mut next = || fields.next().unwrap_or_default();
    let (problem, threads, backend, algorithm, seconds) = (next(), next(), next(), next(), next());
    if fields.next().is_some() || seconds.is_empty() {
        let count = line.split(' ').count();
        return invalid!("line {number} of the wisdom has {count} fields, not 5");
    }
    let problem = descriptor::parse_printed(problem)
        .map_err(|error| Error::InvalidArgument(text!("line {number} of the wisdom: {error}")))?;
    let Some(threads) = threads.parse().ok().filter(|&threads: &usize| threads > 0) else {
        return invalid!("line {number} of the wisdom: threads = {threads:?} is not a number from 1");
    };
    let all = Backend::candidates(BackendChoice::Auto)?.iter().map(|&backend| Some(backend)).chain([None]);
    let Some(backend) = all.into_iter().find(|&served| name_of(served) == backend) else {
        return invalid!("line {number} of the wisdom: {backend:?} is no GEMM of this build");
    };
    let Some(entry) = REGISTRY.iter().find(|entry| entry.name() == algorithm) else {
        return invalid!("line {number} of the wisdom: {algorithm:?} is no algorithm of this build");
    };
    let measured = seconds.parse().ok().filter(|&seconds: &f64| seconds > 0.0 && seconds.is_finite());
    let Some(measured) = measured else {
        return invalid!("line {number} of the wisdom: seconds = {seconds:?} is not a time");
    };
    Ok((Key { problem: Sizes::of(&problem), threads, backend, algorithm: entry.id }, measured))
}

/// Forgets everything.
pub fn forget() {
    *known() = HashMap::default();
}
