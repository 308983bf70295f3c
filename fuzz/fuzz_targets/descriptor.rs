#![no_main]

use convlow_attacks::descriptor::{Input, run};

libfuzzer_sys::fuzz_target!(|input: Input| run(&input));
