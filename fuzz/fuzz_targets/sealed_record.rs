//! Sealed records: any bytes, and seals that were changed, never open as anything but what was sealed.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_layer::fuzzing::sealed_record(data));
