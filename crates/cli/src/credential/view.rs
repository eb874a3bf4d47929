//! What the JSON about credentials holds. Never a secret: the answers have none.

use client::pb;
use serde::Serialize;

use crate::view::time;

#[derive(Serialize)]
pub(crate) struct Integration {
    /// `PLATFORM` or `CUSTOMER_REGISTRATION`.
    pub(crate) model: String,
    pub(crate) credentials: Vec<Credential>,
    pub(crate) revision: i64,
}

#[derive(Serialize)]
pub(crate) struct Credential {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) client_id: String,
    pub(crate) tenant_id: String,
    pub(crate) last_four: Option<String>,
    pub(crate) thumbprint_sha256: Option<String>,
    pub(crate) create_time: Option<String>,
    pub(crate) expire_time: Option<String>,
    pub(crate) added_by: String,
    pub(crate) test_time: Option<String>,
    /// 60, 30, 14, 7 or 1; absent where it is further off.
    pub(crate) expires_within_days: Option<i32>,
    pub(crate) expired: bool,
}

#[derive(Serialize)]
pub(crate) struct CredentialTest {
    pub(crate) passed: bool,
    pub(crate) credential: Option<Credential>,
    /// The rest is absent where it passed.
    pub(crate) reason: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) finding: Option<String>,
    pub(crate) remedy: Option<String>,
    pub(crate) correlation_id: Option<String>,
}

fn said(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn short(name: &str, prefix: &str) -> String {
    name.trim_start_matches(prefix).to_owned()
}

impl From<pb::Credential> for Credential {
    fn from(c: pb::Credential) -> Self {
        Self {
            kind: short(c.kind().as_str_name(), "CREDENTIAL_KIND_"),
            state: short(c.state().as_str_name(), "CREDENTIAL_STATE_"),
            create_time: time(c.create_time.as_ref().map(|at| (at.seconds, at.nanos))),
            expire_time: time(c.expire_time.as_ref().map(|at| (at.seconds, at.nanos))),
            test_time: time(c.test_time.as_ref().map(|at| (at.seconds, at.nanos))),
            expires_within_days: Some(c.expires_within_days).filter(|days| *days > 0),
            expired: c.expired,
            name: c.name,
            client_id: c.client_id,
            tenant_id: c.tenant_id,
            last_four: said(c.last_four),
            thumbprint_sha256: said(c.thumbprint_sha256),
            added_by: c.added_by,
        }
    }
}

impl From<pb::Integration> for Integration {
    fn from(i: pb::Integration) -> Self {
        Self {
            model: short(i.model().as_str_name(), "INTEGRATION_MODEL_"),
            credentials: i.credentials.into_iter().map(Into::into).collect(),
            revision: i.revision,
        }
    }
}

impl From<pb::TestCredentialResponse> for CredentialTest {
    fn from(t: pb::TestCredentialResponse) -> Self {
        Self {
            passed: t.passed,
            credential: t.credential.map(Into::into),
            reason: said(t.reason),
            owner: said(t.owner),
            finding: said(t.finding),
            remedy: said(t.remedy),
            correlation_id: said(t.correlation_id),
        }
    }
}
