//! A lease that ends while an answer is being made keeps the answer in, whatever is asked for and at whatever moment it ends.

use std::time::Duration;

use envelope::Context;
use service::{ItemToOpen, ItemToSeal, SeededBug};
use testkit::{TestApp, World};
use vault::KeyUnavailable;

const AFTER_H: Duration = Duration::from_secs(301);
/// More than a segment of a stream: its first one comes out of it.
const MORE_THAN_A_SEGMENT: usize = 70_000;

/// What is asked for.
#[derive(Debug, Clone, Copy)]
enum Call {
    Encrypt,
    Decrypt,
    BatchEncrypt,
    BatchDecrypt,
    EncryptStream,
    DecryptStream,
}

impl Call {
    const ALL: [Self; 6] = [
        Self::Encrypt,
        Self::Decrypt,
        Self::BatchEncrypt,
        Self::BatchDecrypt,
        Self::EncryptStream,
        Self::DecryptStream,
    ];
}

/// The lease ends, and the vault is away, before the clock is read for this time.
fn ends_at(world: &World, reading: usize) {
    world.vault.refuse_all(&KeyUnavailable::Unreachable);
    world.clock.jump_after(reading, AFTER_H);
}

/// How many bytes come out of a call during which the lease ends so.
async fn given_out(world: &World, bot: &TestApp, call: Call, reading: usize) -> usize {
    let (service, nothing) = (&world.service, Context::empty);
    let (seal, open) = (bot.may_encrypt(), bot.may_decrypt());
    let sealed = [bot.encrypt(b"order 42").await.unwrap(), bot.encrypt(b"order 43").await.unwrap()];
    let mut out = Vec::new();
    match call {
        Call::Encrypt => {
            ends_at(world, reading);
            let _ = service.encrypt(&seal, &nothing(), b"x", &mut out).await;
        }
        Call::Decrypt => {
            ends_at(world, reading);
            let _ = service.decrypt(&open, &nothing(), &sealed[0], &mut out).await;
        }
        Call::BatchEncrypt => {
            ends_at(world, reading);
            let items = [b"one", b"two"].map(|plaintext| ItemToSeal { context: Ok(nothing()), plaintext });
            let _ = service.batch_encrypt(&seal, &items, &mut out).await;
        }
        Call::BatchDecrypt => {
            ends_at(world, reading);
            let items = [&sealed[0], &sealed[1]].map(|ciphertext| ItemToOpen { context: Ok(nothing()), ciphertext });
            let _ = service.batch_decrypt(&open, &items, &mut out).await;
        }
        Call::EncryptStream => {
            let mut begun = Vec::new();
            let mut stream = service.encrypt_stream(&seal, &nothing(), &mut begun).await.unwrap();
            ends_at(world, reading);
            let _ = stream.push(&[7; MORE_THAN_A_SEGMENT], &mut out).await;
        }
        Call::DecryptStream => {
            let mut whole = Vec::new();
            let mut stream = service.encrypt_stream(&seal, &nothing(), &mut whole).await.unwrap();
            stream.push(&[7; MORE_THAN_A_SEGMENT], &mut whole).await.unwrap();
            stream.finish(&mut whole).await.unwrap();
            let (prologue, rest) = whole.split_at(envelope::PROLOGUE_LEN);
            let mut stream = service.decrypt_stream(&open, &nothing(), prologue).await.unwrap();
            ends_at(world, reading);
            let _ = stream.push(rest, &mut out).await;
        }
    }
    out.len()
}

/// Whether nothing comes out of a call during which the lease ends, at whichever of its readings of the clock.
async fn keeps_late_answers_in(bug: Option<SeededBug>, call: Call) -> bool {
    for reading in 0..100 {
        let world = bug.map_or_else(World::start, World::with_bug);
        let acme = world.workspace("acme").await;
        acme.connect_key().await;
        let bot = acme.app("bot").await;
        let before = world.wall();
        let given = given_out(&world, &bot, call, reading).await;
        // Set anew it tells, without being read for it, whether the clock has jumped already.
        world.clock.jump_after(usize::MAX, Duration::ZERO);
        match (world.wall() > before, given) {
            (true, 0) => {}
            (true, _) => return false,
            // The call was over before: with all later readings it is.
            (false, given) => {
                assert!(reading > 0 && given > 0, "{call:?}: the call itself does not work");
                return true;
            }
        }
    }
    panic!("{call:?}: the lease never outlasted the call");
}

/// I-10: lease, generation and standing hold when the reply is ready, and not only on admission; for every way data goes.
#[tokio::test]
async fn no_answer_goes_out_after_its_lease() {
    for call in Call::ALL {
        assert!(keeps_late_answers_in(None, call).await, "{call:?}");
        let bug = keeps_late_answers_in(Some(SeededBug::NotCheckedAtReply), call).await;
        assert!(!bug, "the seeded bug was not found by {call:?}");
    }
}
