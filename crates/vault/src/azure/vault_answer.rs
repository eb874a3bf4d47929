//! What a vault's refusal means: status, headers and body of an answer → the one variant it stands for.
//!
//! The body is taken apart here and not by the SDK, which loses the inner code as soon as the message holds an escape (a
//! `ForbiddenByRbac` does), and whose errors print the whole body, application and object ids included.

use std::{borrow::Cow, time::Duration};

use azure_core::{
    http::headers::{CLIENT_REQUEST_ID, HeaderName, Headers},
    time::parse_rfc7231,
};
use domain::Timestamp;
use serde::Deserialize;

use crate::{AnswerFault, KeyUnavailable, Trace};

/// Nobody is made to wait longer than this by a header.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(3_600);

/// A refusal as it came over the wire.
pub(super) struct Answer<'a> {
    pub(super) status: u16,
    pub(super) headers: &'a Headers,
    pub(super) body: &'a [u8],
}

#[derive(Deserialize, Default)]
struct Body<'a> {
    #[serde(borrow, default)]
    error: Error<'a>,
}

#[derive(Deserialize, Default)]
struct Error<'a> {
    #[serde(borrow, default)]
    code: Cow<'a, str>,
    #[serde(borrow, default)]
    message: Cow<'a, str>,
    #[serde(borrow, default, alias = "innerError")]
    innererror: Option<Inner<'a>>,
}

#[derive(Deserialize, Default)]
struct Inner<'a> {
    #[serde(borrow, default)]
    code: Cow<'a, str>,
}

/// The variant this refusal stands for. `now` is for a `Retry-After` that is a date.
pub(super) fn classify(answer: &Answer<'_>, now: Timestamp) -> KeyUnavailable {
    let body: Body<'_> = serde_json::from_slice(answer.body).unwrap_or_default();
    let inner = body.error.innererror.as_ref().map_or("", |inner| inner.code.as_ref());
    let trace = trace(answer.headers);
    match answer.status {
        400 if body.error.code == "BadParameter" => KeyUnavailable::BadParameter(trace),
        401 if names(&body.error, answer.headers, "AKV10022") => KeyUnavailable::AudienceWrong(trace),
        401 if names(&body.error, answer.headers, "AKV10032") => KeyUnavailable::TenantMismatch(trace),
        403 => denial(inner, trace),
        404 if body.error.code == "KeyNotFound" => KeyUnavailable::NotFound(trace),
        409 if inner == "ObjectIsDeletedButRecoverable" => KeyUnavailable::SoftDeleted(trace),
        429 => KeyUnavailable::Throttled { retry_after: retry_after(answer.headers, now), trace },
        status @ (408 | 500..=599) => {
            KeyUnavailable::ServerError { status, retry_after: retry_after(answer.headers, now), trace }
        }
        status @ 400..=499 => KeyUnavailable::Refused { status, trace },
        300..=399 => KeyUnavailable::AnswerInvalid { fault: AnswerFault::Redirect, trace },
        // A status that none of the operations answers with.
        _ => KeyUnavailable::AnswerInvalid { fault: AnswerFault::Unreadable, trace },
    }
}

/// A 403 is a denial whatever its inner code, and also without one.
fn denial(inner: &str, trace: Trace) -> KeyUnavailable {
    match inner {
        "ForbiddenByRbac" => KeyUnavailable::RoleMissing(trace),
        "AccessDenied" | "ForbiddenByPolicy" => KeyUnavailable::AccessPolicyMissing(trace),
        "ForbiddenByFirewall" => KeyUnavailable::Firewall(trace),
        "ForbiddenByConnection" => KeyUnavailable::PublicAccessOff(trace),
        "KeyOperationForbidden" => KeyUnavailable::OperationForbidden(trace),
        "KeyDisabled" => KeyUnavailable::Disabled(trace),
        _ => KeyUnavailable::Denied(trace),
    }
}

/// Whether a 401 carries this number: in the message, the code, or the challenge's description.
fn names(error: &Error<'_>, headers: &Headers, number: &str) -> bool {
    let challenge = headers.get_optional_str(&azure_core::http::headers::WWW_AUTHENTICATE).unwrap_or_default();
    error.message.contains(number) || error.code.contains(number) || challenge.contains(number)
}

/// The vault's id of the call, and ours.
pub(super) fn trace(headers: &Headers) -> Trace {
    let id = |name: &HeaderName| headers.get_optional_str(name);
    Trace::of_vault(id(&HeaderName::from_static("x-ms-request-id"))).carried(id(&CLIENT_REQUEST_ID))
}

/// How long the other side asks us to wait: milliseconds in Microsoft's own headers, seconds or a date in the standard one.
pub(super) fn retry_after(headers: &Headers, now: Timestamp) -> Option<Duration> {
    let text = |name: &'static str| headers.get_optional_str(&HeaderName::from_static(name));
    let millis = text("retry-after-ms").or_else(|| text("x-ms-retry-after-ms")).and_then(|text| text.parse().ok());
    let standard = || {
        let text = text("retry-after")?;
        if let Ok(seconds) = text.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let until = parse_rfc7231(text).ok()?.unix_timestamp().checked_mul(1_000_000)?;
        Some(Duration::from_micros(u64::try_from(until.saturating_sub(now.micros())).unwrap_or(0)))
    };
    let asked = millis.map(Duration::from_millis).or_else(standard)?;
    Some(asked.min(LONGEST_RETRY_AFTER))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Class;

    fn headers(pairs: &[(&'static str, &'static str)]) -> Headers {
        let mut headers = Headers::new();
        for (name, value) in pairs {
            headers.insert(*name, *value);
        }
        headers
    }

    fn of(status: u16, body: &str) -> KeyUnavailable {
        let headers = headers(&[("x-ms-request-id", "req-1")]);
        classify(&Answer { status, headers: &headers, body: body.as_bytes() }, Timestamp::from_micros(0))
    }

    fn forbidden(member: &str, inner: &str) -> String {
        format!(
            r#"{{"error":{{"code":"Forbidden","message":"Caller is not authorized.\r\nCaller: appid=\"7c\";oid=1","{member}":{{"code":"{inner}"}}}}}}"#
        )
    }

    fn trace() -> Trace {
        Trace::of_vault(Some("req-1"))
    }

    /// Every inner code of a 403 has its own variant, with the message escaped as real ones are, in both spellings.
    #[test]
    fn a_denial_is_told_apart_though_its_message_is_escaped() {
        type Variant = fn(Trace) -> KeyUnavailable;
        let table: [(&str, Variant); 7] = [
            ("ForbiddenByRbac", KeyUnavailable::RoleMissing),
            ("AccessDenied", KeyUnavailable::AccessPolicyMissing),
            ("ForbiddenByPolicy", KeyUnavailable::AccessPolicyMissing),
            ("ForbiddenByFirewall", KeyUnavailable::Firewall),
            ("ForbiddenByConnection", KeyUnavailable::PublicAccessOff),
            ("KeyOperationForbidden", KeyUnavailable::OperationForbidden),
            ("KeyDisabled", KeyUnavailable::Disabled),
        ];
        for (inner, variant) in table {
            for member in ["innererror", "innerError"] {
                assert_eq!(of(403, &forbidden(member, inner)), variant(trace()), "{inner}");
            }
        }
    }

    /// A 403 nobody has seen yet, or whose body is not even JSON, is a denial and never a hiccup.
    #[test]
    fn an_unknown_403_is_a_denial() {
        for body in [&forbidden("innererror", "ForbiddenBySomethingNew"), "", "<html>", r#"{"error":null}"#, "{}", "[]"]
        {
            assert_eq!(of(403, body), KeyUnavailable::Denied(trace()), "{body}");
            assert_eq!(of(403, body).class(), Class::Denied);
        }
    }

    /// Any other refusal that is not known renews nothing and pages us; it neither purges nor passes for an outage.
    #[test]
    fn an_unknown_4xx_is_ours() {
        for status in [400, 401, 402, 404, 405, 409, 418, 451, 499] {
            for body in ["", "<html>", r#"{"error":{"code":"SomethingNew","message":"?"}}"#] {
                let refused = of(status, body);
                assert_eq!(refused, KeyUnavailable::Refused { status, trace: trace() });
                assert_eq!(refused.class(), Class::Ours);
            }
        }
    }

    /// The rest of the table.
    #[test]
    fn every_other_row_has_its_variant() {
        let error = |code: &str, message: &str| format!(r#"{{"error":{{"code":"{code}","message":"{message}"}}}}"#);
        assert_eq!(
            of(401, &error("Unauthorized", "AKV10022: Invalid audience.\\n")),
            KeyUnavailable::AudienceWrong(trace())
        );
        assert_eq!(
            of(401, &error("Unauthorized", "AKV10032: Invalid issuer.")),
            KeyUnavailable::TenantMismatch(trace())
        );
        assert_eq!(
            of(404, &error("KeyNotFound", "A key with (name/id) k was not found")),
            KeyUnavailable::NotFound(trace())
        );
        assert_eq!(of(400, &error("BadParameter", "?")), KeyUnavailable::BadParameter(trace()));
        let deleted =
            r#"{"error":{"code":"Conflict","message":"x","innererror":{"code":"ObjectIsDeletedButRecoverable"}}}"#;
        assert_eq!(of(409, deleted), KeyUnavailable::SoftDeleted(trace()));
        assert_eq!(of(429, ""), KeyUnavailable::Throttled { retry_after: None, trace: trace() });
        for status in [408, 500, 502, 503, 504, 599] {
            assert_eq!(of(status, "").class(), Class::Transient, "{status}");
        }
        let redirect = KeyUnavailable::AnswerInvalid { fault: AnswerFault::Redirect, trace: trace() };
        assert_eq!(of(302, ""), redirect);
    }

    /// Retry-After in every form, and never longer than an hour.
    #[test]
    fn retry_after_is_read_in_every_form() {
        let now = Timestamp::from_micros(1_445_412_480_000_000); // Wed, 21 Oct 2015 07:28:00 GMT
        let read = |pairs| retry_after(&headers(pairs), now);
        assert_eq!(read(&[("retry-after", "7")]), Some(Duration::from_secs(7)));
        assert_eq!(read(&[("retry-after", "Wed, 21 Oct 2015 07:28:30 GMT")]), Some(Duration::from_secs(30)));
        assert_eq!(read(&[("retry-after", "Wed, 21 Oct 2015 07:00:00 GMT")]), Some(Duration::ZERO));
        assert_eq!(read(&[("retry-after-ms", "250"), ("retry-after", "7")]), Some(Duration::from_millis(250)));
        assert_eq!(read(&[("retry-after", "99999999999")]), Some(LONGEST_RETRY_AFTER));
        assert_eq!(read(&[("retry-after", "-1")]), None);
        assert_eq!(read(&[("retry-after", "soon")]), None);
        assert_eq!(read(&[]), None);
    }

    /// Nothing of the body comes out: it names the customer's objects.
    #[test]
    fn a_refusal_prints_nothing_of_the_body() {
        let body = r#"{"error":{"code":"Forbidden","message":"Caller: appid=canary-1;oid=canary-2 Vault: canary-3.vault.azure.net"}}"#;
        let refused = of(403, body);
        let printed = format!("{refused} {refused:?} {}", refused.remedy());
        assert!(!printed.contains("canary"), "{printed}");
    }
}
