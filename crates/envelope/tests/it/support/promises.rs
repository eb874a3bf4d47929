//! What every implementation of the format must keep, each as a check that a broken one fails.

use super::implementation::{Bound, Implementation};
use super::oracle::SEGMENT;
use super::vector_files::stream_plaintext;
use super::{collision, frozen, oracle};

pub(crate) struct Promise {
    pub(crate) name: &'static str,
    pub(crate) holds: fn(&dyn Implementation) -> bool,
}

pub(crate) const PROMISES: [Promise; 13] = [
    Promise { name: "what was sealed opens", holds: opens },
    Promise { name: "a ciphertext opens under one key only", holds: commits },
    Promise { name: "half a commitment is not enough", holds: commits_wholly },
    Promise { name: "another workspace does not open it", holds: |i| refuses(i, |b| b.workspace = "contoso".into()) },
    Promise { name: "another app does not open it", holds: |i| refuses(i, |b| b.app = "other".into()) },
    Promise { name: "another protection does not open it", holds: |i| refuses(i, |b| b.protection = 1) },
    Promise { name: "another context does not open it", holds: |i| refuses(i, |b| b.context.clear()) },
    Promise { name: "moving a border between two names does not open it", holds: unambiguous },
    Promise { name: "another data key id does not open it", holds: header_bound },
    Promise { name: "a damaged opening tag is refused", holds: opening_tag },
    Promise { name: "a stream that is cut at a segment's end is refused", holds: cut },
    Promise { name: "a stream whose segments are reordered is refused", holds: reordered },
    Promise { name: "an empty last segment is refused, unless it is alone", holds: empty_tail },
];

/// The names of the promises that it breaks.
pub(crate) fn broken(implementation: &dyn Implementation) -> Vec<&'static str> {
    PROMISES.iter().filter(|promise| !(promise.holds)(implementation)).map(|promise| promise.name).collect()
}

const KEY: [u8; 32] = [1; 32];
const ID: [u8; 16] = [2; 16];

fn bound() -> Bound {
    Bound::new("acme", "bot", 2, &[("user", "u-17")])
}

fn stream(it: &dyn Implementation, length: usize) -> Vec<u8> {
    it.seal_stream(&KEY, &ID, &[3; 12], &[4; 7], &bound(), &stream_plaintext(length))
}

fn opens(it: &dyn Implementation) -> bool {
    let message = it.seal(&KEY, &ID, &[3; 24], &bound(), b"order 42");
    it.open(&KEY, &bound(), &message).as_deref() == Some(b"order 42")
        && [0, 1, SEGMENT, SEGMENT + 1, 2 * SEGMENT]
            .into_iter()
            .all(|length| it.open_stream(&KEY, &bound(), &stream(it, length)) == Some(stream_plaintext(length)))
}

/// A ciphertext that GCM accepts under two keys, with a commitment to one of them.
fn two_key_message(it: &dyn Implementation) -> Vec<u8> {
    let keys = frozen::collision_keys();
    let nonce = [5; 24];
    // The implementation's own authenticated data is not known here: its GCM tag on an empty plaintext is not either,
    // so the data is made by the rules and its own header kept.
    let mut message = it.seal(&keys[0], &ID, &nonce, &bound(), b"")[..80].to_vec();
    let aad = oracle::CORRECT.aad(&message, &bound());
    let derived = keys.map(|key| oracle::message_key(&key, &nonce[..12]));
    message.extend(collision::under_two_keys([&derived[0], &derived[1]], &nonce[12..], &aad, [7; 16]));
    message
}

fn commits(it: &dyn Implementation) -> bool {
    it.open(&frozen::collision_keys()[1], &bound(), &two_key_message(it)).is_none()
}

fn commits_wholly(it: &dyn Implementation) -> bool {
    let key = frozen::collision_keys()[1];
    let mut message = two_key_message(it);
    let other = oracle::commitment(&key, &message[24..48]);
    message[48..64].copy_from_slice(&other[..16]);
    it.open(&key, &bound(), &message).is_none()
}

fn refuses(it: &dyn Implementation, change: fn(&mut Bound)) -> bool {
    let message = it.seal(&KEY, &ID, &[3; 24], &bound(), b"order 42");
    let stream = stream(it, 10);
    let mut other = bound();
    change(&mut other);
    it.open(&KEY, &other, &message).is_none() && it.open_stream(&KEY, &other, &stream).is_none()
}

fn unambiguous(it: &dyn Implementation) -> bool {
    let pairs = [
        (Bound::new("acme", "bot", 2, &[]), Bound::new("acmeb", "ot", 2, &[])),
        (Bound::new("a", "b", 2, &[("k", "v")]), Bound::new("a", "b", 2, &[("kv", "")])),
        (Bound::new("a", "b", 2, &[("k", "1"), ("l", "2")]), Bound::new("a", "b", 2, &[("k", ""), ("1l", "2")])),
    ];
    pairs.iter().all(|(sealed, opened)| {
        let message = it.seal(&KEY, &ID, &[3; 24], sealed, b"order 42");
        it.open(&KEY, opened, &message).is_none()
    })
}

fn header_bound(it: &dyn Implementation) -> bool {
    let mut message = it.seal(&KEY, &ID, &[3; 24], &bound(), b"order 42");
    message[8] ^= 1;
    it.open(&KEY, &bound(), &message).is_none()
}

fn opening_tag(it: &dyn Implementation) -> bool {
    let mut stream = stream(it, 10);
    stream[80] ^= 1;
    it.open_stream(&KEY, &bound(), &stream).is_none()
}

fn cut(it: &dyn Implementation) -> bool {
    let stream = stream(it, 2 * SEGMENT + 1);
    [1, 2].into_iter().all(|kept| it.open_stream(&KEY, &bound(), &stream[..96 + kept * (SEGMENT + 16)]).is_none())
}

fn reordered(it: &dyn Implementation) -> bool {
    let stream = stream(it, 2 * SEGMENT + 1);
    let (prologue, segments) = stream.split_at(96);
    let (first, rest) = segments.split_at(SEGMENT + 16);
    let (second, last) = rest.split_at(SEGMENT + 16);
    [[prologue, second, first, last].concat(), [prologue, first, first, last].concat()]
        .iter()
        .all(|stream| it.open_stream(&KEY, &bound(), stream).is_none())
}

fn empty_tail(it: &dyn Implementation) -> bool {
    use sha2::{Digest, Sha256};
    let prologue = &stream(it, 0)[..96];
    let key = oracle::message_key(&KEY, &[3; 12]);
    let aad = Sha256::digest(oracle::CORRECT.aad(prologue, &bound()));
    let nonce = |i, last| [[4; 7].as_slice(), &[0, 0, 0, i, last]].concat();
    let first = oracle::gcm_seal(&key, &nonce(0, 0), &aad, &stream_plaintext(SEGMENT));
    let last = oracle::gcm_seal(&key, &nonce(1, 1), &aad, b"");
    it.open_stream(&KEY, &bound(), &[prologue, &first, &last].concat()).is_none()
}
