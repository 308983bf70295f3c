#![no_main]

use convlow_attacks::execute::{Input, run};

libfuzzer_sys::fuzz_target!(|input: Input| run(&input));
