#![no_main]

use convlow_attacks::wisdom::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
