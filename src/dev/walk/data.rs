//! The steps on data: encrypt, decrypt, batch, stream, and a ciphertext in the wrong place.

use bytes::Bytes;
use client::pb;
use domain::Clock;

use super::setup::short;
use super::{APP, BOT, Finding, Walk, app, check, order, refused, unexpected};
use crate::clock::SystemClock;

const ORDER: &[u8] = b"order 42: two boxes of tea";
/// The first ciphertext of the first walk.
pub(super) const FIRST: &str = "first-message.byok";
const STREAM: usize = 8 << 20;
const ITEMS: usize = 100;

impl Walk<'_> {
    pub(super) async fn encrypt(&mut self) -> Finding {
        let key = self.key()?;
        let before = self.azure.uses(key, "wrap_key").await?;
        let first = self.client.encrypt(&app(BOT), order(), Bytes::from_static(ORDER)).await?;
        let again = self.client.encrypt(&app(BOT), order(), Bytes::from_static(ORDER)).await?;
        let wraps = self.azure.uses(key, "wrap_key").await? - before;
        check(first.protection() == pb::Protection::CustomerKey, "the data is not under the customer's key")?;
        check(first.key_version.ends_with(&key.version), "the data key is under another version")?;
        check(first.ciphertext.len() == ORDER.len() + 96, "the ciphertext is not 96 bytes longer")?;
        check(first.ciphertext != again.ciphertext, "the same plaintext gave the same ciphertext")?;
        check(!contains(&first.ciphertext, b"tea"), "the plaintext stands in the ciphertext")?;
        check(wraps <= 1, format_args!("the vault wrapped {wraps} data keys for one app"))?;
        let data_key = first.data_key.rsplit('/').next().unwrap_or_default().to_owned();
        let how = match wraps {
            1 => "which the vault wrapped and unwrapped once; the second call asked no vault",
            _ if self.early.is_some() => {
                "which was made ready before the date, wrapped and unwrapped once; no vault was asked now"
            }
            _ => "which is there from an earlier start",
        };
        self.sealed = first.ciphertext;
        Ok(format!("{} B became {} B under data key {}, {how}.", ORDER.len(), ORDER.len() + 96, short(&data_key)))
    }

    pub(super) async fn decrypt(&mut self) -> Finding {
        let opened = self.client.decrypt(&app(BOT), order(), self.sealed.clone()).await?;
        check(opened.plaintext == ORDER, "another plaintext came back")?;
        let path = self.home.file(FIRST);
        let earlier = match path.exists() {
            false => {
                self.home.write(&path, &self.sealed)?;
                ""
            }
            true => {
                let kept =
                    std::fs::read(&path).map_err(|cause| unexpected(format_args!("{}: {cause}", path.display())))?;
                let opened = self.client.decrypt(&app(BOT), order(), kept.into()).await?;
                check(opened.plaintext == ORDER, "the first walk's ciphertext opens to something else")?;
                " So did the first ciphertext of an earlier start."
            }
        };
        let mut other = order();
        other.insert("order".into(), "43".into());
        let refusal =
            refused(self.client.decrypt(&app(BOT), other, self.sealed.clone()).await, pb::Reason::DecryptionFailed)?;
        Ok(format!("The same {} B came back.{earlier} With another context: {}.", ORDER.len(), refusal.reason))
    }

    pub(super) async fn batch(&mut self) -> Finding {
        let plaintext = |i: usize| Bytes::from(format!("message {i}"));
        let items = (0..ITEMS).map(|i| pb::BatchEncryptItem { plaintext: plaintext(i), context: order() }).collect();
        let sealed = self.client.batch_encrypt(pb::BatchEncryptRequest { app: app(APP), items }).await?;
        let mut items = Vec::with_capacity(ITEMS);
        for result in sealed.results {
            let Some(pb::batch_encrypt_result::Outcome::Ciphertext(ciphertext)) = result.outcome else {
                return Err(unexpected("an item was not sealed"));
            };
            items.push(pb::BatchDecryptItem { ciphertext, context: order() });
        }
        check(items.len() == ITEMS, format_args!("{} results for {ITEMS} items", items.len()))?;
        let damaged = ITEMS / 2;
        let mut bytes = items[damaged].ciphertext.to_vec();
        if let Some(last) = bytes.last_mut() {
            *last ^= 1;
        }
        items[damaged].ciphertext = bytes.into();
        let opened = self.client.batch_decrypt(pb::BatchDecryptRequest { app: app(APP), items }).await?;
        check(opened.results.len() == ITEMS, format_args!("{} results for {ITEMS} items", opened.results.len()))?;
        for (i, result) in opened.results.iter().enumerate() {
            match &result.outcome {
                Some(pb::batch_decrypt_result::Outcome::Plaintext(bytes)) if i != damaged => {
                    check(*bytes == plaintext(i), format_args!("item {i} opened to something else"))?;
                }
                Some(pb::batch_decrypt_result::Outcome::Error(error)) if i == damaged => {
                    check(
                        error.reason() == pb::Reason::DecryptionFailed,
                        "the damaged item failed for another reason",
                    )?;
                }
                Some(_) | None => return Err(unexpected(format_args!("item {i} has the wrong outcome"))),
            }
        }
        Ok(format!("{ITEMS} items sealed in one call. One was damaged: {} opened, that one did not.", ITEMS - 1))
    }

    pub(super) async fn stream(&mut self) -> Finding {
        let plaintext: Vec<u8> = (0..STREAM).map(|i| (i % 251) as u8).collect();
        let (mut sealed, mut opened) = (Vec::new(), Vec::new());
        let started = SystemClock.now();
        self.client.encrypt_stream(&app(APP), order(), &plaintext[..], &mut sealed, |_| {}).await?;
        self.client.decrypt_stream(&app(APP), order(), &sealed[..], &mut opened, |_| {}).await?;
        let took = SystemClock.now().since(started);
        check(opened == plaintext, "another plaintext came back")?;
        sealed.truncate(sealed.len() - 1_000);
        let cut = self.client.decrypt_stream(&app(APP), order(), &sealed[..], tokio::io::sink(), |_| {}).await;
        let cut = cut.map_err(|error| match error {
            client::StreamError::Call(error) => Ok(error),
            client::StreamError::Read(_) | client::StreamError::Write(_) => Err(unexpected(error)),
        });
        let refusal = match cut {
            Err(Err(trouble)) => return Err(trouble),
            Err(Ok(error)) => refused::<()>(Err(error), pb::Reason::DecryptionFailed)?,
            Ok(_) => return Err(unexpected("a stream without its end was taken for a whole one")),
        };
        let rate = ((2 * STREAM) >> 20) as f64 / took.as_secs_f64();
        Ok(format!(
            "{} MiB there and back in pieces, {rate:.0} MiB/s. With its end cut off: {}.",
            STREAM >> 20,
            refusal.reason
        ))
    }

    pub(super) async fn moved(&mut self) -> Finding {
        let outcome = self.client.decrypt(&app(APP), order(), self.sealed.clone()).await;
        let refusal = refused(outcome, pb::Reason::DecryptionFailed)?;
        // Right where it belongs, or the refusal would show nothing.
        let opened = self.client.decrypt(&app(BOT), order(), self.sealed.clone()).await?;
        check(opened.plaintext == ORDER, "another plaintext came back")?;
        Ok(format!("{BOT}'s ciphertext given to {APP}: {}. It still opens where it belongs.", refusal.reason))
    }

    /// Whether the sample's ciphertext opens now.
    pub(super) async fn open_sample(&self) -> Result<(), client::Error> {
        let opened = self.client.decrypt(&app(BOT), order(), self.sealed.clone()).await?;
        if opened.plaintext == ORDER { Ok(()) } else { Err(client::Error::Answer("another plaintext came back")) }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
