#![no_main]

use convlow_attacks::problem_list::run;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| run(bytes));
