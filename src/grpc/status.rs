//! What a refusal looks like on the wire: a gRPC code, one sentence, and google.rpc's ErrorInfo and RetryInfo.
//!
//! Everything here is read by strangers: the reason's own words, never a cause, a host name or another's id.

use std::collections::HashMap;
use std::time::Duration;

use domain::{Reason, RequestId};
use service::Refusal;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// The `domain` of every ErrorInfo.
pub const DOMAIN: &str = "byokd";

/// The gRPC code of a reason. There is no catch-all: a new reason cannot ship without one.
pub const fn code(reason: Reason) -> Code {
    match reason {
        Reason::RequestInvalid
        | Reason::NameInvalid
        | Reason::ContextInvalid
        | Reason::PlaintextTooLarge
        | Reason::BatchTooLarge
        | Reason::StreamInvalid
        | Reason::CiphertextMalformed
        | Reason::CiphertextVersionUnsupported
        | Reason::DecryptionFailed
        | Reason::KeyIdentifierInvalid
        | Reason::ProviderUnsupported
        | Reason::TenantInvalid
        | Reason::EnforcementDateInvalid
        | Reason::EnforcementZoneMissing
        | Reason::EnforcementZoneUnknown
        | Reason::EnforcementDatePast
        | Reason::EnforcementDateInGap
        | Reason::EnforcementDateAmbiguous
        | Reason::EnforcementDateTooSoon
        | Reason::AppUnknown
        | Reason::SelectionContradictory
        | Reason::DomainInvalid
        | Reason::SecretIdPasted
        | Reason::PrivateKeyPasted
        | Reason::ConsentCodeWrong => Code::InvalidArgument,
        Reason::Unauthenticated => Code::Unauthenticated,
        Reason::NotFound => Code::NotFound,
        Reason::PermissionDenied | Reason::GrantNotHeld | Reason::CallerIsYourself => Code::PermissionDenied,
        Reason::AlreadyExists | Reason::CallerCertificateTaken => Code::AlreadyExists,
        Reason::DeadlineExceeded => Code::DeadlineExceeded,
        Reason::QuotaExceeded => Code::ResourceExhausted,
        // What the customer, or who configures for them, has to change before a retry can help.
        Reason::OperationUnderWay
        | Reason::NothingToRotate
        | Reason::OperationEnded
        | Reason::KeyNotConfigured
        | Reason::KeyAlreadyInForce
        | Reason::KeyUnsuitable
        | Reason::KeyManaged
        | Reason::VaultTenantMismatch
        | Reason::VaultRoleMissing
        | Reason::VaultAccessPolicyMissing
        | Reason::VaultFirewall
        | Reason::VaultPublicAccessOff
        | Reason::KeyOperationForbidden
        | Reason::KeyDisabled
        | Reason::KeyExpired
        | Reason::KeyNotYetValid
        | Reason::KeyNotFound
        | Reason::KeySoftDeleted
        | Reason::VaultDenied
        | Reason::EntraTenantUnknown
        | Reason::EntraAppNotInTenant
        | Reason::EntraConsentMissing
        | Reason::EntraAppDisabled
        | Reason::EntraConditionalAccess
        | Reason::EntraUserNotAssigned
        | Reason::EntraUserNotInTenant
        | Reason::EntraDenied
        | Reason::EnforcementFrozen
        | Reason::EnforcementNotDue
        | Reason::EnforcementHeld
        | Reason::KeyNotTested
        | Reason::TestOutdated
        | Reason::TestOfAnotherConfiguration
        | Reason::KeyAlreadyEnforced
        | Reason::KeyNotEnforced
        | Reason::KeyRevoked
        | Reason::ChangedMeanwhile
        | Reason::OwnershipNotProven
        | Reason::VaultOpensDamaged
        | Reason::KeyPurgeable
        | Reason::KeyExportable
        | Reason::KeyExpires
        | Reason::AppNotUnderCustomerKey
        | Reason::ApprovalOwnRequest
        | Reason::ApprovalNotAwaited
        | Reason::ApprovalExpired
        | Reason::KeyReplacementUntested
        | Reason::KeyConfigurationMoved
        | Reason::KeyIsInForce
        | Reason::KeyLeft
        | Reason::DataKeyActive
        | Reason::DataKeyDestroyed
        | Reason::SignInOver
        | Reason::SignInOtherTenant
        | Reason::SignInGuest
        | Reason::SignInNotAdministrator
        | Reason::SignInGroupsOverage
        | Reason::CallerIsConfigured
        | Reason::CallerLastAdministrator
        | Reason::CallerTokensInUse
        | Reason::CredentialNotTested
        | Reason::CredentialSlotsFull
        | Reason::CredentialInUse
        | Reason::CredentialExpired
        | Reason::RegistrationElsewhere
        | Reason::RegistrationSecretRefused
        | Reason::RegistrationSecretExpired
        | Reason::RegistrationCertificateRefused
        | Reason::TenantNotConnected
        | Reason::TenantNotProven
        | Reason::TenantDisconnected
        | Reason::ConsentStateUnknown
        | Reason::ConsentOtherBrowser
        | Reason::ConsentDeclined
        | Reason::ConsentOtherTenant
        | Reason::ConsentNotUnderWay
        | Reason::ConsentNotConfigured
        | Reason::OwnershipNonceExpired
        | Reason::OwnershipNonceUsed
        | Reason::KeyBoundElsewhere
        | Reason::ReconnectFirst => Code::FailedPrecondition,
        // What passes by itself.
        Reason::VaultThrottled
        | Reason::VaultUnavailable
        | Reason::VaultTimeout
        | Reason::VaultUnreachable
        | Reason::VaultNameUnknown
        | Reason::EntraThrottled
        | Reason::EntraUnreachable
        | Reason::ShuttingDown
        | Reason::StoreUnavailable
        | Reason::ControlLeaseEnded
        | Reason::SigningKeysUnavailable => Code::Unavailable,
        // What the platform's operators have to mend.
        Reason::VaultAnswerInvalid
        | Reason::VaultAudienceWrong
        | Reason::VaultBadParameter
        | Reason::VaultRefusedUnknown
        | Reason::KeySubstituted
        | Reason::EntraSecretWrong
        | Reason::EntraSecretExpired
        | Reason::EntraCertificateRefused
        | Reason::EntraFederationMismatch
        | Reason::EntraRedirectMismatch
        | Reason::EntraRefused
        | Reason::CredentialUnusable
        | Reason::PlatformKeyUnavailable
        | Reason::EnforcementMissed
        | Reason::Internal
        | Reason::SignInUntrusted
        | Reason::SignInClaimsMissing
        | Reason::VaultAddressForbidden
        | Reason::VaultAddressNotApproved
        | Reason::DatabaseRolledBack => Code::Internal,
        Reason::RowForged | Reason::WrappedKeyCorrupt | Reason::CredentialNotRetrieved => Code::DataLoss,
    }
}

/// How long a caller is asked to wait where nothing better is known: short of a second for what another attempt or replica
/// cures, seconds for what is overloaded.
fn usual_delay(reason: Reason) -> Option<Duration> {
    match code(reason) {
        Code::Unavailable if reason == Reason::ShuttingDown => Some(Duration::from_millis(500)),
        Code::Unavailable => Some(Duration::from_secs(5)),
        Code::ResourceExhausted => Some(Duration::from_secs(1)),
        _ => None,
    }
}

/// The status of a refusal: its reason's code, its sentence, and in the details its reason, owner, remedy and request id, the
/// vault's and the directory's ids of the call where there was one, and when to try again.
pub fn status(refusal: &Refusal, request: RequestId) -> Status {
    let reason = refusal.reason();
    let mut metadata = HashMap::from([
        ("owner".to_owned(), reason.owner().as_str().to_owned()),
        ("remedy".to_owned(), reason.remedy().to_owned()),
        ("request_id".to_owned(), request.to_string()),
    ]);
    let traces = [("vault_request_id", refusal.vault_request_id()), ("entra_correlation_id", refusal.correlation_id())];
    metadata.extend(traces.into_iter().filter_map(|(key, id)| Some((key.to_owned(), id?.to_owned()))));
    let mut details = ErrorDetails::with_error_info(reason.as_str(), DOMAIN, metadata);
    if let Some(usual) = usual_delay(reason) {
        details.set_retry_info(Some(refusal.wait().unwrap_or(usual)));
    }
    Status::with_error_details(code(reason), refusal.message(), details)
}

/// The table of all reasons, as `docs/errors.md` shows it.
pub fn table() -> String {
    let mut text = String::from(
        "# Errors\n\n\
         Every refused call carries `google.rpc.ErrorInfo` with the domain `byokd` and one of these reasons; its metadata holds \
         `owner`,\n`remedy` and `request_id`, and where a vault or a directory was asked, `vault_request_id` and \
         `entra_correlation_id`. `UNAVAILABLE`\nand `RESOURCE_EXHAUSTED` also carry `google.rpc.RetryInfo`. Failed items of a \
         batch name the reason in `ItemError`.\n\n\
         The owner is who can fix it: whoever made the call, the customer whose vault it is, or the platform that runs the \
         service.\n\n\
         This table is generated; a test compares it with the program.\n\n\
         | reason | owner | gRPC code | what is wrong | what to do |\n|---|---|---|---|---|\n",
    );
    for reason in Reason::ALL {
        let (owner, summary, remedy) = (reason.owner(), reason.summary(), reason.remedy());
        let code = name(code(*reason));
        text.push_str(&format!("| `{reason}` | {owner} | `{code}` | {summary} | {remedy} |\n"));
    }
    text
}

/// A code as the gRPC documentation writes it.
const fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::{Owner, Timestamp};

    fn request() -> RequestId {
        RequestId::new(Timestamp::from_micros(0), [7; 10])
    }

    fn of(reason: Reason) -> Status {
        status(&Refusal::because(reason), request())
    }

    /// What a retry can help says when; what it cannot, does not invite one.
    #[test]
    fn a_delay_is_given_exactly_where_a_retry_can_help() {
        for reason in Reason::ALL {
            let may_help = matches!(code(*reason), Code::Unavailable | Code::ResourceExhausted);
            let delay = of(*reason).get_details_retry_info().and_then(|info| info.retry_delay);
            assert_eq!(delay.is_some(), may_help, "{reason}");
        }
    }

    /// The code agrees with the owner: what a customer must change is no server error, what is ours is no client error.
    #[test]
    fn the_code_follows_the_owner() {
        for reason in Reason::ALL {
            let allowed: &[Code] = match reason.owner() {
                Owner::Caller => &[
                    Code::InvalidArgument,
                    Code::Unauthenticated,
                    Code::NotFound,
                    Code::PermissionDenied,
                    Code::AlreadyExists,
                    Code::DeadlineExceeded,
                    Code::ResourceExhausted,
                    Code::FailedPrecondition,
                ],
                Owner::Customer => &[Code::FailedPrecondition, Code::Unavailable],
                Owner::Service => &[Code::Internal, Code::Unavailable, Code::DataLoss],
            };
            assert!(allowed.contains(&code(*reason)), "{reason}: {:?}", code(*reason));
        }
    }

    /// A throttling vault's own delay is passed on.
    #[test]
    fn the_causes_own_delay_is_passed_on() {
        let refusal = Refusal::because(Reason::VaultThrottled).retry_after(Duration::from_secs(17));
        let status = status(&refusal, request());
        let delay = status.get_details_retry_info().unwrap().retry_delay.unwrap();
        assert_eq!(delay, Duration::from_secs(17));
    }
}
