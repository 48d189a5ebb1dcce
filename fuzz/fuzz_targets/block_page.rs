//! Pages of blocks: foreign bytes, round trips, forged pages.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nave_fuzz::block_page(input));
