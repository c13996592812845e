//! What memcached answers, or whoever is in its place: any bytes, cut anywhere, are read alike and never panic.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| session_layer::fuzzing::memcached_reply(data));
