//! Low-memory convolution by matrix multiplication, behind a C surface.
//!
//! # Map
//! A call flows one way: [`ffi`] turns pointers into slices, once; [`Problem`] is a convolution that is
//! valid by construction; the [`planner`] lets each entry of the registry of
//! [`algorithms`] prepare for it and chooses; a [`Plan`] binds problem, what was prepared, workspace and weight order, and
//! runs it on views of memory ([`matrix`]) with a
//! [`gemm`] backend, or the inner loops in `kernels`, on the tiles that a [`Pool`] hands out. `lowering` holds the
//! data movement that algorithms share. [`mod@reference`] is the definition in float64, to test against.
//!
//! # Notation
//! | letter | meaning |
//! |---|---|
//! | N | batch: images |
//! | C, M | input and output channels (within a group: C/groups, M/groups) |
//! | H × W, OH × OW | input and output height and width |
//! | Kh × Kw | kernel; (i, j) is a tap |
//! | s, d | stride, dilation |
//! | P, D | output pixels OH·OW, depth C·Kh·Kw |
//! | strip | neighbouring output rows, or a part of one, that are computed together |
//! | tile | what one thread computes at a time: a strip × some output channels |
//!
//! dst\[n, m, y, x\] = Σ over c, i, j of weights\[m, c, i, j\] · src\[n, c, y·s + i·d − pad_top, x·s + j·d − pad_left\],
//! where terms outside the input are absent; planes come before rows in three dimensions, and a transposed convolution
//! exchanges y and the row that it reads. Elements are float32 or float64 ([`DataType`]); code that touches them is generic.

pub mod algorithms;
mod buffer;
mod build_info;
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
pub use plan::{Arguments, Info, Plan};
pub use planner::{AlgorithmChoice, Effort, Math, Options};
pub use problem::{Activation, Axis, DataType, Kind, Layout, Operation, Problem, Strides, WeightsLayout};
pub use tiles::EachTile;
