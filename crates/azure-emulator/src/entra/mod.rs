//! Entra ID: discovery, signing keys, the token endpoint, and the pages where people sign in and consent.

mod assertion;
pub(crate) mod code;
mod consent;
pub(crate) mod directory;
mod discovery;
pub(crate) mod forged;
mod id_token;
pub(crate) mod manifest;
mod page;
pub(crate) mod refusal;
mod sign_in;
mod token;
pub(crate) mod users;

use serde_json::json;

use crate::cloud::Cloud;
use crate::exchange::{Answer, Request};
use crate::faults::{Fault, Met};
use crate::operation::Operation;
use crate::world::World;

pub(crate) use refusal::EntraRefusal;

/// What serves an answered request besides the answer.
pub(crate) struct Served {
    pub(crate) answer: Answer,
    /// The client id that asked.
    pub(crate) principal: Option<String>,
}

/// Which operation a request to a login host means.
pub(crate) fn operation(method: &str, parts: &[&str]) -> Operation {
    match (method, parts) {
        ("POST", [_, "oauth2", "v2.0", "token"] | [_, "oauth2", "token"]) => Operation::Token,
        ("GET", [_, ".well-known", "openid-configuration"] | [_, "v2.0", ".well-known", "openid-configuration"]) => {
            Operation::Discovery
        }
        ("GET", ["common", "discovery", "instance"]) => Operation::Discovery,
        ("GET" | "POST", [_, "adminconsent"] | [_, "v2.0", "adminconsent"]) => Operation::AdminConsent,
        ("GET" | "POST", [_, "oauth2", "v2.0", "authorize"]) => Operation::Authorize,
        ("GET", [_, "discovery", "keys"] | [_, "discovery", "v2.0", "keys"]) => Operation::Jwks,
        _ => Operation::Unknown,
    }
}

/// Answers a request to a login host. `met`: the faults that meet it.
pub(crate) fn serve(world: &World, cloud: Cloud, request: &Request, operation: Operation, met: &[Met]) -> Served {
    let switched = met.iter().find_map(|m| match m.fault {
        Fault::Entra(refusal) => Some(refusal),
        Fault::Vault(_) | Fault::Answer(_) | Fault::Wire(_) | Fault::IdToken(_) | Fault::Keys(_) => None,
    });
    let anonymous = |answer| Served { answer, principal: None };
    match (switched, operation) {
        (Some(refusal), Operation::Token) => {
            let principal = token::client_id(request);
            Served { answer: refuse(world, request, refusal), principal }
        }
        (Some(refusal), _) => anonymous(refuse(world, request, refusal)),
        (None, Operation::Token) => {
            let principal = token::client_id(request);
            let answer = match token::grant(world, cloud, request, met) {
                Ok(token) => Answer::json(200, &token).header("cache-control", "no-store, no-cache"),
                Err(refusal) => refuse(world, request, refusal),
            };
            Served { answer, principal }
        }
        (None, Operation::Discovery | Operation::Jwks) => anonymous(discovery::answer(world, cloud, request, met)),
        (None, Operation::AdminConsent) => anonymous(consent::answer(world, cloud, request)),
        (None, Operation::Authorize) => anonymous(sign_in::answer(world, cloud, request)),
        (None, _) => anonymous(Answer::empty(404)),
    }
}

/// What people read of a refusal: the number, the text, and what a support request would name.
fn description(world: &World, request: &Request, refusal: EntraRefusal) -> String {
    described(world, request, refusal).0
}

/// The description, the correlation id and the time in it.
fn described(world: &World, request: &Request, refusal: EntraRefusal) -> (String, String, String) {
    let correlation = request.header("client-request-id").map_or_else(|| world.random.guid(), str::to_owned);
    let at = chrono::DateTime::from_timestamp_micros(world.micros()).unwrap_or_default();
    let timestamp = at.format("%Y-%m-%d %H:%M:%SZ").to_string();
    let (number, trace) = (refusal.number(), &request.request_id);
    let prefix = if refusal.has_number() { format!("AADSTS{number}: ") } else { String::new() };
    let text =
        format!("{prefix}{} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}", refusal.text());
    (text, correlation, timestamp)
}

/// The body of every refusal (RFC 6749 §5.2 with Microsoft's members).
fn refuse(world: &World, request: &Request, refusal: EntraRefusal) -> Answer {
    let (description, correlation, timestamp) = described(world, request, refusal);
    let (number, trace) = (refusal.number(), &request.request_id);
    let codes: Vec<u32> = refusal.has_number().then_some(number).into_iter().collect();
    let mut body = json!({
        "error": refusal.error(),
        "error_description": description,
        "error_codes": codes,
        "timestamp": timestamp,
        "trace_id": trace,
        "correlation_id": correlation,
    });
    if refusal.has_number() {
        body["error_uri"] = format!("https://{}/error?code={number}", request.host).into();
    }
    let answer = Answer::json(refusal.status(), &body);
    if refusal.status() == 429 { answer.header("retry-after", "1") } else { answer }
}
