//! Nothing becomes active untested, and a workspace on its own registration always has a credential.

use std::time::Duration;

use super::*;

const DAY: u64 = 24 * 60 * 60;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_micros(0).saturating_add(Duration::from_secs(seconds))
}

fn id(n: u8) -> CredentialId {
    CredentialId::from_bytes([n; 16])
}

fn credential(n: u8, expires_at: Timestamp) -> Credential {
    let guid = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01";
    Credential {
        id: id(n),
        registration: Registration {
            cloud: Cloud::Public,
            tenant: guid.parse().unwrap(),
            client_id: guid.parse().unwrap(),
        },
        proof: Proof::Secret { last_four: "cdef".into() },
        created_at: at(0),
        expires_at,
        added_by: "ada".into(),
        tested_at: None,
        removed_at: None,
        noticed: None,
        sealed: vec![1, 2, 3],
    }
}

fn empty() -> Integration {
    Integration::new("acme".parse().unwrap(), at(0))
}

/// A credential goes Added → Tested → Active → Removed, and no step is left out.
#[test]
fn nothing_becomes_active_untested() {
    let one = empty().add(credential(1, at(400 * DAY)), at(1)).unwrap();
    assert_eq!(one.activate_error(1, at(2)), CredentialRefused::Untested);
    let failed = one.clone().tested(id(1), false, at(2)).unwrap();
    assert_eq!(failed.activate_error(1, at(2)), CredentialRefused::Untested);
    let tested = one.clone().tested(id(1), true, at(2)).unwrap();
    assert_eq!(tested.activate_error(1, at(3 + DAY)), CredentialRefused::TestOutdated);
    // A later failure takes back what an earlier test said.
    let taken_back = tested.clone().tested(id(1), false, at(3)).unwrap();
    assert_eq!(taken_back.activate_error(1, at(4)), CredentialRefused::Untested);
    // The test of another credential says nothing about this one.
    let two = tested.clone().add(credential(2, at(400 * DAY)), at(3)).unwrap();
    assert_eq!(two.activate_error(2, at(4)), CredentialRefused::Untested);
    let active = tested.activate(id(1), at(2 + DAY)).unwrap();
    assert_eq!(active.state_of(&active.credentials[0]), CredentialState::Active);
    assert_eq!(active.change, 3);
}

impl Integration {
    fn activate_error(&self, n: u8, now: Timestamp) -> CredentialRefused {
        self.clone().activate(id(n), now).unwrap_err()
    }
}

/// There are two slots, and an expired credential takes neither.
#[test]
fn there_are_two_slots() {
    let one = empty().add(credential(1, at(400 * DAY)), at(1)).unwrap();
    assert_eq!(one.clone().add(credential(2, at(1)), at(1)), Err(CredentialRefused::Expired));
    assert_eq!(one.clone().add(credential(2, at(4_000 * DAY)), at(1)), Err(CredentialRefused::ExpiresTooLate));
    let two = one.add(credential(2, at(400 * DAY)), at(2)).unwrap();
    assert_eq!(two.clone().add(credential(3, at(400 * DAY)), at(3)), Err(CredentialRefused::SlotsFull));
    let freed = two.remove(id(1), at(3)).unwrap();
    assert_eq!(freed.credentials[0].sealed, Vec::<u8>::new(), "the secret part goes with it");
    assert_eq!(freed.clone().remove(id(1), at(4)), Err(CredentialRefused::Unknown));
    assert!(freed.add(credential(3, at(400 * DAY)), at(3)).is_ok());
}

/// The credential in use is not removed: switch first, or go back to the platform's app by saying so.
#[test]
fn the_one_in_use_stays() {
    let two = empty().add(credential(1, at(400 * DAY)), at(1)).unwrap();
    let two = two.add(credential(2, at(400 * DAY)), at(1)).unwrap();
    let two = two.tested(id(1), true, at(2)).unwrap().activate(id(1), at(2)).unwrap();
    assert_eq!(two.clone().remove(id(1), at(3)), Err(CredentialRefused::InUse));
    let switched = two.clone().tested(id(2), true, at(3)).unwrap().activate(id(2), at(3)).unwrap();
    assert!(matches!(switched.model(), Some(IntegrationModel::CustomerRegistration(found)) if found.id == id(2)));
    assert!(switched.remove(id(1), at(4)).is_ok());
    let back = two.use_platform(at(4));
    assert_eq!(back.model(), Some(IntegrationModel::Platform));
    assert!(back.remove(id(1), at(5)).is_ok());
}

/// 60, 30, 14, 7 and 1 days before: each once; what was missed is not made up for.
#[test]
fn each_notice_is_given_once() {
    let expires = at(100 * DAY);
    let mut kept = empty().add(credential(1, expires), at(0)).unwrap();
    let mut given = Vec::new();
    for hour in 0..(101 * 24) {
        let now = at(hour * 60 * 60);
        let due = kept.notices_due(now);
        if !due.is_empty() {
            given.extend(due.iter().map(|notice| (hour / 24, notice.days)));
            kept = kept.noticed(&due, now);
        }
    }
    assert_eq!(given, [(40, 60), (70, 30), (86, 14), (93, 7), (99, 1)]);
    let late = empty().add(credential(1, expires), at(0)).unwrap();
    let days: Vec<_> = late.notices_due(at(90 * DAY)).iter().map(|notice| notice.days).collect();
    assert_eq!(days, [14], "one notice, and the one that holds");
    assert_eq!(late.notices_due(at(39 * DAY)), []);
}

/// Every part of a row's identity changes what its secret is sealed for.
#[test]
fn a_sealed_secret_belongs_to_one_row() {
    let (acme, other): (WorkspaceId, WorkspaceId) = ("acme".parse().unwrap(), "acmf".parse().unwrap());
    let one = credential(1, at(1));
    let guid = "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f02";
    let mut identities = vec![one.identity(&acme), one.identity(&other), credential(2, at(1)).identity(&acme)];
    let mut client = one.clone();
    client.registration.client_id = guid.parse().unwrap();
    let mut tenant = one.clone();
    tenant.registration.tenant = guid.parse().unwrap();
    let mut cloud = one.clone();
    cloud.registration.cloud = Cloud::China;
    let mut kind = one.clone();
    kind.proof = Proof::Certificate { der: vec![], thumbprint: [0; 32] };
    identities.extend([client, tenant, cloud, kind].map(|credential| credential.identity(&acme)));
    let count = identities.len();
    identities.sort_unstable();
    identities.dedup();
    assert_eq!(identities.len(), count);
}
