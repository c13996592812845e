//! Signed cookies' values: any text, and values that were changed, are never valid.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_layer::fuzzing::signed_cookie(data));
