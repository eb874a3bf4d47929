//! The platform's token for one tenant: asked for once however many wait, kept as long as it holds, thrown away on demand.
//!
//! The SDK's own cache is not used: it keeps a token that a vault has rejected, has every call repeat a failing refresh in
//! turn while the old token still holds, and asks at every call when tokens are short-lived.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use azure_core::{
    credentials::{AccessToken, Secret, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    time::OffsetDateTime,
};
use domain::{Clock, Moment};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};

use crate::KeyUnavailable;

/// A directory that does not answer in this time is not reachable.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);
/// A token is renewed when it has less than this left (or half its life, if that is less).
const RENEW_AHEAD: Duration = Duration::from_secs(300);
/// A token is not sent when it has less than this left: it would expire on the way.
const UNUSABLE: Duration = Duration::from_secs(15);
/// While the old token holds, a failed renewal is not repeated sooner than this.
const RENEW_PAUSE: Duration = Duration::from_secs(10);

/// A token and how long it holds from now.
pub(super) struct Fetched {
    pub(super) token: Secret,
    pub(super) lifetime: Duration,
}

/// Asks the directory once. Made new for each asking, so that nothing rejected is cached below it.
pub(super) trait Fetch: Send + Sync + 'static {
    fn fetch(&self) -> BoxFuture<'static, Result<Fetched, KeyUnavailable>>;
}

type Flight = Shared<BoxFuture<'static, Result<Secret, KeyUnavailable>>>;

/// The token of one (tenant, client).
pub(super) struct TokenSource {
    itself: Weak<Self>,
    fetch: Box<dyn Fetch>,
    clock: Arc<dyn Clock>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    held: Option<Held>,
    flight: Option<Flight>,
    renewal_failed: Option<Moment>,
}

struct Held {
    token: Secret,
    since: Moment,
    lifetime: Duration,
}

impl Held {
    fn left(&self, now: Moment) -> Duration {
        self.lifetime.saturating_sub(now.since(self.since))
    }
}

impl TokenSource {
    pub(super) fn new(fetch: Box<dyn Fetch>, clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self { itself: itself.clone(), fetch, clock, state: Mutex::default() })
    }

    /// A token that holds. Asks the directory if there is none; renews it in the background while the old one holds.
    pub(super) async fn token(&self) -> Result<Secret, KeyUnavailable> {
        let flight = {
            let now = self.clock.now();
            let mut state = self.state();
            let held = state.held.as_ref().map(|held| (held.token.clone(), held.left(now), held.lifetime));
            match held {
                Some((token, left, lifetime)) if left > UNUSABLE => {
                    let due = left < RENEW_AHEAD.min(lifetime / 2);
                    let pausing = state.renewal_failed.is_some_and(|failed| now.since(failed) < RENEW_PAUSE);
                    if due && !pausing {
                        // Nobody waits for it: it runs by itself.
                        let _by_itself = self.join_flight(&mut state);
                    }
                    return Ok(token);
                }
                Some(_) | None => self.join_flight(&mut state),
            }
        };
        flight.await
    }

    /// A token that was issued now, whatever is kept. It becomes the one that is kept; a refusal leaves that one be.
    pub(super) async fn fresh_token(&self) -> Result<Secret, KeyUnavailable> {
        let flight = self.join_flight(&mut self.state());
        flight.await
    }

    /// Throws this token away, if it is the one held: a vault has rejected it.
    pub(super) fn invalidate(&self, rejected: &str) {
        let mut state = self.state();
        if state.held.as_ref().is_some_and(|held| held.token.secret() == rejected) {
            state.held = None;
        }
    }

    /// The asking that is under way, or a new one. It runs in a task of its own: whoever started it may give up, and the
    /// others still get its answer. A failure is everybody's too, so that a wave of calls makes one attempt.
    fn join_flight(&self, state: &mut State) -> Flight {
        if let Some(flight) = &state.flight {
            return flight.clone();
        }
        let asked = self.clock.now();
        let fetch = self.fetch.fetch();
        let itself = self.itself.clone();
        let task = tokio::spawn(async move {
            let fetched = bounded(fetch).await;
            let Some(source) = itself.upgrade() else { return fetched.map(|fetched| fetched.token) };
            let mut state = source.state();
            state.flight = None;
            match fetched {
                Ok(Fetched { token, lifetime }) => {
                    // Counted from the asking: the answer may have been long on its way.
                    state.held = Some(Held { token: token.clone(), since: asked, lifetime });
                    state.renewal_failed = None;
                    Ok(token)
                }
                Err(why) => {
                    state.renewal_failed = Some(source.clock.now());
                    Err(why)
                }
            }
        });
        let itself = self.itself.clone();
        let joined = async move {
            task.await.unwrap_or_else(|_| {
                // The task panicked or its runtime ends; the next caller starts anew.
                if let Some(source) = itself.upgrade() {
                    source.state().flight = None;
                }
                Err(KeyUnavailable::DirectoryUnreachable)
            })
        };
        let flight = joined.boxed().shared();
        state.flight = Some(flight.clone());
        flight
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn bounded(
    fetch: impl Future<Output = Result<Fetched, KeyUnavailable>> + Send,
) -> Result<Fetched, KeyUnavailable> {
    tokio::time::timeout(FETCH_DEADLINE, fetch).await.unwrap_or(Err(KeyUnavailable::DirectoryUnreachable))
}

impl fmt::Debug for TokenSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenSource").finish_non_exhaustive()
    }
}

/// What the SDK sees. The scopes it asks for come from the vault's challenge and are ignored: ours is fixed by the cloud.
#[async_trait::async_trait]
impl TokenCredential for TokenSource {
    async fn get_token(
        &self,
        _scopes: &[&str],
        _options: Option<TokenRequestOptions<'_>>,
    ) -> azure_core::Result<AccessToken> {
        match self.token().await {
            // Expired as far as the SDK is concerned: so it keeps none, and comes back for each request.
            Ok(token) => Ok(AccessToken::new(token, OffsetDateTime::UNIX_EPOCH)),
            Err(why) => Err(azure_core::Error::new(ErrorKind::Credential, why)),
        }
    }
}

#[cfg(test)]
mod tests;
