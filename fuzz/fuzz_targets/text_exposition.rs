//! Prometheus text pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|page: &[u8]| nave_fuzz::exposition(page, nave_wire::exposition::Format::Text));
