//! The sums of a register tile: `P` rows × `V` vectors that stay in registers while a run of products is added to them.

use pulp::{NullaryFnOnce, Simd};

use crate::lowering::epilogue::clamped;
use crate::lowering::lanes::{Lanes, prefetch_line};
use crate::number::{Number, QUAD};
use crate::problem::Clamp;

/// Vectors of a register tile.
pub const VECTORS: usize = 2;
/// The most rows of a register tile, but on machines with many registers: with two vectors their sums fill 12 registers,
/// which is what hides the latency of the multiply-adds, and leave three of AVX2's 16 for the factors.
pub const FEW: usize = 6;
/// The same with 32 registers.
pub const MANY: usize = 12;

/// Where the factors lie: those of row p from `rows[p]` on, the elements from one to the next of a row and of the vectors,
/// and which of them a lane is multiplied by.
#[derive(Clone, Copy)]
pub struct Factors<T, const P: usize, F = Shared> {
    pub rows: [*const T; P],
    pub row_step: usize,
    pub vector_step: usize,
    pub spread: F,
}

/// Which elements of a row the lanes of a tile's vectors are multiplied by.
pub trait Spread<S: Simd, T: Number>: Copy {
    /// Elements of a run that are taken at once.
    const AT_ONCE: usize = 1;
    /// Whether they are the same for every vector.
    const SAME: bool = false;

    /// Those of vector `v` for the `K`-th element from `at` on.
    ///
    /// # Safety
    /// The elements are there.
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, v: usize) -> T::Vector<S>;
}

/// One element for all lanes.
#[derive(Clone, Copy)]
pub struct Shared;

impl<S: Simd, T: Number> Spread<S, T> for Shared {
    const SAME: bool = true;

    #[inline(always)]
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, _: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        T::splat(simd, unsafe { *at })
    }
}

/// An element for each lane, side by side.
#[derive(Clone, Copy)]
pub struct EachLane;

impl<S: Simd, T: Number> Spread<S, T> for EachLane {
    #[inline(always)]
    unsafe fn factor<const K: usize>(self, _: S, at: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        T::load::<S>(unsafe { std::slice::from_raw_parts(at.add(v * T::lanes::<S>()), T::lanes::<S>()) })
    }
}

/// An element for each vector, so far apart.
#[derive(Clone, Copy)]
pub struct EachVector(pub usize);

impl<S: Simd, T: Number> Spread<S, T> for EachVector {
    #[inline(always)]
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        T::splat(simd, unsafe { *at.add(v * self.0) })
    }
}

/// An element for each four lanes: the same of every four elements that lie side by side.
#[derive(Clone, Copy)]
pub struct EachFour;

impl<S: Simd, T: Number> Spread<S, T> for EachFour {
    const AT_ONCE: usize = QUAD;

    #[inline(always)]
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        let mut lanes = unsafe { EachLane.factor::<0>(simd, at, v) };
        let fours: &mut [[T; QUAD]] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut lanes));
        let mut four = 0;
        while four < fours.len() {
            fours[four] = [fours[four][K]; QUAD];
            four += 1;
        }
        lanes
    }
}

/// An element for each four lanes, so far apart.
#[derive(Clone, Copy)]
pub struct FoursApart(pub usize);

impl<S: Simd, T: Number> Spread<S, T> for FoursApart {
    #[inline(always)]
    unsafe fn factor<const K: usize>(self, simd: S, at: *const T, v: usize) -> T::Vector<S> {
        let mut lanes = T::splat(simd, T::ZERO);
        let fours: &mut [[T; QUAD]] = bytemuck::cast_slice_mut(std::slice::from_mut(&mut lanes));
        let mut four = 0;
        while four < fours.len() {
            // SAFETY: the caller's promise.
            fours[four] = [unsafe { *at.add((v * fours.len() + four) * self.0) }; QUAD];
            four += 1;
        }
        lanes
    }
}

/// Elements that are multiplied one after the other: where the first lies behind each row's begin (places wrap around),
/// the vectors that it multiplies, and how many they are.
pub struct Run<T> {
    pub row: usize,
    pub vectors: *const T,
    pub len: usize,
}

impl<T> Clone for Run<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Run<T> {}

/// `P` rows of `V` vectors.
pub type Sums<S, T, const P: usize, const V: usize> = [[<T as Number>::Vector<S>; V]; P];

/// Weights that are read next, from farther away than the machine foresees: their lines are asked for while sums are
/// built.
pub struct Ahead {
    at: *const u8,
    lines: usize,
    /// Lines after each piece of a run.
    at_once: usize,
    /// Elements of a piece.
    piece: usize,
}

/// Elements of a run after which lines are asked for.
const PIECE: usize = 16;
/// Weights of up to so many bytes stay in the second cache level: 256 KiB.
const NEAR_BYTES: usize = 256 << 10;
/// Bytes of a line of the cache.
const LINE: usize = 64;

impl Ahead {
    /// The next of `all` weights, during runs of so many elements.
    pub fn new<T>(next: &[T], all: usize, elements: usize) -> Self {
        if next.is_empty() || all <= NEAR_BYTES / size_of::<T>() {
            return Self::nothing();
        }
        let lines = size_of_val(next).div_ceil(LINE);
        Self {
            at: next.as_ptr().cast(),
            lines,
            at_once: lines.div_ceil((elements / PIECE).max(1)),
            piece: PIECE,
        }
    }

    /// Nothing.
    pub fn nothing() -> Self {
        Self { at: std::ptr::null(), lines: 0, at_once: 0, piece: usize::MAX }
    }

    #[inline(always)]
    fn ask(&mut self) {
        let mut line = 0;
        while line < self.at_once && self.lines > 0 {
            prefetch_line(self.at);
            self.at = self.at.wrapping_add(LINE);
            self.lines -= 1;
            line += 1;
        }
    }
}

/// How many elements `V` vectors hold: all that they can, or if `PART` is set so many.
#[derive(Clone, Copy)]
pub struct Width<const V: usize, const PART: bool>(pub usize);

impl<const V: usize, const PART: bool> Width<V, PART> {
    /// Vector `v` of those at `from`.
    ///
    /// # Safety
    /// The elements are there.
    #[inline(always)]
    pub unsafe fn load<S: Simd, T: Number>(self, simd: S, from: *const T, v: usize) -> T::Vector<S> {
        // SAFETY: the caller's promise.
        unsafe {
            let from = from.add(v * T::lanes::<S>());
            if PART && v + 1 == V {
                let rest = self.0 - v * T::lanes::<S>();
                Lanes::<false>(rest).load(simd, std::slice::from_raw_parts(from, rest))
            } else {
                Lanes::<true>(0).load(simd, std::slice::from_raw_parts(from, T::lanes::<S>()))
            }
        }
    }

    /// Writes vector `v` of those at `to`.
    ///
    /// # Safety
    /// The place for the elements is there.
    #[inline(always)]
    pub unsafe fn store<S: Simd, T: Number>(self, simd: S, to: *mut T, v: usize, value: T::Vector<S>) {
        // SAFETY: the caller's promise.
        unsafe {
            let to = to.add(v * T::lanes::<S>());
            if PART && v + 1 == V {
                let rest = self.0 - v * T::lanes::<S>();
                Lanes::<false>(rest).store(simd, std::slice::from_raw_parts_mut(to, rest), value);
            } else {
                Lanes::<true>(0).store(simd, std::slice::from_raw_parts_mut(to, T::lanes::<S>()), value);
            }
        }
    }
}

/// Runs `f` as a function of its own, compiled for the vector instructions: within a larger one, not all of a tile's sums
/// get a register. A large `f` is a type whose `call` is always inlined, which a closure may not be.
#[inline(never)]
pub fn apart<S: Simd>(simd: S, f: impl NullaryFnOnce<Output = ()>) {
    simd.vectorize(f);
}

/// sums += the products of a run; meanwhile, what is ahead is asked for.
///
/// # Safety
/// The factors of the run are there.
#[inline(always)]
pub unsafe fn add<S: Simd, T: Number, const P: usize, const V: usize, const PART: bool, F: Spread<S, T>>(
    simd: S,
    width: Width<V, PART>,
    factors: &Factors<T, P, F>,
    mut run: Run<T>,
    mut sums: Sums<S, T, P, V>,
    ahead: &mut Ahead,
) -> Sums<S, T, P, V> {
    // Few sums wait for themselves: several sets of them take turns.
    let sets = const {
        match P * V {
            1..=3 => 4,
            4..=7 => 2,
            _ => 1,
        }
    };
    if sets == 1 {
        loop {
            let rest = run.len.saturating_sub(ahead.piece);
            while run.len > rest {
                // SAFETY: the caller's promise.
                unsafe { add_some(simd, width, factors, &mut run, &mut sums) };
            }
            if run.len == 0 {
                return sums;
            }
            ahead.ask();
        }
    }
    let mut local = [[[T::splat(simd, T::ZERO); V]; P]; 4];
    local[0] = sums;
    while run.len >= sets * F::AT_ONCE {
        let rest = run.len.saturating_sub(ahead.piece);
        while run.len >= sets * F::AT_ONCE && run.len > rest {
            let mut set = 0;
            while set < sets {
                // SAFETY: the caller's promise.
                unsafe { add_some(simd, width, factors, &mut run, &mut local[set]) };
                set += 1;
            }
        }
        ahead.ask();
    }
    while run.len > 0 {
        // SAFETY: the caller's promise.
        unsafe { add_some(simd, width, factors, &mut run, &mut local[0]) };
    }
    let mut set = 1;
    while set < sets {
        let mut p = 0;
        while p < P {
            let mut v = 0;
            while v < V {
                local[0][p][v] = T::add_vectors(simd, local[0][p][v], local[set][p][v]);
                v += 1;
            }
            p += 1;
        }
        set += 1;
    }
    local[0]
}

/// The same with weights that end at `end`. A vector that is not whole is read as if it were as long as something lies behind
/// it: that is multiplied, and stays in the sums of no channel.
///
/// # Safety
/// The factors of the run are there.
#[inline(always)]
pub unsafe fn add_before<
    S: Simd,
    T: Number,
    const P: usize,
    const V: usize,
    const PART: bool,
    F: Spread<S, T>,
>(
    simd: S,
    width: Width<V, PART>,
    factors: &Factors<T, P, F>,
    run: Run<T>,
    mut sums: Sums<S, T, P, V>,
    ahead: &mut Ahead,
    end: *const T,
) -> Sums<S, T, P, V> {
    if !PART {
        // SAFETY: the caller's promise.
        return unsafe { add(simd, width, factors, run, sums, ahead) };
    }
    let all = V * T::lanes::<S>();
    let left = (end.addr() - run.vectors.addr()) / size_of::<T>();
    let whole = match left.checked_sub(all) {
        Some(free) if free >= run.len * factors.vector_step => run.len,
        Some(free) => (free / factors.vector_step + 1).min(run.len),
        None => 0,
    };
    // SAFETY: the caller's promise; so many vectors end before the weights do.
    unsafe {
        sums = add(simd, Width::<V, false>(all), factors, Run { len: whole, ..run }, sums, ahead);
        if whole < run.len {
            let rest = Run {
                row: run.row.wrapping_add(factors.row_step.wrapping_mul(whole)),
                vectors: run.vectors.wrapping_add(factors.vector_step * whole),
                len: run.len - whole,
            };
            sums = add(simd, width, factors, rest, sums, ahead);
        }
    }
    sums
}

/// The same place, of which the compiler no longer knows that: what lies there is read again where it is needed rather
/// than kept in registers that sums need.
#[inline(always)]
#[allow(
    clippy::pointers_in_nomem_asm_block,
    reason = "nothing is read through it, and not everywhere is it asked for"
)]
pub fn reread<T>(at: *const T) -> *const T {
    #[cfg(all(any(target_arch = "x86_64", target_arch = "aarch64"), not(miri)))]
    let at = {
        let mut at = at;
        // SAFETY: no instruction.
        unsafe {
            std::arch::asm!("/* {at} */", at = inout(reg) at, options(nomem, nostack, preserves_flags))
        };
        at
    };
    at
}

/// The same for a place that is counted from others.
#[inline(always)]
fn reread_from(place: usize) -> usize {
    reread(std::ptr::without_provenance::<u8>(place)).addr()
}

/// sums += the products of a run's first elements in every row; the run then begins with those behind them.
#[inline(always)]
unsafe fn add_some<S: Simd, T: Number, const P: usize, const V: usize, const PART: bool, F: Spread<S, T>>(
    simd: S,
    width: Width<V, PART>,
    factors: &Factors<T, P, F>,
    run: &mut Run<T>,
    sums: &mut Sums<S, T, P, V>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        add_one::<S, T, P, V, PART, F, 0>(simd, width, factors, run, sums);
        if F::AT_ONCE == QUAD {
            run.row = reread_from(run.row);
            add_one::<S, T, P, V, PART, F, 1>(simd, width, factors, run, sums);
            run.row = reread_from(run.row);
            add_one::<S, T, P, V, PART, F, 2>(simd, width, factors, run, sums);
            run.row = reread_from(run.row);
            add_one::<S, T, P, V, PART, F, 3>(simd, width, factors, run, sums);
        }
    }
    run.row = run.row.wrapping_add(factors.row_step.wrapping_mul(F::AT_ONCE));
    run.len -= F::AT_ONCE;
}

/// sums += the products of the `K`-th of a run's first elements in every row.
#[inline(always)]
unsafe fn add_one<
    S: Simd,
    T: Number,
    const P: usize,
    const V: usize,
    const PART: bool,
    F: Spread<S, T>,
    const K: usize,
>(
    simd: S,
    width: Width<V, PART>,
    factors: &Factors<T, P, F>,
    run: &mut Run<T>,
    sums: &mut Sums<S, T, P, V>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let vectors: [T::Vector<S>; V] = std::array::from_fn(|v| width.load(simd, run.vectors, v));
        let mut p = 0;
        while p < P {
            let at = factors.rows[p].wrapping_add(run.row);
            let mut value = factors.spread.factor::<K>(simd, at, 0);
            let mut v = 0;
            while v < V {
                if !F::SAME && v > 0 {
                    value = factors.spread.factor::<K>(simd, at, v);
                }
                sums[p][v] = T::multiply_add(simd, value, vectors[v], sums[p][v]);
                v += 1;
            }
            p += 1;
        }
    }
    run.vectors = run.vectors.wrapping_add(factors.vector_step);
}

/// dst ← clamp(sums), or clamp(addend + sums).
///
/// # Safety
/// dst has a row of vectors for each row of sums, and so has the addend.
#[inline(always)]
pub unsafe fn finish<S: Simd, T: Number, const P: usize, const V: usize, const PART: bool>(
    simd: S,
    width: Width<V, PART>,
    dst: [*mut T; P],
    mut sums: Sums<S, T, P, V>,
    addend: Option<[*const T; P]>,
    clamp: Option<Clamp<T>>,
) {
    // Step by step: a loop with a decision in it is not unrolled, and its sums leave the registers.
    let mut p = 0;
    if let Some(addend) = addend {
        while p < P {
            let mut v = 0;
            while v < V {
                // SAFETY: the caller's promise.
                sums[p][v] = T::add_vectors(simd, sums[p][v], unsafe { width.load(simd, addend[p], v) });
                v += 1;
            }
            p += 1;
        }
    }
    if clamp.is_some() {
        p = 0;
        while p < P {
            let mut v = 0;
            while v < V {
                sums[p][v] = clamped(simd, sums[p][v], clamp);
                v += 1;
            }
            p += 1;
        }
    }
    p = 0;
    while p < P {
        let mut v = 0;
        while v < V {
            // SAFETY: the caller's promise.
            unsafe { width.store(simd, dst[p], v, sums[p][v]) };
            v += 1;
        }
        p += 1;
    }
}
