//! Sealing and opening many small payloads of one app in one call; one bad item fails alone.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use domain::permission::{self, Permit};
use domain::{DataKeyId, Reason};
use envelope::{BatchSealer, Context, InvalidContext, OVERHEAD};
use futures::future::join_all;

use super::decrypt::{check, refuse_unknown};
use super::{ATTEMPTS, Sealed, app_of, binding, nanos, take_back};
use crate::core::Core;
use crate::keys::{AppRef, DataKeyRef, Done, Failure, personal_use};
use crate::options::{MOST_BATCH_BYTES, MOST_BATCH_ITEMS};
use crate::{Refusal, Service};

/// One payload to seal. A context that is not valid fails its item and no other.
#[derive(Debug)]
pub struct ItemToSeal<'a> {
    /// The item's own context.
    pub context: Result<Context, InvalidContext>,
    /// The payload.
    pub plaintext: &'a [u8],
}

/// One ciphertext to open.
#[derive(Debug)]
pub struct ItemToOpen<'a> {
    /// The context it was made with.
    pub context: Result<Context, InvalidContext>,
    /// The ciphertext.
    pub ciphertext: &'a [u8],
}

/// What became of a sealed batch.
#[derive(Debug)]
pub struct BatchSealed {
    /// Under what all items were sealed.
    pub sealed: Sealed,
    /// For each item in order: where its ciphertext stands in the output, or why it failed.
    pub items: Vec<Result<Range<usize>, Refusal>>,
}

impl Service {
    /// Seals 1 to 1,000 payloads, 4 MiB in all, appending the ciphertexts to `out`. Each is an ordinary message.
    pub async fn batch_encrypt(
        &self,
        permit: &Permit<permission::Encrypt>,
        items: &[ItemToSeal<'_>],
        out: &mut Vec<u8>,
    ) -> Result<BatchSealed, Refusal> {
        let using = self.0.journal.begin_use(permit, items.len())?;
        let outcome = self.seal_all(permit, items, out).await;
        personal_use::ended(using, &outcome);
        outcome
    }

    async fn seal_all(
        &self,
        permit: &Permit<permission::Encrypt>,
        items: &[ItemToSeal<'_>],
        out: &mut Vec<u8>,
    ) -> Result<BatchSealed, Refusal> {
        let app = app_of(permit)?;
        check_size(items.len(), items.iter().map(|item| item.plaintext.len()).sum(), 0)?;
        for _ in 0..ATTEMPTS {
            if let Some(sealed) = self.0.seal_batch(app, items, out) {
                return Ok(sealed);
            }
            self.0.ready_to_seal(app).await?;
        }
        Err(Failure::TooLate.into())
    }

    /// As [`Service::batch_encrypt`], at once. `None`: the app's key is not ready.
    pub fn try_batch_encrypt(
        &self,
        permit: &Permit<permission::Encrypt>,
        items: &[ItemToSeal<'_>],
        out: &mut Vec<u8>,
    ) -> Option<Result<BatchSealed, Refusal>> {
        // A person's use is recorded where it is waited for.
        if permit.is_personal() {
            return None;
        }
        let checked = app_of(permit).and_then(|app| {
            check_size(items.len(), items.iter().map(|item| item.plaintext.len()).sum(), 0).map(|()| app)
        });
        match checked {
            Ok(app) => self.0.seal_batch(app, items, out).map(Ok),
            Err(refusal) => Some(Err(refusal)),
        }
    }

    /// Opens 1 to 1,000 messages, 4 MiB of payload in all, appending the plaintexts to `out`. For each item in order: where
    /// its plaintext stands, or why it failed.
    pub async fn batch_decrypt(
        &self,
        permit: &Permit<permission::Decrypt>,
        items: &[ItemToOpen<'_>],
        out: &mut Vec<u8>,
    ) -> Result<Vec<Result<Range<usize>, Refusal>>, Refusal> {
        let using = self.0.journal.begin_use(permit, items.len())?;
        let outcome = self.open_all(permit, items, out).await;
        personal_use::ended(using, &outcome);
        outcome
    }

    async fn open_all(
        &self,
        permit: &Permit<permission::Decrypt>,
        items: &[ItemToOpen<'_>],
        out: &mut Vec<u8>,
    ) -> Result<Vec<Result<Range<usize>, Refusal>>, Refusal> {
        let app = app_of(permit)?;
        check_size(items.len(), items.iter().map(|item| item.ciphertext.len()).sum(), items.len() * OVERHEAD)?;
        let checked: Vec<_> = items.iter().map(|item| Item::check(app, item)).collect();
        let from = out.len();
        let mut failed: BTreeMap<DataKeyId, Failure> = BTreeMap::new();
        for _ in 0..ATTEMPTS {
            // Every key first, all of them at once: nothing is opened while anything is waited for.
            let distinct: BTreeSet<DataKeyId> = checked.iter().flatten().map(|item| item.key.id).collect();
            let is_cold = |id: &DataKeyId| !failed.contains_key(id) && !self.0.is_ready_to_open(app.data_key(*id));
            let cold: Vec<DataKeyId> = distinct.into_iter().filter(is_cold).collect();
            let waits = cold.into_iter().map(async |id| (id, self.0.ready_unless_unknown(app.data_key(id)).await));
            for (id, ready) in join_all(waits).await {
                match ready {
                    Ok(()) => {}
                    Err(Failure::NotFound) => return Err(Failure::NotFound.into()),
                    Err(failure) => drop(failed.insert(id, failure)),
                }
            }
            if let Some(outcomes) = self.0.open_batch(app, &checked, &failed, out) {
                return Ok(outcomes);
            }
            // A key was taken away in between: what was opened before is not given out either (I-10).
            take_back(out, from);
        }
        Err(Failure::TooLate.into())
    }
}

fn check_size(items: usize, bytes: usize, overhead: usize) -> Result<(), Refusal> {
    if items == 0 {
        return Err(Refusal::because(Reason::RequestInvalid).detail("a batch has at least one item"));
    }
    if items > MOST_BATCH_ITEMS || bytes > MOST_BATCH_BYTES + overhead {
        return Err(Refusal::because(Reason::BatchTooLarge));
    }
    Ok(())
}

fn invalid(context: InvalidContext) -> Refusal {
    Refusal::because(Reason::ContextInvalid).detail(context.to_string())
}

/// An item that could be opened, as far as its public parts say.
struct Item<'a> {
    key: DataKeyRef<'a>,
    context: &'a Context,
    ciphertext: &'a [u8],
}

impl<'a> Item<'a> {
    fn check(app: AppRef<'a>, item: &'a ItemToOpen<'_>) -> Result<Self, Refusal> {
        let context = item.context.as_ref().map_err(|context| invalid(*context))?;
        Ok(Self { key: check(app, item.ciphertext)?, context, ciphertext: item.ciphertext })
    }
}

impl Core {
    /// Opens every item whose key is there, without waiting. `None`: a key is not there any more.
    fn open_batch(
        &self,
        app: AppRef<'_>,
        items: &[Result<Item<'_>, Refusal>],
        failed: &BTreeMap<DataKeyId, Failure>,
        out: &mut Vec<u8>,
    ) -> Option<Vec<Result<Range<usize>, Refusal>>> {
        let mut outcomes = Vec::with_capacity(items.len());
        for item in items {
            outcomes.push(match item {
                Err(refusal) => Err(refusal.clone()),
                Ok(item) => match failed.get(&item.key.id) {
                    Some(Failure::UnknownKey) => Err(refuse_unknown(app, item.context, item.ciphertext)),
                    Some(failure) => Err(failure.clone().into()),
                    None => self.open_item(item, out)?,
                },
            });
        }
        Some(outcomes)
    }

    fn open_item(&self, item: &Item<'_>, out: &mut Vec<u8>) -> Option<Result<Range<usize>, Refusal>> {
        let from = out.len();
        let outcome = self.open_now(item.key, item.context, item.ciphertext, out)?;
        Some(outcome.map(|_| from..out.len()))
    }

    fn seal_batch(&self, app: AppRef<'_>, items: &[ItemToSeal<'_>], out: &mut Vec<u8>) -> Option<BatchSealed> {
        let from = out.len();
        out.reserve(items.iter().map(|item| item.plaintext.len() + OVERHEAD).sum());
        let outcome = self.with_key_to_seal(app, |key, now| {
            let nonce = envelope::fresh_nonce(nanos(now));
            let (mut prefix, mut start) = ([0; 12], [0; 12]);
            prefix.copy_from_slice(&nonce[..12]);
            start.copy_from_slice(&nonce[12..]);
            let items = key.secret.expose(|secret| {
                let mut sealer = BatchSealer::new(secret, key.id().as_bytes(), prefix, start);
                let seal = |item: &ItemToSeal<'_>| {
                    let context = item.context.as_ref().map_err(|context| invalid(*context))?;
                    let at = out.len();
                    let sealed = sealer.seal_next(&binding(app, key, context), item.plaintext, out);
                    sealed.map_err(|full| Refusal::because(Reason::BatchTooLarge).caused_by(full))?;
                    Ok(at..out.len())
                };
                items.iter().map(seal).collect::<Vec<_>>()
            });
            key.count(items.len(), nonce[0]);
            let good = || items.iter().flatten();
            let bytes: usize = good().map(|at| at.len() - OVERHEAD).sum();
            let done = Done::Sealed(good().count() as u64, bytes as u64);
            (BatchSealed { sealed: Sealed::under(key), items }, done)
        })?;
        outcome.inspect_err(|_| take_back(out, from)).ok()
    }
}
