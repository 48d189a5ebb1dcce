//! Remote-write bodies: the input is taken both as a compressed and as a decompressed body.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| nave_fuzz::write_body(body));
