//! Why a customer's key could not be used: one variant for each answer a vault or a directory is known to give.
//!
//! Three things hang on a variant, and a new one cannot ship without them: its [`Class`] (what the lease cache does), its
//! [`Reason`] (who fixes it, and how) and its [`Trace`] (the ids under which Microsoft's support finds the call). None
//! prints a host name, an object id or a body: an answer of a vault names the customer's objects, and travels far.

use std::{fmt, time::Duration};

use domain::{Owner, Reason};

/// What a refusal does to keys already in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// The customer's side said no. Purge at once.
    Denied,
    /// The vault says there is no such key. Purge at once.
    Gone,
    /// No answer, or "later". Extends nothing and deletes nothing (I-11): the lease runs out.
    Transient,
    /// Our own fault, or an answer nobody should get. Renews nothing, and somebody is paged.
    Ours,
}

/// The ids the other side gave the call. Only `[0-9A-Za-z._-]`, at most 64 characters: an answer is not a way into our logs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// Key Vault's `x-ms-request-id`.
    pub request_id: Option<Box<str>>,
    /// Entra ID's `correlation_id`.
    pub correlation_id: Option<Box<str>>,
    /// The `x-ms-client-request-id` that our call carried: Key Vault's log has it as `correlationId`.
    pub client_request_id: Option<Box<str>>,
}

impl Trace {
    /// The id of a vault's answer.
    pub fn of_vault(request_id: Option<&str>) -> Self {
        Self { request_id: request_id.and_then(plain), ..Self::default() }
    }

    /// With the id that our own call carried.
    #[must_use]
    pub fn carried(self, client_request_id: Option<&str>) -> Self {
        Self { client_request_id: client_request_id.and_then(plain), ..self }
    }

    /// The ids of a directory's answer.
    pub fn of_directory(request_id: Option<&str>, correlation_id: Option<&str>) -> Self {
        let correlation_id = correlation_id.and_then(plain);
        Self { request_id: request_id.and_then(plain), correlation_id, client_request_id: None }
    }
}

fn plain(id: &str) -> Option<Box<str>> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
    ((1..=64).contains(&id.len()) && id.bytes().all(plain)).then(|| id.into())
}

/// What was wrong with an answer that came with a good status, or led somewhere else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnswerFault {
    /// Not the JSON that was promised, or a member missing or out of range.
    Unreadable,
    /// More bytes than any such answer has.
    TooLarge,
    /// It names another key or version than the one asked.
    OtherKey,
    /// The unwrapped value has not 65 bytes.
    WrongLength,
    /// It points to another host; nothing was sent there.
    OtherOrigin,
    /// A redirect; it was not followed.
    Redirect,
    /// A 401 without a challenge that could be read, or one for another resource.
    Challenge,
    /// The list of versions goes on without end.
    EndlessList,
}

/// What of our own credential for the directory cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CredentialFault {
    /// The file of the federated token cannot be read, or is empty.
    FederatedTokenFile,
    /// The assertion could not be signed.
    Signing,
    /// The credential's own parts are refused before any call (an empty client id, for example).
    Malformed,
    /// The credential was put away while a call was under way.
    PutAway,
}

/// What a directory has against the credential of the customer's own registration. The customer mends it, and not we.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RegistrationFault {
    /// AADSTS7000215: not a secret of this registration, or not any more.
    SecretRefused,
    /// AADSTS7000222.
    SecretExpired,
    /// AADSTS700027, 7000214: not a certificate of this registration, or not any more.
    CertificateUnknown,
    /// AADSTS700024, 1000502, 7000274: the certificate or the assertion is outside its time.
    CertificateOutsideItsTime,
}

/// Why the customer's key could not be used. Each variant is something a person can act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyUnavailable {
    // -- The vault said no.
    /// 401 AKV10032, or a challenge that names another tenant than the bound one.
    TenantMismatch(Trace),
    /// 403 ForbiddenByRbac.
    RoleMissing(Trace),
    /// 403 AccessDenied or ForbiddenByPolicy.
    AccessPolicyMissing(Trace),
    /// 403 ForbiddenByFirewall.
    Firewall(Trace),
    /// 403 ForbiddenByConnection.
    PublicAccessOff(Trace),
    /// 403 KeyOperationForbidden.
    OperationForbidden(Trace),
    /// 403 KeyDisabled.
    Disabled(Trace),
    /// 403 on wrap, and the key's attributes say it has expired. It still unwraps.
    Expired(Trace),
    /// 403 on wrap, and the key's attributes say it is not valid yet. It still unwraps.
    NotYetValid(Trace),
    /// 403 with an inner code that is not known: a denial all the same.
    Denied(Trace),
    /// The key is no RSA key.
    NotRsa(Trace),

    // -- The key is gone.
    /// 404 KeyNotFound.
    NotFound(Trace),
    /// 409 ObjectIsDeletedButRecoverable.
    SoftDeleted(Trace),

    // -- The vault gave no answer that counts.
    /// 429.
    Throttled {
        /// What the vault asks for; absent as often as not.
        retry_after: Option<Duration>,
        /// The call's ids.
        trace: Trace,
    },
    /// Any 5xx, and 408.
    ServerError {
        /// The status.
        status: u16,
        /// What the vault asks for.
        retry_after: Option<Duration>,
        /// The call's ids.
        trace: Trace,
    },
    /// The deadline passed.
    TimedOut {
        /// How long was waited.
        waited: Duration,
    },
    /// Refused, reset, or no TLS.
    Unreachable,
    /// The name does not resolve.
    NameUnknown,
    /// The name leads to an address no vault has (loopback, link-local, the host's own metadata service, the platform's networks).
    AddressForbidden,
    /// The name leads to a private address that was not approved for the workspace.
    AddressNotApproved,

    // -- Ours.
    /// 401 AKV10022.
    AudienceWrong(Trace),
    /// 400 BadParameter. On unwrap: another version wrapped it, or the blob is damaged.
    BadParameter(Trace),
    /// Any other 4xx, an unknown 401 that a fresh token did not cure included.
    Refused {
        /// The status.
        status: u16,
        /// The call's ids.
        trace: Trace,
    },
    /// The answer does not fit what was asked.
    AnswerInvalid {
        /// In which way.
        fault: AnswerFault,
        /// The call's ids.
        trace: Trace,
    },
    /// No locked memory for the unwrapped key.
    OutOfLockedMemory,

    // -- Entra ID.
    /// AADSTS90002.
    DirectoryUnknown(Trace),
    /// AADSTS700016, 700011, 7000229: not consented to, or the enterprise application was deleted.
    AppNotInDirectory(Trace),
    /// AADSTS65001, 90094, 650056.
    ConsentMissing(Trace),
    /// AADSTS7000112, 70001.
    AppDisabled(Trace),
    /// AADSTS7000215.
    SecretWrong(Trace),
    /// AADSTS7000222.
    SecretExpired(Trace),
    /// AADSTS700027, 700024, 7000214, 1000502, 7000274.
    CertificateRefused(Trace),
    /// AADSTS700213, 700229.
    FederationMismatch(Trace),
    /// AADSTS53003, 530032.
    ConditionalAccess(Trace),
    /// AADSTS90055, 50196, 90024, 90033, 50033, and any 429 or 5xx.
    DirectoryThrottled {
        /// What the directory asks for.
        retry_after: Option<Duration>,
        /// The call's ids.
        trace: Trace,
    },
    /// AADSTS50105.
    UserNotAssigned(Trace),
    /// AADSTS50020, 50034, 16000.
    UserNotInDirectory(Trace),
    /// AADSTS50011.
    RedirectMismatch(Trace),
    /// A number that is not known, with an `error` that is a denial.
    DirectoryDenied {
        /// The number, to look up.
        code: Option<u32>,
        /// The call's ids.
        trace: Trace,
    },
    /// A number that is not known, with any other `error`.
    DirectoryRefused {
        /// The number, to look up.
        code: Option<u32>,
        /// The call's ids.
        trace: Trace,
    },
    /// No connection, no answer in time, or none that could be read.
    DirectoryUnreachable,
    /// Our own credential cannot be used.
    CredentialUnusable(CredentialFault),
    /// The credential of the customer's own registration is refused.
    RegistrationRefused {
        /// In which way.
        fault: RegistrationFault,
        /// The call's ids.
        trace: Trace,
    },
    /// The customer's registration is in another directory or cloud than the key. Nobody was asked.
    RegistrationElsewhere,
}

impl KeyUnavailable {
    /// The table: what it does to keys in memory, and the reason as clients see it.
    const fn row(&self) -> (Class, Reason) {
        match self {
            Self::TenantMismatch(_) => (Class::Denied, Reason::VaultTenantMismatch),
            Self::RoleMissing(_) => (Class::Denied, Reason::VaultRoleMissing),
            Self::AccessPolicyMissing(_) => (Class::Denied, Reason::VaultAccessPolicyMissing),
            Self::Firewall(_) => (Class::Denied, Reason::VaultFirewall),
            Self::PublicAccessOff(_) => (Class::Denied, Reason::VaultPublicAccessOff),
            Self::OperationForbidden(_) => (Class::Denied, Reason::KeyOperationForbidden),
            Self::Disabled(_) => (Class::Denied, Reason::KeyDisabled),
            Self::Expired(_) => (Class::Denied, Reason::KeyExpired),
            Self::NotYetValid(_) => (Class::Denied, Reason::KeyNotYetValid),
            Self::Denied(_) => (Class::Denied, Reason::VaultDenied),
            Self::NotRsa(_) => (Class::Denied, Reason::KeyUnsuitable),
            Self::NotFound(_) => (Class::Gone, Reason::KeyNotFound),
            Self::SoftDeleted(_) => (Class::Gone, Reason::KeySoftDeleted),
            Self::Throttled { .. } => (Class::Transient, Reason::VaultThrottled),
            Self::ServerError { .. } => (Class::Transient, Reason::VaultUnavailable),
            Self::TimedOut { .. } => (Class::Transient, Reason::VaultTimeout),
            Self::Unreachable => (Class::Transient, Reason::VaultUnreachable),
            Self::NameUnknown => (Class::Transient, Reason::VaultNameUnknown),
            Self::AddressForbidden => (Class::Ours, Reason::VaultAddressForbidden),
            Self::AddressNotApproved => (Class::Ours, Reason::VaultAddressNotApproved),
            Self::AudienceWrong(_) => (Class::Ours, Reason::VaultAudienceWrong),
            Self::BadParameter(_) => (Class::Ours, Reason::VaultBadParameter),
            Self::Refused { .. } => (Class::Ours, Reason::VaultRefusedUnknown),
            Self::AnswerInvalid { .. } => (Class::Ours, Reason::VaultAnswerInvalid),
            Self::OutOfLockedMemory => (Class::Ours, Reason::Internal),
            Self::DirectoryUnknown(_) => (Class::Denied, Reason::EntraTenantUnknown),
            Self::AppNotInDirectory(_) => (Class::Denied, Reason::EntraAppNotInTenant),
            Self::ConsentMissing(_) => (Class::Denied, Reason::EntraConsentMissing),
            Self::AppDisabled(_) => (Class::Denied, Reason::EntraAppDisabled),
            Self::SecretWrong(_) => (Class::Ours, Reason::EntraSecretWrong),
            Self::SecretExpired(_) => (Class::Ours, Reason::EntraSecretExpired),
            Self::CertificateRefused(_) => (Class::Ours, Reason::EntraCertificateRefused),
            Self::FederationMismatch(_) => (Class::Ours, Reason::EntraFederationMismatch),
            Self::ConditionalAccess(_) => (Class::Denied, Reason::EntraConditionalAccess),
            Self::DirectoryThrottled { .. } => (Class::Transient, Reason::EntraThrottled),
            Self::UserNotAssigned(_) => (Class::Denied, Reason::EntraUserNotAssigned),
            Self::UserNotInDirectory(_) => (Class::Denied, Reason::EntraUserNotInTenant),
            Self::RedirectMismatch(_) => (Class::Ours, Reason::EntraRedirectMismatch),
            Self::DirectoryDenied { .. } => (Class::Denied, Reason::EntraDenied),
            Self::DirectoryRefused { .. } => (Class::Ours, Reason::EntraRefused),
            Self::DirectoryUnreachable => (Class::Transient, Reason::EntraUnreachable),
            Self::CredentialUnusable(_) => (Class::Ours, Reason::CredentialUnusable),
            // Taking a credential away is how a customer shuts an app of theirs out. That one runs out is nobody's word.
            Self::RegistrationRefused { fault: RegistrationFault::SecretRefused, .. } => {
                (Class::Denied, Reason::RegistrationSecretRefused)
            }
            Self::RegistrationRefused { fault: RegistrationFault::CertificateUnknown, .. } => {
                (Class::Denied, Reason::RegistrationCertificateRefused)
            }
            Self::RegistrationRefused { fault: RegistrationFault::SecretExpired, .. } => {
                (Class::Transient, Reason::RegistrationSecretExpired)
            }
            Self::RegistrationRefused { fault: RegistrationFault::CertificateOutsideItsTime, .. } => {
                (Class::Transient, Reason::RegistrationCertificateRefused)
            }
            Self::RegistrationElsewhere => (Class::Transient, Reason::RegistrationElsewhere),
        }
    }

    /// What it does to keys in memory.
    pub const fn class(&self) -> Class {
        self.row().0
    }

    /// The reason as clients see it.
    pub const fn reason(&self) -> Reason {
        self.row().1
    }

    /// Who can fix it.
    pub const fn owner(&self) -> Owner {
        self.reason().owner()
    }

    /// The next step, fit for a stranger.
    pub const fn remedy(&self) -> &'static str {
        self.reason().remedy()
    }

    /// What the other side said beside its no: the ids of the call, and how long to wait.
    const fn said(&self) -> (Option<&Trace>, Option<Duration>) {
        match self {
            Self::Throttled { retry_after, trace }
            | Self::ServerError { retry_after, trace, .. }
            | Self::DirectoryThrottled { retry_after, trace } => (Some(trace), *retry_after),
            Self::TenantMismatch(trace)
            | Self::RoleMissing(trace)
            | Self::AccessPolicyMissing(trace)
            | Self::Firewall(trace)
            | Self::PublicAccessOff(trace)
            | Self::OperationForbidden(trace)
            | Self::Disabled(trace)
            | Self::Expired(trace)
            | Self::NotYetValid(trace)
            | Self::Denied(trace)
            | Self::NotRsa(trace)
            | Self::NotFound(trace)
            | Self::SoftDeleted(trace)
            | Self::AudienceWrong(trace)
            | Self::BadParameter(trace)
            | Self::DirectoryUnknown(trace)
            | Self::AppNotInDirectory(trace)
            | Self::ConsentMissing(trace)
            | Self::AppDisabled(trace)
            | Self::SecretWrong(trace)
            | Self::SecretExpired(trace)
            | Self::CertificateRefused(trace)
            | Self::FederationMismatch(trace)
            | Self::ConditionalAccess(trace)
            | Self::UserNotAssigned(trace)
            | Self::UserNotInDirectory(trace)
            | Self::RedirectMismatch(trace)
            | Self::Refused { trace, .. }
            | Self::AnswerInvalid { trace, .. }
            | Self::RegistrationRefused { trace, .. }
            | Self::DirectoryDenied { trace, .. }
            | Self::DirectoryRefused { trace, .. } => (Some(trace), None),
            Self::TimedOut { .. }
            | Self::Unreachable
            | Self::NameUnknown
            | Self::AddressForbidden
            | Self::AddressNotApproved
            | Self::OutOfLockedMemory
            | Self::DirectoryUnreachable
            | Self::CredentialUnusable(_)
            | Self::RegistrationElsewhere => (None, None),
        }
    }

    /// How long the other side asks us to wait.
    pub const fn retry_after(&self) -> Option<Duration> {
        self.said().1
    }

    /// The ids of the call, where there was an answer.
    pub const fn trace(&self) -> Option<&Trace> {
        self.said().0
    }

    /// Key Vault's id of the call.
    pub fn request_id(&self) -> Option<&str> {
        self.trace().and_then(|trace| trace.request_id.as_deref())
    }

    /// Entra ID's id of the call.
    pub fn correlation_id(&self) -> Option<&str> {
        self.trace().and_then(|trace| trace.correlation_id.as_deref())
    }

    /// Whether it concerns wrapping alone: an expired or not yet valid key still unwraps, so keys in memory stay.
    pub const fn stops_wrapping_only(&self) -> bool {
        matches!(self, Self::Expired(_) | Self::NotYetValid(_))
    }

    /// Whether it is a no to the application that asked, so that another one may be told otherwise. What is about the key, the
    /// vault or the network is not, nor is what nobody knows: that is a no to whoever asks.
    pub const fn is_about_who_asked(&self) -> bool {
        matches!(
            self,
            Self::RoleMissing(_)
                | Self::AccessPolicyMissing(_)
                | Self::AppNotInDirectory(_)
                | Self::ConsentMissing(_)
                | Self::AppDisabled(_)
                | Self::ConditionalAccess(_)
                | Self::UserNotAssigned(_)
                | Self::RegistrationRefused { .. }
        )
    }
}

/// One clause, fit for a stranger.
impl fmt::Display for KeyUnavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.reason().summary())
    }
}

// By hand and not derived: the text is the reason's, so that there is one wording of it.
impl std::error::Error for KeyUnavailable {}

impl From<secmem::OutOfLockedMemory> for KeyUnavailable {
    fn from(_: secmem::OutOfLockedMemory) -> Self {
        Self::OutOfLockedMemory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer cannot write into our logs by way of its ids.
    #[test]
    fn an_id_that_is_not_plain_is_dropped() {
        assert_eq!(Trace::of_vault(Some("5b6e-1.a_b")).request_id.as_deref(), Some("5b6e-1.a_b"));
        let long = "a".repeat(65);
        for bad in ["", "a b", "a\nb", "a\u{1b}[31m", "https://contoso.vault.azure.net/", &long] {
            assert_eq!(Trace::of_vault(Some(bad)).request_id, None, "{bad:?}");
        }
    }

    /// Nobody is told to wait for what waiting does not cure, and nothing that is only slow is called a denial.
    #[test]
    fn a_transient_failure_is_never_a_denial() {
        let slow = KeyUnavailable::Throttled { retry_after: Some(Duration::from_secs(3)), trace: Trace::default() };
        assert_eq!((slow.class(), slow.retry_after()), (Class::Transient, Some(Duration::from_secs(3))));
        let no = KeyUnavailable::Disabled(Trace::default());
        assert_eq!((no.class(), no.retry_after(), no.owner()), (Class::Denied, None, Owner::Customer));
    }

    /// I-8: whoever asked, a no about the key itself is one, and so is a no that nobody can read.
    #[test]
    fn what_is_said_of_the_key_is_said_to_everybody() {
        let t = Trace::default;
        for of_the_key in [
            KeyUnavailable::Disabled(t()),
            KeyUnavailable::NotFound(t()),
            KeyUnavailable::SoftDeleted(t()),
            KeyUnavailable::Expired(t()),
            KeyUnavailable::NotYetValid(t()),
            KeyUnavailable::OperationForbidden(t()),
            KeyUnavailable::TenantMismatch(t()),
            KeyUnavailable::Firewall(t()),
            KeyUnavailable::PublicAccessOff(t()),
            KeyUnavailable::DirectoryUnknown(t()),
            KeyUnavailable::Denied(t()),
            KeyUnavailable::DirectoryDenied { code: None, trace: t() },
        ] {
            assert!(!of_the_key.is_about_who_asked(), "{of_the_key:?}");
        }
        for of_who_asked in [KeyUnavailable::RoleMissing(t()), KeyUnavailable::ConsentMissing(t())] {
            assert!(of_who_asked.is_about_who_asked(), "{of_who_asked:?}");
        }
    }
}
