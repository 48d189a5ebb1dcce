//! Remote-write 2.0 bodies: the input is taken both as a compressed and as a decompressed body.
#![no_main]

libfuzzer_sys::fuzz_target!(|body: &[u8]| nave_fuzz::write_v2_body(body));
