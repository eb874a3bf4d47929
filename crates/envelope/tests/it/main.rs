//! What the envelope promises to whoever links it, and to whoever writes another reader.

mod context_bytes;
mod frozen_vectors;
mod fuzz_corpus;
mod mutations;
mod nonces;
mod properties;
mod published_vectors;
mod python_reader;
mod second_implementation;
mod seeded_bugs;
mod streams;
mod support;

#[path = "../fuzz_bodies/mod.rs"]
mod fuzz_bodies;
