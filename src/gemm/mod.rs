//! [`Gemm`]: C ← A·B + βC on one thread, and the backends that compute it.

#[cfg(feature = "openblas")]
mod cblas;
#[cfg(feature = "gemm")]
mod embedded;
mod multiply;

use std::fmt;

use convlow_base::error::{Error, Result, text};

#[cfg(feature = "gemm")]
pub(crate) use self::embedded::{ENOUGH_ROWS, KERNEL_ROWS, MOST_SPLIT_ROWS, leaves_few};
pub use self::multiply::{Gemm, Multiplied, Multiply};

/// A GEMM implementation that this build holds; in one without the feature `gemm` there is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Backend {
    /// The system's OpenBLAS through CBLAS.
    #[cfg(feature = "openblas")]
    Blas,
    /// The `gemm` crate, in pure Rust.
    #[cfg(feature = "gemm")]
    Embedded,
}

/// Which backend a plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BackendChoice {
    /// For each algorithm the one that is estimated quicker on one thread.
    #[default]
    Auto,
    /// The BLAS or nothing.
    Blas,
    /// The embedded GEMM.
    Embedded,
}

impl Backend {
    /// The backends that may serve `choice`.
    ///
    /// # Errors
    /// [`Error::Unsupported`] if one is asked for that this build does not have.
    pub fn candidates(choice: BackendChoice) -> Result<&'static [Backend]> {
        const ALL: &[Backend] = &[
            #[cfg(feature = "openblas")]
            Backend::Blas,
            #[cfg(feature = "gemm")]
            Backend::Embedded,
        ];
        let (name, what, feature) = match choice {
            BackendChoice::Auto => return Ok(ALL),
            BackendChoice::Blas => ("blas", "BLAS", "openblas"),
            BackendChoice::Embedded => ("embedded", "embedded GEMM", "gemm"),
        };
        match ALL.iter().position(|backend| backend.name() == name) {
            Some(at) => Ok(&ALL[at..=at]),
            None => Err(Error::Unsupported(text!(
                "gemm = {name}, but this build has no {what} (cargo feature {feature})"
            ))),
        }
    }

    /// The word used in wisdom and verbose lines.
    pub fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "openblas")]
            Backend::Blas => "blas",
            #[cfg(feature = "gemm")]
            Backend::Embedded => "embedded",
        }
    }

    /// The multiplication itself.
    pub fn gemm(self) -> &'static dyn Gemm {
        match self {
            #[cfg(feature = "openblas")]
            Backend::Blas => &cblas::Cblas,
            #[cfg(feature = "gemm")]
            Backend::Embedded => &embedded::Embedded,
        }
    }

    /// The largest dimension or leading dimension that a call can take.
    pub fn largest_size(self) -> usize {
        match self {
            #[cfg(feature = "openblas")]
            Backend::Blas => libc::c_int::MAX as usize,
            #[cfg(feature = "gemm")]
            Backend::Embedded => isize::MAX as usize,
        }
    }

    /// Keeps the backend on one thread a call for as long as the result lives, whatever the host has set,
    /// and puts the host's setting back afterwards.
    pub fn on_one_thread(self) -> OneThread {
        OneThread {
            #[cfg(feature = "openblas")]
            _blas: (self == Backend::Blas).then(cblas::OneThread::begin),
        }
    }

    /// Writes name, version and configuration, for [`crate::build_info()`].
    ///
    /// # Errors
    /// Those of the writer.
    #[allow(unused_variables)] // Where there is none.
    pub fn describe(self, to: &mut impl fmt::Write) -> fmt::Result {
        match self {
            #[cfg(feature = "openblas")]
            Backend::Blas => cblas::describe(to),
            #[cfg(feature = "gemm")]
            Backend::Embedded => embedded::describe(to),
        }
    }
}

/// See [`Backend::on_one_thread`].
#[must_use]
pub struct OneThread {
    #[cfg(feature = "openblas")]
    _blas: Option<cblas::OneThread>,
}

#[cfg(all(test, feature = "gemm"))]
mod tests {
    use super::*;
    use convlow_kernels::matrix::{Matrix, MatrixMut, Operand};

    /// Every backend and transposition against the triple loop, with leading dimensions wider than the rows.
    #[test]
    fn backends_multiply_by_the_definition() {
        for &backend in Backend::candidates(BackendChoice::Auto).expect("all of them") {
            for (m, n, k) in [(1, 1, 1), (3, 5, 7), (1, 40, 9), (40, 1, 9), (17, 33, 65), (64, 100, 27)] {
                for transposed in 0..4 {
                    for beta in [0.0, 1.0] {
                        let transposed = [transposed & 1 != 0, transposed & 2 != 0];
                        check::<f32>(backend, [m, n, k], transposed, beta);
                        check::<f64>(backend, [m, n, k], transposed, beta);
                    }
                }
            }
        }
    }

    fn check<T: Multiplied>(backend: Backend, [m, n, k]: [usize; 3], [ta, tb]: [bool; 2], beta: f64) {
        let stored = |rows: usize, cols: usize, t: bool| if t { (cols, rows) } else { (rows, cols) };
        let filled = |count: usize, seed: usize| -> Vec<T> {
            (0..count).map(|index| T::from_f64(((index * 7 + seed) % 11) as f64 - 5.0)).collect()
        };
        let ((ar, ac), (br, bc)) = (stored(m, k, ta), stored(k, n, tb));
        let (a, b) = (filled(ar * (ac + 2), 1), filled(br * (bc + 3), 2));
        let start = if beta == 0.0 { f64::NAN } else { 2.0 };
        let mut c = vec![T::from_f64(start); m * (n + 1)];
        let operand = |matrix, t| Operand { stored: matrix, transposed: t };
        let (a, b) = (
            operand(Matrix::new(&a[..], ar, ac, ac + 2), ta),
            operand(Matrix::new(&b[..], br, bc, bc + 3), tb),
        );
        {
            let _guard = backend.on_one_thread();
            let c = MatrixMut::new(&mut c, m, n, n + 1);
            T::multiply_by(backend.gemm(), c, a, b, T::from_f64(beta));
        }
        let at = |x: &Operand<'_, T>, r: usize, c: usize| -> f64 {
            let (r, c) = if x.transposed { (c, r) } else { (r, c) };
            x.stored.data().value(r * x.stored.ld() + c).into()
        };
        for row in 0..m {
            for col in 0..n {
                let sum: f64 = (0..k).map(|d| at(&a, row, d) * at(&b, d, col)).sum();
                let expected = if beta == 0.0 { sum } else { sum + 2.0 };
                let found: f64 = c[row * (n + 1) + col].into();
                assert_eq!(found, expected, "{backend:?} {m}x{n}x{k} {ta} {tb} {beta}");
            }
            let behind: f64 = c[row * (n + 1) + n].into();
            assert!(behind.is_nan() == start.is_nan() && (behind.is_nan() || behind == start));
        }
    }
}
