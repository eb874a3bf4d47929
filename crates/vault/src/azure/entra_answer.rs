//! What a directory's refusal means: the token endpoint's answer → the one variant it stands for.
//!
//! The OAuth `error` drives behaviour. The AADSTS number only chooses the help text: Microsoft adds numbers at will, so an
//! unknown one falls back on the `error`.

use std::borrow::Cow;

use azure_core::http::headers::HeaderName;
use domain::Timestamp;
use serde::Deserialize;

use super::vault_answer::{Answer, retry_after};
use crate::{KeyUnavailable, RegistrationFault, Trace};

#[derive(Deserialize, Default)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    error: Cow<'a, str>,
    #[serde(borrow)]
    error_description: Cow<'a, str>,
    error_codes: Vec<u32>,
    #[serde(borrow)]
    correlation_id: Cow<'a, str>,
}

/// As [`classify`], where the credential is one of the customer's own registration: what is wrong with it is theirs to mend, and
/// taking it away is their word.
pub(super) fn classify_registered(answer: &Answer<'_>, now: Timestamp) -> KeyUnavailable {
    let why = classify(answer, now);
    let fault = match &why {
        KeyUnavailable::SecretWrong(_) => RegistrationFault::SecretRefused,
        KeyUnavailable::SecretExpired(_) => RegistrationFault::SecretExpired,
        KeyUnavailable::CertificateRefused(_) => {
            let body: Body<'_> = serde_json::from_slice(answer.body).unwrap_or_default();
            let mut codes = body.error_codes.iter().copied().chain(number_in(&body.error_description));
            match codes.any(|code| matches!(code, 700027 | 7000214)) {
                true => RegistrationFault::CertificateUnknown,
                false => RegistrationFault::CertificateOutsideItsTime,
            }
        }
        _ => return why,
    };
    KeyUnavailable::RegistrationRefused { fault, trace: why.trace().cloned().unwrap_or_default() }
}

/// The variant this refusal stands for.
pub(super) fn classify(answer: &Answer<'_>, now: Timestamp) -> KeyUnavailable {
    let body: Body<'_> = serde_json::from_slice(answer.body).unwrap_or_default();
    let request_id = answer.headers.get_optional_str(&HeaderName::from_static("x-ms-request-id"));
    let trace = Trace::of_directory(request_id, Some(&body.correlation_id));
    let throttled = |trace| KeyUnavailable::DirectoryThrottled { retry_after: retry_after(answer.headers, now), trace };
    let codes = || body.error_codes.iter().copied().chain(number_in(&body.error_description));
    for code in codes() {
        match code {
            90002 => return KeyUnavailable::DirectoryUnknown(trace),
            700016 | 700011 | 7000229 => return KeyUnavailable::AppNotInDirectory(trace),
            65001 | 90094 | 650056 => return KeyUnavailable::ConsentMissing(trace),
            7000112 | 70001 => return KeyUnavailable::AppDisabled(trace),
            7000215 => return KeyUnavailable::SecretWrong(trace),
            7000222 => return KeyUnavailable::SecretExpired(trace),
            700027 | 700024 | 7000214 | 1000502 | 7000274 => return KeyUnavailable::CertificateRefused(trace),
            // 700211 and 700212 are the same for issuer and audience as 700213 is for the subject.
            700213 | 700229 | 700211 | 700212 => return KeyUnavailable::FederationMismatch(trace),
            53003 | 530032 => return KeyUnavailable::ConditionalAccess(trace),
            90055 | 50196 | 90024 | 90033 | 50033 => return throttled(trace),
            50105 => return KeyUnavailable::UserNotAssigned(trace),
            50020 | 50034 | 16000 => return KeyUnavailable::UserNotInDirectory(trace),
            50011 => return KeyUnavailable::RedirectMismatch(trace),
            _ => {}
        }
    }
    let code = codes().next();
    match (answer.status, &*body.error) {
        (408 | 429 | 500..=599, _) | (_, "temporarily_unavailable" | "server_error") => throttled(trace),
        (403, _)
        | (
            _,
            "unauthorized_client" | "access_denied" | "invalid_grant" | "interaction_required" | "consent_required",
        ) => KeyUnavailable::DirectoryDenied { code, trace },
        _ => KeyUnavailable::DirectoryRefused { code, trace },
    }
}

/// The number in `AADSTS700016: …`, for an answer whose `error_codes` are missing.
fn number_in(description: &str) -> Option<u32> {
    let digits = description.strip_prefix("AADSTS")?;
    digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use azure_core::http::headers::Headers;

    use super::*;
    use crate::Class;

    fn of(status: u16, body: &str) -> KeyUnavailable {
        let headers = Headers::new();
        classify(&Answer { status, headers: &headers, body: body.as_bytes() }, Timestamp::from_micros(0))
    }

    fn body(error: &str, code: u32) -> String {
        format!(
            r#"{{"error":"{error}","error_description":"AADSTS{code}: \"x\"\r\nTrace ID: t","error_codes":[{code}],"trace_id":"t","correlation_id":"cor-1"}}"#
        )
    }

    /// Each number of the table chooses its help, though the description is escaped.
    #[test]
    fn every_known_number_has_its_variant() {
        type Variant = fn(Trace) -> KeyUnavailable;
        let table: [(&[u32], Variant); 12] = [
            (&[90002], KeyUnavailable::DirectoryUnknown),
            (&[700016, 700011, 7000229], KeyUnavailable::AppNotInDirectory),
            (&[65001, 90094, 650056], KeyUnavailable::ConsentMissing),
            (&[7000112, 70001], KeyUnavailable::AppDisabled),
            (&[7000215], KeyUnavailable::SecretWrong),
            (&[7000222], KeyUnavailable::SecretExpired),
            (&[700027, 700024, 7000214, 1000502, 7000274], KeyUnavailable::CertificateRefused),
            (&[700213, 700229, 700211, 700212], KeyUnavailable::FederationMismatch),
            (&[53003, 530032], KeyUnavailable::ConditionalAccess),
            (&[50105], KeyUnavailable::UserNotAssigned),
            (&[50020, 50034, 16000], KeyUnavailable::UserNotInDirectory),
            (&[50011], KeyUnavailable::RedirectMismatch),
        ];
        for (codes, variant) in table {
            for code in codes {
                let refused = of(400, &body("whatever", *code));
                assert_eq!(refused, variant(Trace::of_directory(None, Some("cor-1"))), "{code}");
                assert_eq!(refused.correlation_id(), Some("cor-1"));
            }
        }
        for code in [90055, 50196, 90024, 90033, 50033] {
            assert_eq!(of(400, &body("invalid_grant", code)).class(), Class::Transient, "{code}");
        }
    }

    /// An unknown number is judged by its `error`: a denial stays a denial, our own fault stays ours, an outage an outage.
    #[test]
    fn an_unknown_number_falls_back_on_the_error() {
        for error in
            ["unauthorized_client", "access_denied", "invalid_grant", "interaction_required", "consent_required"]
        {
            assert!(matches!(
                of(400, &body(error, 999_999)),
                KeyUnavailable::DirectoryDenied { code: Some(999_999), .. }
            ));
        }
        for error in ["invalid_client", "invalid_request", "invalid_scope", "something_new"] {
            let refused = of(401, &body(error, 999_999));
            assert!(matches!(refused, KeyUnavailable::DirectoryRefused { code: Some(999_999), .. }), "{error}");
            assert_eq!(refused.class(), Class::Ours);
        }
        for (status, error) in [(429, ""), (500, "invalid_client"), (503, ""), (400, "temporarily_unavailable")] {
            assert_eq!(of(status, &body(error, 999_999)).class(), Class::Transient, "{status} {error}");
        }
        assert_eq!(of(403, "<html>").class(), Class::Denied);
        assert_eq!(of(400, "<html>").class(), Class::Ours);
    }

    /// An answer without `error_codes` still says its number.
    #[test]
    fn the_number_is_read_from_the_description_too() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000222: The provided keys are expired."}"#;
        assert!(matches!(of(401, body), KeyUnavailable::SecretExpired(_)));
        let odd = r#"{"error":"invalid_client","error_description":"AADSTS\u00e9"}"#;
        assert!(matches!(of(401, odd), KeyUnavailable::DirectoryRefused { code: None, .. }));
    }
}
