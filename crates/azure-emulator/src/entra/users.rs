//! Who can sign in: the people every tenant has here, and those a test adds.

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use crate::entra::directory::Tenant;

/// The role template of Global Administrator, as `wids` has it.
pub const GLOBAL_ADMINISTRATOR: &str = "62e90394-69f5-4237-9190-012177145e10";
/// The role template of Privileged Role Administrator.
pub const PRIVILEGED_ROLE_ADMINISTRATOR: &str = "e8611ab8-c189-46e8-94e1-60213ab1f814";
/// The tenant of all personal Microsoft accounts.
pub const PERSONAL_ACCOUNTS: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";
/// What every member who has no role has in `wids`.
const ORDINARY_USER: &str = "b79fbf4d-3ef9-4689-8143-76b194e85509";

/// Where an account is at home.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UserKind {
    /// In this tenant.
    #[default]
    Member,
    /// In another one, and invited to this one.
    Guest,
    /// Nowhere: a personal Microsoft account.
    Personal,
}

/// Somebody who can sign in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    /// The user principal name; of a personal account, its address.
    pub name: String,
    /// `oid`.
    pub object_id: String,
    /// Where the account is at home.
    pub kind: UserKind,
    /// Role templates, as in `wids`.
    pub roles: Vec<String>,
}

impl User {
    /// `name` without `@`: of `domain`; a guest's is written as the directory does (`#EXT#`).
    pub(crate) fn new(tenant: &str, domain: &str, name: &str, kind: UserKind, roles: &[&str]) -> Self {
        let name = match kind {
            UserKind::Guest if !name.contains("#EXT#") => format!("{}#EXT#@{domain}", name.replace('@', "_")),
            UserKind::Member if !name.contains('@') => format!("{name}@{domain}"),
            UserKind::Member | UserKind::Guest | UserKind::Personal => name.to_owned(),
        };
        let hash = digest::digest(&digest::SHA256, format!("{tenant} {name}").as_bytes());
        let h = hex::encode(&hash.as_ref()[..16]);
        let object_id = format!("{}-{}-4{}-8{}-{}", &h[..8], &h[8..12], &h[13..16], &h[17..20], &h[20..]);
        let roles = if roles.is_empty() && kind != UserKind::Personal { &[ORDINARY_USER][..] } else { roles };
        Self { name, object_id, kind, roles: roles.iter().map(|&r| r.to_owned()).collect() }
    }

    /// By name or object id.
    pub(crate) fn answers_to(&self, named: &str) -> bool {
        self.name.eq_ignore_ascii_case(named) || self.object_id.eq_ignore_ascii_case(named)
    }

    /// May consent for the whole tenant.
    pub(crate) fn is_admin(&self) -> bool {
        let admin = |role: &String| role == GLOBAL_ADMINISTRATOR || role == PRIVILEGED_ROLE_ADMINISTRATOR;
        self.kind != UserKind::Personal && self.roles.iter().any(admin)
    }
}

impl Tenant {
    /// Everybody the sign-in page offers: an owner, a plain user, a guest, a personal account, and those that were added.
    pub(crate) fn users(&self) -> Vec<User> {
        let domain = self.domains.first().map(String::as_str).unwrap_or_default();
        let user = |name, kind, roles: &[&str]| User::new(&self.id, domain, name, kind, roles);
        let mut all = vec![
            user("owner", UserKind::Member, &[GLOBAL_ADMINISTRATOR]),
            user("user", UserKind::Member, &[]),
            user("guest@partner.example", UserKind::Guest, &[]),
            User::new(PERSONAL_ACCOUNTS, "", "someone@outlook.example", UserKind::Personal, &[]),
        ];
        all.retain(|built_in| !self.more_users.iter().any(|more| more.object_id == built_in.object_id));
        all.extend(self.more_users.iter().cloned());
        all
    }
}
