//! OpenBLAS through CBLAS, with one BLAS thread for each call.
//!
//! OpenBLAS has memory of its own, which is not part of a plan's workspace. Each thread that makes a large call
//! borrows a buffer from the pool of OpenBLAS (32 to 128 MiB mapped, touched in part). With AVX-512, its kernels of
//! small products pack a factor on the heap during a call.
//!
//! OpenBLAS has one number of threads for the process. [`OneThread`] sets it to 1 while any execute uses OpenBLAS, and
//! restores the host's value when the last one has ended. A build of OpenBLAS over OpenMP takes the number from the
//! OpenMP setting of the calling thread instead. So every call is guarded there, too ([`OpenMp`]).

use std::ffi::{CStr, c_char, c_int, c_void};
use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};

use cblas_sys::{CblasNoTrans, CblasRowMajor, CblasTrans, cblas_dgemm, cblas_sgemm};
use convlow_kernels::matrix::{MatrixMut, Operand};

use super::multiply::{Multiply, shape_of};

// What links the library, in place of the line below.
#[cfg(feature = "openblas-src")]
use openblas_src as _;

// Also for CBLAS's own functions, which `cblas-sys` declares and links nowhere.
#[cfg_attr(not(feature = "openblas-src"), link(name = "openblas"))]
unsafe extern "C" {
    fn openblas_set_num_threads(threads: c_int);
    fn openblas_get_num_threads() -> c_int;
    fn openblas_get_parallel() -> c_int;
    fn openblas_get_config() -> *const c_char;
}

pub(super) struct Cblas;

/// Writes what CBLAS has under two names.
macro_rules! multiply {
    ($number:ident, $gemm:ident) => {
        impl Multiply<$number> for Cblas {
            fn multiply(
                &self,
                mut c: MatrixMut<'_, $number>,
                a: Operand<'_, $number>,
                b: Operand<'_, $number>,
                beta: $number,
            ) {
                let (m, n, k) = shape_of(&c, &a, &b);
                let flag = |operand: &Operand<'_, $number>| match operand.transposed {
                    true => CblasTrans,
                    false => CblasNoTrans,
                };
                let int = |size: usize| {
                    c_int::try_from(size)
                        .expect("a plan uses a BLAS only where `Backend::largest_size` holds every size")
                };
                let _openmp = OpenMp::one_thread();
                // SAFETY: the views guarantee that all three matrices lie inside their borrows with these leading
                // dimensions, and C, being an exclusive borrow, overlaps neither factor.
                unsafe {
                    $gemm(
                        CblasRowMajor,
                        flag(&a),
                        flag(&b),
                        int(m),
                        int(n),
                        int(k),
                        1.0,
                        a.stored.data().as_ptr(),
                        int(a.stored.ld()),
                        b.stored.data().as_ptr(),
                        int(b.stored.ld()),
                        beta,
                        c.as_mut_ptr(),
                        int(c.ld()),
                    );
                }
            }
        }
    };
}

multiply!(f32, cblas_sgemm);
multiply!(f64, cblas_dgemm);

pub(super) fn describe(to: &mut impl fmt::Write) -> fmt::Result {
    // SAFETY: OpenBLAS returns a static string.
    let config = unsafe { CStr::from_ptr(openblas_get_config()) };
    to.write_str(config.to_str().unwrap_or("OpenBLAS").trim())
}

/// The executes running now, and the host's number of threads to put back behind the last.
struct Running {
    executes: usize,
    host_threads: c_int,
}

static RUNNING: Mutex<Running> = Mutex::new(Running { executes: 0, host_threads: 0 });

/// OpenBLAS stays on one thread while any of these lives.
pub(super) struct OneThread(());

impl OneThread {
    pub fn begin() -> Self {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        if running.executes == 0 {
            // SAFETY: plain calls without preconditions.
            unsafe {
                running.host_threads = openblas_get_num_threads();
                if running.host_threads != 1 && OpenMpApi::get().is_none() {
                    openblas_set_num_threads(1);
                }
            }
        }
        running.executes += 1;
        Self(())
    }
}

impl Drop for OneThread {
    fn drop(&mut self) {
        let mut running = RUNNING.lock().unwrap_or_else(PoisonError::into_inner);
        running.executes -= 1;
        if running.executes == 0 && running.host_threads != 1 {
            // Over OpenMP the call would also set the number of this thread, which may not be the one that
            // began; the guard puts it back.
            let _openmp = OpenMp::hold();
            // SAFETY: a plain call without preconditions.
            unsafe { openblas_set_num_threads(running.host_threads) };
        }
    }
}

/// The calling thread's OpenMP setting, kept through a call into an OpenBLAS built over OpenMP.
struct OpenMp {
    api: &'static OpenMpApi,
    host_threads: c_int,
}

struct OpenMpApi {
    get_max_threads: unsafe extern "C" fn() -> c_int,
    set_num_threads: unsafe extern "C" fn(c_int),
}

impl OpenMp {
    /// Puts the calling thread's setting back when the result goes; `None` without OpenMP.
    fn hold() -> Option<Self> {
        let api = OpenMpApi::get()?;
        // SAFETY: OpenMP's query has no precondition.
        let host_threads = unsafe { (api.get_max_threads)() };
        Some(Self { api, host_threads })
    }

    /// [`OpenMp::hold`], with the setting at 1 meanwhile.
    fn one_thread() -> Option<Self> {
        let held = Self::hold()?;
        // SAFETY: 1 is a valid number of threads.
        unsafe { (held.api.set_num_threads)(1) };
        Some(held)
    }
}

impl Drop for OpenMp {
    fn drop(&mut self) {
        // SAFETY: the number came from OpenMP itself.
        unsafe { (self.api.set_num_threads)(self.host_threads) };
    }
}

impl OpenMpApi {
    /// `None` unless OpenBLAS runs on OpenMP.
    fn get() -> Option<&'static Self> {
        static API: OnceLock<Option<OpenMpApi>> = OnceLock::new();
        API.get_or_init(Self::of_openblas).as_ref()
    }

    /// OpenMP's runtime is loaded with an OpenBLAS built over it.
    fn of_openblas() -> Option<Self> {
        const OPENMP: c_int = 2;
        // SAFETY: a plain call without preconditions.
        if unsafe { openblas_get_parallel() } != OPENMP {
            return None;
        }
        // SAFETY: both names are C strings.
        let [get, set] = [c"omp_get_max_threads", c"omp_set_num_threads"]
            .map(|name| unsafe { libc::dlsym(libc::RTLD_DEFAULT, name.as_ptr()) });
        if get.is_null() || set.is_null() {
            return None;
        }
        // SAFETY: the OpenMP standard gives the two functions these types.
        Some(unsafe {
            Self {
                get_max_threads: std::mem::transmute::<*mut c_void, unsafe extern "C" fn() -> c_int>(get),
                set_num_threads: std::mem::transmute::<*mut c_void, unsafe extern "C" fn(c_int)>(set),
            }
        })
    }
}
