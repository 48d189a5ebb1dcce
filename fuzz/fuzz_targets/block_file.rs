//! Whole blocks and parts behind forged checksums.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nave_fuzz::block_file(input));
