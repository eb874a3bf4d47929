//! A nonce never repeats under a key (I-17).

use std::collections::HashSet;
use std::thread;

use envelope::{BatchSealer, Binding, Context, Header, StreamSealer, fresh_nonce};

/// The same clock reading everywhere, so that only the random bytes tell nonces apart.
#[test]
fn four_threads_never_take_the_same_nonce() {
    let taken: Vec<Vec<[u8; 24]>> = thread::scope(|scope| {
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| (0..100_000).map(|_| fresh_nonce(7)).collect())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let all: HashSet<[u8; 24]> = taken.iter().flatten().copied().collect();
    assert_eq!(all.len(), 400_000);
    // Nor half of one: a batch shares N[..12] with no other message, and the low bits are not a counter.
    for half in [0..12, 12..24] {
        let halves: HashSet<&[u8]> = all.iter().map(|nonce| &nonce[half.clone()]).collect();
        assert_eq!(halves.len(), 400_000);
    }
}

#[test]
fn a_batch_and_a_stream_never_seal_twice_under_one_nonce() {
    let context = Context::empty();
    let binding = Binding { workspace: "w", app: "a", protection: 1, context: &context };
    let mut seen = HashSet::new();
    for start in [[0xff; 12], [0; 12]] {
        let mut batch = BatchSealer::new(&[1; 32], &[2; 16], [start[0]; 12], start);
        for _ in 0..10_000 {
            let mut out = Vec::new();
            batch.seal_next(&binding, b"", &mut out).unwrap();
            assert!(seen.insert(Header::parse(&out).unwrap().nonce));
        }
    }
    // Two equal segments and an equal last one: were a nonce to repeat, two of the ciphertexts would be equal.
    let (mut sealer, _) = StreamSealer::new(&[1; 32], &[2; 16], [3; 12], [4; 7], &binding);
    let mut out = Vec::new();
    sealer.push(&vec![0; 3 * 65_536], &mut out).unwrap();
    sealer.finish(&mut out).unwrap();
    let starts: HashSet<&[u8]> = out.chunks(65_552).map(|segment| &segment[..16]).collect();
    assert_eq!(starts.len(), 3);
}
