//! How Key Vault says no: status, code and inner code of every answer that is not a success.
//!
//! The same table serves natural causes (a key that really is disabled) and fault switches.

use serde::{Deserialize, Serialize};

macro_rules! refusals {
    ($($(#[doc = $doc:literal])* $name:ident $status:literal $code:literal $inner:expr;)*) => {
        /// One way a vault refuses. In JSON: the name in snake case.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum VaultRefusal { $($(#[doc = $doc])* $name,)* }

        impl VaultRefusal {
            /// Every refusal.
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The HTTP status.
            pub const fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// `error.code` of the body.
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// `error.innererror.code` of the body.
            pub const fn inner_code(self) -> Option<&'static str> {
                match self { $(Self::$name => $inner,)* }
            }
        }
    };
}

refusals! {
    /// No token: the challenge.
    TokenMissing 401 "Unauthorized" None;
    /// A token that is malformed, expired, not signed by our directory, or not meant for use now.
    TokenInvalid 401 "Unauthorized" None;
    /// AKV10022: the token is for another audience (cloud).
    WrongAudience 401 "Unauthorized" None;
    /// AKV10032: the token's tenant is not the vault's.
    WrongTenant 401 "Unauthorized" None;
    /// The principal has no role with the data action.
    NoRole 403 "Forbidden" Some("ForbiddenByRbac");
    /// The vault uses access policies and none grants the permission.
    NoAccessPolicy 403 "Forbidden" Some("AccessDenied");
    /// The other inner code seen for access policies.
    NoAccessPolicyOtherCode 403 "Forbidden" Some("ForbiddenByPolicy");
    /// The caller's address is not allowed.
    Firewall 403 "Forbidden" Some("ForbiddenByFirewall");
    /// Public network access is off.
    PublicAccessOff 403 "Forbidden" Some("ForbiddenByConnection");
    /// `key_ops` does not list the operation.
    KeyOperationForbidden 403 "Forbidden" Some("KeyOperationForbidden");
    /// The key version is disabled.
    KeyDisabled 403 "Forbidden" Some("KeyDisabled");
    /// Wrap or encrypt after `exp`. The real inner code is published nowhere: none is sent, as an assumption.
    KeyExpired 403 "Forbidden" None;
    /// Wrap or encrypt before `nbf`. As with `exp`, no inner code is known.
    KeyNotYetValid 403 "Forbidden" None;
    /// A 403 with an inner code that no client can know.
    UnknownForbidden 403 "Forbidden" Some("ForbiddenBySomethingNew");
    /// Purge protection is on. No inner code is known.
    PurgeProtected 403 "Forbidden" None;
    /// No such key or version.
    KeyNotFound 404 "KeyNotFound" None;
    /// No such path.
    NoSuchPath 404 "NotFound" None;
    /// The vault is soft-deleted: its name still resolves. What Azure answers then is not documented: an assumption.
    VaultDeleted 404 "VaultNotFound" None;
    /// The name belongs to a deleted key that can be recovered.
    NameIsDeleted 409 "Conflict" Some("ObjectIsDeletedButRecoverable");
    /// A parameter is wrong; on unwrap also: the bytes do not open.
    BadParameter 400 "BadParameter" None;
    /// A client error that no client can know.
    UnknownRefusal 418 "SomethingNew" None;
    /// Too many requests; `Retry-After` says when to come back.
    Throttled 429 "Throttled" None;
    /// Too many requests, without `Retry-After`.
    ThrottledWithoutRetryAfter 429 "Throttled" None;
    /// 500
    InternalError 500 "InternalServerError" None;
    /// 502
    BadGateway 502 "BadGateway" None;
    /// 503
    Unavailable 503 "ServiceUnavailable" None;
    /// 504
    GatewayTimeout 504 "GatewayTimeout" None;
}

/// What the messages mention.
#[derive(Debug, Clone, Default)]
pub(crate) struct Circumstances {
    pub(crate) vault: String,
    pub(crate) audience: String,
    pub(crate) issuer: String,
    pub(crate) key: String,
    pub(crate) operation: &'static str,
    pub(crate) action: String,
    /// `appid=…;oid=…;iss=…`, as the vault quotes its caller.
    pub(crate) caller: String,
    pub(crate) address: String,
    pub(crate) resource: String,
    /// A fact that only the place of refusal knows.
    pub(crate) detail: Option<String>,
}

impl VaultRefusal {
    /// The message, with the same parts (ids of the caller, line breaks) that the real ones carry.
    pub(crate) fn message(self, at: &Circumstances) -> String {
        let Circumstances { vault, audience, issuer, key, operation, action, caller, address, resource, detail } = at;
        let detail = detail.as_deref();
        match self {
            Self::TokenMissing => "AKV10000: Request is missing a Bearer or PoP token.".into(),
            Self::TokenInvalid => format!("[TokenInvalid] Error validating token: {}", detail.unwrap_or("not usable")),
            Self::WrongAudience => {
                let found = detail.unwrap_or("https://vault.example");
                format!("AKV10022: Invalid audience. Expected {audience}, found: {found}.")
            }
            Self::WrongTenant => {
                let found = detail.unwrap_or("https://sts.windows.net/00000000-0000-4000-8000-000000000000/");
                format!("AKV10032: Invalid issuer. Expected one of {issuer}, found {found}.")
            }
            Self::NoRole => format!(
                "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
                 definitions were changed recently, please observe propagation time.\r\nCaller: {caller}\r\nAction: \
                 '{action}'\r\nResource: '{resource}'\r\nAssignment: (not found)\r\nDenyAssignmentId: \
                 null\r\nDecisionReason: null \r\nVault: {vault};location=emulated\r\n"
            ),
            Self::NoAccessPolicy | Self::NoAccessPolicyOtherCode => format!(
                "The user, group or application '{caller}' does not have keys {operation} permission on key vault \
                 '{vault};location=emulated'."
            ),
            Self::Firewall => format!(
                "Client address is not authorized and caller is not a trusted service.\r\nClient address: \
                 {address}\r\nCaller: {caller}\r\nVault: {vault};location=emulated"
            ),
            Self::PublicAccessOff => format!(
                "Public network access is disabled and request is not from a trusted service nor via an approved private \
                 link.\r\nCaller: {caller}\r\nVault: {vault};location=emulated"
            ),
            Self::KeyOperationForbidden => {
                format!("Operation {operation} is not permitted on this key: its key_ops do not list it.")
            }
            Self::KeyDisabled => format!("Operation {operation} is not allowed on a disabled key."),
            Self::KeyExpired => format!("Operation {operation} is not allowed on an expired key."),
            Self::KeyNotYetValid => format!("Operation {operation} is not allowed on a key that is not yet valid."),
            Self::UnknownForbidden => "The request was refused for a reason of a later release.".into(),
            Self::PurgeProtected => {
                "Operation \"purge\" is not allowed because purge protection is enabled for this vault.".into()
            }
            Self::KeyNotFound => format!(
                "A key with (name/id) {key} was not found in this key vault. If you recently deleted this key you may be \
                 able to recover it using the correct recovery command."
            ),
            Self::NoSuchPath => "There is no such resource.".into(),
            Self::VaultDeleted => format!("The vault {vault} is deleted and can be recovered."),
            Self::NameIsDeleted => format!(
                "Key {key} is currently in a deleted but recoverable state, and its name cannot be reused; in this state, \
                 the key can only be recovered or purged."
            ),
            Self::BadParameter => detail.unwrap_or("The parameter is incorrect.").to_owned(),
            Self::UnknownRefusal => "The request was refused in a way of a later release.".into(),
            Self::Throttled | Self::ThrottledWithoutRetryAfter => {
                "Request was not processed because too many requests were received. Reason: VaultRequestTypeLimitReached"
                    .into()
            }
            Self::InternalError => "An unexpected error occurred while processing the request.".into(),
            Self::BadGateway => "The gateway received an invalid answer.".into(),
            Self::Unavailable => "The service is temporarily unavailable.".into(),
            Self::GatewayTimeout => "The gateway did not receive an answer in time.".into(),
        }
    }
}

/// A refusal with what only its place knows.
#[derive(Debug, Clone)]
pub(crate) struct Refused {
    pub(crate) refusal: VaultRefusal,
    pub(crate) detail: Option<String>,
    /// Seconds for `Retry-After`.
    pub(crate) retry_after: Option<u64>,
}

impl From<VaultRefusal> for Refused {
    fn from(refusal: VaultRefusal) -> Self {
        let retry_after = matches!(refusal, VaultRefusal::Throttled).then_some(1);
        Self { refusal, detail: None, retry_after }
    }
}

impl Refused {
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self { refusal: VaultRefusal::BadParameter, detail: Some(detail.into()), retry_after: None }
    }

    pub(crate) fn with(refusal: VaultRefusal, detail: impl Into<String>) -> Self {
        Self { refusal, detail: Some(detail.into()), retry_after: None }
    }
}
