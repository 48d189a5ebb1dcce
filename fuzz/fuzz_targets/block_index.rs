//! The label index of blocks: forged postings and rows.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nave_fuzz::block_index(input));
