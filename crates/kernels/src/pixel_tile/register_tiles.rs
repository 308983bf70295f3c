//! The register tiles of a [`Block`].

use crate::ahead::{Ahead, LINE};
use crate::lanes::prefetch_line;
use crate::number::QUAD;
use crate::pixel_tile::block::Block;
use crate::pixel_tile::groups::{Groups, SameTaps};
use crate::pixel_tile::runs::{MixedRun, MixedRuns, Runs};
use crate::pixel_tile::tap_box::{TapBox, around_all, of_first_class};
use crate::places::Place;
use crate::scheme::Scheme;
use crate::spread::{AllLanes, EachFour, EachVector, FoursApart, Spread};
use crate::sums::{FEW, FOUR, Factors, MANY, Run, Sums, VECTORS, add, finish, most_pixels, most_vectors};
use crate::vectors::Vectors;
use crate::width::{Whole, Width};

/// Input channels of which the products of a tap take less time than a line that comes from memory.
const SHORT: usize = 20;

/// The factors of some pixels, the places of their dst, and the sums before any product.
type Begun<S, X, F, const P: usize, const V: usize> =
    (Factors<X, P, F>, [*mut <X as Scheme>::Dst; P], Sums<S, X, P, V>);

impl<X: Scheme> Block<X> {
    /// All pixels.
    ///
    /// # Safety
    /// The image holds every tap that the tap boxes of the pixels hold, weights (with a vector behind them) and bias have the
    /// block's channels, and so have dst and its addend at the places of the pixels.
    #[inline(always)]
    pub unsafe fn run<S: Vectors>(&self, simd: S, groups: &Groups<'_>, ahead: &mut Ahead) {
        // SAFETY: the caller's promise.
        unsafe {
            if let Some(of_output) = self.along {
                self.run_along(simd, groups, of_output);
                return;
            }
            if self.of_group < self.channels {
                self.run_groups(simd, groups, ahead);
                return;
            }
            match self.channels.div_ceil(X::channels::<S>()) {
                1 => self.run_tiles::<S, _, 1>(simd, AllLanes, groups, ahead),
                3 if const { most_vectors::<S>() > VECTORS } => {
                    self.run_tiles::<S, _, 3>(simd, AllLanes, groups, ahead);
                }
                4 if const { most_vectors::<S>() > VECTORS } => {
                    self.run_tiles::<S, _, 4>(simd, AllLanes, groups, ahead);
                }
                _ => self.run_tiles::<S, _, VECTORS>(simd, AllLanes, groups, ahead),
            }
        }
    }

    /// The same of several small groups. As `Blocks` has it, a group fills a vector or has four channels.
    #[inline(always)]
    unsafe fn run_groups<S: Vectors>(&self, simd: S, groups: &Groups<'_>, ahead: &mut Ahead) {
        let apart = self.tap_depth * self.channel_step;
        // SAFETY: the caller's promise.
        unsafe {
            // Four channels are a vector here: what follows is not compiled.
            if const { size_of::<X::Sums<S>>() <= QUAD * size_of::<X::Sum>() } {
                return self.run_tiles::<S, _, 2>(simd, EachVector(apart), groups, ahead);
            }
            if self.of_group == X::channels::<S>() {
                return self.run_tiles::<S, _, 2>(simd, EachVector(apart), groups, ahead);
            }
            if self.channels == X::channels::<S>() {
                // The last of all: a tile for four inputs at once is not worth its bytes.
                self.run_tiles::<S, _, 1>(simd, FoursApart(apart), groups, ahead);
            } else if self.tap_depth == QUAD && self.channel_step == 1 {
                self.run_tiles::<S, _, 2>(simd, EachFour, groups, ahead);
            } else {
                self.run_tiles::<S, _, 2>(simd, FoursApart(apart), groups, ahead);
            }
        }
    }

    /// All pixels with `V` vectors of channels.
    #[inline(always)]
    unsafe fn run_tiles<S: Vectors, F: Spread<S, X>, const V: usize>(
        &self,
        simd: S,
        spread: F,
        groups: &Groups<'_>,
        ahead: &mut Ahead,
    ) {
        let (mut at, mut runs) = (0, Runs::none(self));
        for &SameTaps { tap_box, end } in groups.same_taps() {
            let places = groups.places(at..end);
            runs.see(tap_box);
            // SAFETY: the caller's promise.
            unsafe {
                if const { F::SAME && !S::FEW_FORMS } && self.channels == V * X::channels::<S>() {
                    self.whole_tiles::<S, F, V, true>(simd, spread, places, &mut runs, ahead);
                } else {
                    self.whole_tiles::<S, F, V, false>(simd, spread, places, &mut runs, ahead);
                }
            }
            at = end;
        }
        // SAFETY: the caller's promise.
        unsafe { self.run_rest::<S, F, V>(simd, spread, groups, at, &mut runs, ahead) };
    }

    /// Register tiles of the most pixels that see the same taps. What knows the block's channels as it is compiled, because they
    /// are `ALL` of the vectors', has more registers for the rest.
    #[inline(always)]
    unsafe fn whole_tiles<S: Vectors, F: Spread<S, X>, const V: usize, const ALL: bool>(
        &self,
        simd: S,
        spread: F,
        places: &[Place],
        runs: &mut Runs<'_, X>,
        ahead: &mut Ahead,
    ) {
        let many =
            if const { most_pixels::<S>(V) == MANY && F::SAME } { places.len() / MANY * MANY } else { 0 };
        let (many, few) = places.split_at(many);
        let (few, four) = few.split_at(few.len() / FEW * FEW);
        // SAFETY: the caller's promise.
        unsafe {
            if const { most_pixels::<S>(V) == MANY && F::SAME } && !many.is_empty() {
                simd.apart(|| self.tiles::<S, F, MANY, V, ALL>(simd, spread, many, runs, ahead));
            }
            if !few.is_empty() {
                simd.apart(|| self.tiles::<S, F, FEW, V, ALL>(simd, spread, few, runs, ahead));
            }
            if four.is_empty() {
                return;
            }
            if self.channel_step != 1 || const { V == 1 && !F::SAME } {
                simd.apart(|| self.tiles::<S, F, 1, V, false>(simd, spread, four, runs, ahead));
            } else if const { S::FEW_FORMS || !F::SAME } {
                self.mixed_tile::<S, F, FEW, V>(simd, spread, four, &[runs.tap_box()], ahead);
            } else {
                self.mixed_tile::<S, F, FOUR, V>(simd, spread, four, &[runs.tap_box()], ahead);
            }
        }
    }

    /// The block's channels, which may be `ALL` that `V` vectors hold. Groups that share a block always fill its vectors.
    #[inline(always)]
    fn channels<S: Vectors, F: Spread<S, X>, const V: usize, const ALL: bool>(&self) -> usize {
        if const { ALL || !F::SAME } { V * X::channels::<S>() } else { self.channels }
    }

    /// The pixels from one on, which are left over from those that see the same taps.
    #[inline(always)]
    unsafe fn run_rest<S: Vectors, F: Spread<S, X>, const V: usize>(
        &self,
        simd: S,
        spread: F,
        groups: &Groups<'_>,
        mut at: usize,
        runs: &mut Runs<'_, X>,
        ahead: &mut Ahead,
    ) {
        while at < groups.all {
            let len = self.mixed::<S, F, V>(groups, at);
            let (places, tap_boxes) = (groups.places(at..at + len), groups.tap_boxes(at..at + len));
            at += len;
            // SAFETY: the caller's promise.
            unsafe {
                if len == 1 {
                    runs.see(tap_boxes[0]);
                    simd.apart(|| self.tiles::<S, F, 1, V, false>(simd, spread, places, runs, ahead));
                } else if const { V == 1 && !F::SAME } {
                    continue;
                } else if const { most_pixels::<S>(V) == MANY && F::SAME } && len > FEW {
                    self.mixed_tile::<S, F, MANY, V>(simd, spread, places, tap_boxes, ahead);
                } else if const { S::FEW_FORMS || !F::SAME } || len > FOUR {
                    self.mixed_tile::<S, F, FEW, V>(simd, spread, places, tap_boxes, ahead);
                } else {
                    self.mixed_tile::<S, F, FOUR, V>(simd, spread, places, tap_boxes, ahead);
                }
            }
        }
    }

    /// How many pixels from one on share a register tile though they do not see the same taps.
    #[inline(always)]
    fn mixed<S: Vectors, F: Spread<S, X>, const V: usize>(&self, groups: &Groups<'_>, at: usize) -> usize {
        // Channels that lie apart are no line of zeros: pixel by pixel. A single vector of small groups is the last of all: tiles
        // for what its pixels leave are not worth their bytes.
        if self.channel_step != 1 || const { V == 1 && !F::SAME } {
            return 1;
        }
        let most = const { if F::SAME { most_pixels::<S>(V) } else { FEW } };
        together(groups.tap_boxes(at..groups.all.min(at + most)), most)
    }

    /// The pixels of a register tile that begin at these places.
    #[inline(always)]
    unsafe fn begin<S: Vectors, F: Spread<S, X>, const P: usize, const V: usize, const ALL: bool>(
        &self,
        simd: S,
        spread: F,
        places: &[Place; P],
    ) -> Begun<S, X, F, P, V> {
        let factors = Factors {
            rows: std::array::from_fn(|p| self.src.wrapping_add(places[p].src)),
            row_step: self.channel_step,
            vector_step: self.channels::<S, F, V, ALL>(),
            spread,
        };
        let dst: [*mut X::Dst; P] = std::array::from_fn(|p| self.dst.wrapping_add(places[p].dst));
        let mut p = 0;
        while p < P {
            // They come from far away while the sums are built.
            prefetch_line(dst[p]);
            // The hardware fetches a second line by itself, but not in time for short sums.
            if const { V * size_of::<X::Sums<S>>() / size_of::<X::Sum>() * size_of::<X::Dst>() > LINE }
                && self.depth < SHORT
            {
                prefetch_line(dst[p].wrapping_add(X::channels::<S>()));
            }
            p += 1;
        }
        let mut sums = [[X::no_sums(simd); V]; P];
        if let Some(bias) = self.bias {
            let width = Width::<V>(self.channels::<S, F, V, ALL>());
            // SAFETY: bias has the block's channels.
            let bias: [X::Sums<S>; V] = std::array::from_fn(|v| unsafe { width.bias::<S, X>(simd, bias, v) });
            sums = [bias; P];
        }
        (factors, dst, sums)
    }

    /// What these pixels are added to, if they are.
    #[inline(always)]
    fn addends<const P: usize>(&self, places: &[Place; P]) -> Option<[*const X::Dst; P]> {
        self.addend.map(|addend| std::array::from_fn(|p| addend.wrapping_add(places[p].dst)))
    }

    /// Register tiles of `P` pixels that see the same taps.
    #[inline(always)]
    unsafe fn tiles<S: Vectors, F: Spread<S, X>, const P: usize, const V: usize, const ALL: bool>(
        &self,
        simd: S,
        spread: F,
        places: &[Place],
        runs: &mut Runs<'_, X>,
        ahead: &mut Ahead,
    ) {
        for group in places.chunks_exact(P) {
            let Ok(group) = <&[Place; P]>::try_from(group) else { return };
            // SAFETY: the caller's promise.
            let (factors, dst, mut sums) = unsafe { self.begin::<S, F, P, V, ALL>(simd, spread, group) };
            loop {
                for &run in runs.list() {
                    // SAFETY: every pixel sees these taps, which lie one behind the other.
                    sums = unsafe { add(simd, Whole, &factors, run, sums, ahead) };
                }
                if runs.are_all() || !runs.next() {
                    break;
                }
            }
            // SAFETY: the pixels are the part's, and dst has the block's channels of them.
            unsafe {
                finish::<S, X, P, V>(
                    simd,
                    Width::<V>(self.channels::<S, F, V, ALL>()),
                    dst,
                    sums,
                    self.addends(group),
                    self.bounds,
                );
            }
        }
    }

    /// One register tile of up to `P` pixels whose absent taps read zeros. Where there are fewer, the last one is computed as
    /// often as it takes.
    #[inline(always)]
    unsafe fn mixed_tile<S: Vectors, F: Spread<S, X>, const P: usize, const V: usize>(
        &self,
        simd: S,
        spread: F,
        places: &[Place],
        tap_boxes: &[TapBox],
        ahead: &mut Ahead,
    ) {
        simd.apart(|| {
            let group: [Place; P] = std::array::from_fn(|p| places[p.min(places.len() - 1)]);
            // SAFETY: the caller's promise.
            let (factors, dst, mut sums) = unsafe { self.begin::<S, F, P, V, false>(simd, spread, &group) };
            let mut runs = MixedRuns::new(self, factors.rows, tap_boxes);
            while runs.fill() {
                for &MixedRun { rows, vectors, len } in runs.list() {
                    let (factors, run) = (Factors { rows, ..factors }, Run { row: 0, vectors, len });
                    // SAFETY: what is read are channels of a tap that the pixel sees, or as many zeros.
                    sums = unsafe { add(simd, Whole, &factors, run, sums, ahead) };
                }
            }
            // SAFETY: the pixels are the part's, and dst has the block's channels of them.
            unsafe {
                finish::<S, X, P, V>(
                    simd,
                    Width::<V>(self.channels::<S, F, V, false>()),
                    dst,
                    sums,
                    self.addends(&group),
                    self.bounds,
                );
            }
        });
    }
}

/// Of the first pixels, of which `most` fit a register tile, those that are to share one. Not inlined, since each form of a
/// tile asks.
#[inline(never)]
fn together(tap_boxes: &[TapBox], most: usize) -> usize {
    let of_class = of_first_class(tap_boxes);
    if most > FEW && of_class == most && taps_of_tiles(tap_boxes, most) <= taps_of_tiles(tap_boxes, FEW) {
        return most;
    }
    let few = &tap_boxes[..of_class.min(FEW)];
    let rows = if few.len() > FOUR { FEW } else { FOUR };
    // A pixel by itself waits for its weights, and takes as long as three of a tile.
    let apart = few.iter().map(TapBox::count).fold(0, usize::saturating_add).saturating_mul(3);
    if taps_of_tiles(few, rows) > apart { 1 } else { few.len() }
}

/// The taps of some pixels in register tiles of so many, where each reads the taps of all.
fn taps_of_tiles(tap_boxes: &[TapBox], pixels: usize) -> usize {
    let tiles = tap_boxes.chunks(pixels);
    tiles.map(|tile| around_all(tile).count().saturating_mul(pixels)).fold(0, usize::saturating_add)
}
