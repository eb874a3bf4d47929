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
    // Whole, and not digit by digit: each push would ask anew whether there is room.
    let mut digits = [0; 32];
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(id) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    let digits = std::str::from_utf8(&digits).expect("digits are ASCII");
    let mut name = String::with_capacity(parts.iter().map(|part| part.len()).sum::<usize>() + digits.len());
    parts.iter().for_each(|part| name.push_str(part));
    name.push_str(digits);
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

    /// Every reason the service can give has its value in the contract, under the same name and in the same order, and the
    /// contract has no other.
    #[test]
    fn the_contract_has_exactly_the_services_reasons() {
        let numbers: Vec<i32> = domain::Reason::ALL.iter().map(|own| reason(*own) as i32).collect();
        assert!(numbers[0] > 0 && numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        let in_the_contract = (1..10_000).filter(|number| pb::Reason::try_from(*number).is_ok());
        assert_eq!(in_the_contract.collect::<Vec<_>>(), numbers);
    }
}
