//! A vault that counts: so many operations in any ten seconds, and 429 beyond.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::KeyVersionId;
use domain::vault_limit::WINDOW;
use secmem::Secret;
use sha2::{Digest, Sha256};
use tokio::time::sleep;
use vault::memory::MemoryKeys;
use vault::{
    CustomerKeys, KeyDescription, KeyRef, KeyUnavailable, PAYLOAD_LEN, Trace, Unwrapped, VersionListing, WrappedBlob,
};

use crate::revocation::clock::Time;
use crate::revocation::plan::Dice;

/// What a call takes, there and back: 55 ms on average.
const WAY: (Duration, Duration) = (Duration::from_millis(15), Duration::from_millis(40));
/// With this begins what was wrapped cheaply; everything else is RSA's.
const MARK: &[u8; 8] = b"cheaply\0";
const HEADER: usize = MARK.len() + 16 + 8;

/// The vault. Real RSA answers what was sealed with the public half outside: the probes.
pub(super) struct CountingVault {
    pub(super) keys: Arc<MemoryKeys>,
    time: Time,
    /// Operations in any ten seconds.
    limit: usize,
    inner: Mutex<Inner>,
}

struct Inner {
    dice: Dice,
    /// When operations arrived, of the last ten seconds.
    arrived: VecDeque<Duration>,
    counts: Counts,
    wrapped: u64,
    secrets: HashMap<KeyVersionId, [u8; 32]>,
}

/// What a vault was asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    /// Wraps and unwraps that were let in.
    pub(super) operations: u64,
    /// Those that were answered 429.
    pub(super) throttled: u64,
    /// The most in any ten seconds.
    pub(super) most: u64,
}

impl CountingVault {
    pub(super) fn new(keys: Arc<MemoryKeys>, time: Time, limit: u32, seed: u64) -> Arc<Self> {
        let inner = Inner {
            dice: Dice::new(seed),
            arrived: VecDeque::new(),
            counts: Counts::default(),
            wrapped: 0,
            secrets: HashMap::new(),
        };
        Arc::new(Self { keys, time, limit: limit as usize, inner: Mutex::new(inner) })
    }

    pub(super) fn counts(&self) -> Counts {
        self.inner().counts
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn way(&self) {
        let way = self.inner().dice.between(WAY.0, WAY.1);
        sleep(way).await;
    }

    /// Counts an operation that arrives now.
    fn arrive(&self) -> Result<(), KeyUnavailable> {
        let (now, mut inner) = (self.time.passed(), self.inner());
        while inner.arrived.front().is_some_and(|at| *at + WINDOW <= now) {
            inner.arrived.pop_front();
        }
        if inner.arrived.len() >= self.limit {
            inner.counts.throttled += 1;
            return Err(KeyUnavailable::Throttled { retry_after: None, trace: Trace::default() });
        }
        inner.arrived.push_back(now);
        inner.counts.operations += 1;
        inner.counts.most = inner.counts.most.max(inner.arrived.len() as u64);
        Ok(())
    }

    async fn secret(&self, at: &KeyRef, version: KeyVersionId, deadline: Duration) -> Result<[u8; 32], KeyUnavailable> {
        if let Some(known) = self.inner().secrets.get(&version) {
            return Ok(*known);
        }
        // The key is there, and what it is asked by is its tenant's.
        self.keys.describe(at, Some(version), deadline).await?;
        let secret = Sha256::digest([b"a vault's secret".as_slice(), version.as_bytes()].concat()).into();
        self.inner().secrets.insert(version, secret);
        Ok(secret)
    }
}

/// The payload under a key stream, both ways.
fn stream(secret: &[u8; 32], number: &[u8], bytes: &mut [u8]) {
    for (counter, block) in (0u8..).zip(bytes.chunks_mut(32)) {
        let mask = Sha256::new().chain_update(secret).chain_update(number).chain_update([counter]).finalize();
        block.iter_mut().zip(mask).for_each(|(byte, mask)| *byte ^= mask);
    }
}

#[async_trait]
impl CustomerKeys for CountingVault {
    fn approach(&self) -> &dyn vault::Approach {
        self.keys.approach()
    }

    async fn describe(
        &self,
        at: &KeyRef,
        version: Option<KeyVersionId>,
        deadline: Duration,
    ) -> Result<KeyDescription, KeyUnavailable> {
        self.way().await;
        let answer = self.keys.describe(at, version, deadline).await;
        self.way().await;
        answer
    }

    async fn prove_consent(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.way().await;
        self.keys.prove_consent(at, deadline).await
    }

    async fn versions(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<VersionListing>, KeyUnavailable> {
        self.way().await;
        self.keys.versions(at, deadline).await
    }

    async fn wrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        payload: &Secret<PAYLOAD_LEN>,
        deadline: Duration,
    ) -> Result<WrappedBlob, KeyUnavailable> {
        self.way().await;
        self.arrive()?;
        let secret = self.secret(at, version, deadline).await?;
        let number = {
            let mut inner = self.inner();
            inner.wrapped += 1;
            inner.wrapped.to_be_bytes()
        };
        let mut blob = [MARK.as_slice(), version.as_bytes(), &number].concat();
        payload.expose(|payload| blob.extend_from_slice(payload));
        stream(&secret, &number, &mut blob[HEADER..]);
        blob.resize(256, 0);
        self.way().await;
        Ok(WrappedBlob { version: at.location.at(version), blob, trace: Trace::default() })
    }

    async fn unwrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        blob: &[u8],
        deadline: Duration,
    ) -> Result<Unwrapped, KeyUnavailable> {
        self.way().await;
        self.arrive()?;
        let cheap = blob.starts_with(MARK);
        if !cheap {
            let answer = self.keys.unwrap(at, version, blob, deadline).await;
            self.way().await;
            return answer;
        }
        let secret = self.secret(at, version, deadline).await?;
        if blob.get(MARK.len()..MARK.len() + 16) != Some(version.as_bytes()) || blob.len() < HEADER + PAYLOAD_LEN {
            return Err(KeyUnavailable::BadParameter(Trace::default()));
        }
        let (number, sealed) = (&blob[HEADER - 8..HEADER], &blob[HEADER..HEADER + PAYLOAD_LEN]);
        let payload = Secret::fill(|out: &mut [u8; PAYLOAD_LEN]| {
            out.copy_from_slice(sealed);
            stream(&secret, number, out);
        })?;
        self.way().await;
        Ok(Unwrapped { payload, trace: Trace::default() })
    }
}
