//! What every provider of customer keys must do: one suite, run against each of them.
//!
//! A provider brings a [`Fixture`], which can do to a key what its owner could. [`conformance_suite!`](crate::conformance_suite)
//! makes one test of each promise.

use std::time::Duration;

use aws_lc_rs::rsa::{OAEP_SHA256_MGF1SHA256, OaepPublicEncryptingKey, PublicEncryptingKey, PublicKeyComponents};
use domain::{KeyVersionId, TenantId, Timestamp};
use secmem::Secret;

use crate::{Class, CustomerKeys, KeyDescription, KeyRef, KeyUnavailable, PAYLOAD_LEN};

/// Long enough for a real call on a busy machine.
const DEADLINE: Duration = Duration::from_secs(20);

/// A provider under test, and its keys' owner.
#[async_trait::async_trait]
pub trait Fixture: Send + Sync {
    /// The provider.
    fn keys(&self) -> &dyn CustomerKeys;
    /// What the provider takes for the time.
    fn now(&self) -> Timestamp;
    /// A new key with one version, RSA 2048, enabled, for wrapping and unwrapping; we have access to it.
    async fn create_key(&self) -> (KeyRef, KeyVersionId);
    /// Another tenant that exists and where we are known, but where no key of this fixture is.
    async fn another_tenant(&self) -> TenantId;
    /// A new version, which is the newest from now on.
    async fn rotate(&self, at: &KeyRef) -> KeyVersionId;
    /// Switches a version on or off.
    async fn set_enabled(&self, at: &KeyRef, version: KeyVersionId, enabled: bool);
    /// Sets both dates of a version.
    async fn set_dates(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        not_before: Option<Timestamp>,
        expires: Option<Timestamp>,
    );
    /// Permits unwrapping only.
    async fn permit_unwrap_only(&self, at: &KeyRef, version: KeyVersionId);
    /// Deletes the key.
    async fn delete(&self, at: &KeyRef);
    /// Takes the deletion back.
    async fn recover(&self, at: &KeyRef);
    /// Takes our access to the key away, or gives it back.
    async fn set_access(&self, at: &KeyRef, access: bool);
    /// From now on no unwrap is answered, or all are again.
    async fn set_silent(&self, at: &KeyRef, silent: bool);
}

/// Makes one test of each promise. Takes an async function that makes a fresh [`Fixture`].
#[macro_export]
macro_rules! conformance_suite {
    ($fixture:path) => {
        $crate::conformance_suite!(@ $fixture;
            what_was_wrapped_unwraps_to_the_same_bytes
            each_version_opens_only_its_own
            the_described_public_half_wraps_for_this_version
            a_description_and_the_list_tell_the_truth
            a_disabled_version_refuses_and_the_others_work
            dates_stop_wrapping_only
            what_is_not_permitted_is_refused
            a_deleted_key_is_gone_until_it_is_recovered
            what_does_not_exist_is_gone
            another_tenant_is_denied
            withdrawn_access_is_a_denial_at_the_next_call
            a_damaged_blob_is_our_fault_and_no_denial
            nothing_outlives_its_deadline
            many_first_calls_at_once_succeed
            the_way_to_a_key_is_seen_stretch_by_stretch
            a_vault_of_another_tenant_says_so_before_any_token
            a_vault_that_is_not_there_has_no_name
        );
    };
    (@ $fixture:path; $($promise:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $promise() {
                $crate::conformance::$promise(&$fixture().await).await;
            }
        )*
    };
}

fn payload(byte: u8) -> Secret<PAYLOAD_LEN> {
    Secret::fill(|out| out.fill(byte)).expect("locked memory for a test")
}

fn holds(secret: &Secret<PAYLOAD_LEN>, byte: u8) -> bool {
    secret.expose(|bytes| bytes.iter().all(|b| *b == byte))
}

async fn wrap(fixture: &dyn Fixture, at: &KeyRef, version: KeyVersionId) -> Result<Vec<u8>, KeyUnavailable> {
    let wrapped = fixture.keys().wrap(at, version, &payload(7), DEADLINE).await?;
    assert_eq!(wrapped.version, at.location.at(version), "the answer names the version asked");
    Ok(wrapped.blob)
}

async fn unwrap(fixture: &dyn Fixture, at: &KeyRef, version: KeyVersionId, blob: &[u8]) -> Result<(), KeyUnavailable> {
    let opened = fixture.keys().unwrap(at, version, blob, DEADLINE).await?;
    assert!(holds(&opened.payload, 7), "an unwrap gives what was wrapped");
    Ok(())
}

async fn describe(
    fixture: &dyn Fixture,
    at: &KeyRef,
    version: Option<KeyVersionId>,
) -> Result<KeyDescription, KeyUnavailable> {
    fixture.keys().describe(at, version, DEADLINE).await
}

fn expect<T>(result: Result<T, KeyUnavailable>) -> T {
    result.unwrap_or_else(|why| panic!("refused: {why:?}"))
}

fn expect_err<T>(result: Result<T, KeyUnavailable>) -> KeyUnavailable {
    match result {
        Ok(_) => panic!("it was not refused"),
        Err(why) => why,
    }
}

/// Wrap and unwrap are each other's opposite.
pub async fn what_was_wrapped_unwraps_to_the_same_bytes(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let first = expect(wrap(fixture, &at, version).await);
    let second = expect(wrap(fixture, &at, version).await);
    assert_ne!(first, second, "wrapping is randomised");
    expect(unwrap(fixture, &at, version, &first).await);
    expect(unwrap(fixture, &at, version, &second).await);
}

/// After a rotation the old version opens what it wrapped, the new one what it wraps, and neither the other's.
pub async fn each_version_opens_only_its_own(fixture: &dyn Fixture) {
    let (at, old) = fixture.create_key().await;
    let by_old = expect(wrap(fixture, &at, old).await);
    let new = fixture.rotate(&at).await;
    let by_new = expect(wrap(fixture, &at, new).await);
    expect(unwrap(fixture, &at, old, &by_old).await);
    expect(unwrap(fixture, &at, new, &by_new).await);
    assert_eq!(expect_err(unwrap(fixture, &at, new, &by_old).await).class(), Class::Ours);
    assert_eq!(expect_err(unwrap(fixture, &at, old, &by_new).await).class(), Class::Ours);
}

/// What is encrypted here with a version's described public key, that version opens: a probe needs no stored blob.
pub async fn the_described_public_half_wraps_for_this_version(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let described = expect(describe(fixture, &at, Some(version)).await);
    let components = PublicKeyComponents { n: &described.modulus[..], e: &described.exponent[..] };
    let public: PublicEncryptingKey = components.try_into().expect("a described key is an RSA key");
    let public = OaepPublicEncryptingKey::new(public).expect("it takes OAEP");
    let mut blob = vec![0; public.ciphertext_size()];
    let wrapped = payload(7).expose(|payload| {
        public.encrypt(&OAEP_SHA256_MGF1SHA256, payload, &mut blob, None).expect("65 bytes fit").len()
    });
    expect(unwrap(fixture, &at, version, &blob[..wrapped]).await);
    assert_eq!(described.thumbprint, crate::keys::thumbprint(&described.modulus, &described.exponent));
}

/// A description is of the version asked, or of the newest; the list has all.
pub async fn a_description_and_the_list_tell_the_truth(fixture: &dyn Fixture) {
    let (at, first) = fixture.create_key().await;
    let second = fixture.rotate(&at).await;
    fixture.set_enabled(&at, first, false).await;
    let (until, from) = (hours(fixture, 2), hours(fixture, -2));
    fixture.set_dates(&at, second, Some(from), Some(until)).await;
    let newest = expect(describe(fixture, &at, None).await);
    assert_eq!(newest.kid, at.location.at(second));
    assert_eq!((newest.not_before, newest.expires), (Some(from), Some(until)));
    assert_eq!(newest.check_suitable(), Ok(()));
    let older = expect(describe(fixture, &at, Some(first)).await);
    assert_eq!(older.kid, at.location.at(first));
    assert!(!older.enabled && newest.enabled);
    assert_ne!(older.thumbprint, newest.thumbprint, "a rotation makes new material");
    for _ in 0..28 {
        fixture.rotate(&at).await;
    }
    let listed = expect(fixture.keys().versions(&at, DEADLINE).await);
    assert_eq!(listed.len(), 30, "a list goes on over its pages");
    let of = |version| listed.iter().find(|line| line.version == version).expect("every version is listed");
    assert!(!of(first).enabled && of(second).enabled);
    assert_eq!((of(second).not_before, of(second).expires), (Some(from), Some(until)));
}

/// A version that is switched off refuses at the next call; the others go on; switched on again, it works again.
pub async fn a_disabled_version_refuses_and_the_others_work(fixture: &dyn Fixture) {
    let (at, old) = fixture.create_key().await;
    let new = fixture.rotate(&at).await;
    let (by_old, by_new) = (expect(wrap(fixture, &at, old).await), expect(wrap(fixture, &at, new).await));
    fixture.set_enabled(&at, old, false).await;
    let refused = expect_err(unwrap(fixture, &at, old, &by_old).await);
    assert!(matches!(refused, KeyUnavailable::Disabled(_)), "{refused:?}");
    let refused = expect_err(wrap(fixture, &at, old).await);
    assert!(matches!(refused, KeyUnavailable::Disabled(_)), "{refused:?}");
    expect(unwrap(fixture, &at, new, &by_new).await);
    fixture.set_enabled(&at, old, true).await;
    expect(unwrap(fixture, &at, old, &by_old).await);
}

/// An expired key and one that is not valid yet do not wrap, say which of both they are, and go on unwrapping.
pub async fn dates_stop_wrapping_only(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let blob = expect(wrap(fixture, &at, version).await);
    fixture.set_dates(&at, version, None, Some(hours(fixture, -1))).await;
    let refused = expect_err(wrap(fixture, &at, version).await);
    assert!(matches!(refused, KeyUnavailable::Expired(_)), "{refused:?}");
    assert!(refused.stops_wrapping_only());
    expect(unwrap(fixture, &at, version, &blob).await);
    fixture.set_dates(&at, version, Some(hours(fixture, 1)), None).await;
    let refused = expect_err(wrap(fixture, &at, version).await);
    assert!(matches!(refused, KeyUnavailable::NotYetValid(_)), "{refused:?}");
    expect(unwrap(fixture, &at, version, &blob).await);
}

fn hours(fixture: &dyn Fixture, hours: i64) -> Timestamp {
    // Whole seconds: that is all a vault keeps.
    let seconds = fixture.now().micros().div_euclid(1_000_000) + hours * 3_600;
    Timestamp::from_micros(seconds * 1_000_000)
}

/// A key that permits unwrapping only does that and nothing else.
pub async fn what_is_not_permitted_is_refused(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let blob = expect(wrap(fixture, &at, version).await);
    fixture.permit_unwrap_only(&at, version).await;
    expect(unwrap(fixture, &at, version, &blob).await);
    let refused = expect_err(wrap(fixture, &at, version).await);
    assert!(matches!(refused, KeyUnavailable::OperationForbidden(_)), "{refused:?}");
}

/// A deleted key is gone for every operation, which is not the same as denied; recovered, it opens what it wrapped.
pub async fn a_deleted_key_is_gone_until_it_is_recovered(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let blob = expect(wrap(fixture, &at, version).await);
    fixture.delete(&at).await;
    assert_eq!(expect_err(unwrap(fixture, &at, version, &blob).await).class(), Class::Gone);
    assert_eq!(expect_err(wrap(fixture, &at, version).await).class(), Class::Gone);
    assert_eq!(expect_err(describe(fixture, &at, Some(version)).await).class(), Class::Gone);
    fixture.recover(&at).await;
    expect(unwrap(fixture, &at, version, &blob).await);
}

/// An unknown version and an unknown key are gone, and never an outage.
pub async fn what_does_not_exist_is_gone(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let blob = expect(wrap(fixture, &at, version).await);
    let unknown = KeyVersionId::from_bytes([0xee; 16]);
    assert_eq!(expect_err(unwrap(fixture, &at, unknown, &blob).await).class(), Class::Gone);
    assert_eq!(expect_err(describe(fixture, &at, Some(unknown)).await).class(), Class::Gone);
    let location = domain::KeyLocation::from_parts(at.location.cloud(), at.location.vault(), "no-such-key");
    let nowhere = KeyRef { location: location.expect("a key's name"), ..at };
    assert_eq!(expect_err(describe(fixture, &nowhere, None).await).class(), Class::Gone);
}

/// A key is reached only as its own tenant's: the binding decides, not the vault's name.
pub async fn another_tenant_is_denied(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let blob = expect(wrap(fixture, &at, version).await);
    let elsewhere = KeyRef { tenant: fixture.another_tenant().await, ..at };
    let refused = expect_err(unwrap(fixture, &elsewhere, version, &blob).await);
    assert!(matches!(refused, KeyUnavailable::TenantMismatch(_)), "{refused:?}");
    assert_eq!(refused.class(), Class::Denied);
}

/// I-8: no answer is given from memory. The call after the owner has withdrawn our access is denied.
pub async fn withdrawn_access_is_a_denial_at_the_next_call(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let blob = expect(wrap(fixture, &at, version).await);
    expect(unwrap(fixture, &at, version, &blob).await);
    fixture.set_access(&at, false).await;
    assert_eq!(expect_err(unwrap(fixture, &at, version, &blob).await).class(), Class::Denied);
    assert_eq!(expect_err(wrap(fixture, &at, version).await).class(), Class::Denied);
    fixture.set_access(&at, true).await;
    expect(unwrap(fixture, &at, version, &blob).await);
}

/// A blob that does not open is no denial: nobody's keys are purged because a row is damaged.
pub async fn a_damaged_blob_is_our_fault_and_no_denial(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let blob = expect(wrap(fixture, &at, version).await);
    for damage in [0, blob.len() / 2, blob.len() - 1] {
        let mut damaged = blob.clone();
        damaged[damage] ^= 1;
        let refused = expect_err(unwrap(fixture, &at, version, &damaged).await);
        assert!(matches!(refused, KeyUnavailable::BadParameter(_)), "{refused:?}");
        assert_eq!(refused.class(), Class::Ours);
    }
    assert_eq!(expect_err(unwrap(fixture, &at, version, &blob[1..]).await).class(), Class::Ours);
    assert_eq!(expect_err(unwrap(fixture, &at, version, &[]).await).class(), Class::Ours);
}

/// I-25: a provider that is not answered gives up at the deadline, and calls it an outage.
pub async fn nothing_outlives_its_deadline(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let blob = expect(wrap(fixture, &at, version).await);
    fixture.set_silent(&at, true).await;
    let short = Duration::from_millis(150);
    let call = fixture.keys().unwrap(&at, version, &blob, short);
    // Another timer says whether it kept to its deadline.
    let ended = tokio::time::timeout(short * 10, call).await;
    let refused = expect_err(ended.unwrap_or_else(|_| panic!("it outlived its deadline tenfold")));
    assert_eq!(refused, KeyUnavailable::TimedOut { waited: short });
    assert_eq!(refused.class(), Class::Transient);
    fixture.set_silent(&at, false).await;
    expect(unwrap(fixture, &at, version, &blob).await);
}

/// Fifty calls at once on a cold provider all succeed.
pub async fn many_first_calls_at_once_succeed(fixture: &dyn Fixture) {
    let (at, version) = fixture.create_key().await;
    let wrapped = futures::future::join_all((0..50).map(|_| wrap(fixture, &at, version))).await;
    let blobs: Vec<_> = wrapped.into_iter().map(expect).collect();
    let opened = futures::future::join_all(blobs.iter().map(|blob| unwrap(fixture, &at, version, blob))).await;
    opened.into_iter().for_each(expect);
}

/// Each stretch of the way to a key of ours is there, and can be looked at again and again.
pub async fn the_way_to_a_key_is_seen_stretch_by_stretch(fixture: &dyn Fixture) {
    let (at, _) = fixture.create_key().await;
    let approach = fixture.keys().approach();
    assert_eq!(approach.application().len(), 36, "a GUID");
    for _ in 0..2 {
        assert!(!expect(approach.resolve(&at, DEADLINE).await).is_empty());
        assert!(expect(approach.reach(&at, DEADLINE).await).seen_as.is_some());
        expect(approach.challenge(&at, DEADLINE).await);
        expect(approach.sign_in(&at, DEADLINE).await);
    }
}

/// A vault is asked for its tenant without a token, and another tenant than the bound one is noticed by that alone.
pub async fn a_vault_of_another_tenant_says_so_before_any_token(fixture: &dyn Fixture) {
    let (at, _) = fixture.create_key().await;
    let elsewhere = KeyRef { tenant: fixture.another_tenant().await, ..at };
    let refused = expect_err(fixture.keys().approach().challenge(&elsewhere, DEADLINE).await);
    assert!(matches!(refused, KeyUnavailable::TenantMismatch(_)), "{refused:?}");
}

/// A vault's name that nobody has leads nowhere, and that is said of the name.
pub async fn a_vault_that_is_not_there_has_no_name(fixture: &dyn Fixture) {
    let (at, _) = fixture.create_key().await;
    let location = domain::KeyLocation::from_parts(at.location.cloud(), "no-such-vault-here", at.location.key());
    let nowhere = KeyRef { location: location.expect("a vault's name"), ..at };
    let refused = expect_err(fixture.keys().approach().resolve(&nowhere, DEADLINE).await);
    assert_eq!(refused, KeyUnavailable::NameUnknown);
}
