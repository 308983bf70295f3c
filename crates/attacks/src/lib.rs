//! Attacks on the C functions and on the parsers. Each one is a function of bytes.
//!
//! LLVM's fuzzer calls them with bytes that it invents (`fuzz/fuzz_targets`). A test calls them with the seeds in the
//! repository (`tests/seeds.rs`).

mod case;
pub mod descriptor;
pub mod execute;
/// What the command line's reader of lists takes from its crate.
#[path = "../../../cli/src/outcome.rs"]
#[allow(dead_code)] // The command line fails in more ways than its reader.
mod outcome;
pub mod packed_weights;
pub mod problem_list;
pub mod wisdom;

use arbitrary::{Arbitrary, Unstructured};

/// An attack by its name, which is that of its folder of seeds.
pub struct Attack {
    /// The name.
    pub name: &'static str,
    /// Calls it, unless the bytes are too few to be its input, and says whether it was called. It panics where the
    /// library breaks a promise.
    pub run: fn(&[u8]) -> bool,
}

/// All of them.
pub const ATTACKS: [Attack; 5] = [
    Attack { name: "descriptor", run: |bytes| on_input(bytes, descriptor::run) },
    Attack { name: "execute", run: |bytes| on_input(bytes, execute::run) },
    Attack { name: "packed_weights", run: |bytes| on_input(bytes, packed_weights::run) },
    Attack { name: "problem_list", run: |bytes| on_bytes(bytes, problem_list::run) },
    Attack { name: "wisdom", run: |bytes| on_bytes(bytes, wisdom::run) },
];

fn on_bytes(bytes: &[u8], run: fn(&[u8])) -> bool {
    run(bytes);
    true
}

/// Reads the bytes as `fuzz_target!` does, so that a seed is the same input to both.
fn on_input<'a, T: Arbitrary<'a>>(bytes: &'a [u8], run: fn(&T)) -> bool {
    let input = T::arbitrary_take_rest(Unstructured::new(bytes));
    input.as_ref().map(run).is_ok()
}
