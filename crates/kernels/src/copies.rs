//! [`Copies`]: the copies that fill the phases of a plane.

use crate::isa;
use crate::number::Number;
use crate::vectors::{Kernel, Vectors};

/// Phases that a plane may have: at most one for each tap.
pub const MOST_PHASES: usize = 49;

/// How the phases of a part are filled.
pub struct Copies {
    /// The first `len` of them.
    pub(crate) list: [Lines; MOST_PHASES],
    pub(crate) len: usize,
}

impl Copies {
    /// Copies them from a plane, whose pixels lie one behind the other, into `to`, which holds zeros or what other
    /// planes had there.
    pub(crate) fn fill_checked<T: Number>(&self, plane: &[T], to: &mut [T]) {
        isa::dispatch(FillPhases { list: &self.list[..self.len], plane, to });
    }
}

struct FillPhases<'a, T> {
    list: &'a [Lines],
    plane: &'a [T],
    to: &'a mut [T],
}

impl<T: Number> Kernel for FillPhases<'_, T> {
    type Output = ();

    #[inline(always)]
    fn run<S: Vectors>(self, _: S) {
        let Self { list, plane, to } = self;
        // In the order in which they lie in the plane, since the machine foresees no other. Plain loops: what iterators call
        // is not compiled for the caller's instructions.
        let (mut line, mut left) = (0, true);
        while left {
            left = false;
            let mut at = 0;
            while at < list.len() {
                let lines = &list[at];
                at += 1;
                if line >= lines.count {
                    continue;
                }
                left |= line + 1 < lines.count;
                if let Some(other) = list.get(at).filter(|other| lines.alternates_with(other)) {
                    at += 1;
                    match lines.from < other.from {
                        true => copy_alternating([lines, other], line, plane, to),
                        false => copy_alternating([other, lines], line, plane, to),
                    }
                } else {
                    lines.copy_one(line, plane, to);
                }
            }
            line += 1;
        }
    }
}

/// Some lines of equal length that are copied.
#[derive(Debug, Clone, Copy, Default)]
pub struct Lines {
    /// Where the first begins, from each to the next, and from one of its elements to the next.
    pub(crate) from: usize,
    pub(crate) from_step: usize,
    pub(crate) apart: usize,
    /// Where the first goes to, and from each to the next.
    pub(crate) to: usize,
    pub(crate) to_step: usize,
    pub(crate) count: usize,
    pub(crate) len: usize,
}

impl Lines {
    /// Whether the other ones' elements lie between these, of as many lines.
    fn alternates_with(&self, other: &Self) -> bool {
        (self.apart, other.apart) == (2, 2)
            && self.from.abs_diff(other.from) == 1
            && (self.count, self.from_step) == (other.count, other.from_step)
    }

    /// Copies them.
    pub fn copy<T: Number>(&self, from: &[T], to: &mut [T]) {
        (0..self.count).for_each(|line| self.copy_one(line, from, to));
    }

    #[inline(always)]
    fn copy_one<T: Number>(&self, line: usize, from: &[T], to: &mut [T]) {
        let from = &from[self.from + line * self.from_step..];
        let to = &mut to[self.to + line * self.to_step..][..self.len];
        match self.apart {
            1 => copy_line(&from[..self.len], to),
            2 => copy_every_second(from, to),
            apart => to.iter_mut().zip(from.iter().step_by(apart)).for_each(|(to, from)| *to = *from),
        }
    }
}

/// A short line, for which a call to the C library would take longer: vectors, the last of which may overlap the one
/// before.
#[inline(always)]
fn copy_line<T: Number>(from: &[T], to: &mut [T]) {
    const WIDE: usize = 8;
    const NARROW: usize = 4;
    if to.len() >= WIDE {
        copy_vectors::<T, WIDE>(from, to);
    } else if to.len() >= NARROW {
        copy_vectors::<T, NARROW>(from, to);
    } else {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = *from);
    }
}

#[inline(always)]
fn copy_vectors<T: Number, const LEN: usize>(from: &[T], to: &mut [T]) {
    let from = &from[..to.len()];
    let mut at = 0;
    while at + LEN < to.len() {
        to[at..at + LEN].copy_from_slice(&from[at..at + LEN]);
        at += LEN;
    }
    let last = to.len() - LEN;
    to[last..].copy_from_slice(&from[last..]);
}

/// One of some lines and of others, whose elements lie between those of the first. Written so that it is compiled to
/// shuffles.
#[inline(always)]
fn copy_alternating<T: Number>([even, odd]: [&Lines; 2], line: usize, from: &[T], to: &mut [T]) {
    const WIDE: usize = 8;
    const FIT: &str = "a vector fits";
    let from = &from[even.from + line * even.from_step..];
    let len = even.len.min(odd.len);
    let [first, second] = [even, odd].map(|lines| lines.to + line * lines.to_step);
    // The lines of one phase lie before those of the other.
    let (low, high) = (first.min(second), first.max(second));
    let (front, back) = to.split_at_mut(high);
    let (front, back) = (&mut front[low..][..len], &mut back[..len]);
    let (evens, odds) = if first < second { (front, back) } else { (back, front) };
    let pairs = &from[..2 * len];
    let mut at = 0;
    if let Some(last) = len.checked_sub(WIDE) {
        // Vectors, the last of which may overlap the one before.
        while at < len {
            let begin = at.min(last);
            let pairs: &[[T; 2]; WIDE] =
                bytemuck::cast_ref(pairs[2 * begin..].first_chunk::<{ 2 * WIDE }>().expect(FIT));
            *evens[begin..].first_chunk_mut::<WIDE>().expect(FIT) = pairs.map(|[even, _]| even);
            *odds[begin..].first_chunk_mut::<WIDE>().expect(FIT) = pairs.map(|[_, odd]| odd);
            at += WIDE;
        }
    }
    while at < len {
        evens[at] = pairs[2 * at];
        odds[at] = pairs[2 * at + 1];
        at += 1;
    }
    // One of them may have more than the other.
    for (lines, first, skip) in [(even, first, 0), (odd, second, 1)] {
        let mut at = len;
        while at < lines.len {
            to[first + at] = from[2 * at + skip];
            at += 1;
        }
    }
}

/// Written so that it is compiled to shuffles.
#[inline(always)]
fn copy_every_second<T: Number>(from: &[T], to: &mut [T]) {
    let pairs = from.chunks_exact(2);
    let whole = pairs.len().min(to.len());
    to.iter_mut().zip(pairs).for_each(|(to, pair)| *to = pair[0]);
    // The last one may have nothing behind it.
    if whole < to.len() {
        to[whole] = from[2 * whole];
    }
}
