//! The fuzz targets' bodies over their committed corpus, on the stable compiler, and over simple mutants of it.

use std::path::Path;

use crate::fuzz_bodies;
use crate::support::random::Random;

fn run(target: &str, body: fn(&[u8])) {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let mut random = Random::new(target);
    let mut inputs = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let mut input = std::fs::read(entry.unwrap().path()).unwrap();
        body(&input);
        for _ in 0..200 {
            if !input.is_empty() {
                let at = random.below(input.len());
                input[at] = [0, 1, 0xff, random.array::<1>()[0]][random.below(4)];
            }
            body(&input);
        }
        inputs += 1;
    }
    assert!(inputs >= 4, "the corpus of {target} has {inputs} inputs");
}

#[test]
fn the_header_target_holds_over_its_corpus() {
    run("header", fuzz_bodies::header);
}

#[test]
fn the_stream_target_holds_over_its_corpus() {
    run("stream", fuzz_bodies::stream);
}

#[test]
fn the_context_target_holds_over_its_corpus() {
    run("context", fuzz_bodies::context);
}
