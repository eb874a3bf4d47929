//! The pages that a customer's admin meets in a browser when they connect their directory: begun, come back from consent, signed in.
//!
//! What a browser brings is read here and judged in the service. Pages hold no script, name no ids but that of the directory that is to
//! be connected, and are kept by nobody: no cache, no frame, no referrer. A refusal is a calm page with the next step, and the same for
//! whatever was forged.

mod page;
mod query;

use std::sync::Arc;

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
use service::{ConsentAnswer, Refusal, Service, SignInAnswer, Started, WhatNext};

use self::query::Query;

/// Where an owner's browser begins.
pub const START: &str = "/entra/start";
/// Where browsers come back to from consent.
pub const CONSENT: &str = "/entra/consent";
/// Where the owner's comes back to from signing in.
pub const SIGN_IN: &str = "/entra/sign-in";
const STYLE: &str = "/entra/style.css";

/// The cookie that ties a browser to the consent it began. The prefix has browsers hold it to this very host and to TLS.
const COOKIE_NAME: &str = "__Host-byokd-entra";
/// The cookie that shows that a form was sent by the page that we gave this browser. No other site's form brings it along.
const FORM_COOKIE: &str = "__Host-byokd-entra-form";
/// The most bytes of a form: two texts of 43 letters.
const LONGEST_FORM: usize = 1024;
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

/// What is about to be connected, and to whom. Whoever only looks (a link preview, somebody to whom the address was sent) uses no ticket up.
async fn start(State(service): State<Arc<Service>>, request: Request) -> Response {
    let ticket = Query::of(&request).take("ticket").unwrap_or_default();
    match service.look_at_consent(&ticket).await {
        Ok(shown) => {
            let mut response = html(StatusCode::OK, page::start(&shown.workspace, &shown.tenant, &ticket, &shown.form));
            // Browsers hold what a form's answer leads on to against this as well.
            let policy =
                POLICY.replace("form-action 'none'", &format!("form-action 'self' https://{}", shown.login_host));
            response.headers_mut().remove(CONTENT_SECURITY_POLICY);
            add(&mut response, CONTENT_SECURITY_POLICY, &policy);
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
    let body = axum::body::to_bytes(request.into_body(), LONGEST_FORM).await.unwrap_or_default();
    let form = Query::parse(std::str::from_utf8(&body).unwrap_or_default());
    let ticket = form.take("ticket").unwrap_or_default();
    match service.open_consent(&ticket, form.take("form").as_deref(), cookie.as_deref()).await {
        Ok(Started { session, go_to }) => {
            let mut response = redirect(&go_to);
            let cookie =
                format!("{COOKIE_NAME}={session}; Path=/; Max-Age={COOKIE_SECONDS}; Secure; HttpOnly; SameSite=Lax");
            add(&mut response, SET_COOKIE, &cookie);
            response
        }
        Err(refusal) => refused(&refusal, StatusCode::BAD_REQUEST),
    }
}

async fn came_back(State(service): State<Arc<Service>>, request: Request) -> Response {
    let query = Query::of(&request);
    let answer = ConsentAnswer {
        state: query.take("state").unwrap_or_default(),
        error: query.error(),
        tenant: query.take("tenant"),
    };
    match service.consent_came_back(session(&request), answer).await {
        Ok(WhatNext::SignIn { go_to }) => redirect(&go_to),
        Ok(WhatNext::ReadBack { workspace, code }) => html(StatusCode::OK, page::read_back(&workspace, &code)),
        Err(refusal) => refused(&refusal, StatusCode::BAD_REQUEST),
    }
}

async fn signed_in(State(service): State<Arc<Service>>, request: Request) -> Response {
    let query = Query::of(&request);
    let answer =
        SignInAnswer { state: query.take("state").unwrap_or_default(), error: query.error(), code: query.take("code") };
    let mut response = match service.owner_signed_in(session(&request), answer).await {
        Ok(proven) => html(StatusCode::OK, page::proven(&proven.workspace, &proven.tenant)),
        Err(refusal) => refused(&refusal, StatusCode::BAD_REQUEST),
    };
    // It is over, one way or the other.
    add(&mut response, SET_COOKIE, &format!("{COOKIE_NAME}=; Path=/; Max-Age=0; Secure; HttpOnly; SameSite=Lax"));
    response
}

async fn style() -> Response {
    let mut response = guarded(StatusCode::OK, Body::from(page::STYLE));
    add(&mut response, CONTENT_TYPE, "text/css; charset=utf-8");
    response
}

/// The session a browser shows, if it shows one.
fn session(request: &Request) -> Option<&str> {
    cookie(request, COOKIE_NAME)
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
