//! [`Pool`]: the threads on which the parts of one execute run.
//!
//! It knows nothing of matrices or numbers. It calls one function on some threads, in numbered slots. The function
//! takes its parts from a counter that all slots share.

mod cores;
mod float_mode;
mod gang;
mod pool;
#[cfg(feature = "rayon")]
mod rayon;
mod sync;

pub use pool::{ParallelFor, Pool};
