//! Prometheus' blocks: changed indexes behind right checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nave_fuzz::prometheus_index(input));
