//! A million damaged ciphertexts, none accepted.

use crate::second_implementation::bound;
use crate::support::implementation::{Implementation, Ours};
use crate::support::random::Random;

const MUTANTS: usize = 1_000_000;
const ORIGINALS: usize = 64;

/// I-16. Flips, overwrites, cuts, extensions, pieces of another ciphertext: always refused, and never a panic.
#[test]
fn of_a_million_mutated_ciphertexts_none_is_accepted() {
    let mut random = Random::new("a million mutants");
    let key = random.array();
    let id = random.array();
    let bound = bound(&mut random);
    // Only one key and binding: what is spliced together was sealed for the same place, the hardest case.
    let originals: Vec<Vec<u8>> = (0..ORIGINALS)
        .map(|i| {
            let plaintext = random.bytes(i);
            Ours.seal(&key, &id, &random.array(), &bound, &plaintext)
        })
        .collect();
    let context = envelope::Context::from_entries(&bound.context).unwrap();
    let binding = envelope::Binding {
        workspace: &bound.workspace,
        app: &bound.app,
        protection: bound.protection,
        context: &context,
    };
    let (mut out, mut mutants) = (Vec::new(), 0);
    while mutants < MUTANTS {
        let original = &originals[random.below(ORIGINALS)];
        let mutant = mutate(original, &originals[random.below(ORIGINALS)], &mut random);
        if originals.contains(&mutant) {
            continue;
        }
        assert!(envelope::open(&key, &binding, &mutant, &mut out).is_err(), "{}", hex::encode(&mutant));
        assert!(out.is_empty());
        mutants += 1;
    }
    // The originals still open: it was not everything that was refused.
    for original in &originals {
        assert!(envelope::open(&key, &binding, original, &mut out).is_ok());
    }
}

fn mutate(original: &[u8], other: &[u8], random: &mut Random) -> Vec<u8> {
    let mut mutant = original.to_vec();
    let at = random.below(mutant.len());
    match random.below(8) {
        // Half of all mutants are one flipped bit, the least damage there is.
        0..=3 => mutant[at] ^= 1 << random.below(8),
        4 => mutant[at] = random.array::<1>()[0],
        5 => mutant.truncate(at),
        6 => mutant.extend(random.bytes(at % 33 + 1)),
        _ => {
            let from = at.min(other.len());
            mutant.truncate(from);
            mutant.extend(&other[from..]);
        }
    }
    mutant
}
