//! The pages that a customer's admin meets in a browser when they connect their directory: begun, come back from consent, signed in.
//!
//! What a browser brings is read here and judged in the service. Pages hold no script, name no ids but that of the directory that is to
//! be connected, and are kept by nobody: no cache, no frame, no referrer. A refusal is a calm page with the next step, and the same for
//! whatever was forged.

mod page;
mod query;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use domain::Reason;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE, HeaderName, LOCATION, REFERRER_POLICY, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderValue, StatusCode};
use service::{ConsentAnswer, Refusal, Service, SignInAnswer, Started, WhatNext, consent_of};
use tokio::time::timeout;

use self::query::Query;

/// Where an owner's browser begins.
pub const START: &str = "/entra/start";
/// Where browsers come back to from consent.
pub const CONSENT: &str = "/entra/consent";
/// Where the owner's comes back to from signing in.
pub const SIGN_IN: &str = "/entra/sign-in";
const STYLE: &str = "/entra/style.css";

/// The cookie that ties a browser to a consent it began; the consent's own name follows, so that two at once do not overwrite each other's.
/// The prefix has browsers hold it to this very host and to TLS.
const COOKIE_NAME: &str = "__Host-byokd-entra-";
/// The cookie that shows that a form was sent by the page that we gave this browser. No other site's form brings it along.
const FORM_COOKIE: &str = "__Host-byokd-entra-form";
/// The most bytes of a form: two texts of 43 letters.
const LONGEST_FORM: usize = 1024;
/// How long the form may take once its head is here: as long as a head.
const FORM_WAIT: Duration = Duration::from_secs(5);
/// As long as a consent lives.
const COOKIE_SECONDS: u32 = 15 * 60;
/// Nothing but our own style; no script, no frame, and no form but the first page's own.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Answers browsers; everything else is not there.
pub fn router(service: Arc<Service>) -> Router {
    Router::new()
        .route(START, get(start).post(begin))
        .route(CONSENT, get(came_back))
        .route(SIGN_IN, get(signed_in))
        .route(STYLE, get(style))
        .fallback(async || refused(&Refusal::because(Reason::NotFound), StatusCode::NOT_FOUND))
        .with_state(service)
}

/// The first page's policy. Chromium holds every address that a form's answer is redirected to against `form-action`, to the end of the chain:
/// first the directory's sign-in, and from there the tenant's own identity provider, which stands on a host that nobody here knows. With
/// the sign-in's host alone such a tenant's admin would press the button and see nothing happen. Hence any host over TLS; what is posted to
/// is written into the page by us alone.
fn start_policy() -> String {
    POLICY.replace("form-action 'none'", "form-action 'self' https:")
}

/// What is about to be connected, and to whom. Whoever only looks (a link preview, somebody to whom the address was sent) uses no ticket up.
async fn start(State(service): State<Arc<Service>>, request: Request) -> Response {
    let ticket = Query::of(&request).take("ticket").unwrap_or_default();
    // Another start page may be open in this browser: its form stays good.
    match service.look_at_consent(&ticket, cookie(&request, FORM_COOKIE)).await {
        Ok(shown) => {
            let mut response = html(StatusCode::OK, page::start(&shown.workspace, &shown.tenant, &ticket, &shown.form));
            response.headers_mut().remove(CONTENT_SECURITY_POLICY);
            add(&mut response, CONTENT_SECURITY_POLICY, &start_policy());
            let form = shown.form;
            let cookie =
                format!("{FORM_COOKIE}={form}; Path=/; Max-Age={COOKIE_SECONDS}; Secure; HttpOnly; SameSite=Strict");
            add(&mut response, SET_COOKIE, &cookie);
            response
        }
        Err(refusal) => refused(&refusal, StatusCode::BAD_REQUEST),
    }
}

/// Somebody read that and goes on.
async fn begin(State(service): State<Arc<Service>>, request: Request) -> Response {
    let cookie = cookie(&request, FORM_COOKIE).map(str::to_owned);
    let form = form(request.into_body()).await;
    let ticket = form.take("ticket").unwrap_or_default();
    match service.open_consent(&ticket, form.take("form").as_deref(), cookie.as_deref()).await {
        Ok(Started { session, consent, go_to }) => {
            let mut response = redirect(&go_to);
            add(&mut response, SET_COOKIE, &session_cookie(&consent, &session, COOKIE_SECONDS));
            response
        }
        Err(refusal) => refused(&refusal, StatusCode::BAD_REQUEST),
    }
}

/// What a form says. One that is too long, or does not come in time, says nothing.
async fn form(body: Body) -> Query {
    let read = timeout(FORM_WAIT, axum::body::to_bytes(body, LONGEST_FORM)).await;
    let read = read.map(Result::unwrap_or_default).unwrap_or_default();
    Query::parse(std::str::from_utf8(&read).unwrap_or_default())
}

fn session_cookie(consent: &str, session: &str, seconds: u32) -> String {
    format!("{COOKIE_NAME}{consent}={session}; Path=/; Max-Age={seconds}; Secure; HttpOnly; SameSite=Lax")
}

async fn came_back(State(service): State<Arc<Service>>, request: Request) -> Response {
    let query = Query::of(&request);
    let answer = ConsentAnswer {
        state: query.take("state").unwrap_or_default(),
        error: query.error(),
        tenant: query.take("tenant"),
    };
    match service.consent_came_back(session(&request, &answer.state), answer).await {
        Ok(WhatNext::SignIn { go_to }) => redirect(&go_to),
        Ok(WhatNext::ReadBack { workspace, code }) => html(StatusCode::OK, page::read_back(&workspace, &code)),
        Err(refusal) => refused(&refusal, StatusCode::BAD_REQUEST),
    }
}

async fn signed_in(State(service): State<Arc<Service>>, request: Request) -> Response {
    let query = Query::of(&request);
    let answer =
        SignInAnswer { state: query.take("state").unwrap_or_default(), error: query.error(), code: query.take("code") };
    let (consent, session) = (consent_of(&answer.state).map(str::to_owned), session(&request, &answer.state));
    let mut response = match service.owner_signed_in(session, answer).await {
        Ok(proven) => html(StatusCode::OK, page::proven(&proven.workspace, &proven.tenant)),
        Err(refusal) => refused(&refusal, StatusCode::BAD_REQUEST),
    };
    // It is over, one way or the other.
    if let Some(consent) = consent {
        add(&mut response, SET_COOKIE, &session_cookie(&consent, "", 0));
    }
    response
}

async fn style() -> Response {
    let mut response = guarded(StatusCode::OK, Body::from(page::STYLE));
    add(&mut response, CONTENT_TYPE, "text/css; charset=utf-8");
    response
}

/// The session that a browser shows for the consent of this state, if it shows one.
fn session<'a>(request: &'a Request, state: &str) -> Option<&'a str> {
    cookie(request, &format!("{COOKIE_NAME}{}", consent_of(state)?))
}

fn cookie<'a>(request: &'a Request, wanted: &str) -> Option<&'a str> {
    let cookies = request.headers().get_all(COOKIE).iter().filter_map(|header| header.to_str().ok());
    let mut pairs = cookies.flat_map(|header| header.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == wanted).map(|(_, value)| value).filter(|value| !value.is_empty())
}

fn refused(refusal: &Refusal, status: StatusCode) -> Response {
    tracing::info!(reason = %refusal.reason(), "a browser was refused");
    html(status, page::refused(refusal.reason()))
}

fn redirect(to: &str) -> Response {
    let mut response = guarded(StatusCode::SEE_OTHER, Body::empty());
    add(&mut response, LOCATION, to);
    response
}

fn html(status: StatusCode, page: String) -> Response {
    let mut response = guarded(status, Body::from(page));
    add(&mut response, CONTENT_TYPE, "text/html; charset=utf-8");
    response
}

fn guarded(status: StatusCode, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (CACHE_CONTROL, "no-store"),
        (REFERRER_POLICY, "no-referrer"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (STRICT_TRANSPORT_SECURITY, "max-age=31536000"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A header of our own making; one that cannot be a header is left out.
fn add(response: &mut Response, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().append(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Somebody who announces a form and never sends it holds a connection no longer than one who never sends a head.
    #[tokio::test(start_paused = true)]
    async fn a_form_that_does_not_come_is_not_waited_for() {
        let never = || Body::from_stream(futures::stream::pending::<Result<bytes::Bytes, std::io::Error>>());
        let moment = Duration::from_millis(1);
        assert!(timeout(FORM_WAIT - moment, form(never())).await.is_err(), "not given up before its time");
        assert_eq!(timeout(FORM_WAIT + moment, form(never())).await.unwrap().take("ticket"), None);
        assert_eq!(form(Body::from("ticket=a&form=b")).await.take("ticket").as_deref(), Some("a"));
        assert_eq!(form(Body::from(format!("ticket=a&form={}", "b".repeat(1_024)))).await.take("ticket"), None);
    }
}
