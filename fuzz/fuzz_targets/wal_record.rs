//! Log segments: raw bytes behind a good header, and damaged records.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| nave_fuzz::wal_record(input));
