//! The embedded GEMM: the parts of the `gemm` crate for float32 and float64, which choose their SIMD kernels at run
//! time. The crate as a whole would also bring those for complex numbers.
//!
//! It has memory of its own, which is not part of a plan's workspace: a buffer of the size of the L2 cache for each
//! thread, and heap memory for a large right-hand side during a call. If the crate does not get this memory, it ends
//! the process. So this module first asks for the memory itself.

use std::cell::Cell;
use std::fmt;
use std::hint::black_box;
use std::ops::Range;

use convlow_base::memory;
use convlow_base::panics;
use convlow_kernels::matrix::{MatrixMut, Operand};
use convlow_kernels::number::Number;
use gemm_common::Parallelism;
use gemm_common::cache::CACHE_INFO;

use super::multiply::{Multiply, shape_of};

pub(super) struct Embedded;

/// C := α·C + β·A·B: m, n, k; C, its strides from column to column and from row to row, and whether it is read; A and
/// B with their strides; α, β; what is conjugated; threads.
type Function<T> = unsafe fn(
    usize,
    usize,
    usize,
    *mut T,
    isize,
    isize,
    bool,
    *const T,
    isize,
    isize,
    *const T,
    isize,
    isize,
    T,
    T,
    bool,
    bool,
    bool,
    Parallelism,
);

/// A type that there is such a function for.
trait Computed: Number {
    /// The one for this machine's instructions.
    fn function() -> Function<Self>;
}

impl Computed for f32 {
    fn function() -> Function<Self> {
        gemm_f32::gemm::f32::get_gemm_fn()
    }
}

impl Computed for f64 {
    fn function() -> Function<Self> {
        gemm_f64::gemm::f64::get_gemm_fn()
    }
}

impl<T: Computed> Multiply<T> for Embedded {
    fn multiply(&self, mut c: MatrixMut<'_, T>, a: Operand<'_, T>, b: Operand<'_, T>, beta: T) {
        let (m, n, k) = shape_of(&c, &a, &b);
        let strides = |operand: &Operand<'_, T>| {
            let ld = operand.stored.ld() as isize;
            if operand.transposed { (ld, 1) } else { (1, ld) }
        };
        let ((a_cols, a_rows), (b_cols, b_rows)) = (strides(&a), strides(&b));
        let ld = c.ld() as isize;
        let calls = if b_cols == 1 { remainder_apart(m) } else { [0..m, m..m] };
        for rows in calls.into_iter().filter(|rows| !rows.is_empty()) {
            ask_for_memory::<T>(rows.len(), n, k);
            // SAFETY: the views guarantee that every element of the three matrices under these strides lies
            // inside its borrow, and C, being an exclusive borrow, overlaps neither factor.
            unsafe {
                let to = c.as_mut_ptr().add(rows.start * c.ld());
                let left = (a.stored.data().as_ptr().offset(rows.start as isize * a_rows), a_cols, a_rows);
                let right = (b.stored.data().as_ptr(), b_cols, b_rows);
                // The kernels write columns whose elements lie side by side: where C's rows do, those of its transpose.
                let (m, n, to_cols, to_rows, left, right) = if ld > 1 {
                    (n, rows.len(), ld, 1, (right.0, right.2, right.1), (left.0, left.2, left.1))
                } else {
                    (rows.len(), n, 1, ld, left, right)
                };
                T::function()(
                    m,
                    n,
                    k,
                    to,
                    to_cols,
                    to_rows,
                    beta != T::ZERO,
                    left.0,
                    left.1,
                    left.2,
                    right.0,
                    right.1,
                    right.2,
                    beta,
                    T::ONE,
                    false,
                    false,
                    false,
                    Parallelism::None,
                );
            }
        }
    }
}

thread_local! {
    /// Whether the thread has the crate's buffer already.
    static HAS_BUFFER: Cell<bool> = const { Cell::new(false) };
}

/// Ends the call with an error where there is no room for as much as the crate may take in it: both factors packed, the
/// larger one in parts that fit the third level of the cache, the smaller one in parts of the second.
fn ask_for_memory<T>(m: usize, n: usize, k: usize) {
    /// What the packed rows and columns are rounded up to, and their first byte aligned to.
    const ROUNDED: usize = 128;
    let [_, second_level, third_level] = [0, 1, 2].map(|level| CACHE_INFO[level].cache_bytes);
    let all = k.saturating_mul(m + n + 2 * ROUNDED).saturating_mul(size_of::<T>());
    let packed = all.min(third_level + 4 * second_level.max(1 << 20)) + 2 * ROUNDED;
    let buffer = if HAS_BUFFER.replace(true) { 0 } else { second_level + ROUNDED };
    // The compiler may leave out memory that nobody looks at.
    if let Err(error) = black_box(memory::vec::<u8>(packed + buffer)) {
        HAS_BUFFER.set(buffer == 0);
        panics::fail(error);
    }
}

/// Rows that the kernel for AVX2 and AVX-512 computes at once.
pub(crate) const KERNEL_ROWS: usize = 6;
/// Rows from which on it is as fast as with all: with fewer there are too few sums to hide the latency of an addition.
pub(crate) const ENOUGH_ROWS: usize = 4;
/// The most rows of a product whose last ones get a call of their own. In larger products they are a small share, and a
/// second hardware thread of the core would fill the time that they wait.
pub(crate) const MOST_SPLIT_ROWS: usize = 24;

/// Whether so many rows leave fewer than [`ENOUGH_ROWS`] for the kernel's last step.
pub(crate) fn leaves_few(rows: usize) -> bool {
    (1..ENOUGH_ROWS).contains(&(rows % KERNEL_ROWS))
}

/// The rows of a product in one call, or in two so that the last one has enough of them.
fn remainder_apart(rows: usize) -> [Range<usize>; 2] {
    let first = if leaves_few(rows) && rows > ENOUGH_ROWS && rows <= MOST_SPLIT_ROWS {
        rows - ENOUGH_ROWS
    } else {
        rows
    };
    [0..first, first..rows]
}

pub(super) fn describe(to: &mut impl fmt::Write) -> fmt::Result {
    write!(to, "gemm crate ({})", simd_level())
}

/// The widest instructions that the `gemm` crate finds here.
fn simd_level() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma") {
            return "AVX2 and FMA";
        }
        return "SSE2";
    }
    #[cfg(target_arch = "aarch64")]
    return "NEON";
    #[allow(unreachable_code)] // Reached on the architectures not named above.
    "portable"
}
