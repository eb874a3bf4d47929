//! Callers and roles.

use client::pb;
use serde::Serialize;

use super::{text, time};

#[derive(Serialize)]
pub(crate) struct Caller {
    pub(crate) name: String,
    pub(crate) grants: Vec<String>,
    pub(crate) certificate: Option<String>,
    pub(crate) tokens: Vec<Token>,
    pub(crate) expire_time: Option<String>,
    pub(crate) disabled: bool,
    pub(crate) configured: bool,
    pub(crate) creator: Option<String>,
    pub(crate) create_time: Option<String>,
    pub(crate) updater: Option<String>,
    pub(crate) update_time: Option<String>,
}

/// A token without its text.
#[derive(Serialize)]
pub(crate) struct Token {
    pub(crate) slot: Option<String>,
    pub(crate) issuer: Option<String>,
    pub(crate) issue_time: Option<String>,
    pub(crate) expire_time: Option<String>,
}

impl Caller {
    pub(crate) fn state(&self) -> String {
        match (self.configured, self.disabled) {
            (true, _) => "configured",
            (false, true) => "disabled",
            (false, false) => "enabled",
        }
        .to_owned()
    }

    pub(crate) fn known_by(&self) -> String {
        let tokens = self.tokens.iter().map(|token| match &token.slot {
            Some(slot) => format!("token {slot}"),
            None => "token".to_owned(),
        });
        let known: Vec<String> = tokens.chain(self.certificate.clone()).collect();
        if known.is_empty() { "nothing yet".to_owned() } else { known.join(", ") }
    }

    pub(crate) fn ends(&self) -> String {
        self.expire_time.clone().unwrap_or_else(|| "never".to_owned())
    }
}

impl Token {
    pub(crate) fn told(&self) -> String {
        let (Some(slot), Some(issuer), Some(at)) = (&self.slot, &self.issuer, &self.issue_time) else {
            return "of the configuration".to_owned();
        };
        let ends = self.expire_time.as_deref().unwrap_or("never");
        format!("{slot}, issued by {issuer} at {at}, expires {ends}")
    }
}

impl From<pb::Caller> for Caller {
    fn from(caller: pb::Caller) -> Self {
        let token = |token: pb::CallerToken| Token {
            slot: text(token.slot),
            issuer: text(token.issuer),
            issue_time: time!(token.issue_time),
            expire_time: time!(token.expire_time),
        };
        Self {
            expire_time: time!(caller.expire_time),
            create_time: time!(caller.create_time),
            update_time: time!(caller.update_time),
            name: caller.name,
            grants: caller.grants,
            certificate: text(caller.certificate),
            tokens: caller.tokens.into_iter().map(token).collect(),
            disabled: caller.disabled,
            configured: caller.configured,
            creator: text(caller.creator),
            updater: text(caller.updater),
        }
    }
}

#[derive(Serialize)]
pub(crate) struct Callers {
    pub(crate) callers: Vec<Caller>,
}

#[derive(Serialize)]
pub(crate) struct Role {
    pub(crate) name: String,
    pub(crate) actions: Vec<String>,
    pub(crate) names_its_workspaces: bool,
}

impl From<pb::Role> for Role {
    fn from(role: pb::Role) -> Self {
        Self { name: role.name, actions: role.actions, names_its_workspaces: role.names_its_workspaces }
    }
}

#[derive(Serialize)]
pub(crate) struct Roles {
    pub(crate) roles: Vec<Role>,
}
