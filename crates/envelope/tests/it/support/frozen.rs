//! Makes the frozen vectors of format version 1, the same bytes every time. Once released they never change: a change
//! that alters one is a new format version.

use serde::Serialize;

use envelope::{BatchSealer, payload};

use super::collision;
use super::implementation::{Bound, Implementation, Ours};
use super::oracle::{self, CORRECT, SEGMENT};
use super::random::Random;
use super::vector_files::*;

/// The files under `vectors/` that are made here, with their text.
pub(crate) fn files() -> Vec<(&'static str, String)> {
    let messages = messages();
    let streams = streams();
    let refused = refused(&messages, &streams);
    let (payloads, refused_payloads) = payloads();
    vec![
        ("messages-v1.json", text(&File::new("Messages; each opens to its plaintext.", messages))),
        ("batches-v1.json", text(&File::new("Batches; each item is an ordinary message.", batches()))),
        ("streams-v1.json", text(&File::new("Streams; byte i of the plaintext is i mod 251.", streams))),
        ("refused-v1.json", text(&File::new("Ciphertexts that must not open, and why.", refused))),
        ("payloads-v1.json", text(&File::new("What a vault wraps, and key check values.", payloads))),
        ("payloads-refused-v1.json", text(&File::new("Payloads that must be refused.", refused_payloads))),
    ]
}

fn text(file: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(file).expect("vectors are plain data");
    text.push('\n');
    text
}

fn message(name: &str, bound: &Bound, plaintext: &[u8]) -> MessageCase {
    let mut random = Random::new(&format!("byokd message vector {name}"));
    let (key, id, nonce) = (random.array(), random.array(), random.array());
    let ciphertext = Ours.seal(&key, &id, &nonce, bound, plaintext);
    MessageCase {
        name: name.to_owned(),
        data_key: key.into(),
        data_key_id: id.into(),
        nonce: nonce.into(),
        bound: bound.clone(),
        aad: CORRECT.aad(&ciphertext, bound).into(),
        plaintext: plaintext.into(),
        ciphertext: ciphertext.into(),
    }
}

fn messages() -> Vec<MessageCase> {
    let plain = Bound::new("acme", "support-bot", 2, &[]);
    let context = [("user", "u-17"), ("Zone", "eu"), ("purpose", "chat"), ("note", "")];
    let widest: Vec<(String, String)> = (0..16).map(|n| (format!("{n:02}"), "v".repeat(254))).collect();
    let widest: Vec<(&str, &str)> = widest.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
    let id = format!("a{}z", "-0".repeat(30) + "9");
    vec![
        message("empty plaintext, platform key", &Bound::new("acme", "support-bot", 1, &[]), b""),
        message("short plaintext, customer key", &plain, b"order 42"),
        message("one block", &plain, &[0; 16]),
        message("one byte more than a block", &plain, &[0xff; 17]),
        message("a context, sorted by raw bytes", &Bound::new("acme", "support-bot", 2, &context), b"hello"),
        message("composed text is kept", &Bound::new("acme", "support-bot", 2, &[("n", "\u{e9}")]), b"hello"),
        message("decomposed text is kept", &Bound::new("acme", "support-bot", 2, &[("n", "e\u{301}")]), b"hello"),
        message("the largest context", &Bound::new("acme", "support-bot", 2, &widest), b"hello"),
        message("the longest ids", &Bound::new(&id, &id, 2, &[]), b"hello"),
        message("4 KiB of plaintext", &plain, &stream_plaintext(4096)),
        collision_message(),
    ]
}

/// The keys of which each alone would accept the collision's ciphertext, were it for GCM alone.
pub(crate) fn collision_keys() -> [[u8; 32]; 2] {
    let mut random = Random::new("byokd two-key collision");
    [random.array(), random.array()]
}

/// A message whose ciphertext and tag GCM accepts under two data keys. It commits to the first.
fn collision_message() -> MessageCase {
    let bound = Bound::new("acme", "support-bot", 2, &[]);
    let keys = collision_keys();
    let mut random = Random::new("byokd two-key collision, the rest");
    let (id, nonce, block) = (random.array::<16>(), random.array::<24>(), random.array());
    let mut ciphertext = oracle::header(1, 0, &keys[0], &id, &nonce);
    let aad = CORRECT.aad(&ciphertext, &bound);
    let derived = [0, 1].map(|i| oracle::message_key(&keys[i], &nonce[..12]));
    ciphertext.extend(collision::under_two_keys([&derived[0], &derived[1]], &nonce[12..], &aad, block));
    let plaintext = oracle::gcm_open(&derived[0], &nonce[12..], &aad, &ciphertext[80..]).expect("it was solved for");
    MessageCase {
        name: "GCM alone would accept it under two keys".to_owned(),
        data_key: keys[0].into(),
        data_key_id: id.into(),
        nonce: nonce.into(),
        bound,
        aad: aad.into(),
        plaintext: plaintext.into(),
        ciphertext: ciphertext.into(),
    }
}

fn batches() -> Vec<BatchCase> {
    [("counting from 5", 5_u32), ("the counter comes round", u32::MAX - 1)].map(|(name, from)| batch(name, from)).into()
}

fn batch(name: &str, from: u32) -> BatchCase {
    let mut random = Random::new(&format!("byokd batch vector {name}"));
    let (key, id, prefix, mut start): ([u8; 32], [u8; 16], [u8; 12], [u8; 12]) =
        (random.array(), random.array(), random.array(), random.array());
    start[8..].copy_from_slice(&from.to_be_bytes());
    let mut batch = BatchSealer::new(&key, &id, prefix, start);
    let items = (0..4_usize).map(|i| {
        let bound = Bound::new("acme", "support-bot", 2, if i == 2 { &[("item", "third")] } else { &[] });
        let plaintext = stream_plaintext(i * 20);
        let mut ciphertext = Vec::new();
        bound.with(|binding| batch.seal_next(binding, &plaintext, &mut ciphertext)).expect("four items fit");
        BatchItem { context: bound.context, plaintext: plaintext.into(), ciphertext: ciphertext.into() }
    });
    BatchCase {
        name: name.to_owned(),
        items: items.collect(),
        data_key: key.into(),
        data_key_id: id.into(),
        prefix: prefix.into(),
        start: start.into(),
        workspace: "acme".to_owned(),
        app: "support-bot".to_owned(),
        protection: 2,
    }
}

fn streams() -> Vec<StreamCase> {
    [
        ("empty", 0),
        ("one byte", 1),
        ("one full segment, which is the last", SEGMENT),
        ("one byte more than a segment", SEGMENT + 1),
        ("three segments", 2 * SEGMENT + 3),
    ]
    .map(|(name, length)| {
        let mut random = Random::new(&format!("byokd stream vector {name}"));
        let (key, id, p, r) = (random.array(), random.array(), random.array(), random.array());
        let bound = Bound::new("acme", "support-bot", 2, &[("file", "report.pdf")]);
        let ciphertext = Ours.seal_stream(&key, &id, &p, &r, &bound, &stream_plaintext(length));
        StreamCase {
            name: name.to_owned(),
            data_key: key.into(),
            data_key_id: id.into(),
            p: p.into(),
            r: r.into(),
            bound,
            plaintext_length: length,
            ciphertext: ciphertext.into(),
        }
    })
    .into()
}

fn refused(messages: &[MessageCase], streams: &[StreamCase]) -> Vec<RefusedCase> {
    let mut cases = refused_messages(messages);
    cases.extend(refused_streams(streams));
    cases
}

fn refused_messages(messages: &[MessageCase]) -> Vec<RefusedCase> {
    let good = &messages[4];
    let mut cases = Vec::new();
    let mut add = |name: &str, why: &str, fault, bound: &Bound, key: &Hex, ciphertext: Vec<u8>| {
        cases.push(RefusedCase {
            name: name.to_owned(),
            why: why.to_owned(),
            fault,
            data_key: key.clone(),
            bound: bound.clone(),
            ciphertext: vec![Part::Bytes { hex: ciphertext.into() }],
        });
    };

    let whole = &good.ciphertext.0;
    for (length, fault) in
        [(0, Fault::Malformed), (79, Fault::Malformed), (80, Fault::OpenFailed), (95, Fault::OpenFailed)]
    {
        let name = format!("cut to {length} bytes");
        add(&name, "a message has at least 96 bytes", fault, &good.bound, &good.data_key, whole[..length].to_vec());
    }
    for (at, value, fault, why) in [
        (0, b'b', Fault::Malformed, "the first four bytes are BYOK in capitals"),
        (4, 0, Fault::VersionUnsupported, "there is no version 0"),
        (4, 2, Fault::VersionUnsupported, "version 2 is not known here"),
        (5, 2, Fault::VersionUnsupported, "suite 2 is not known here"),
        (6, 0, Fault::Malformed, "there is no kind 0"),
        (6, 2, Fault::Malformed, "a stream has parameter 16"),
        (6, 3, Fault::Malformed, "there is no kind 3"),
        (7, 16, Fault::Malformed, "a message has parameter 0"),
    ] {
        let mut bytes = whole.clone();
        bytes[at] = value;
        add(&format!("byte {at} is {value}"), why, fault, &good.bound, &good.data_key, bytes);
    }
    for (at, what) in [
        (8, "the data key id"),
        (24, "the first byte of the nonce"),
        (47, "the last byte of the nonce"),
        (48, "the first byte of the commitment"),
        (79, "the last byte of the commitment"),
        (80, "the first byte of the ciphertext"),
        (whole.len() - 1, "the last byte of the tag"),
    ] {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        add(
            &format!("a bit of {what} flipped"),
            "all of it is authenticated",
            Fault::OpenFailed,
            &good.bound,
            &good.data_key,
            bytes,
        );
    }
    let longer = [whole.as_slice(), &[0]].concat();
    add("one byte too many", "a message ends with its tag", Fault::OpenFailed, &good.bound, &good.data_key, longer);
    let shorter = whole[..whole.len() - 1].to_vec();
    add("one byte too few", "a message ends with its tag", Fault::OpenFailed, &good.bound, &good.data_key, shorter);

    let context = |entries: &[(&str, &str)]| Bound::new("acme", "support-bot", 2, entries);
    for (name, bound) in [
        ("another workspace", Bound { workspace: "acmf".to_owned(), ..good.bound.clone() }),
        ("another app", Bound { app: "support-bos".to_owned(), ..good.bound.clone() }),
        (
            "the border between workspace and app moved",
            Bound { workspace: "acmesupport".to_owned(), app: "-bot".to_owned(), ..good.bound.clone() },
        ),
        (
            "workspace and app exchanged",
            Bound { workspace: "support-bot".to_owned(), app: "acme".to_owned(), ..good.bound.clone() },
        ),
        ("another protection", Bound { protection: 1, ..good.bound.clone() }),
        ("no context", context(&[])),
        ("a value changed", context(&[("user", "u-18"), ("Zone", "eu"), ("purpose", "chat"), ("note", "")])),
        ("an empty entry left out", context(&[("user", "u-17"), ("Zone", "eu"), ("purpose", "chat")])),
        (
            "an entry too many",
            context(&[("user", "u-17"), ("Zone", "eu"), ("purpose", "chat"), ("note", ""), ("x", "")]),
        ),
        (
            "the border between key and value moved",
            context(&[("use", "ru-17"), ("Zone", "eu"), ("purpose", "chat"), ("note", "")]),
        ),
        ("two values exchanged", context(&[("user", "chat"), ("Zone", "eu"), ("purpose", "u-17"), ("note", "")])),
        ("another case in a key", context(&[("user", "u-17"), ("zone", "eu"), ("purpose", "chat"), ("note", "")])),
    ] {
        add(name, "the binding must be the same", Fault::OpenFailed, &bound, &good.data_key, whole.clone());
    }
    let composed = &messages[5];
    add(
        "decomposed text in place of composed",
        "nothing is normalised",
        Fault::OpenFailed,
        &messages[6].bound,
        &composed.data_key,
        composed.ciphertext.0.clone(),
    );
    add(
        "another data key",
        "the commitment names the key",
        Fault::OpenFailed,
        &good.bound,
        &messages[0].data_key,
        whole.clone(),
    );

    let collision = messages.last().expect("there are messages");
    let second = collision_keys()[1].into();
    let why = "GCM accepts it under this key too; the commitment does not";
    add(
        "the other key of a two-key ciphertext",
        why,
        Fault::OpenFailed,
        &collision.bound,
        &second,
        collision.ciphertext.0.clone(),
    );
    let mut half = collision.ciphertext.0.clone();
    half[48..64].copy_from_slice(&oracle::commitment(&collision_keys()[1], &collision.nonce.0)[..16]);
    let why = "all 32 bytes of the commitment are compared, not the first half";
    add("a two-key ciphertext with half a commitment", why, Fault::OpenFailed, &collision.bound, &second, half);
    cases
}

fn refused_streams(streams: &[StreamCase]) -> Vec<RefusedCase> {
    let sealed = SEGMENT + 16;
    let (full, three) = (&streams[2], &streams[4]);
    let part = |case: &StreamCase, from, to| Part::OfStream { stream: case.name.clone(), from, to };
    let hex = |bytes: &[u8]| Part::Bytes { hex: bytes.into() };
    let end = three.ciphertext.0.len();
    let segment = |i: usize| part(three, 96 + i * sealed, (96 + (i + 1) * sealed).min(end));
    let prologue = || part(three, 0, 96);
    let flipped = |at: usize| vec![part(three, 0, at), hex(&[three.ciphertext.0[at] ^ 1]), part(three, at + 1, end)];
    let mut cases = Vec::new();
    let mut add = |name: &str, why: &str, fault, case: &StreamCase, bound: &Bound, ciphertext: Vec<Part>| {
        cases.push(RefusedCase {
            name: format!("stream: {name}"),
            why: why.to_owned(),
            fault,
            data_key: case.data_key.clone(),
            bound: bound.clone(),
            ciphertext,
        });
    };
    let bound = &three.bound;
    for (name, why, ciphertext) in [
        ("nothing after the header", "the opening tag is missing", vec![part(three, 0, 80)]),
        ("half an opening tag", "the opening tag is cut", vec![part(three, 0, 88)]),
        ("no segment", "even an empty payload has one", vec![prologue()]),
        ("cut after the first segment", "the last segment is marked", vec![prologue(), segment(0)]),
        ("cut after the second segment", "the last segment is marked", vec![prologue(), segment(0), segment(1)]),
        ("cut within the last segment", "its tag is cut", vec![part(three, 0, end - 1)]),
        (
            "less than a tag after a segment",
            "its tag is cut",
            vec![prologue(), segment(0), part(three, 96 + sealed, 96 + sealed + 5)],
        ),
        ("two segments exchanged", "segments are numbered", vec![prologue(), segment(1), segment(0), segment(2)]),
        ("a segment twice", "segments are numbered", vec![prologue(), segment(0), segment(0), segment(1), segment(2)]),
        ("a segment left out", "segments are numbered", vec![prologue(), segment(0), segment(2)]),
        (
            "the last segment twice",
            "nothing follows the last segment",
            vec![prologue(), segment(0), segment(1), segment(2), segment(2)],
        ),
        ("one byte too many", "nothing follows the last segment", vec![part(three, 0, end), hex(&[0])]),
        ("segments of another stream", "another key", vec![prologue(), part(full, 96, full.ciphertext.0.len())]),
        ("a bit of the opening tag flipped", "the opening tag is checked", flipped(80)),
        ("a bit of the commitment flipped", "the commitment is checked", flipped(79)),
        ("a bit of the first segment flipped", "all of it is authenticated", flipped(96)),
        ("a bit of the last segment flipped", "all of it is authenticated", flipped(end - 17)),
    ] {
        add(name, why, Fault::OpenFailed, three, bound, ciphertext);
    }
    for at in 43..48 {
        let name = format!("byte {at} changed");
        add(&name, "a stream's nonce ends in 00000000 02", Fault::Malformed, three, bound, flipped(at));
    }
    let as_message = vec![part(three, 0, 6), hex(&[1, 0]), part(three, 8, 96)];
    add("presented as a message", "the kind is authenticated", Fault::OpenFailed, three, bound, as_message);
    for (name, other) in [
        ("another app", Bound { app: "other-bot".to_owned(), ..bound.clone() }),
        ("another context", Bound::new("acme", "support-bot", 2, &[("file", "other.pdf")])),
    ] {
        add(
            name,
            "fails at the opening tag, before the first byte",
            Fault::OpenFailed,
            three,
            &other,
            vec![part(three, 0, end)],
        );
    }
    let tail = genuine_empty_tail(full);
    let why = "genuine tags, but an empty segment stands only alone";
    add("an empty last segment", why, Fault::OpenFailed, full, &full.bound, vec![part(full, 0, 96), hex(&tail)]);
    cases
}

/// What a sealer would write that marks a full segment as not the last and then finds nothing more to seal.
fn genuine_empty_tail(full: &StreamCase) -> Vec<u8> {
    use sha2::{Digest, Sha256};
    let key = oracle::message_key(&full.data_key.array(), &full.p.0);
    let aad = Sha256::digest(CORRECT.aad(&full.ciphertext.0, &full.bound));
    let nonce = |i: u8, last: u8| [full.r.0.as_slice(), &[0, 0, 0, i, last]].concat();
    let first = oracle::gcm_seal(&key, &nonce(0, 0), &aad, &stream_plaintext(SEGMENT));
    [first, oracle::gcm_seal(&key, &nonce(1, 1), &aad, b"")].concat()
}

fn payloads() -> (Vec<PayloadCase>, Vec<RefusedPayloadCase>) {
    let good = |name: &str, workspace: &str, app: &str, protection| {
        let mut random = Random::new(&format!("byokd payload vector {name}"));
        let (key, id) = (random.array(), random.array());
        let identity = payload::Identity { workspace, app, data_key_id: &id, protection };
        let mut bytes = [0; payload::LEN];
        payload::write(&mut bytes, &key, &identity);
        PayloadCase {
            name: name.to_owned(),
            data_key: key.into(),
            data_key_id: id.into(),
            workspace: workspace.to_owned(),
            app: app.to_owned(),
            protection,
            identity_hash: identity.hash().into(),
            payload: bytes.into(),
            key_check_value: payload::key_check_value(&key).into(),
        }
    };
    let cases = vec![good("customer key", "acme", "support-bot", 2), good("platform key", "contoso-7", "archive", 1)];
    let case = &cases[0];
    let refuse = |name: &str, why: &str, workspace: &str, app: &str, protection, payload: Vec<u8>| RefusedPayloadCase {
        name: name.to_owned(),
        why: why.to_owned(),
        data_key_id: case.data_key_id.clone(),
        workspace: workspace.to_owned(),
        app: app.to_owned(),
        protection,
        payload: payload.into(),
    };
    let bytes = &case.payload.0;
    let flipped = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] ^= 1;
        bytes
    };
    let refused = vec![
        refuse("another version", "the first byte is 01", "acme", "support-bot", 2, flipped(0)),
        refuse("a bit of the identity flipped", "it is compared whole", "acme", "support-bot", 2, flipped(64)),
        refuse("one byte short", "exactly 65 bytes", "acme", "support-bot", 2, bytes[..64].to_vec()),
        refuse("one byte long", "exactly 65 bytes", "acme", "support-bot", 2, [bytes.as_slice(), &[0]].concat()),
        refuse("another workspace", "the identity names it", "acmf", "support-bot", 2, bytes.clone()),
        refuse("another app", "the identity names it", "acme", "support-bos", 2, bytes.clone()),
        refuse("another protection", "a key never crosses", "acme", "support-bot", 1, bytes.clone()),
    ];
    (cases, refused)
}

/// The binding that batch items share, for readers of [`BatchCase`].
pub(crate) fn item_bound(case: &BatchCase, item: &BatchItem) -> Bound {
    Bound {
        workspace: case.workspace.clone(),
        app: case.app.clone(),
        protection: case.protection,
        context: item.context.clone(),
    }
}
