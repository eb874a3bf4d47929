//! Event Grid tells us that a customer's key has a new version: a hint that brings the next look forward.
//!
//! What arrives here is believed in nothing but that it is worth looking. No URL that is sent is ever fetched, the handshake's
//! `validationUrl` included; an event for a vault nobody uses is answered like any other, so that nobody learns who is a
//! customer; and everything that is refused gets the same answer.

mod event;
mod secret;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::any;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, StatusCode};
use service::Service;

pub use secret::{SecretsRefused, WebhookSecrets};

use self::event::Delivery;
use self::secret::shown;

/// Where Event Grid sends to.
pub const PATH: &str = "/webhooks/event-grid/v1";
/// The header that carries the secret, named in the event subscription as a delivery property.
pub const SECRET_HEADER: &str = "x-byokd-webhook-secret";
/// The largest delivery; Event Grid's own usual bound on a batch.
const MOST_BYTES: usize = 64 * 1024;
/// How long a delivery's bytes may take to arrive.
const PATIENCE: Duration = Duration::from_secs(5);

/// Who hears of new versions.
pub trait HearHint: Send + Sync {
    /// The key of this vault is said to have a new version. Returns at once.
    fn hint(&self, vault: &str, key: &str);
}

impl HearHint for Service {
    fn hint(&self, vault: &str, key: &str) {
        self.hint_new_version(vault, key);
    }
}

struct Door {
    secrets: WebhookSecrets,
    hears: Arc<dyn HearHint>,
}

/// Answers Event Grid's handshakes and deliveries; everything else is refused.
pub fn router(secrets: WebhookSecrets, hears: Arc<dyn HearHint>) -> Router {
    let door = Arc::new(Door { secrets, hears });
    // By method here and not by the router, which would tell strangers the methods there are.
    Router::new().route(PATH, any(come_in)).fallback(async || refused()).with_state(door)
}

async fn come_in(State(door): State<Arc<Door>>, request: Request) -> Response {
    if !door.secrets.accepts(shown(&request)) {
        return refused();
    }
    match *request.method() {
        Method::POST => door.deliver(request).await,
        Method::OPTIONS => shake_hands(&request),
        _ => refused(),
    }
}

/// Not a code after which Event Grid sends the same once more: what is refused now is refused then.
const REFUSED: StatusCode = StatusCode::BAD_REQUEST;

fn refused() -> Response {
    answer(REFUSED, Body::empty())
}

fn answer(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

impl Door {
    async fn deliver(&self, request: Request) -> Response {
        let body = tokio::time::timeout(PATIENCE, to_bytes(request.into_body(), MOST_BYTES)).await;
        let Ok(Ok(body)) = body else { return refused() };
        match event::read(&body) {
            Some(Delivery::Handshake { code }) => {
                tracing::info!("an Event Grid subscription was validated");
                // Letters, digits and hyphens: nothing to be escaped.
                let mut response = answer(StatusCode::OK, format!("{{\"validationResponse\":\"{code}\"}}").into());
                response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Some(Delivery::Events(named)) => {
                named.iter().for_each(|named| self.hears.hint(&named.vault, &named.key));
                answer(StatusCode::OK, Body::empty())
            }
            None => refused(),
        }
    }
}

/// The handshake of CloudEvents 1.0: the sender names itself and asks to be allowed.
fn shake_hands(request: &Request) -> Response {
    let origin = request.headers().get("webhook-request-origin").filter(|origin| is_host(origin.as_bytes())).cloned();
    let Some(origin) = origin else { return refused() };
    let mut response = answer(StatusCode::OK, Body::empty());
    response.headers_mut().insert("webhook-allowed-origin", origin);
    response.headers_mut().insert("webhook-allowed-rate", HeaderValue::from_static("120"));
    response
}

fn is_host(text: &[u8]) -> bool {
    (1..=253).contains(&text.len()) && text.iter().all(|byte| byte.is_ascii_alphanumeric() || b".-".contains(byte))
}
