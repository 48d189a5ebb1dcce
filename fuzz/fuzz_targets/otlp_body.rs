//! OTLP requests.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| nave_fuzz::otlp_body(body));
