#![no_main]

use convlow_attacks::packed_weights::{Input, run};

libfuzzer_sys::fuzz_target!(|input: Input| run(&input));
