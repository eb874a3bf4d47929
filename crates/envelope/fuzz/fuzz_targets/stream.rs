//! Fuzzes the envelope: see `stream` in the bodies.
#![no_main]

#[expect(dead_code, reason = "each target calls one of the bodies")]
#[path = "../../tests/fuzz_bodies/mod.rs"]
mod bodies;

libfuzzer_sys::fuzz_target!(|data: &[u8]| bodies::stream(data));
