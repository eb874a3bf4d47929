//! What the directory's endpoints said: an id_token, a tenant, or the one refusal it stands for.
//!
//! The AADSTS number chooses the variant; Microsoft adds numbers at will, so an unknown one falls back on the OAuth `error`.

use domain::tenant_input::PERSONAL_ACCOUNTS;
use domain::{Cloud, TenantId};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::DirectoryRefused;
use crate::bounded::{self, Bounds};
use crate::web::WebAnswer;

/// An answer of either endpoint: some KiB, and flat.
const ANSWER: Bounds = Bounds { bytes: 64 * 1024, depth: 6, members: 128 };

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    error: String,
    error_description: String,
    error_codes: Vec<u32>,
}

/// The id_token of a code that was redeemed.
pub(super) fn id_token(answer: &WebAnswer) -> Result<Zeroizing<String>, DirectoryRefused> {
    if answer.status != 200 {
        return Err(refusal(answer));
    }
    let body = bounded::object(&answer.body, ANSWER).ok_or(DirectoryRefused::AnswerInvalid)?;
    let token = body.get("id_token").and_then(serde_json::Value::as_str);
    token.map(|token| Zeroizing::new(token.to_owned())).ok_or(DirectoryRefused::AnswerInvalid)
}

/// The tenant whose configuration this is: the GUID in `issuer`.
pub(super) fn tenant(cloud: Cloud, answer: &WebAnswer) -> Result<TenantId, DirectoryRefused> {
    if answer.status != 200 {
        return Err(refusal(answer));
    }
    let body = bounded::object(&answer.body, ANSWER).ok_or(DirectoryRefused::AnswerInvalid)?;
    let issuer = body.get("issuer").and_then(serde_json::Value::as_str).unwrap_or_default();
    let prefix = format!("https://{}/", cloud.login_host());
    let tenant = issuer.strip_prefix(&prefix).and_then(|rest| rest.strip_suffix("/v2.0"));
    let tenant: TenantId = tenant.and_then(|id| id.parse().ok()).ok_or(DirectoryRefused::AnswerInvalid)?;
    if tenant.as_str() == PERSONAL_ACCOUNTS { Err(DirectoryRefused::PersonalAccounts) } else { Ok(tenant) }
}

fn refusal(answer: &WebAnswer) -> DirectoryRefused {
    use DirectoryRefused as D;
    let body: Option<Refusal> = bounded::object(&answer.body, ANSWER)
        .and_then(|object| serde_json::from_value(serde_json::Value::Object(object)).ok());
    let body = body.unwrap_or_default();
    let codes = || body.error_codes.iter().copied().chain(number_in(&body.error_description));
    for code in codes() {
        return match code {
            90002 => D::TenantUnknown,
            700_016 | 700_011 | 7_000_229 => D::AppNotInTenant,
            65_001 | 90_094 | 650_056 | 65_004 => D::ConsentMissing,
            7_000_112 | 70_001 => D::AppDisabled,
            7_000_215 => D::SecretWrong,
            7_000_222 => D::SecretExpired,
            700_027 | 700_024 | 7_000_214 | 1_000_502 | 7_000_274 => D::CertificateRefused,
            700_213 | 700_229 | 700_211 | 700_212 => D::FederationMismatch,
            53_003 | 530_032 => D::ConditionalAccess,
            90_055 | 50_196 | 90_024 | 90_033 | 50_033 => D::Throttled,
            50_105 => D::UserNotAssigned,
            50_020 | 50_034 | 16_000 => D::UserNotInTenant,
            50_011 => D::RedirectMismatch,
            // Used, expired, never given out, or given out with another verifier or for another address.
            54_005 | 70_008 | 70_000 | 9_002_313 | 501_481 | 50_148 | 500_112 => D::SignInOver,
            _ => continue,
        };
    }
    match (answer.status, body.error.as_str()) {
        (408 | 429 | 500..=599, _) | (_, "temporarily_unavailable" | "server_error") => D::Throttled,
        (_, "invalid_grant") => D::SignInOver,
        _ => D::Refused { code: codes().next() },
    }
}

/// The number in `AADSTS700016: …`, for an answer whose `error_codes` are missing.
fn number_in(description: &str) -> Option<u32> {
    let digits = description.strip_prefix("AADSTS")?;
    digits[..digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len())].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> WebAnswer {
        WebAnswer { status, body: Zeroizing::new(body.as_bytes().to_vec()) }
    }

    /// A configuration that is not exactly of this cloud's login host and one tenant names no tenant.
    #[test]
    fn only_the_exact_issuer_names_a_tenant() {
        let id = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
        let of = |issuer: &str| tenant(Cloud::Public, &answer(200, &format!(r#"{{"issuer":"{issuer}"}}"#)));
        assert_eq!(of(&format!("https://login.microsoftonline.com/{id}/v2.0")).unwrap().as_str(), id);
        for other in [
            format!("https://login.microsoftonline.us/{id}/v2.0"),
            format!("https://login.microsoftonline.com.evil.example/{id}/v2.0"),
            format!("http://login.microsoftonline.com/{id}/v2.0"),
            format!("https://login.microsoftonline.com/{id}/v2.0/"),
            format!("https://login.microsoftonline.com/{id}"),
            "https://login.microsoftonline.com/{tenantid}/v2.0".to_owned(),
            String::new(),
        ] {
            assert_eq!(of(&other), Err(DirectoryRefused::AnswerInvalid), "{other}");
        }
        let personal = of(&format!("https://login.microsoftonline.com/{PERSONAL_ACCOUNTS}/v2.0"));
        assert_eq!(personal, Err(DirectoryRefused::PersonalAccounts));
        assert_eq!(tenant(Cloud::Public, &answer(200, "<html>")), Err(DirectoryRefused::AnswerInvalid));
    }

    /// Numbers choose; without a known one the `error` and the status do; and nothing is taken for a success.
    #[test]
    fn every_refusal_stands_for_one_thing() {
        let of = |status, error: &str, code: u32| {
            let body = format!(r#"{{"error":"{error}","error_description":"AADSTS{code}: x","error_codes":[{code}]}}"#);
            id_token(&answer(status, &body)).map(|_| ()).unwrap_err()
        };
        assert_eq!(of(400, "invalid_request", 90002), DirectoryRefused::TenantUnknown);
        assert_eq!(of(400, "invalid_grant", 54005), DirectoryRefused::SignInOver);
        assert_eq!(of(400, "invalid_grant", 1), DirectoryRefused::SignInOver);
        assert_eq!(of(503, "whatever", 2), DirectoryRefused::Throttled);
        assert_eq!(of(400, "invalid_scope", 3), DirectoryRefused::Refused { code: Some(3) });
        assert_eq!(id_token(&answer(302, "")).map(|_| ()), Err(DirectoryRefused::Refused { code: None }));
        assert_eq!(id_token(&answer(200, "{}")).map(|_| ()), Err(DirectoryRefused::AnswerInvalid));
        let escaped = r#"{"error":"x","error_description":"AADSTS50011: y"}"#;
        assert_eq!(id_token(&answer(400, escaped)).map(|_| ()), Err(DirectoryRefused::RedirectMismatch));
    }
}
