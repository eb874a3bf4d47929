//! The guard before a vault: the token goes to the one vault this was made for, and only after that vault has named the
//! bound tenant as its own.
//!
//! It also answers the SDK's anonymous first request from the one challenge it has seen, so that fifty first calls make
//! one challenge; and it has a rejected token thrown away and tries once more with a fresh one, where the SDK would use the
//! rejected one again.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use azure_core::{
    error::ErrorKind,
    http::{
        AsyncRawResponse, HttpClient, Method, Request, StatusCode, Url,
        headers::{AUTHORIZATION, CLIENT_REQUEST_ID, Headers, WWW_AUTHENTICATE},
    },
};
use domain::{KeyLocation, TenantId};
use futures::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use outbound::{NoAnswer, Sender};

use super::{
    bridge::{self, Received, no_answer},
    challenge::{self, Named},
    token::TokenSource,
    vault_answer,
};
use crate::{AnswerFault, KeyUnavailable, Trace};

/// A vault that does not challenge in this time is not there.
pub(super) const CHALLENGE_DEADLINE: Duration = Duration::from_secs(10);

const BEARER: &str = "Bearer ";

type Flight = Shared<BoxFuture<'static, Result<Received, KeyUnavailable>>>;

/// Sends requests to one vault of one tenant.
pub(super) struct VaultTransport {
    gate: Arc<Gate>,
    tokens: Arc<TokenSource>,
}

struct Gate {
    sender: Sender,
    host: String,
    tenant: TenantId,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The vault's challenge, seen and found to name the bound tenant.
    seen: Option<String>,
    flight: Option<Flight>,
}

impl VaultTransport {
    pub(super) fn new(sender: Sender, at: &KeyLocation, tenant: TenantId, tokens: Arc<TokenSource>) -> Self {
        let gate = Gate { sender, host: at.host(), tenant, state: Mutex::default() };
        Self { gate: Arc::new(gate), tokens }
    }

    /// Has the vault name its tenant, unless it already has. Nothing that is ours has been sent before this succeeds.
    pub(super) async fn warm_up(&self, at: &KeyLocation) -> Result<(), KeyUnavailable> {
        if self.gate.state().seen.is_some() {
            return Ok(());
        }
        let url = format!("{}keys/{}?api-version={}", at.vault_uri(), at.key(), super::API_VERSION);
        let url = Url::parse(&url).expect("a vault's URI and a key's name make a URL");
        let received = self.challenge(Request::new(url, Method::Get)).await?;
        if received.status == 401 {
            return Ok(());
        }
        // Refused before it even asked who we are: a firewall, an outage.
        let answer = vault_answer::Answer { status: received.status, headers: &received.headers, body: &received.body };
        Err(vault_answer::classify(&answer, domain::Timestamp::from_micros(i64::MAX)))
    }

    /// The answer to an anonymous request: the challenge seen before, or that of one request, however many wait for it.
    async fn challenge(&self, anonymous: Request) -> Result<Received, KeyUnavailable> {
        let flight = {
            let mut state = self.gate.state();
            if let Some(seen) = &state.seen {
                return Ok(challenged(seen));
            }
            match &state.flight {
                Some(flight) => flight.clone(),
                None => {
                    let flight = Gate::ask(Arc::clone(&self.gate), anonymous);
                    state.flight = Some(flight.clone());
                    flight
                }
            }
        };
        flight.await
    }
}

impl Gate {
    /// Sends an anonymous request in a task of its own, so that whoever started it may give up.
    fn ask(itself: Arc<Self>, anonymous: Request) -> Flight {
        let asker = Arc::clone(&itself);
        let task = tokio::spawn(async move {
            let sent = tokio::time::timeout(CHALLENGE_DEADLINE, bridge::send(&asker.sender, &anonymous)).await;
            let received = sent.unwrap_or(Err(NoAnswer::TimedOut)).map_err(no_answer);
            let answer = received.and_then(|received| asker.check(received));
            let mut state = asker.state();
            state.flight = None;
            if let Ok(Received { status: 401, headers, .. }) = &answer {
                state.seen = headers.get_optional_str(&WWW_AUTHENTICATE).map(str::to_owned);
            }
            answer
        });
        let joined = async move {
            task.await.unwrap_or_else(|_| {
                itself.state().flight = None;
                Err(KeyUnavailable::Unreachable)
            })
        };
        joined.boxed().shared()
    }

    /// What a vault may answer to somebody who did not say who they are: a challenge of the bound tenant, or a refusal.
    fn check(&self, received: Received) -> Result<Received, KeyUnavailable> {
        let trace = vault_answer::trace(&received.headers);
        if received.status == 401 {
            self.check_tenant(&received.headers, trace)?;
        } else if received.status < 400 {
            // Redirects, and vaults that serve anybody.
            let fault = if received.status >= 300 { AnswerFault::Redirect } else { AnswerFault::Challenge };
            return Err(KeyUnavailable::AnswerInvalid { fault, trace });
        }
        Ok(received)
    }

    /// Sends a request that carries a token; its answer must not come from another tenant's vault or lead elsewhere.
    async fn send_with_token(&self, request: &Request) -> Result<Received, KeyUnavailable> {
        let mut received = bridge::send(&self.sender, request).await.map_err(no_answer)?;
        // What our call carried, whatever the vault says it was: the vault's log has it.
        received.headers.remove(CLIENT_REQUEST_ID);
        if let Some(ours) = request.headers().get_optional_str(&CLIENT_REQUEST_ID) {
            received.headers.insert(CLIENT_REQUEST_ID, ours.to_owned());
        }
        let trace = || vault_answer::trace(&received.headers);
        if (300..400).contains(&received.status) {
            return Err(KeyUnavailable::AnswerInvalid { fault: AnswerFault::Redirect, trace: trace() });
        }
        let challenge = received.headers.get_optional_str(&WWW_AUTHENTICATE).filter(|_| received.status == 401);
        if challenge.is_some_and(|text| challenge::tenant(text, &self.tenant) == Named::Another) {
            // The vault has moved: what it said before no longer counts.
            self.state().seen = None;
            return Err(KeyUnavailable::TenantMismatch(trace()));
        }
        Ok(received)
    }

    fn check_tenant(&self, headers: &Headers, trace: Trace) -> Result<(), KeyUnavailable> {
        let named = headers.get_optional_str(&WWW_AUTHENTICATE).map(|text| challenge::tenant(text, &self.tenant));
        match named {
            Some(Named::Bound) => Ok(()),
            Some(Named::Another) => Err(KeyUnavailable::TenantMismatch(trace)),
            Some(Named::None) | None => Err(KeyUnavailable::AnswerInvalid { fault: AnswerFault::Challenge, trace }),
        }
    }

    /// `https`, this vault's host and no other, the standard port, and nobody's name or password in it.
    fn is_ours(&self, url: &Url) -> bool {
        url.scheme() == "https"
            && url.host_str() == Some(&self.host)
            && url.port_or_known_default() == Some(443)
            && url.username().is_empty()
            && url.password().is_none()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl VaultTransport {
    async fn execute(&self, request: &Request) -> Result<Received, KeyUnavailable> {
        if !self.gate.is_ours(request.url()) {
            let fault = AnswerFault::OtherOrigin;
            return Err(KeyUnavailable::AnswerInvalid { fault, trace: Trace::default() });
        }
        let Some(authorization) = request.headers().get_optional_str(&AUTHORIZATION) else {
            return self.challenge(request.clone()).await;
        };
        let received = self.gate.send_with_token(request).await?;
        if received.status != 401 {
            return Ok(received);
        }
        // Rejected: thrown away, and the request sent once more with a fresh one.
        self.tokens.invalidate(authorization.strip_prefix(BEARER).unwrap_or_default());
        let fresh = self.tokens.token().await?;
        let mut again = request.clone();
        again.insert_header(AUTHORIZATION, format!("{BEARER}{}", fresh.secret()));
        let mut received = self.gate.send_with_token(&again).await?;
        // The SDK would act on a challenge once more when it knows the vault, and not when it does not: that was the once.
        received.headers.remove(WWW_AUTHENTICATE);
        Ok(received)
    }
}

#[async_trait::async_trait]
impl HttpClient for VaultTransport {
    async fn execute_request(&self, request: &Request) -> azure_core::Result<AsyncRawResponse> {
        match self.execute(request).await {
            Ok(Received { status, headers, body }) => {
                Ok(AsyncRawResponse::from_bytes(StatusCode::from(status), headers, body))
            }
            Err(why) => Err(azure_core::Error::new(ErrorKind::Other, why)),
        }
    }
}

/// The vault's challenge as it came, without the answer around it.
fn challenged(challenge: &str) -> Received {
    let mut headers = Headers::new();
    headers.insert(WWW_AUTHENTICATE, challenge.to_owned());
    Received { status: 401, headers, body: azure_core::Bytes::new() }
}

impl fmt::Debug for VaultTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VaultTransport").finish_non_exhaustive()
    }
}
