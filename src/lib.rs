//! Low-memory convolution by matrix multiplication, with a C ABI.
//!
//! # Map
//! A call goes through these parts in this order:
//! 1. [`ffi`] turns pointers into slices, once.
//! 2. [`Problem`] is a convolution that is valid by construction.
//! 3. The [`planner`] lets each algorithm of the registry in [`algorithms`] prepare for the problem, and chooses one.
//! 4. A [`Plan`] binds the problem, the prepared algorithm, the workspace and the order of the weights.
//! 5. The plan runs on views of memory ([`matrix`]), on the tiles that a [`Pool`] hands out. The inner loops in
//!    `kernels` or a [`gemm`] backend compute.
//!
//! `lowering` moves data for all algorithms. [`mod@reference`] is the definition in float64, for tests.
//!
//! # Notation
//! | letter | meaning |
//! |---|---|
//! | N | batch: number of images |
//! | C, M | input and output channels (within a group: C/groups, M/groups) |
//! | H × W, OH × OW | input and output height and width |
//! | Kh × Kw | kernel; (i, j) is a tap |
//! | s, d | stride, dilation |
//! | P, D | output pixels OH·OW, depth C·Kh·Kw |
//! | strip | neighbouring output rows, or a part of one row, that are computed together |
//! | tile | the outputs that one thread computes at a time: a strip × some output channels |
//!
//! dst\[n, m, y, x\] = Σ over c, i, j of
//! weights\[m, c, i, j\] · src\[n, c, y·s + i·d − pad_top, x·s + j·d − pad_left\],
//! where terms outside the input are absent. In three dimensions planes come before rows. A transposed convolution
//! exchanges y and the input row that it reads. Elements are float32 or float64 ([`DataType`]); code that touches them
//! is generic.

pub mod algorithms;
mod buffer;
mod build_info;
mod computed;
pub mod descriptor;
mod environment;
pub mod ffi;
pub mod gemm;
mod lowering;
mod plan;
pub mod planner;
mod problem;
pub mod reference;
mod tiles;

pub use algorithms::Element;
pub use buffer::Buffer;
pub use build_info::build_info;
pub use convlow_base::error::{Error, Result};
pub use convlow_kernels::data_type::for_type;
pub use convlow_kernels::isa::Isa;
pub use convlow_kernels::matrix;
pub use convlow_threads::{ParallelFor, Pool};
#[cfg(feature = "training")]
pub use plan::GradientArguments;
pub use plan::{Arguments, Info, Plan};
pub use planner::{AlgorithmChoice, Effort, Math, Options, WeightsFrom};
pub use problem::{
    Activation, Axis, DataType, Kind, Layout, Operation, Problem, Propagation, Strides, WeightsLayout,
};
pub use tiles::EachTile;
