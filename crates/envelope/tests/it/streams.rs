//! A stream opens whole or not at all, however it is cut into pieces.

use envelope::{Context, PROLOGUE_LEN, SEGMENT_LEN, StreamOpener, StreamSealer};
use proptest::prelude::*;

use crate::support::implementation::{Bound, Implementation, Ours};
use crate::support::vector_files::stream_plaintext;

const KEY: [u8; 32] = [1; 32];
const SEALED: usize = SEGMENT_LEN + 16;

fn bound() -> Bound {
    Bound::new("acme", "bot", 2, &[("file", "a")])
}

fn sealed(length: usize) -> Vec<u8> {
    Ours.seal_stream(&KEY, &[2; 16], &[3; 12], &[4; 7], &bound(), &stream_plaintext(length))
}

/// Lengths around the borders of segments.
fn length() -> impl Strategy<Value = usize> {
    (0_usize..4, -2_isize..3).prop_map(|(segments, by)| (segments * SEGMENT_LEN).saturating_add_signed(by))
}

/// Opens in pieces of the given lengths, over and over; what comes out before a failure is counted, not kept.
fn open_in_pieces(ciphertext: &[u8], pieces: &[usize]) -> Result<Vec<u8>, usize> {
    let (prologue, mut rest) = ciphertext.split_first_chunk::<PROLOGUE_LEN>().ok_or(0_usize)?;
    let mut opener = bound().with(|binding| StreamOpener::new(&KEY, binding, prologue)).map_err(|_| 0_usize)?;
    let mut out = Vec::new();
    for piece in pieces.iter().cycle() {
        if rest.is_empty() {
            break;
        }
        let (head, tail) = rest.split_at(rest.len().min(*piece));
        opener.push(head, &mut out).map_err(|_| out.len())?;
        rest = tail;
    }
    let before = out.len();
    opener.finish(&mut out).map_err(|_| before)?;
    Ok(out)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_pieces_it_comes_in_do_not_matter(
        length in length(),
        pieces in prop::collection::vec(1_usize..100_000, 1..5),
    ) {
        let plaintext = stream_plaintext(length);
        let (mut sealer, prologue) =
            bound().with(|binding| StreamSealer::new(&KEY, &[2; 16], [3; 12], [4; 7], binding));
        let mut ciphertext = prologue.to_vec();
        let mut rest = plaintext.as_slice();
        for piece in pieces.iter().cycle() {
            let (head, tail) = rest.split_at(rest.len().min(*piece));
            sealer.push(head, &mut ciphertext).unwrap();
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        sealer.finish(&mut ciphertext).unwrap();
        prop_assert!(ciphertext == sealed(length));
        prop_assert!(open_in_pieces(&ciphertext, &pieces).as_ref() == Ok(&plaintext));
    }

    /// I-16: any cut is noticed, wherever it falls.
    #[test]
    fn every_truncation_is_refused(length in length(), cut in any::<prop::sample::Index>()) {
        let whole = sealed(length);
        let cut = cut.index(whole.len());
        prop_assert!(open_in_pieces(&whole[..cut], &[70_000]).is_err());
    }

    #[test]
    fn every_extension_is_refused(length in length(), more in prop::collection::vec(any::<u8>(), 1..40)) {
        let whole = [sealed(length), more].concat();
        prop_assert!(open_in_pieces(&whole, &[70_000]).is_err());
    }

    #[test]
    fn every_flipped_bit_is_refused(length in length(), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let mut whole = sealed(length);
        let at = at.index(whole.len());
        whole[at] ^= 1_u8 << bit;
        prop_assert!(open_in_pieces(&whole, &[70_000]).is_err());
    }

    /// Every order of the segments but the right one, with some left out and some twice.
    #[test]
    fn segments_in_any_other_order_are_refused(order in prop::collection::vec(0_usize..4, 0..6)) {
        prop_assume!(order != [0, 1, 2, 3]);
        let whole = sealed(3 * SEGMENT_LEN + 5);
        let segments: Vec<&[u8]> = whole[PROLOGUE_LEN..].chunks(SEALED).collect();
        let mut other = whole[..PROLOGUE_LEN].to_vec();
        order.iter().for_each(|i| other.extend(segments[*i]));
        prop_assert!(open_in_pieces(&other, &[70_000]).is_err());
    }
}

/// A wrong key, app or context is known before the first byte of plaintext.
#[test]
fn a_wrong_binding_fails_at_the_prologue() {
    let whole = sealed(10);
    let prologue: &[u8; PROLOGUE_LEN] = whole.first_chunk().unwrap();
    let mut other = bound();
    other.app = "other".to_owned();
    assert!(other.with(|binding| StreamOpener::new(&KEY, binding, prologue)).is_err());
    assert!(bound().with(|binding| StreamOpener::new(&[9; 32], binding, prologue)).is_err());
    assert!(bound().with(|binding| StreamOpener::new(&KEY, binding, prologue)).is_ok());
}

/// What a cut stream gave out is true as far as it goes; the end is what is missing.
#[test]
fn a_cut_stream_fails_only_at_its_end() {
    let whole = sealed(3 * SEGMENT_LEN);
    assert_eq!(open_in_pieces(&whole[..PROLOGUE_LEN + 2 * SEALED], &[1_000]), Err(SEGMENT_LEN));
}

#[test]
fn after_a_failure_everything_fails() {
    let mut whole = sealed(2 * SEGMENT_LEN);
    whole[PROLOGUE_LEN] ^= 1;
    let (prologue, segments) = whole.split_first_chunk::<PROLOGUE_LEN>().unwrap();
    let mut opener = bound().with(|binding| StreamOpener::new(&KEY, binding, prologue)).unwrap();
    let mut out = b"before".to_vec();
    assert!(opener.push(segments, &mut out).is_err());
    assert_eq!(out, b"before");
    whole[PROLOGUE_LEN] ^= 1;
    assert!(opener.push(&whole[PROLOGUE_LEN..], &mut out).is_err());
    assert!(opener.push(b"", &mut out).is_err());
    assert!(opener.finish(&mut out).is_err());
    assert_eq!(out, b"before");
}

/// A daemon keeps these across awaits on a pool of threads.
#[test]
fn sealers_and_openers_move_between_threads() {
    fn send<T: Send>() {}
    send::<StreamSealer>();
    send::<StreamOpener>();
    send::<envelope::BatchSealer<'static>>();
    send::<envelope::BatchOpener<'static>>();
    send::<Context>();
}
