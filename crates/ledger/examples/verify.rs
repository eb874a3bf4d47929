//! How long the verification of 100,000 events takes: `cargo run --release -p ledger --example verify`.

#[path = "../tests/support/mod.rs"]
mod support;

use std::time::Instant;

fn main() {
    let lines = support::Chain::of(100_000).export();
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
    #[expect(clippy::disallowed_methods, reason = "it measures")]
    let began = Instant::now();
    let report = support::verify(&lines, None);
    let took = began.elapsed();
    assert!(report.is_good(), "{:?}", report.findings);
    #[expect(clippy::print_stdout, reason = "a measurement tells its figure")]
    {
        println!("{} events, {} MiB, {} checkpoints: {took:?}", report.events, bytes >> 20, report.checkpoints);
    }
}
