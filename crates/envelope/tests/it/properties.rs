//! I-16: what was sealed opens with exactly the same binding, and with no other.

use envelope::{BatchSealer, open};
use proptest::prelude::*;

use crate::support::implementation::{Bound, Implementation, Ours};

const KEY: [u8; 32] = [1; 32];

/// Few letters and short names, so that two bindings are often almost the same.
fn bound() -> impl Strategy<Value = Bound> {
    let context = prop::collection::btree_map("[ab]{1,2}", "[ab]{0,2}", 0..3);
    ("[ab]{0,2}", "[ab]{0,2}", 1_u8..3, context).prop_map(|(workspace, app, protection, context)| Bound {
        workspace,
        app,
        protection,
        context,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_message_opens_with_its_own_binding_and_no_other(
        sealed_for in bound(),
        opened_for in bound(),
        plaintext in prop::collection::vec(any::<u8>(), 0..200),
        nonce in any::<[u8; 24]>(),
    ) {
        let message = Ours.seal(&KEY, &[2; 16], &nonce, &sealed_for, &plaintext);
        prop_assert_eq!(Ours.open(&KEY, &sealed_for, &message), Some(plaintext));
        prop_assert_eq!(Ours.open(&KEY, &opened_for, &message).is_some(), sealed_for == opened_for);
    }

    #[test]
    fn a_stream_opens_with_its_own_binding_and_no_other(sealed_for in bound(), opened_for in bound()) {
        let stream = Ours.seal_stream(&KEY, &[2; 16], &[3; 12], &[4; 7], &sealed_for, b"order 42");
        prop_assert_eq!(Ours.open_stream(&KEY, &opened_for, &stream).is_some(), sealed_for == opened_for);
    }

    #[test]
    fn any_changed_bit_anywhere_is_refused(
        plaintext in prop::collection::vec(any::<u8>(), 0..100),
        at in any::<prop::sample::Index>(),
        bit in 0_u8..8,
    ) {
        let bound = Bound::new("acme", "bot", 2, &[("k", "v")]);
        let mut message = Ours.seal(&KEY, &[2; 16], &[3; 24], &bound, &plaintext);
        let at = at.index(message.len());
        message[at] ^= 1_u8 << bit;
        prop_assert!(Ours.open(&KEY, &bound, &message).is_none());
    }

    #[test]
    fn any_other_key_is_refused(other in any::<[u8; 32]>()) {
        prop_assume!(other != KEY);
        let bound = Bound::new("acme", "bot", 2, &[]);
        let message = Ours.seal(&KEY, &[2; 16], &[3; 24], &bound, b"order 42");
        prop_assert!(Ours.open(&other, &bound, &message).is_none());
    }

    /// Batch items are ordinary messages: sealed singly with the same nonces they are the same bytes.
    #[test]
    fn a_batch_is_the_messages_it_is_made_of(
        prefix in any::<[u8; 12]>(),
        start in any::<[u8; 12]>(),
        plaintexts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 1..6),
    ) {
        let bound = Bound::new("acme", "bot", 2, &[("k", "v")]);
        let mut batch = BatchSealer::new(&KEY, &[2; 16], prefix, start);
        let (mut arena, mut nonce) = (Vec::new(), [prefix, start].concat());
        for plaintext in &plaintexts {
            let from = arena.len();
            bound.with(|binding| batch.seal_next(binding, plaintext, &mut arena)).unwrap();
            let single = Ours.seal(&KEY, &[2; 16], nonce.as_slice().try_into().unwrap(), &bound, plaintext);
            prop_assert_eq!(&arena[from..], single);
            let mut out = Vec::new();
            bound.with(|binding| open(&KEY, binding, &arena[from..], &mut out)).unwrap();
            prop_assert_eq!(&out, plaintext);
            let counter = u32::from_be_bytes(nonce[20..].try_into().unwrap()).wrapping_add(1);
            nonce[20..].copy_from_slice(&counter.to_be_bytes());
        }
    }
}
