//! The names of everything a client can ask for: faults are scoped by them and the call log counts them.

use serde::{Deserialize, Serialize};

/// One kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Operation {
    /// A TLS handshake. Logged only when it was refused.
    Connect,
    /// A vault request without a token: answered with the 401 challenge.
    Challenge,
    /// `GET /healthstatus`
    Health,
    /// `GET /keys/{name}/{version}`
    GetKey,
    /// `GET /keys/{name}/versions`
    ListVersions,
    /// `GET /keys`
    ListKeys,
    /// `POST /keys/{name}/create`
    Create,
    /// `PUT /keys/{name}`
    Import,
    /// `PATCH /keys/{name}/{version}`
    Update,
    /// `POST /keys/{name}/rotate`
    Rotate,
    /// `GET /keys/{name}/rotationpolicy`
    GetRotationPolicy,
    /// `PUT /keys/{name}/rotationpolicy`
    PutRotationPolicy,
    /// `DELETE /keys/{name}`
    Delete,
    /// `GET /deletedkeys/{name}`
    GetDeleted,
    /// `GET /deletedkeys`
    ListDeleted,
    /// `POST /deletedkeys/{name}/recover`
    Recover,
    /// `DELETE /deletedkeys/{name}`
    Purge,
    /// `POST /keys/{name}/{version}/wrapkey`
    WrapKey,
    /// `POST /keys/{name}/{version}/unwrapkey`
    UnwrapKey,
    /// `POST /keys/{name}/{version}/encrypt`
    Encrypt,
    /// `POST /keys/{name}/{version}/decrypt`
    Decrypt,
    /// `POST /{tenant}/oauth2/v2.0/token` (and the version 1 form)
    Token,
    /// `GET /{tenant}/v2.0/.well-known/openid-configuration` (and the version 1 form), and instance discovery
    Discovery,
    /// `GET /{tenant}/discovery/v2.0/keys` (and the version 1 form)
    Jwks,
    /// `GET` and `POST /{tenant}/adminconsent` and `/{tenant}/v2.0/adminconsent`
    AdminConsent,
    /// `GET` and `POST /{tenant}/oauth2/v2.0/authorize`
    Authorize,
    /// Anything else.
    Unknown,
}

impl Operation {
    /// Whether the key material itself is used (the per-second limits weigh these by key size).
    pub(crate) const fn uses_the_key(self) -> bool {
        matches!(self, Self::WrapKey | Self::UnwrapKey | Self::Encrypt | Self::Decrypt)
    }

    /// The name the vault uses in its messages and in `key_ops`.
    pub(crate) const fn vault_name(self) -> &'static str {
        match self {
            Self::WrapKey => "wrapKey",
            Self::UnwrapKey => "unwrapKey",
            Self::Encrypt => "encrypt",
            Self::Decrypt => "decrypt",
            Self::GetKey => "get",
            Self::ListVersions | Self::ListKeys | Self::ListDeleted => "list",
            Self::Create => "create",
            Self::Import => "import",
            Self::Update => "update",
            Self::Rotate => "rotate",
            Self::GetRotationPolicy => "getrotationpolicy",
            Self::PutRotationPolicy => "setrotationpolicy",
            Self::Delete => "delete",
            Self::GetDeleted => "get",
            Self::Recover => "recover",
            Self::Purge => "purge",
            Self::Connect | Self::Challenge | Self::Health => "",
            Self::Token | Self::Discovery | Self::Jwks | Self::AdminConsent | Self::Authorize | Self::Unknown => "",
        }
    }
}
