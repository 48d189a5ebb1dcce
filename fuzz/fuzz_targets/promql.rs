//! Queries.
#![no_main]

libfuzzer_sys::fuzz_target!(|query: &[u8]| nave_fuzz::promql(query));
