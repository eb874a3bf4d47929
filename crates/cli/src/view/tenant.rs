//! The directories a workspace is connected to.

use client::pb;
use serde::Serialize;

use super::{reason, text, time};

#[derive(Serialize)]
pub(crate) struct LookedUp {
    pub(crate) domains: Vec<LookedUpDomain>,
}

#[derive(Serialize)]
pub(crate) struct LookedUpDomain {
    pub(crate) typed: String,
    pub(crate) tenant_id: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) message: Option<String>,
    pub(crate) remedy: Option<String>,
}

impl From<pb::LookedUpDomain> for LookedUpDomain {
    fn from(d: pb::LookedUpDomain) -> Self {
        Self {
            typed: d.typed,
            tenant_id: text(d.tenant_id),
            reason: reason(d.reason),
            message: text(d.message),
            remedy: text(d.remedy),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Connecting {
    pub(crate) tenant: Tenant,
    /// For the owner's own browser; absent where the installation offers no pages.
    pub(crate) start_url: Option<String>,
    /// To be sent to an admin who may consent.
    pub(crate) consent_url: Option<String>,
    pub(crate) expire_time: Option<String>,
    /// The other way, for the admin's command line.
    pub(crate) command: String,
}

impl From<pb::StartConsentResponse> for Connecting {
    fn from(s: pb::StartConsentResponse) -> Self {
        Self {
            tenant: s.tenant.unwrap_or_default().into(),
            start_url: text(s.start_url),
            consent_url: text(s.consent_url),
            expire_time: time!(s.expire_time),
            command: s.command,
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Connection {
    pub(crate) name: String,
    pub(crate) application_id: String,
    /// Whether only keys of these directories are taken.
    pub(crate) restricts: bool,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) keys: Vec<ProvenKey>,
}

#[derive(Serialize)]
pub(crate) struct Tenant {
    pub(crate) tenant_id: String,
    pub(crate) cloud: String,
    pub(crate) typed: String,
    /// `NAMED`, `CAME_BACK`, `PROVEN`, `DISCONNECTED`.
    pub(crate) state: String,
    pub(crate) name_time: Option<String>,
    pub(crate) state_time: Option<String>,
    /// `SIGN_IN` or `KEY_TAG`.
    pub(crate) proven_by: Option<String>,
    pub(crate) object_id: Option<String>,
    pub(crate) application_time: Option<String>,
    /// Why our application is not let in there.
    pub(crate) application_reason: Option<String>,
    pub(crate) application_remedy: Option<String>,
    /// Why it could not be found out now.
    pub(crate) unanswered: Option<String>,
}

#[derive(Serialize)]
pub(crate) struct ProvenKey {
    pub(crate) key_identifier: String,
    pub(crate) tenant_id: String,
    pub(crate) prove_time: Option<String>,
    /// Since when it has to be proven anew.
    pub(crate) void_time: Option<String>,
}

impl From<pb::Connection> for Connection {
    fn from(c: pb::Connection) -> Self {
        let key = |k: pb::ProvenKey| ProvenKey {
            prove_time: time!(k.prove_time),
            void_time: time!(k.void_time),
            key_identifier: k.key_identifier,
            tenant_id: k.tenant_id,
        };
        Self {
            name: c.name,
            application_id: c.application_id,
            restricts: c.restricts,
            tenants: c.tenants.into_iter().map(Into::into).collect(),
            keys: c.keys.into_iter().map(key).collect(),
        }
    }
}

impl From<pb::TenantLink> for Tenant {
    fn from(t: pb::TenantLink) -> Self {
        Self {
            state: pb::tenant_link::State::try_from(t.state)
                .map_or_else(|_| format!("STATE_{}", t.state), |state| state.as_str_name().to_owned()),
            name_time: time!(t.name_time),
            state_time: time!(t.state_time),
            application_time: time!(t.application_time),
            application_reason: reason(t.application_reason),
            unanswered: reason(t.unanswered),
            tenant_id: t.tenant_id,
            cloud: t.cloud,
            typed: t.typed,
            proven_by: text(t.proven_by),
            object_id: text(t.object_id),
            application_remedy: text(t.application_remedy),
        }
    }
}

impl Tenant {
    /// What is known of our application there, in a few words.
    pub(crate) fn application(&self) -> String {
        match (&self.unanswered, &self.application_reason, &self.application_time) {
            (Some(why), ..) => format!("no answer now ({why})"),
            (None, Some(why), _) => format!("not let in ({why})"),
            (None, None, Some(_)) => "let in".to_owned(),
            (None, None, None) => "not asked".to_owned(),
        }
    }
}
