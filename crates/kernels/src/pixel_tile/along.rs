//! The register tiles of a [`Block`] of few output channels. The lanes of their vectors are input channels, which are
//! added up at the end: output channels alone would leave most lanes idle.
//!
//! The weights of an output channel lie side by side, taps × input channels.

use std::mem::MaybeUninit;

use crate::number::QUAD;
use crate::pixel_tile::block::Block;
use crate::pixel_tile::groups::{Groups, SameTaps};
use crate::pixel_tile::runs::Runs;
use crate::places::Place;
use crate::scheme::Scheme;
use crate::sums::{FEW, Run, finish};
use crate::vectors::Vectors;
use crate::width::{Reading, Whole, Width};

/// The most output channels of a group that are computed so.
#[cfg(test)]
pub const MOST_ALONG: usize = 5;

/// Whether so many input and output channels of a group are computed so: with more outputs fewer lanes would be idle, and
/// with fewer inputs adding up the lanes takes longer than what is spared.
pub const fn serves(inputs: usize, outputs: usize) -> bool {
    match outputs {
        1 | 2 => inputs >= 8,
        4 => inputs >= 16,
        3 | 5 => inputs >= 32,
        _ => false,
    }
}

/// Parts in which so many output channels are computed, one after the other.
pub const fn passes_along(outputs: usize) -> usize {
    outputs / QUAD + (outputs % QUAD).count_ones() as usize
}

/// Pixels of a register tile of four output channels: with its weights they leave registers for what is added.
const TWO: usize = 2;
/// Sums of a single pixel and output channel.
const TURNS: usize = 4;
/// Input channels that are brought together at once where they lie apart.
const BROUGHT: usize = 64;

impl<X: Scheme> Block<X> {
    /// All pixels; the weights of an output channel begin so far behind those of the one before.
    ///
    /// # Safety
    /// As [`Block::run`].
    #[inline(always)]
    pub unsafe fn run_along<S: Vectors>(&self, simd: S, groups: &Groups<'_>, of_output: usize) {
        let (mut at, mut runs) = (0, Runs::none(self));
        for &SameTaps { tap_box, end } in groups.same_taps() {
            runs.see(tap_box);
            // SAFETY: the caller's promise.
            unsafe { self.all_outputs(simd, groups.places(at..end), &mut runs, of_output) };
            at = end;
        }
        let rest = groups.places(at..groups.all).chunks(1).zip(groups.tap_boxes(at..groups.all));
        for (place, &tap_box) in rest {
            runs.see(tap_box);
            // SAFETY: the same.
            unsafe { self.all_outputs(simd, place, &mut runs, of_output) };
        }
    }

    /// All output channels of pixels that see the same taps.
    #[inline(always)]
    unsafe fn all_outputs<S: Vectors>(
        &self,
        simd: S,
        places: &[Place],
        runs: &mut Runs<'_, X>,
        of_output: usize,
    ) {
        let four = const { size_of::<X::Sums<S>>() >= QUAD * size_of::<X::Sum>() };
        let mut first = 0;
        while first < self.channels {
            let (outputs, pixels) = match self.channels - first {
                QUAD.. if four => (QUAD, TWO),
                2.. => (2, FEW),
                _ => (1, FEW),
            };
            let pixels = if const { S::FEW_FORMS } || self.channel_step != 1 { usize::MAX } else { pixels };
            let (many, rest) = places.split_at(places.len() / pixels * pixels.min(places.len()));
            // SAFETY: the caller's promise.
            unsafe {
                if const { !S::FEW_FORMS } {
                    match outputs {
                        QUAD => self.pixels::<S, TWO, QUAD, false>(simd, many, first, runs, of_output),
                        2 => self.pixels::<S, FEW, 2, false>(simd, many, first, runs, of_output),
                        _ => self.pixels::<S, FEW, 1, false>(simd, many, first, runs, of_output),
                    }
                }
                for channel in first..first + outputs {
                    match self.channel_step {
                        1 => self.pixels::<S, 1, 1, false>(simd, rest, channel, runs, of_output),
                        _ => self.pixels::<S, 1, 1, true>(simd, rest, channel, runs, of_output),
                    }
                }
            }
            first += outputs;
        }
    }

    /// `M` output channels from one on, in register tiles of `P` pixels that see the same taps, and whose input channels may
    /// lie apart.
    #[inline(always)]
    unsafe fn pixels<S: Vectors, const P: usize, const M: usize, const APART: bool>(
        &self,
        simd: S,
        places: &[Place],
        first: usize,
        runs: &mut Runs<'_, X>,
        of_output: usize,
    ) {
        if places.is_empty() {
            return;
        }
        simd.apart(|| {
            let width = Width::<1>(M);
            let mut bias = X::no_sums(simd);
            if let Some(from) = self.bias {
                // SAFETY: bias has these channels.
                bias = unsafe { width.bias::<S, X>(simd, from.wrapping_add(first), 0) };
            }
            for group in places.chunks_exact(P) {
                let Ok(group) = <&[Place; P]>::try_from(group) else { return };
                let rows: [*const X::Src; P] = std::array::from_fn(|p| self.src.wrapping_add(group[p].src));
                let mut sums = [[X::no_sums(simd); M]; P];
                loop {
                    for &run in runs.list() {
                        let run = Run { vectors: run.vectors.wrapping_add(first * of_output), ..run };
                        // SAFETY: every pixel sees these taps, and the weights have them.
                        sums = unsafe {
                            if const { APART } {
                                self.add_apart(simd, rows, run, of_output, sums)
                            } else {
                                add_along(simd, rows, run, of_output, sums)
                            }
                        };
                    }
                    if runs.are_all() || !runs.next() {
                        break;
                    }
                }
                // Pixel by pixel: this is a small part of the work, and would be most of the code.
                for (sums, place) in sums.into_iter().zip(group) {
                    let sums = X::add_sums(simd, X::sums_of_lanes(simd, sums), bias);
                    let dst = self.dst.wrapping_add(place.dst + first);
                    let addend = self.addend.map(|addend| [addend.wrapping_add(place.dst + first)]);
                    // SAFETY: the pixel is the part's, and dst has the block's channels of it.
                    unsafe { finish::<S, X, 1, 1>(simd, width, [dst], [[sums]], addend, self.bounds) };
                }
            }
        });
    }

    /// sums + the products of a run whose elements lie apart, and are brought together first.
    #[inline(always)]
    unsafe fn add_apart<S: Vectors, const P: usize, const M: usize>(
        &self,
        simd: S,
        rows: [*const X::Src; P],
        run: Run<X>,
        of_output: usize,
        mut sums: [[X::Sums<S>; M]; P],
    ) -> [[X::Sums<S>; M]; P] {
        for first in (0..run.len).step_by(BROUGHT) {
            let len = BROUGHT.min(run.len - first);
            let mut brought = [const { [const { MaybeUninit::<X::Src>::uninit() }; BROUGHT] }; P];
            for (brought, row) in brought.iter_mut().zip(rows) {
                let mut from = row.wrapping_add(run.row).wrapping_add(first * self.channel_step);
                for to in &mut brought[..len] {
                    // SAFETY: the caller's promise.
                    to.write(unsafe { *from });
                    from = from.wrapping_add(self.channel_step);
                }
            }
            let rows: [*const X::Src; P] = std::array::from_fn(|p| brought[p].as_ptr().cast());
            let run = Run::<X> { row: 0, vectors: run.vectors.wrapping_add(first), len };
            // SAFETY: so many elements have been written.
            sums = unsafe { add_along(simd, rows, run, of_output, sums) };
        }
        sums
    }
}

/// sums + the products of a run's elements, which lie side by side, in every row, lane by lane.
#[inline(always)]
unsafe fn add_along<S: Vectors, X: Scheme, const P: usize, const M: usize>(
    simd: S,
    rows: [*const X::Src; P],
    run: Run<X>,
    of_output: usize,
    mut sums: [[X::Sums<S>; M]; P],
) -> [[X::Sums<S>; M]; P] {
    let lanes = X::channels::<S>();
    let rows: [*const X::Src; P] = std::array::from_fn(|p| rows[p].wrapping_add(run.row));
    let mut at = 0;
    if const { P * M == 1 && !S::FEW_FORMS } {
        // A single sum would wait for itself: several take turns, and are added up at the end.
        let mut others = [[[X::no_sums(simd); M]; P]; TURNS - 1];
        while at + TURNS * lanes <= run.len {
            // SAFETY: the caller's promise.
            sums =
                unsafe { add_vectors::<S, X, _, P, M>(simd, Whole, rows, run.vectors, at, of_output, sums) };
            at += lanes;
            let mut turn = 0;
            while turn < TURNS - 1 {
                // SAFETY: the same.
                others[turn] = unsafe {
                    add_vectors::<S, X, _, P, M>(simd, Whole, rows, run.vectors, at, of_output, others[turn])
                };
                (turn, at) = (turn + 1, at + lanes);
            }
        }
        let mut turn = 0;
        while turn < TURNS - 1 {
            sums[0][0] = X::add_sums(simd, sums[0][0], others[turn][0][0]);
            turn += 1;
        }
    }
    while at + lanes <= run.len {
        // SAFETY: the caller's promise.
        sums = unsafe { add_vectors::<S, X, _, P, M>(simd, Whole, rows, run.vectors, at, of_output, sums) };
        at += lanes;
    }
    if at < run.len {
        // SAFETY: the same.
        sums = unsafe {
            add_vectors::<S, X, _, P, M>(
                simd,
                Width::<1>(run.len - at),
                rows,
                run.vectors,
                at,
                of_output,
                sums,
            )
        };
    }
    sums
}

/// The same with the vectors from one element on.
#[inline(always)]
unsafe fn add_vectors<S: Vectors, X: Scheme, R: Reading<S, X>, const P: usize, const M: usize>(
    simd: S,
    reading: R,
    rows: [*const X::Src; P],
    weights: *const X::Weight,
    at: usize,
    of_output: usize,
    mut sums: [[X::Sums<S>; M]; P],
) -> [[X::Sums<S>; M]; P] {
    // SAFETY: the caller's promise.
    unsafe {
        let weights: [X::Weights<S>; M] =
            std::array::from_fn(|m| reading.weights(simd, weights.wrapping_add(at + m * of_output), 0));
        let mut p = 0;
        while p < P {
            let factors = reading.factors(simd, rows[p].wrapping_add(at), 0);
            let mut m = 0;
            while m < M {
                sums[p][m] = X::add_products(simd, factors, weights[m], sums[p][m]);
                m += 1;
            }
            p += 1;
        }
    }
    sums
}
