//! Every answer a vault and a directory are known to refuse with, each by the emulator's switch, end to end through the
//! official crates: which variant, which class, who fixes it, under which reason.
//!
//! The two matches below name every refusal the emulator knows. A refusal added there does not compile here before somebody
//! has said what it means.

mod support;

use std::time::Duration;

use azure_emulator::{EntraRefusal, Fault, Operation, Scope, VaultRefusal};
use domain::{Owner, Reason};
use support::{DEADLINE, World, payload};
use vault::{Class, CustomerKeys, KeyUnavailable};

/// What a vault's refusal of an *unwrap* means.
fn of_vault(refusal: VaultRefusal) -> (Class, Owner, Reason) {
    use Class::{Denied, Gone, Ours, Transient};
    use Owner::{Customer, Service};
    use VaultRefusal as V;
    match refusal {
        V::TokenMissing | V::TokenInvalid => (Ours, Service, Reason::VaultRefusedUnknown),
        V::WrongAudience => (Ours, Service, Reason::VaultAudienceWrong),
        V::WrongTenant => (Denied, Customer, Reason::VaultTenantMismatch),
        V::NoRole => (Denied, Customer, Reason::VaultRoleMissing),
        V::NoAccessPolicy | V::NoAccessPolicyOtherCode => (Denied, Customer, Reason::VaultAccessPolicyMissing),
        V::Firewall => (Denied, Customer, Reason::VaultFirewall),
        V::PublicAccessOff => (Denied, Customer, Reason::VaultPublicAccessOff),
        V::KeyOperationForbidden => (Denied, Customer, Reason::KeyOperationForbidden),
        V::KeyDisabled => (Denied, Customer, Reason::KeyDisabled),
        // No inner code is known for these; on unwrap, where dates do not matter, any such 403 is a plain denial.
        V::KeyExpired | V::KeyNotYetValid | V::UnknownForbidden | V::PurgeProtected => {
            (Denied, Customer, Reason::VaultDenied)
        }
        V::KeyNotFound => (Gone, Customer, Reason::KeyNotFound),
        V::NameIsDeleted => (Gone, Customer, Reason::KeySoftDeleted),
        V::BadParameter => (Ours, Service, Reason::VaultBadParameter),
        V::NoSuchPath | V::VaultDeleted | V::UnknownRefusal => (Ours, Service, Reason::VaultRefusedUnknown),
        V::Throttled | V::ThrottledWithoutRetryAfter => (Transient, Customer, Reason::VaultThrottled),
        V::InternalError | V::BadGateway | V::Unavailable | V::GatewayTimeout => {
            (Transient, Customer, Reason::VaultUnavailable)
        }
    }
}

/// What a directory's refusal means.
fn of_entra(refusal: EntraRefusal) -> (Class, Owner, Reason) {
    use Class::{Denied, Ours, Transient};
    use EntraRefusal as E;
    use Owner::{Customer, Service};
    match refusal {
        E::TenantNotFound => (Denied, Customer, Reason::EntraTenantUnknown),
        E::AppNotInDirectory | E::AppNotInDirectoryAsResource | E::ServicePrincipalMissing => {
            (Denied, Customer, Reason::EntraAppNotInTenant)
        }
        E::ConsentMissing | E::AdminConsentRequired | E::Misconfigured => {
            (Denied, Customer, Reason::EntraConsentMissing)
        }
        E::AppDisabled | E::AppUnavailable => (Denied, Customer, Reason::EntraAppDisabled),
        E::SecretWrong => (Ours, Service, Reason::EntraSecretWrong),
        E::SecretExpired => (Ours, Service, Reason::EntraSecretExpired),
        E::CertificateUnknown
        | E::AssertionOutsideItsTime
        | E::CertificateRevoked
        | E::CertificateOutsideItsTime
        | E::AssertionSignature => (Ours, Service, Reason::EntraCertificateRefused),
        E::FederatedSubjectUnknown
        | E::FederatedTokenForbidden
        | E::FederatedIssuerUnknown
        | E::FederatedAudienceUnknown => (Ours, Service, Reason::EntraFederationMismatch),
        E::ConditionalAccess | E::SecurityPolicy => (Denied, Customer, Reason::EntraConditionalAccess),
        E::TenantThrottled
        | E::LoopDetected
        | E::BudgetExceeded
        | E::DirectoryUnavailable
        | E::Retryable
        | E::TooManyRequests
        | E::Unavailable => (Transient, Service, Reason::EntraThrottled),
        E::UserNotAssigned => (Denied, Customer, Reason::EntraUserNotAssigned),
        E::UserNotInTenant | E::UserUnknown | E::AccountNotInTenant => (Denied, Customer, Reason::EntraUserNotInTenant),
        E::RedirectMismatch => (Ours, Service, Reason::EntraRedirectMismatch),
        // Numbers without a row of their own: judged by their `error`, which in each of these says it is our fault.
        E::AssertionNotOfThisClient
        | E::AssertionAudience
        | E::CredentialMissing
        | E::AssertionMalformed
        | E::ParameterMissing
        | E::GrantUnsupported
        | E::ResourceUnknown
        | E::ScopeInvalid
        | E::CodeRedirectMismatch
        | E::LoginRequired
        | E::PkceRequired
        | E::ResponseTypeUnsupported
        | E::SingleTenant => (Ours, Service, Reason::EntraRefused),
        // The sign-in page's, which a vault's token never meets: by their `error` again.
        E::CodeInvalid | E::CodeExpired | E::CodeRedeemed | E::VerifierMismatch | E::ConsentDeclined => {
            (Denied, Customer, Reason::EntraDenied)
        }
    }
}

fn judged(why: &KeyUnavailable) -> (Class, Owner, Reason) {
    (why.class(), why.owner(), why.reason())
}

/// Each row of the vault's table, on an unwrap. Nothing but a 401 is asked twice, and that once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_a_vault_is_told_apart() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    let keys = world.keys();
    let blob = keys.wrap(&at, version, &payload(7), DEADLINE).await.unwrap().blob;
    for refusal in VaultRefusal::ALL.iter().copied() {
        let scope = Scope::everywhere().operation(Operation::UnwrapKey);
        let fault = world.emulator.faults().switch_on(Fault::Vault(refusal), scope);
        world.emulator.clear_calls();
        let why = keys.unwrap(&at, version, &blob, DEADLINE).await.map(|_| ()).unwrap_err();
        assert_eq!(judged(&why), of_vault(refusal), "{refusal:?}: {why:?}");
        let asked = if refusal.status() == 401 { 2 } else { 1 };
        assert_eq!(world.emulator.count(Operation::UnwrapKey), asked, "{refusal:?} is asked once, a 401 once more");
        assert!(why.request_id().is_some(), "{refusal:?} keeps the vault's id of the call");
        let wait = matches!(refusal, VaultRefusal::Throttled).then_some(Duration::from_secs(1));
        assert_eq!(why.retry_after(), wait, "{refusal:?}");
        is_silent_about(&why, &world);
        world.emulator.faults().clear(fault);
        keys.unwrap(&at, version, &blob, DEADLINE).await.unwrap_or_else(|why| panic!("after {refusal:?}: {why:?}"));
    }
}

/// Each row of the directory's table, on the first call of a cold provider, which asks once and tells the vault nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_refusal_of_a_directory_is_told_apart() {
    let world = World::start().await;
    let (at, version) = world.key("byok").await;
    for refusal in EntraRefusal::ALL.iter().copied() {
        let keys = world.keys();
        let fault = world.emulator.faults().switch_on(Fault::Entra(refusal), Scope::everywhere());
        world.emulator.clear_calls();
        let why = keys.wrap(&at, version, &payload(7), DEADLINE).await.map(|_| ()).unwrap_err();
        assert_eq!(judged(&why), of_entra(refusal), "{refusal:?}: {why:?}");
        assert_eq!(world.emulator.count(Operation::Token), 1, "{refusal:?} is asked once");
        assert_eq!(world.emulator.count(Operation::WrapKey), 0);
        assert!(why.correlation_id().is_some(), "{refusal:?} keeps the directory's id of the call");
        is_silent_about(&why, &world);
        world.emulator.faults().clear(fault);
        keys.wrap(&at, version, &payload(7), DEADLINE).await.unwrap_or_else(|why| panic!("after {refusal:?}: {why:?}"));
    }
}

/// An error prints nothing of the customer's: not the vault, not the tenant, not who asked, and no secret.
fn is_silent_about(why: &KeyUnavailable, world: &World) {
    let printed = format!("{why} {why:?} {why:#?} {}", why.remedy());
    let ours =
        [world.vault.host(), world.contoso.id(), world.app.client_id(), &world.us.object_id, &world.secret, "https://"];
    for private in ours {
        assert!(!printed.contains(private), "{printed}");
    }
}
