//! A memory store's snapshot and journal: whatever they hold is restored or refused.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_layer::fuzzing::snapshot(data));
