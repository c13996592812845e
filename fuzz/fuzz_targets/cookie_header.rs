//! A client's `Cookie` lines, whatever they hold.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_layer::fuzzing::cookie_header(data));
