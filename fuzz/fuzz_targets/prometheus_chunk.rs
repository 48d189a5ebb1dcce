//! Prometheus' chunks: foreign bytes, round trips.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nave_fuzz::prometheus_chunk(input));
