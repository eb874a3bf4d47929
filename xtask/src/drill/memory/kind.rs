//! Which kinds of secrets there are, and what may be found of each besides locked pages: where, why, and for how long.

use super::process::Place;

/// What kind of secret it is: what is promised about it, and why it may be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    DataKey,
    Subkey,
    MessageKey,
    PlatformKey,
    TlsKey,
    ClientSecret,
    /// A client secret of a customer's own app registration.
    RegistrationSecret,
    /// The private key of a certificate that was made for a customer's own app registration.
    RegistrationKey,
    AccessToken,
    BearerToken,
    /// A caller's token as `IssueToken` answers it, which nobody has called with yet.
    IssuedToken,
    WebhookSecret,
    Context,
    Plaintext,
}

/// What may be found of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Residue {
    pub(crate) cause: &'static str,
    pub(crate) until: &'static str,
    /// On stacks as well as on the heap.
    pub(crate) on_stacks: bool,
}

impl Kind {
    pub(crate) const ALL: [Self; 14] = [
        Self::DataKey,
        Self::Subkey,
        Self::MessageKey,
        Self::PlatformKey,
        Self::TlsKey,
        Self::ClientSecret,
        Self::RegistrationSecret,
        Self::RegistrationKey,
        Self::AccessToken,
        Self::BearerToken,
        Self::IssuedToken,
        Self::WebhookSecret,
        Self::Context,
        Self::Plaintext,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::DataKey => "data keys",
            Self::Subkey => "their CMAC subkeys",
            Self::MessageKey => "keys of messages",
            Self::PlatformKey => "platform root and what it gives",
            Self::TlsKey => "listener's private key",
            Self::ClientSecret => "platform's client secret",
            Self::RegistrationSecret => "customers' client secrets",
            Self::RegistrationKey => "customers' certificate keys",
            Self::AccessToken => "vault's access tokens",
            Self::BearerToken => "callers' bearer tokens",
            Self::IssuedToken => "tokens as they are issued",
            Self::WebhookSecret => "webhook secret",
            Self::Context => "contexts",
            Self::Plaintext => "plaintexts",
        }
    }

    /// What is expected of it outside locked pages; `None`: nothing, anywhere, ever.
    pub(crate) fn residue(self) -> Option<Residue> {
        let heap = |cause, until| Some(Residue { cause, until, on_stacks: false });
        match self {
            Self::DataKey | Self::Subkey | Self::MessageKey | Self::PlatformKey | Self::WebhookSecret => None,
            Self::TlsKey => heap("rustls signs with it", "the listener's certificate is another"),
            Self::ClientSecret => heap("kept to ask the directory for tokens", "the process ends"),
            Self::RegistrationSecret => heap(
                "the request that adds it; kept to ask the directory for tokens",
                "the connection ends; the credential is no longer in use",
            ),
            Self::RegistrationKey => {
                heap("the library that made it signs with it", "the credential is no longer in use")
            }
            Self::AccessToken => {
                heap("kept to ask the vault; the request's buffers", "renewed or rejected (60 to 90 min)")
            }
            Self::BearerToken => Some(Residue {
                cause: "HTTP/2's buffers and header table; a worker's stack, beside a stream that asks again",
                until: "written over, or the connection ends",
                on_stacks: true,
            }),
            Self::IssuedToken => heap("the answer's buffers", "written over, or the connection ends"),
            Self::Context | Self::Plaintext => Some(Residue {
                cause: "buffers of the request and the answer; a worker's stack",
                until: "written over, or the connection ends",
                on_stacks: true,
            }),
        }
    }

    /// May stand in locked pages and nowhere else.
    pub(crate) fn must_be_locked(self) -> bool {
        self.residue().is_none()
    }

    /// Whether a finding there is no fault.
    pub(crate) fn may_stand(self, place: &Place) -> bool {
        match (place, self.residue()) {
            (Place::Locked, _) => true,
            (Place::Heap, residue) => residue.is_some(),
            (Place::Stack, residue) => residue.is_some_and(|residue| residue.on_stacks),
            (Place::File(_), _) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is a key is expected nowhere, and no other secret where the drill gives no cause for it.
    #[test]
    fn nothing_is_expected_without_a_cause() {
        for kind in Kind::ALL {
            let file = Place::File("lib.so".into());
            assert!(kind.may_stand(&Place::Locked) && !kind.may_stand(&file), "{}", kind.name());
            assert_eq!(kind.may_stand(&Place::Heap), kind.residue().is_some(), "{}", kind.name());
            assert!(kind.residue().is_none_or(|residue| !residue.cause.is_empty() && !residue.until.is_empty()));
        }
        assert!(!Kind::DataKey.may_stand(&Place::Heap) && !Kind::DataKey.may_stand(&Place::Stack));
        assert!(Kind::Plaintext.may_stand(&Place::Stack) && !Kind::RegistrationKey.may_stand(&Place::Stack));
    }
}
