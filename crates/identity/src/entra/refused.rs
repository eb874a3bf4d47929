//! Why a directory or a sign-in is refused: one variant for each thing somebody can act on.

use domain::{Owner, Reason};

use super::rules::{IdTokenRefused, Rule};

/// Why the directory, or whoever signed in, is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DirectoryRefused {
    /// No such tenant in this cloud (AADSTS90002).
    #[error("there is no such directory")]
    TenantUnknown,
    /// The domain or tenant is that of personal accounts, which is nobody's organisation.
    #[error("personal accounts have no directory to prove")]
    PersonalAccounts,
    /// Our application is not in the tenant (AADSTS700016, 7000229).
    #[error("our application is not in the directory")]
    AppNotInTenant,
    /// Nobody consented (AADSTS65001 and others).
    #[error("nobody consented to our application")]
    ConsentMissing,
    /// The enterprise application is disabled (AADSTS7000112).
    #[error("our application is disabled in the directory")]
    AppDisabled,
    /// Our secret is wrong (AADSTS7000215).
    #[error("our client secret is wrong")]
    SecretWrong,
    /// Our secret has expired (AADSTS7000222).
    #[error("our client secret has expired")]
    SecretExpired,
    /// Our certificate's assertion is refused (AADSTS700027 and others).
    #[error("our certificate's assertion is refused")]
    CertificateRefused,
    /// No federated credential matches (AADSTS700213 and others).
    #[error("no federated credential matches")]
    FederationMismatch,
    /// Conditional access says no (AADSTS53003).
    #[error("conditional access refuses our application")]
    ConditionalAccess,
    /// The user is not assigned (AADSTS50105).
    #[error("the user is not assigned to our application")]
    UserNotAssigned,
    /// The user is not in the tenant (AADSTS50020 and others).
    #[error("the user is not in the directory")]
    UserNotInTenant,
    /// Our redirect address is not registered (AADSTS50011).
    #[error("our redirect address is not registered")]
    RedirectMismatch,
    /// Busy or briefly away.
    #[error("the directory is throttling or briefly away")]
    Throttled,
    /// The code was used, has expired, or belongs to another sign-in (AADSTS54005, 70008, 70000, 501481, 500112).
    #[error("this sign-in is over")]
    SignInOver,
    /// Another refusal; the number where there is one.
    #[error("the directory refused")]
    Refused {
        /// AADSTS number.
        code: Option<u32>,
    },
    /// No whole answer came.
    #[error("the directory did not answer")]
    Unreachable,
    /// The answer is not what this endpoint answers.
    #[error("the directory's answer is not one of this endpoint")]
    AnswerInvalid,
    /// The signing keys cannot be had.
    #[error("the directory's signing keys are not known, or too old")]
    KeysUnavailable,
    /// Our own credential cannot be used.
    #[error("our own credential cannot be used")]
    CredentialUnusable,
    /// The id_token is not believed, or is not of somebody who proves the tenant.
    #[error(transparent)]
    IdToken(#[from] IdTokenRefused),
}

impl DirectoryRefused {
    /// The reason that is answered.
    pub const fn reason(self) -> Reason {
        match self {
            Self::TenantUnknown => Reason::EntraTenantUnknown,
            Self::PersonalAccounts => Reason::SignInOtherTenant,
            Self::AppNotInTenant => Reason::EntraAppNotInTenant,
            Self::ConsentMissing => Reason::EntraConsentMissing,
            Self::AppDisabled => Reason::EntraAppDisabled,
            Self::SecretWrong => Reason::EntraSecretWrong,
            Self::SecretExpired => Reason::EntraSecretExpired,
            Self::CertificateRefused => Reason::EntraCertificateRefused,
            Self::FederationMismatch => Reason::EntraFederationMismatch,
            Self::ConditionalAccess => Reason::EntraConditionalAccess,
            Self::UserNotAssigned => Reason::EntraUserNotAssigned,
            Self::UserNotInTenant => Reason::EntraUserNotInTenant,
            Self::RedirectMismatch => Reason::EntraRedirectMismatch,
            Self::Throttled => Reason::EntraThrottled,
            Self::SignInOver => Reason::SignInOver,
            Self::Refused { .. } | Self::AnswerInvalid => Reason::EntraRefused,
            Self::Unreachable => Reason::EntraUnreachable,
            Self::KeysUnavailable => Reason::SigningKeysUnavailable,
            Self::CredentialUnusable => Reason::CredentialUnusable,
            Self::IdToken(refused) => refused.rule.reason(),
        }
    }

    /// Who can fix it.
    pub const fn owner(self) -> Owner {
        self.reason().owner()
    }

    /// The next step.
    pub const fn remedy(self) -> &'static str {
        self.reason().remedy()
    }

    /// Whether it looks like somebody trying something: what an operator wants to hear of.
    pub const fn is_suspicious(self) -> bool {
        matches!(self.reason(), Reason::SignInUntrusted)
    }
}

impl Rule {
    /// The reason that is answered when it is broken. What could tell a forger which part to mend is one reason.
    pub(super) const fn reason(self) -> Reason {
        match self {
            Self::Size
            | Self::Form
            | Self::Algorithm
            | Self::Extensions
            | Self::KeyId
            | Self::KeyKnown
            | Self::Signature
            | Self::Ambiguity
            | Self::KeyIssuer
            | Self::Audience
            | Self::Expiry
            | Self::NotBefore
            | Self::IssuedAt
            | Self::Issuer
            | Self::Version => Reason::SignInUntrusted,
            Self::Nonce => Reason::SignInOver,
            Self::TenantForm | Self::NotPersonal | Self::Tenant => Reason::SignInOtherTenant,
            Self::ObjectId | Self::AccountKind | Self::RolesSaid => Reason::SignInClaimsMissing,
            Self::NotAGuest => Reason::SignInGuest,
            Self::GroupsInFull => Reason::SignInGroupsOverage,
            Self::Administrator => Reason::SignInNotAdministrator,
        }
    }
}
