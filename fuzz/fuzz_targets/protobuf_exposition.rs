//! Protobuf pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|page: &[u8]| nave_fuzz::protobuf_exposition(page));
