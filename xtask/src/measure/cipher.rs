//! What sealing costs beside plain AES-256-GCM, ours and OpenSSL's.
//!
//! Everybody has its key expanded before: plain GCM the key it reuses, and KC-XAES the data key, as the daemon keeps it.
//! What KC-XAES does for each message is in its time: it derives a key, expands that one and commits to it.

use std::time::Duration;

use anyhow::{Result, anyhow};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use envelope::{BATCH_LIMIT, BatchSealer, Binding, Context, ExpandedKey, fresh_nonce, kc_xaes, seal};

use super::{
    Effort, cpu, openssl,
    report::{Report, Target},
    rounds::{Contestant, interleave},
};

const KEY: [u8; 32] = [7; 32];
const DATA_KEY: [u8; 16] = [9; 16];
/// As long as the associated data of a message with two context entries.
const ASSOCIATED: [u8; 160] = [5; 160];

/// Plaintext length in bytes; then what ours ÷ OpenSSL is held to: sealed by itself, and hoped for in a batch.
const SIZES: [(usize, f64, f64); 3] = [(64, 0.7, 1.7), (1024, 1.0, 2.0), (65_536, 3.0, 3.9)];

/// All rows of the cipher.
pub(crate) fn measure(effort: &Effort, report: &mut Report) -> Result<()> {
    let openssl = openssl::version();
    match &openssl {
        Some(version) => println!("{version}"),
        None => report.not_measured("KC-XAES ÷ OpenSSL", "there is no `openssl` program on the PATH"),
    }
    for (bytes, gate, in_a_batch) in SIZES {
        over_plain_gcm(effort, bytes, report)?;
        if openssl.is_some() {
            over_openssl(effort, bytes, gate, in_a_batch, report)?;
        }
    }
    Ok(())
}

fn over_plain_gcm(effort: &Effort, bytes: usize, report: &mut Report) -> Result<()> {
    let context = Context::from_entries([("purpose", "chat"), ("conversation", "0123456789")])?;
    let binding = Binding { workspace: "acme", app: "support-bot", protection: 2, context: &context };
    let plaintext = vec![1; bytes];
    // Shorter than a slice of the scheduler: most turns are not interrupted, and the median is one of those.
    let turn = Duration::from_millis(1);
    let mut contestants = [
        plain_gcm(turn, bytes)?,
        plain_gcm_appended(turn, &plaintext)?,
        kc_xaes(turn, bytes),
        batch_item(turn, &binding, &plaintext),
        Contestant::timed("message", turn, {
            let mut out = Vec::with_capacity(bytes + envelope::OVERHEAD);
            let (binding, plaintext, key) = (&binding, &plaintext, ExpandedKey::new(&KEY));
            move || {
                out.clear();
                seal(&key, &DATA_KEY, &fresh_nonce(1), binding, plaintext, &mut out);
                out.len()
            }
        }),
    ];
    let times = interleave(effort.rounds, &mut contestants)?;
    let size = in_words(bytes);
    report.add(format!("plain GCM, reused key, {size}"), times.nanoseconds("plain GCM"), "ns", Target::None);
    let overhead = Target::AtMost { gate: 250.0, stretch: 40.0 };
    report.add(format!("KC-XAES − plain GCM, {size}"), times.difference("KC-XAES", "plain GCM"), "ns", overhead);
    // These append to a buffer, and so does their neighbour.
    let batched = times.difference("batch item", "plain GCM, appended");
    report.add(format!("batch item − plain GCM, appended, {size}"), batched, "ns", overhead);
    let whole = times.difference("message", "plain GCM, appended");
    report.add(format!("message with nonce, header, binding − plain GCM, appended, {size}"), whole, "ns", Target::None);
    Ok(())
}

fn over_openssl(effort: &Effort, bytes: usize, gate: f64, in_a_batch: f64, report: &mut Report) -> Result<()> {
    let context = Context::empty();
    let binding = Binding { workspace: "acme", app: "support-bot", protection: 2, context: &context };
    let plaintext = vec![1; bytes];
    let turn = Duration::from_millis(300);
    let mut contestants = [
        Contestant::measured("OpenSSL", || openssl::seconds_per_seal(bytes)),
        kc_xaes(turn, bytes),
        batch_item(turn, &binding, &plaintext),
    ];
    // A turn of OpenSSL takes a second: few rounds are enough, and they are long.
    let times = interleave(effort.long_rounds, &mut contestants)?;
    let size = in_words(bytes);
    let wide = cpu::wide_aes();
    let sealed = times.throughput_ratio("KC-XAES", "OpenSSL");
    let target = Target::AtLeast { gate, stretch: in_a_batch };
    report.add_if(wide, format!("KC-XAES ÷ OpenSSL plain GCM, reused key, {size}"), sealed, "×", target);
    let batched = times.throughput_ratio("batch item", "OpenSSL");
    let hope = Target::Hope { at_least: in_a_batch };
    report.add_if(wide, format!("batch item ÷ OpenSSL plain GCM, reused key, {size}"), batched, "×", hope);
    Ok(())
}

fn plain_gcm(turn: Duration, bytes: usize) -> Result<Contestant<'static>> {
    let key = plain_key()?;
    let mut text = vec![1; bytes];
    Ok(Contestant::timed("plain GCM", turn, move || {
        key.seal_in_place_separate_tag(same_nonce(), Aad::from(&ASSOCIATED), &mut text).is_ok()
    }))
}

fn plain_gcm_appended(turn: Duration, plaintext: &[u8]) -> Result<Contestant<'_>> {
    let key = plain_key()?;
    let mut out = Vec::with_capacity(plaintext.len() + envelope::OVERHEAD);
    Ok(Contestant::timed("plain GCM, appended", turn, move || {
        out.clear();
        out.extend_from_slice(plaintext);
        let tag = key.seal_in_place_separate_tag(same_nonce(), Aad::from(&ASSOCIATED), &mut out);
        tag.map(|tag| out.extend_from_slice(tag.as_ref())).is_ok()
    }))
}

fn plain_key() -> Result<LessSafeKey> {
    let key = UnboundKey::new(&AES_256_GCM, &KEY).map_err(|_| anyhow!("AES-256-GCM takes 32 bytes"))?;
    Ok(LessSafeKey::new(key))
}

/// Measures time; nothing sealed here leaves.
fn same_nonce() -> Nonce {
    Nonce::assume_unique_for_key([4; 12])
}

fn kc_xaes(turn: Duration, bytes: usize) -> Contestant<'static> {
    let (mut text, key) = (vec![1; bytes], ExpandedKey::new(&KEY));
    Contestant::timed("KC-XAES", turn, move || kc_xaes::seal(&key, &fresh_nonce(1), &ASSOCIATED, &mut text))
}

fn batch_item<'a>(turn: Duration, binding: &'a Binding<'a>, plaintext: &'a [u8]) -> Contestant<'a> {
    // As long as the tool runs: the batch borrows it.
    let key: &'static ExpandedKey = Box::leak(Box::new(ExpandedKey::new(&KEY)));
    let fresh = || BatchSealer::new(key, &DATA_KEY, [1; 12], [2; 12]);
    let mut batch = fresh();
    let mut out = Vec::with_capacity(plaintext.len() + envelope::OVERHEAD);
    let mut items = 0;
    Contestant::timed("batch item", turn, move || {
        if items == BATCH_LIMIT {
            (batch, items) = (fresh(), 0);
        }
        items += 1;
        out.clear();
        batch.seal_next(binding, plaintext, &mut out).map(|()| out.len())
    })
}

fn in_words(bytes: usize) -> String {
    if bytes >= 1024 { format!("{} KiB", bytes / 1024) } else { format!("{bytes} B") }
}
