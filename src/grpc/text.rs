//! Resource names and times as answers print them.

use api::byok::v1 as pb;
use domain::permission::{Action, Permit, Target};
use domain::{AppId, DataKeyId, KeyVersionId, Timestamp, WorkspaceId};
use prost_types::Timestamp as Stamp;
use service::{Opened, Sealed};

/// Under which key something is, as answers carry it.
pub(super) struct Under {
    pub(super) protection: i32,
    pub(super) data_key: String,
    pub(super) key_version: String,
}

impl Under {
    pub(super) fn sealed<A: Action>(permit: &Permit<A>, sealed: &Sealed) -> Self {
        Self::of(permit, sealed.protection, sealed.data_key, sealed.key_version)
    }

    pub(super) fn opened<A: Action>(permit: &Permit<A>, opened: &Opened) -> Self {
        Self::of(permit, opened.protection, opened.data_key, opened.key_version)
    }

    fn of<A: Action>(
        permit: &Permit<A>,
        by: domain::Protection,
        data: DataKeyId,
        version: Option<KeyVersionId>,
    ) -> Self {
        // Data is sealed for an app; for anything else there is no name to print.
        let Target::App(workspace, app) = permit.target() else {
            return Self { protection: protection(by).into(), data_key: String::new(), key_version: String::new() };
        };
        Self {
            protection: protection(by).into(),
            data_key: data_key(workspace, app, data),
            key_version: version.map_or_else(String::new, |version| key_version(workspace, version)),
        }
    }
}

/// `workspaces/{workspace}/apps/{app}/dataKeys/{32 hex}`, in one allocation: it is part of every answer.
fn data_key(workspace: &WorkspaceId, app: &AppId, id: DataKeyId) -> String {
    named(&["workspaces/", workspace.as_str(), "/apps/", app.as_str(), "/dataKeys/"], id.as_bytes())
}

/// `workspaces/{workspace}/key/versions/{32 hex}`.
fn key_version(workspace: &WorkspaceId, id: KeyVersionId) -> String {
    named(&["workspaces/", workspace.as_str(), "/key/versions/"], id.as_bytes())
}

fn named(parts: &[&str], id: &[u8; 16]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let length = parts.iter().map(|part| part.len()).sum::<usize>() + 32;
    let mut name = String::with_capacity(length);
    for part in parts {
        name.push_str(part);
    }
    for byte in id {
        name.push(char::from(DIGITS[usize::from(byte >> 4)]));
        name.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    name
}

pub(super) fn protection(protection: domain::Protection) -> pb::Protection {
    match protection {
        domain::Protection::PlatformKey => pb::Protection::PlatformKey,
        domain::Protection::CustomerKey => pb::Protection::CustomerKey,
    }
}

pub(super) fn stamp(at: Timestamp) -> Option<Stamp> {
    let nanos = at.micros().rem_euclid(1_000_000) * 1_000;
    Some(Stamp { seconds: at.micros().div_euclid(1_000_000), nanos: i32::try_from(nanos).unwrap_or(0) })
}

/// The proto's reason of a batch's failed item.
pub(super) fn reason(reason: domain::Reason) -> pb::Reason {
    // The two enums are held together by a test; a name missing from the contract could only come with a new reason.
    pb::Reason::from_str_name(&format!("REASON_{reason}")).unwrap_or(pb::Reason::Unspecified)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The quick way of printing names gives what the domain reads and prints.
    #[test]
    fn names_are_those_of_the_domain() {
        let (workspace, app): (WorkspaceId, AppId) = ("acme".parse().unwrap(), "support-bot".parse().unwrap());
        let bytes = std::array::from_fn(|i| u8::try_from(i * 17).unwrap());
        let (key, version) = (DataKeyId::from_bytes(bytes), KeyVersionId::from_bytes(bytes));
        assert_eq!(data_key(&workspace, &app, key), domain::name::data_key(&workspace, &app, key));
        assert_eq!(key_version(&workspace, version), domain::name::key_version(&workspace, version));
    }

    /// Times before and after the epoch keep their microseconds.
    #[test]
    fn times_keep_their_microseconds() {
        assert_eq!(stamp(Timestamp::from_micros(1_500_000)), Some(Stamp { seconds: 1, nanos: 500_000_000 }));
        assert_eq!(stamp(Timestamp::from_micros(-1)), Some(Stamp { seconds: -1, nanos: 999_999_000 }));
    }

    /// Every reason the service can give has its value in the contract, under the same name, and no other has one. Numbers have
    /// gaps: each feature has a range of its own.
    #[test]
    fn the_contract_has_exactly_the_services_reasons() {
        let mut own: Vec<_> = domain::Reason::ALL.iter().map(|own| (reason(*own), format!("REASON_{own}"))).collect();
        own.sort_by_key(|(value, _)| *value as i32);
        let contract = (1..1_000).filter_map(|number| pb::Reason::try_from(number).ok());
        assert!(contract.map(|value| (value, value.as_str_name().to_owned())).eq(own));
    }
}
