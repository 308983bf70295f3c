//! The sums of a register tile: `P` rows × `V` vectors in registers, to which runs of products are added.

use crate::ahead::Ahead;
use crate::number::QUAD;
use crate::scheme::Scheme;
use crate::spread::{AllLanes, Spread};
use crate::vectors::Vectors;
use crate::width::{Reading, Width, store_whole};

/// Vectors of a register tile.
pub const VECTORS: usize = 2;
/// Vectors of a register tile of pixels with 32 registers. Twice as many vectors and half as many rows read fewer bytes
/// a product, and half as many pixels see the same taps more often.
pub const WIDE: usize = 4;
/// The most rows of a register tile, but on machines with many registers: with two vectors their sums fill 12
/// registers, which is what hides the latency of the multiply-adds, and leave three of AVX2's 16 for the factors.
pub const FEW: usize = 6;
/// The same with 32 registers.
pub const MANY: usize = 12;
/// What whole tiles leave over of most maps, whose widths are 7, 14, 28, 56, … columns, and of most numbers of
/// channels.
pub const FOUR: usize = 4;
/// Bytes that may be read behind packed weights: a vector that begins with the last weight is read whole.
pub const BEHIND_WEIGHTS: usize = 64;

/// The most rows of a register tile of these instructions.
pub const fn most_rows<S: Vectors>() -> usize {
    if S::MANY_REGISTERS { MANY } else { FEW }
}

/// Vectors of a register tile of pixels.
pub const fn most_vectors<S: Vectors>() -> usize {
    if S::MANY_REGISTERS { WIDE } else { VECTORS }
}

/// The most pixels of a register tile with so many vectors.
pub const fn most_pixels<S: Vectors>(vectors: usize) -> usize {
    if vectors == VECTORS { most_rows::<S>() } else { FEW }
}

/// Rows of the next register tile where so many are left, of those of which there is a tile: as few tiles as leave
/// nothing over, none much narrower than the others. With [`Vectors::FEW_FORMS`] they are [`FEW`] or one.
pub const fn rows_of_rest<S: Vectors>(left: usize) -> usize {
    match left {
        1..=5 if S::FEW_FORMS => 1,
        0..=FOUR => left,
        5 => 3,
        7 | 8 => FOUR,
        _ => FEW,
    }
}

/// Where the factors lie: those of row p from `rows[p]` on, the elements from one to the next of a row and of the
/// vectors, and which of them a lane is multiplied by.
#[derive(Clone, Copy)]
pub struct Factors<X: Scheme, const P: usize, F = AllLanes> {
    pub rows: [*const X::Src; P],
    pub row_step: usize,
    pub vector_step: usize,
    pub spread: F,
}

/// Elements that are multiplied one after the other: where the first lies behind each row's begin (places wrap around),
/// the vectors that it multiplies, and how many they are.
#[derive(Clone, Copy)]
pub struct Run<X: Scheme> {
    pub row: usize,
    pub vectors: *const X::Weight,
    pub len: usize,
}

/// `P` rows of `V` vectors.
pub type Sums<S, X, const P: usize, const V: usize> = [[<X as Scheme>::Sums<S>; V]; P];

/// Sets of sums that take turns: few sums would wait for themselves.
const fn sets(sums: usize) -> usize {
    match sums {
        1..=3 => 4,
        4..=7 => 2,
        _ => 1,
    }
}

/// sums += the products of a run; meanwhile, what is ahead is asked for.
///
/// # Safety
/// The factors of the run are there.
#[inline(always)]
pub unsafe fn add<
    S: Vectors,
    X: Scheme,
    const P: usize,
    const V: usize,
    F: Spread<S, X>,
    R: Reading<S, X>,
>(
    simd: S,
    reading: R,
    factors: &Factors<X, P, F>,
    run: Run<X>,
    sums: Sums<S, X, P, V>,
    ahead: &mut Ahead,
) -> Sums<S, X, P, V> {
    // SAFETY: the caller's promise.
    unsafe {
        if const { sets(P * V) > 1 } {
            add_in_turns(simd, reading, factors, run, sums, ahead)
        } else {
            add_in_pieces(simd, reading, factors, run, sums, ahead)
        }
    }
}

/// Enough sums that each is ready when its turn comes.
#[inline(always)]
unsafe fn add_in_pieces<
    S: Vectors,
    X: Scheme,
    const P: usize,
    const V: usize,
    F: Spread<S, X>,
    R: Reading<S, X>,
>(
    simd: S,
    reading: R,
    factors: &Factors<X, P, F>,
    mut run: Run<X>,
    mut sums: Sums<S, X, P, V>,
    ahead: &mut Ahead,
) -> Sums<S, X, P, V> {
    loop {
        let rest = run.len.saturating_sub(ahead.piece());
        while run.len > rest {
            // SAFETY: the caller's promise.
            unsafe { add_some(simd, reading, factors, &mut run, &mut sums) };
        }
        if run.len == 0 {
            return sums;
        }
        ahead.ask();
    }
}

/// Few sums: several sets of them, added up at the end.
#[inline(always)]
unsafe fn add_in_turns<
    S: Vectors,
    X: Scheme,
    const P: usize,
    const V: usize,
    F: Spread<S, X>,
    R: Reading<S, X>,
>(
    simd: S,
    reading: R,
    factors: &Factors<X, P, F>,
    mut run: Run<X>,
    sums: Sums<S, X, P, V>,
    ahead: &mut Ahead,
) -> Sums<S, X, P, V> {
    let sets = const { sets(P * V) };
    let mut local = [[[X::no_sums(simd); V]; P]; 4];
    local[0] = sums;
    while run.len >= sets * F::AT_ONCE {
        let rest = run.len.saturating_sub(ahead.piece());
        while run.len >= sets * F::AT_ONCE && run.len > rest {
            let mut set = 0;
            while set < sets {
                // SAFETY: the caller's promise.
                unsafe { add_some(simd, reading, factors, &mut run, &mut local[set]) };
                set += 1;
            }
        }
        ahead.ask();
    }
    while run.len > 0 {
        // SAFETY: the caller's promise.
        unsafe { add_some(simd, reading, factors, &mut run, &mut local[0]) };
    }
    let mut set = 1;
    while set < sets {
        let mut p = 0;
        while p < P {
            let mut v = 0;
            while v < V {
                local[0][p][v] = X::add_sums(simd, local[0][p][v], local[set][p][v]);
                v += 1;
            }
            p += 1;
        }
        set += 1;
    }
    local[0]
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
unsafe fn add_some<
    S: Vectors,
    X: Scheme,
    const P: usize,
    const V: usize,
    F: Spread<S, X>,
    R: Reading<S, X>,
>(
    simd: S,
    reading: R,
    factors: &Factors<X, P, F>,
    run: &mut Run<X>,
    sums: &mut Sums<S, X, P, V>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        add_one::<S, X, P, V, F, R, 0>(simd, reading, factors, run, sums);
        if const { F::AT_ONCE == QUAD } {
            run.row = reread_from(run.row);
            add_one::<S, X, P, V, F, R, 1>(simd, reading, factors, run, sums);
            run.row = reread_from(run.row);
            add_one::<S, X, P, V, F, R, 2>(simd, reading, factors, run, sums);
            run.row = reread_from(run.row);
            add_one::<S, X, P, V, F, R, 3>(simd, reading, factors, run, sums);
        }
    }
    run.row = run.row.wrapping_add(factors.row_step.wrapping_mul(F::AT_ONCE));
    run.len -= F::AT_ONCE;
}

/// sums += the products of the `K`-th of a run's first elements in every row.
#[inline(always)]
unsafe fn add_one<
    S: Vectors,
    X: Scheme,
    const P: usize,
    const V: usize,
    F: Spread<S, X>,
    R: Reading<S, X>,
    const K: usize,
>(
    simd: S,
    reading: R,
    factors: &Factors<X, P, F>,
    run: &mut Run<X>,
    sums: &mut Sums<S, X, P, V>,
) {
    // SAFETY: the caller's promise.
    unsafe {
        let weights: [X::Weights<S>; V] = std::array::from_fn(|v| reading.weights(simd, run.vectors, v));
        let mut p = 0;
        while p < P {
            let at = factors.rows[p].wrapping_add(run.row);
            let mut value = factors.spread.factors::<K>(simd, at, 0);
            let mut v = 0;
            while v < V {
                if const { !F::SAME } && v > 0 {
                    value = factors.spread.factors::<K>(simd, at, v);
                }
                sums[p][v] = X::add_products(simd, value, weights[v], sums[p][v]);
                v += 1;
            }
            p += 1;
        }
    }
    run.vectors = run.vectors.wrapping_add(factors.vector_step);
}

/// dst ← sums, or addend + sums, within bounds if there are any.
///
/// # Safety
/// dst has a row of vectors for each row of sums, and so has the addend.
#[inline(always)]
pub unsafe fn finish<S: Vectors, X: Scheme, const P: usize, const V: usize>(
    simd: S,
    width: Width<V>,
    dst: [*mut X::Dst; P],
    mut sums: Sums<S, X, P, V>,
    addend: Option<[*const X::Dst; P]>,
    bounds: Option<[X::Sum; 2]>,
) {
    // Step by step: a loop with a decision in it is not unrolled, and its sums leave the registers.
    if let Some(addend) = addend {
        let mut p = 0;
        while p < P {
            // SAFETY: the caller's promise.
            sums[p] = unsafe { width.added::<S, X>(simd, addend[p], sums[p]) };
            p += 1;
        }
    }
    if let Some([min, max]) = bounds {
        let bounds = [X::sum(simd, min), X::sum(simd, max)];
        let mut p = 0;
        while p < P {
            let mut v = 0;
            while v < V {
                sums[p][v] = X::bounded(simd, sums[p][v], bounds);
                v += 1;
            }
            p += 1;
        }
    }
    // SAFETY: the caller's promise.
    unsafe { store::<S, X, P, V>(simd, width, dst, sums) };
}

/// dst ← sums.
#[inline(always)]
unsafe fn store<S: Vectors, X: Scheme, const P: usize, const V: usize>(
    simd: S,
    width: Width<V>,
    dst: [*mut X::Dst; P],
    sums: Sums<S, X, P, V>,
) {
    let mut p = 0;
    if width.is_whole::<S, X>() {
        while p < P {
            let mut v = 0;
            while v < V {
                // SAFETY: the caller's promise.
                unsafe { store_whole::<S, X>(dst[p], v, sums[p][v]) };
                v += 1;
            }
            p += 1;
        }
        return;
    }
    while p < P {
        // SAFETY: the caller's promise.
        unsafe { width.store::<S, X>(simd, dst[p], sums[p]) };
        p += 1;
    }
}
