//! Two implementations that share no code agree, in both directions.

use crate::support::implementation::{Bound, Implementation, Ours};
use crate::support::oracle::CORRECT;
use crate::support::random::Random;

pub(crate) fn bound(random: &mut Random) -> Bound {
    let context = (0..random.below(4)).map(|n| (format!("{}{n}", random.text(3)), random.text(6))).collect();
    Bound { workspace: random.text(20), app: random.text(20), protection: random.array::<1>()[0], context }
}

#[test]
fn a_hundred_thousand_random_messages_seal_alike_and_open_with_the_other() {
    let mut random = Random::new("a hundred thousand messages");
    for i in 0..100_000 {
        let bound = bound(&mut random);
        let (key, id, nonce) = (random.array(), random.array(), random.array());
        let length = if i % 100 == 0 { random.below(5_000) } else { random.below(100) };
        let plaintext = random.bytes(length);
        let ours = Ours.seal(&key, &id, &nonce, &bound, &plaintext);
        let theirs = CORRECT.seal(&key, &id, &nonce, &bound, &plaintext);
        assert_eq!(ours, theirs);
        assert_eq!(ours.len(), plaintext.len() + envelope::OVERHEAD);
        assert_eq!(CORRECT.open(&key, &bound, &ours).as_ref(), Some(&plaintext));
        assert_eq!(Ours.open(&key, &bound, &theirs).as_ref(), Some(&plaintext));
    }
}

#[test]
fn random_streams_seal_alike_and_open_with_the_other() {
    let mut random = Random::new("streams");
    for length in [0, 1, 65_535, 65_536, 65_537, 131_071, 131_072, 131_073, 200_000] {
        let bound = bound(&mut random);
        let (key, id, p, r) = (random.array(), random.array(), random.array(), random.array());
        let plaintext = random.bytes(length);
        let ours = Ours.seal_stream(&key, &id, &p, &r, &bound, &plaintext);
        let theirs = CORRECT.seal_stream(&key, &id, &p, &r, &bound, &plaintext);
        assert!(ours == theirs, "{length}");
        assert!(CORRECT.open_stream(&key, &bound, &ours).as_ref() == Some(&plaintext));
        assert!(Ours.open_stream(&key, &bound, &theirs).as_ref() == Some(&plaintext));
    }
}
