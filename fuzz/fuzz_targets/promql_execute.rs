//! Plans of random queries.
#![no_main]

libfuzzer_sys::fuzz_target!(|choices: &[u8]| nave_fuzz::promql_execute(choices));
