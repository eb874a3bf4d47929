//! The conformance suite notices a provider that is wrong: each seeded bug makes the promise it breaks fail.

mod support;

use std::{net::IpAddr, sync::Arc, time::Duration};

use domain::{Clock, KeyLocation, KeyVersionId, TenantId, Timestamp};
use secmem::Secret;
use support::RealTime;
use vault::{
    Approach, CustomerKeys, KeyDescription, KeyRef, KeyUnavailable, PAYLOAD_LEN, Reached, Trace, Unwrapped,
    VersionListing, WrappedBlob,
    conformance::{self, Fixture},
    memory::{Fault, MemoryKeys, Operation},
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Bug {
    /// Unwraps with the newest version, whatever was asked.
    NewestVersion,
    /// Answers an unwrap from memory once it was answered.
    AnswersFromMemory,
    /// Calls a denial an outage.
    DenialIsOutage,
    /// Calls a missing key a denial.
    GoneIsDenied,
    /// Calls a damaged blob a denial.
    DamageIsDenied,
    /// Does not stop at the deadline.
    NoDeadline,
    /// Goes to the key's own tenant, whatever the binding says.
    AnyTenant,
    /// Does not look why a wrap was denied.
    DatesAreDenials,
    /// Reads the first page of a list only.
    OnePage,
    /// Gives back what it was asked to unwrap.
    Echo,
    /// Takes any name for a vault's.
    AnyName,
}

struct Wrong {
    bug: Bug,
    inner: Arc<MemoryKeys>,
    remembered: std::sync::Mutex<Option<Vec<u8>>>,
}

impl Wrong {
    fn spoil(&self, why: KeyUnavailable) -> KeyUnavailable {
        match (self.bug, why) {
            (Bug::DenialIsOutage, KeyUnavailable::RoleMissing(_)) => KeyUnavailable::Unreachable,
            (Bug::GoneIsDenied, KeyUnavailable::NotFound(trace))
            | (Bug::DamageIsDenied, KeyUnavailable::BadParameter(trace)) => KeyUnavailable::Denied(trace),
            (Bug::DatesAreDenials, KeyUnavailable::Expired(trace) | KeyUnavailable::NotYetValid(trace)) => {
                KeyUnavailable::Denied(trace)
            }
            (_, why) => why,
        }
    }

    fn tenant(&self, at: &KeyRef) -> KeyRef {
        if self.bug == Bug::AnyTenant { KeyRef { tenant: tenant(), ..at.clone() } } else { at.clone() }
    }
}

#[async_trait::async_trait]
impl Approach for Wrong {
    fn application(&self) -> &str {
        self.inner.approach().application()
    }

    async fn resolve(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<IpAddr>, KeyUnavailable> {
        if self.bug == Bug::AnyName {
            return Ok(vec![IpAddr::from([203, 0, 113, 9])]);
        }
        self.inner.approach().resolve(at, deadline).await
    }

    async fn reach(&self, at: &KeyRef, deadline: Duration) -> Result<Reached, KeyUnavailable> {
        self.inner.approach().reach(at, deadline).await
    }

    async fn challenge(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.inner.approach().challenge(&self.tenant(at), deadline).await
    }

    async fn sign_in(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.inner.approach().sign_in(at, deadline).await
    }

    async fn show(&self, app: &vault::RegisteredApp, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.inner.approach().show(app, deadline).await
    }

    async fn admitted(
        &self,
        tenant: &domain::TenantId,
        cloud: domain::Cloud,
        deadline: Duration,
    ) -> Result<(), KeyUnavailable> {
        self.inner.approach().admitted(tenant, cloud, deadline).await
    }
}

#[async_trait::async_trait]
impl CustomerKeys for Wrong {
    fn approach(&self) -> &dyn Approach {
        self
    }

    async fn describe(
        &self,
        at: &KeyRef,
        version: Option<KeyVersionId>,
        deadline: Duration,
    ) -> Result<KeyDescription, KeyUnavailable> {
        self.inner.describe(at, version, deadline).await.map_err(|why| self.spoil(why))
    }

    async fn prove_consent(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.inner.prove_consent(at, deadline).await
    }

    async fn versions(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<VersionListing>, KeyUnavailable> {
        let mut listed = self.inner.versions(at, deadline).await?;
        if self.bug == Bug::OnePage {
            listed.truncate(25);
        }
        Ok(listed)
    }

    async fn wrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        payload: &Secret<PAYLOAD_LEN>,
        deadline: Duration,
    ) -> Result<WrappedBlob, KeyUnavailable> {
        self.inner.wrap(at, version, payload, deadline).await.map_err(|why| self.spoil(why))
    }

    async fn unwrap(
        &self,
        at: &KeyRef,
        version: KeyVersionId,
        blob: &[u8],
        deadline: Duration,
    ) -> Result<Unwrapped, KeyUnavailable> {
        if self.bug == Bug::AnswersFromMemory && self.remembered.lock().unwrap().as_deref() == Some(blob) {
            return Ok(Unwrapped { payload: support::payload(7), trace: Trace::default() });
        }
        if self.bug == Bug::Echo {
            let payload = Secret::fill(|out| out.iter_mut().zip(blob).for_each(|(out, byte)| *out = *byte))?;
            return Ok(Unwrapped { payload, trace: Trace::default() });
        }
        let version = match self.bug {
            Bug::NewestVersion => self.inner.describe(at, None, deadline).await?.kid.version(),
            _ => version,
        };
        let deadline = if self.bug == Bug::NoDeadline { Duration::from_secs(3_600) } else { deadline };
        let opened =
            self.inner.unwrap(&self.tenant(at), version, blob, deadline).await.map_err(|why| self.spoil(why))?;
        *self.remembered.lock().unwrap() = Some(blob.to_vec());
        Ok(opened)
    }
}

fn tenant() -> TenantId {
    "8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap()
}

#[async_trait::async_trait]
impl Fixture for Wrong {
    fn keys(&self) -> &dyn CustomerKeys {
        self
    }

    fn now(&self) -> Timestamp {
        RealTime.now().wall
    }

    async fn create_key(&self) -> (KeyRef, KeyVersionId) {
        let location = KeyLocation::from_vault_uri("https://contoso.vault.azure.net", "byok").unwrap();
        let at = KeyRef::of_platform(tenant(), location);
        let version = self.inner.create_key(&at);
        (at, version)
    }

    async fn another_tenant(&self) -> TenantId {
        "11111111-2222-4333-8444-555555555555".parse().unwrap()
    }

    async fn rotate(&self, at: &KeyRef) -> KeyVersionId {
        self.inner.create_key(at)
    }

    async fn set_enabled(&self, at: &KeyRef, version: KeyVersionId, enabled: bool) {
        self.inner.change(at, version, |attributes| attributes.enabled = enabled);
    }

    async fn set_dates(&self, at: &KeyRef, version: KeyVersionId, from: Option<Timestamp>, until: Option<Timestamp>) {
        self.inner.change(at, version, |attributes| (attributes.not_before, attributes.expires) = (from, until));
    }

    async fn permit_unwrap_only(&self, at: &KeyRef, version: KeyVersionId) {
        self.inner.change(at, version, |attributes| attributes.key_ops = vec!["unwrapKey".into()]);
    }

    async fn delete(&self, at: &KeyRef) {
        self.inner.delete_key(at);
    }

    async fn recover(&self, at: &KeyRef) {
        self.inner.recover_key(at);
    }

    async fn set_access(&self, _at: &KeyRef, access: bool) {
        if access { self.inner.heal() } else { self.inner.refuse_all(&KeyUnavailable::RoleMissing(Trace::default())) }
    }

    async fn set_silent(&self, _at: &KeyRef, silent: bool) {
        if silent { self.inner.fail(Operation::Unwrap, Fault::Hang) } else { self.inner.heal() }
    }
}

macro_rules! bugs {
    ($($test:ident: $bug:ident breaks $promise:ident;)*) => {
        $(
            #[tokio::test]
            async fn $test() {
                let wrong = Wrong { bug: Bug::$bug, inner: MemoryKeys::new(Arc::new(RealTime)), remembered: std::sync::Mutex::default() };
                let checked = tokio::spawn(async move { conformance::$promise(&wrong).await }).await;
                assert!(checked.is_err_and(|error| error.is_panic()), "{:?} was not noticed", Bug::$bug);
            }
        )*
    };
}

bugs! {
    unwrapping_with_the_newest_version_is_noticed: NewestVersion breaks each_version_opens_only_its_own;
    answering_from_memory_is_noticed: AnswersFromMemory breaks withdrawn_access_is_a_denial_at_the_next_call;
    calling_a_denial_an_outage_is_noticed: DenialIsOutage breaks withdrawn_access_is_a_denial_at_the_next_call;
    calling_a_missing_key_a_denial_is_noticed: GoneIsDenied breaks a_deleted_key_is_gone_until_it_is_recovered;
    calling_damage_a_denial_is_noticed: DamageIsDenied breaks a_damaged_blob_is_our_fault_and_no_denial;
    outliving_the_deadline_is_noticed: NoDeadline breaks nothing_outlives_its_deadline;
    going_to_any_tenant_is_noticed: AnyTenant breaks another_tenant_is_denied;
    not_looking_at_the_dates_is_noticed: DatesAreDenials breaks dates_stop_wrapping_only;
    reading_one_page_is_noticed: OnePage breaks a_description_and_the_list_tell_the_truth;
    not_comparing_the_challenge_is_noticed: AnyTenant breaks a_vault_of_another_tenant_says_so_before_any_token;
    taking_any_name_is_noticed: AnyName breaks a_vault_that_is_not_there_has_no_name;
    giving_back_other_bytes_is_noticed: Echo breaks what_was_wrapped_unwraps_to_the_same_bytes;
}
