//! How much does the format cost over plain AES-256-GCM? `cargo run --release -p envelope --example speed`
//!
//! Rounds of all rows are interleaved and the median is printed: on a shared machine quote ratios, not nanoseconds.
#![expect(clippy::disallowed_methods, clippy::print_stdout, reason = "it measures, and prints what it measured")]

use std::hint::black_box;
use std::time::Instant;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use envelope::{
    BatchOpener, BatchSealer, Binding, Context, ExpandedKey, StreamSealer, fresh_nonce, kc_xaes, open, seal,
};

const KEY: [u8; 32] = [7; 32];
const ID: [u8; 16] = [9; 16];
const ROUNDS: usize = 41;

fn main() {
    let context = Context::from_entries([("purpose", "chat"), ("conversation", "0123456789")]).expect("it is valid");
    let binding = Binding { workspace: "acme", app: "support-bot", protection: 2, context: &context };
    println!("ns a message; overhead over plain GCM of the same shape; ratio of throughputs to it");
    for length in [64, 1024, 65_536] {
        measure(&binding, length);
    }
    println!(
        "\nfresh_nonce: {:.1} ns",
        median(
            1,
            100_000,
            &mut [&mut || {
                black_box(fresh_nonce(1));
            }]
        )[0]
    );
    stream(&binding);
}

fn measure(binding: &Binding<'_>, length: usize) {
    let plain = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &KEY).expect("32 bytes"));
    let aad = [5u8; 160];
    let plaintext = vec![1u8; length];
    let (mut a, mut b) = (vec![1u8; length], vec![1u8; length]);
    let (mut c, mut d, mut e) = (Vec::new(), Vec::new(), Vec::new());
    let mut sealed = Vec::new();
    seal(&KEY, &ID, &[3; 24], binding, &plaintext, &mut sealed);
    let (mut f, mut g) = (Vec::new(), Vec::new());
    let expanded = ExpandedKey::new(&KEY);
    let mut opener = BatchOpener::new(&expanded);
    let mut batch = BatchSealer::new(&expanded, &ID, [1; 12], [2; 12]);
    let nonce = || Nonce::assume_unique_for_key([4; 12]);

    let iterations = (4_000_000 / (length + 400)).max(20);
    let rows = [
        "plain GCM, in place",
        "KC-XAES, in place",
        "plain GCM, into a buffer",
        "message: nonce, header, binding",
        "batch item",
        "open a message",
        "open a batch item",
    ];
    let times = median(
        ROUNDS,
        iterations,
        &mut [
            &mut || drop(black_box(plain.seal_in_place_separate_tag(nonce(), Aad::from(&aad), &mut a))),
            &mut || {
                black_box(kc_xaes::seal(&KEY, &[4; 24], &aad, &mut b));
            },
            &mut || {
                c.clear();
                c.extend_from_slice(&plaintext);
                let tag = plain.seal_in_place_separate_tag(nonce(), Aad::from(&aad), &mut c).expect("it seals");
                c.extend_from_slice(tag.as_ref());
                black_box(&c);
            },
            &mut || {
                d.clear();
                seal(&KEY, &ID, &fresh_nonce(1), binding, &plaintext, &mut d);
                black_box(&d);
            },
            &mut || {
                e.clear();
                if batch.seal_next(binding, &plaintext, &mut e).is_err() {
                    batch = BatchSealer::new(&expanded, &ID, [1; 12], [2; 12]);
                }
                black_box(&e);
            },
            &mut || {
                f.clear();
                open(&KEY, binding, &sealed, &mut f).expect("it opens");
                black_box(&f);
            },
            &mut || {
                g.clear();
                opener.open_next(binding, &sealed, &mut g).expect("it opens");
                black_box(&g);
            },
        ],
    );
    println!("\n{length} bytes");
    for (at, row) in rows.iter().enumerate() {
        let base = if at < 2 { times[0] } else { times[2] };
        println!("  {row:<32} {:>8.0} ns  {:>+7.0} ns  {:.2}", times[at], times[at] - base, base / times[at]);
    }
}

fn stream(binding: &Binding<'_>) {
    let chunk = vec![1u8; 1 << 20];
    let mut out = Vec::new();
    let (mut sealer, _) = StreamSealer::new(&KEY, &ID, [1; 12], [2; 7], binding);
    let time = median(
        ROUNDS,
        4,
        &mut [&mut || {
            out.clear();
            sealer.push(&chunk, &mut out).expect("far from the limit");
            black_box(&out);
        }],
    )[0];
    println!("stream: {:.2} GB/s", chunk.len() as f64 / time);
}

/// The median time of each, in ns a call, over interleaved rounds.
fn median(rounds: usize, iterations: usize, each: &mut [&mut dyn FnMut()]) -> Vec<f64> {
    let mut times = vec![Vec::new(); each.len()];
    for _ in 0..rounds {
        for (call, times) in each.iter_mut().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..iterations {
                call();
            }
            times.push(start.elapsed().as_nanos() as f64 / iterations as f64);
        }
    }
    times
        .into_iter()
        .map(|mut times| {
            times.sort_by(f64::total_cmp);
            times[times.len() / 2]
        })
        .collect()
}
