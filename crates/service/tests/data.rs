//! Messages, batches and streams: their limits, and that one bad item fails alone.

use domain::Reason;
use envelope::{Context, OVERHEAD, PROLOGUE_LEN};
use service::options::{MOST_BATCH_ITEMS, MOST_PLAINTEXT};
use service::{ItemToOpen, ItemToSeal};
use testkit::{TestApp, World};

async fn app(world: &World) -> TestApp {
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    acme.app("bot").await
}

fn bad_context() -> Result<Context, envelope::InvalidContext> {
    Context::from_entries([("", "empty key")])
}

/// A payload of 4 MiB is sealed and opened; one byte more is refused, sealing and opening.
#[tokio::test]
async fn a_payload_has_at_most_4_mib() {
    let world = World::start();
    let bot = app(&world).await;
    let largest = vec![7; MOST_PLAINTEXT];
    let sealed = bot.encrypt(&largest).await.unwrap();
    assert_eq!(sealed.len(), MOST_PLAINTEXT + OVERHEAD);
    assert_eq!(bot.decrypt(&sealed).await.unwrap(), largest);
    let refused = bot.encrypt(&vec![7; MOST_PLAINTEXT + 1]).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::PlaintextTooLarge);
    let refused = bot.decrypt(&[sealed.as_slice(), b"x"].concat()).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::PlaintextTooLarge);
}

/// The items of a batch are ordinary messages, and a bad one fails alone, cold and warm.
#[tokio::test]
async fn one_bad_item_of_a_batch_fails_alone() {
    let world = World::start();
    let bot = app(&world).await;
    let service = &world.service;
    let payloads: Vec<Vec<u8>> = (0..100_u8).map(|i| vec![i; usize::from(i)]).collect();
    let items: Vec<ItemToSeal<'_>> = payloads
        .iter()
        .enumerate()
        .map(|(i, plaintext)| ItemToSeal {
            context: if i == 50 { bad_context() } else { Context::from_entries([("n", i.to_string())]) },
            plaintext,
        })
        .collect();
    let mut out = b"already here".to_vec();
    let batch = service.batch_encrypt(&bot.may_encrypt(), &items, &mut out).await.unwrap();
    assert!(out.starts_with(b"already here"));
    assert_eq!(batch.items.len(), 100);
    assert_eq!(batch.items[50].as_ref().unwrap_err().reason(), Reason::ContextInvalid);
    let mut sealed: Vec<Vec<u8>> =
        batch.items.iter().map(|item| item.as_ref().map_or(vec![], |at| out[at.clone()].to_vec())).collect();
    let n = |i: usize| Context::from_entries([("n", i.to_string())]);
    assert_eq!(bot.decrypt_in(&n(7).unwrap(), &sealed[7]).await.unwrap(), payloads[7]);

    let last = sealed[3].len() - 1;
    sealed[3][last] ^= 1; // damaged
    sealed[4][8] ^= 1; // an unknown data key
    sealed[5][0] ^= 1; // no ciphertext
    for service in [service, &world.another_service()] {
        let items: Vec<ItemToOpen<'_>> = sealed
            .iter()
            .enumerate()
            .map(|(i, ciphertext)| ItemToOpen { context: if i == 6 { bad_context() } else { n(i) }, ciphertext })
            .collect();
        let mut plain = Vec::new();
        let opened = service.batch_decrypt(&bot.may_decrypt(), &items, &mut plain).await.unwrap();
        for (i, item) in opened.iter().enumerate() {
            let reason = match i {
                3 | 4 => Some(Reason::DecryptionFailed),
                5 | 50 => Some(Reason::CiphertextMalformed),
                6 => Some(Reason::ContextInvalid),
                _ => None,
            };
            match (item, reason) {
                (Ok(at), None) => assert_eq!(plain[at.clone()], payloads[i]),
                (Err(refused), Some(reason)) => assert_eq!(refused.reason(), reason, "item {i}"),
                other => panic!("item {i}: {other:?}"),
            }
        }
    }
}

/// Items under many cold data keys cost one unwrap for each key, not for each item.
#[tokio::test]
async fn a_cold_batch_unwraps_each_key_once() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let old = bot.encrypt(b"platform").await.unwrap();
    acme.connect_key().await;
    let new = bot.encrypt(b"customer").await.unwrap();
    let fresh = world.another_service();
    let before = world.vault.calls().unwrap;
    let items: Vec<ItemToOpen<'_>> = (0..MOST_BATCH_ITEMS)
        .map(|i| ItemToOpen { context: Ok(Context::empty()), ciphertext: if i % 2 == 0 { &old } else { &new } })
        .collect();
    let mut plain = Vec::new();
    let opened = fresh.batch_decrypt(&bot.may_decrypt(), &items, &mut plain).await.unwrap();
    assert!(opened.iter().all(Result::is_ok));
    assert_eq!(world.vault.calls().unwrap, before + 1);
}

/// A batch has 1 to 1,000 items and 4 MiB of payload in all.
#[tokio::test]
async fn a_batch_has_its_limits() {
    let world = World::start();
    let bot = app(&world).await;
    let mut out = Vec::new();
    let seal = async |sizes: &[usize], out: &mut Vec<u8>| {
        let payloads: Vec<Vec<u8>> = sizes.iter().map(|size| vec![1; *size]).collect();
        let items: Vec<_> =
            payloads.iter().map(|plaintext| ItemToSeal { context: Ok(Context::empty()), plaintext }).collect();
        world.service.batch_encrypt(&bot.may_encrypt(), &items, out).await.map(|batch| batch.items.len())
    };
    assert_eq!(seal(&[], &mut out).await.unwrap_err().reason(), Reason::RequestInvalid);
    assert_eq!(seal(&[0; 1_001], &mut out).await.unwrap_err().reason(), Reason::BatchTooLarge);
    assert_eq!(seal(&[MOST_PLAINTEXT, 1], &mut out).await.unwrap_err().reason(), Reason::BatchTooLarge);
    assert!(out.is_empty());
    assert_eq!(seal(&[0; 1_000], &mut out).await.unwrap(), 1_000);
    assert_eq!(seal(&[MOST_PLAINTEXT / 2; 2], &mut out).await.unwrap(), 2);
}

async fn sealed_stream(world: &World, bot: &TestApp, chunks: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut stream = world.service.encrypt_stream(&bot.may_encrypt(), &Context::empty(), &mut out).await.unwrap();
    for chunk in chunks {
        stream.push(chunk, &mut out).await.unwrap();
    }
    stream.finish(&mut out).await.unwrap();
    out
}

/// Streams of every awkward size come back, cut into whatever pieces.
#[tokio::test]
async fn a_stream_comes_back_whole() {
    let world = World::start();
    let bot = app(&world).await;
    for size in [0, 1, 65_535, 65_536, 65_537, 131_072, 300_000] {
        let payload: Vec<u8> = (0..size).map(|i| u8::try_from(i % 251).unwrap()).collect();
        let chunks: Vec<&[u8]> = payload.chunks(70_001).collect();
        let sealed = sealed_stream(&world, &bot, &chunks).await;
        let (prologue, rest) = sealed.split_at(PROLOGUE_LEN);
        let fresh = world.another_service();
        let mut stream = fresh.decrypt_stream(&bot.may_decrypt(), &Context::empty(), prologue).await.unwrap();
        let mut plain = Vec::new();
        for chunk in rest.chunks(1_000_003) {
            stream.push(chunk, &mut plain).await.unwrap();
        }
        stream.finish(&mut plain).await.unwrap();
        assert_eq!(plain, payload);
    }
}

/// A stream for another context, of an unknown key, a message or too few bytes is refused before its first byte of plaintext;
/// one that is cut off or changed is refused at its end or where it was changed.
#[tokio::test]
async fn a_stream_that_is_not_whole_is_refused() {
    let world = World::start();
    let bot = app(&world).await;
    let sealed = sealed_stream(&world, &bot, &[&[7; 200_000]]).await;
    let message = bot.encrypt(b"a message").await.unwrap();
    let other = Context::from_entries([("row", "7")]).unwrap();
    let empty = Context::empty();
    let begin = async |context: &Context, prologue: &[u8]| {
        world.service.decrypt_stream(&bot.may_decrypt(), context, prologue).await.map(|_| ())
    };
    let mut unknown = sealed[..PROLOGUE_LEN].to_vec();
    unknown[8] ^= 1;
    for (context, prologue, reason) in [
        (&other, &sealed[..PROLOGUE_LEN], Reason::DecryptionFailed),
        (&empty, &unknown, Reason::DecryptionFailed),
        (&empty, &sealed[..PROLOGUE_LEN - 1], Reason::CiphertextMalformed),
        (&empty, &message[..PROLOGUE_LEN], Reason::CiphertextMalformed),
    ] {
        assert_eq!(begin(context, prologue).await.unwrap_err().reason(), reason);
    }
    assert_eq!(bot.decrypt(&sealed).await.unwrap_err().reason(), Reason::CiphertextMalformed);

    let open = async |sealed: &[u8]| {
        let (prologue, rest) = sealed.split_at(PROLOGUE_LEN);
        let mut stream = world.service.decrypt_stream(&bot.may_decrypt(), &empty, prologue).await.unwrap();
        let mut plain = Vec::new();
        stream.push(rest, &mut plain).await?;
        stream.finish(&mut plain).await
    };
    assert_eq!(open(&sealed[..150_000]).await.unwrap_err().reason(), Reason::DecryptionFailed);
    let mut changed = sealed.clone();
    changed[100_000] ^= 1;
    assert_eq!(open(&changed).await.unwrap_err().reason(), Reason::DecryptionFailed);
    open(&sealed).await.unwrap();
}

/// I-10, for streams: a lease that runs out while a segment is being sealed keeps the segment in until the owner says yes
/// again. Then the stream goes on; a no ends it, and the segment stays in.
#[tokio::test]
async fn a_lease_that_ends_within_a_segment_is_renewed_before_the_segment_goes_out() {
    const LAPSED: std::time::Duration = std::time::Duration::from_secs(301);
    let world = World::start();
    let bot = app(&world).await;
    let mut out = Vec::new();
    let mut stream = world.service.encrypt_stream(&bot.may_encrypt(), &Context::empty(), &mut out).await.unwrap();
    let asked = world.vault.calls().unwrap;
    // The first reading of the clock admits the segment; before the second, which is after the work, the lease ends.
    world.clock.jump_after(1, LAPSED);
    stream.push(&[7; 100_000], &mut out).await.unwrap();
    assert_eq!(world.vault.calls().unwrap, asked + 1, "the vault was asked once more");

    let so_far = out.len();
    world.vault.refuse_all(&vault::KeyUnavailable::Disabled(vault::Trace::default()));
    world.clock.jump_after(1, LAPSED);
    let refused = stream.push(&[7; 100_000], &mut out).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::KeyDisabled);
    assert_eq!(out.len(), so_far, "a refusal gives nothing out");
}
