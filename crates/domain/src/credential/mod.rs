//! Who the service is to a customer's directory: the platform's own app, or an app that the customer registered.
//!
//! A workspace begins with the platform's app. It goes over to its own registration by making one of that registration's
//! credentials active, and there are two slots for them, so that the next is there and tested before the last goes. Nothing becomes
//! active untested, and a workspace that is on its own registration is never without an active credential: going back to the
//! platform's app is something somebody says.

mod event;
mod expiry;
mod pasted;

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

pub use self::event::CredentialEvent;

pub use self::expiry::{NOTICES, Notice, is_news, notice_at};
pub use self::pasted::{InvalidPaste, PrivateKeyPasted, check_secret, client_id, refuse_private_key};
use crate::{Cloud, CredentialId, Reason, TenantId, Timestamp, WorkspaceId};

/// How many credentials a workspace has at most: the one in use and the next.
pub const SLOTS: usize = 2;
/// A passed test counts this long.
pub const TEST_COUNTS_FOR: Duration = Duration::from_secs(24 * 60 * 60);
/// How long a certificate made here is valid: the directory's own usual limit is longer, and a year is what people plan with.
pub const CERTIFICATE_LASTS: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// A date of expiry further ahead than this is a slip of the pen.
pub const LONGEST_LIFE: Duration = Duration::from_secs(10 * 366 * 24 * 60 * 60);

/// The Application (client) ID of an app registration: a GUID in its lower-case, hyphenated form.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(TenantId);

impl ClientId {
    /// The GUID as text: 36 characters, lower case.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl FromStr for ClientId {
    type Err = crate::InvalidId;
    fn from_str(text: &str) -> Result<Self, crate::InvalidId> {
        text.parse().map(Self)
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// An app that the customer registered, and the one directory it is asked for tokens of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Registration {
    /// Whose login host is asked.
    pub cloud: Cloud,
    /// The directory. A token of it is asked for, and of no other.
    pub tenant: TenantId,
    /// The app.
    pub client_id: ClientId,
}

/// What is known of a credential without its secret part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A client secret.
    Secret {
        /// The last four characters, by which people tell secrets apart.
        last_four: String,
    },
    /// A certificate whose private key was made here.
    Certificate {
        /// The public part: X.509, DER.
        der: Vec<u8>,
        /// SHA-256 over the DER: how the directory finds it.
        thumbprint: [u8; 32],
    },
}

impl Proof {
    /// `secret` or `certificate`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Secret { .. } => "secret",
            Self::Certificate { .. } => "certificate",
        }
    }
}

/// One credential of a customer's registration. Its secret part is sealed, and nothing here opens it.
#[derive(Clone, PartialEq, Eq)]
pub struct Credential {
    /// Which.
    pub id: CredentialId,
    /// Of which app.
    pub registration: Registration,
    /// What it is.
    pub proof: Proof,
    /// When it was added.
    pub created_at: Timestamp,
    /// From when on the directory does not take it any more.
    pub expires_at: Timestamp,
    /// By whom it was added.
    pub added_by: String,
    /// When a test of exactly this credential last passed.
    pub tested_at: Option<Timestamp>,
    /// When it was removed; its secret part is gone then.
    pub removed_at: Option<Timestamp>,
    /// The last notice of its expiry that was given, in days.
    pub noticed: Option<u16>,
    /// The secret part under the platform's secrets key; empty when it was removed.
    pub sealed: Vec<u8>,
}

/// Where a credential stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CredentialState {
    /// Nobody has tested it, or its last test failed.
    Added,
    /// A test passed.
    Tested {
        /// When.
        at: Timestamp,
    },
    /// Directories are asked with it.
    Active,
    /// It was removed.
    Removed,
}

impl CredentialState {
    /// The name in the contract.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Tested { .. } => "TESTED",
            Self::Active => "ACTIVE",
            Self::Removed => "REMOVED",
        }
    }
}

/// Which of the two ways a workspace goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntegrationModel<'a> {
    /// The platform's own app, which the customer consented to.
    Platform,
    /// The customer's own registration, with this credential.
    CustomerRegistration(&'a Credential),
}

/// What a workspace has to do with its directory: its credentials, and which of them is in use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Integration {
    /// Whose.
    pub workspace: WorkspaceId,
    /// Counts the changes, from 1.
    pub change: u64,
    /// The credential in use; absent where the platform's app is.
    pub active: Option<CredentialId>,
    /// When it last changed.
    pub changed_at: Timestamp,
    /// Every credential there ever was, in the order of their adding. Removed ones keep their rows.
    pub credentials: Vec<Credential>,
}

/// Why a change of the credentials is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialRefused {
    /// There is none with this id, or it was removed.
    #[error("there is no such credential")]
    Unknown,
    /// Both slots are taken.
    #[error("both slots hold a credential")]
    SlotsFull,
    /// It is the one in use.
    #[error("the credential is in use")]
    InUse,
    /// No test of it has passed, or the last one failed.
    #[error("the credential was never tested with success")]
    Untested,
    /// The test is too old.
    #[error("the credential's test is older than a day")]
    TestOutdated,
    /// It has expired, or would have from the beginning.
    #[error("the credential has expired")]
    Expired,
    /// It expires later than any credential does.
    #[error("the date of expiry is more than ten years ahead")]
    ExpiresTooLate,
    /// The key in force is in another directory than the registration.
    #[error("the registration is in another directory than the key")]
    OtherDirectory,
}

impl CredentialRefused {
    /// The reason as clients see it.
    pub const fn reason(self) -> Reason {
        match self {
            Self::Unknown => Reason::NotFound,
            Self::SlotsFull => Reason::CredentialSlotsFull,
            Self::InUse => Reason::CredentialInUse,
            Self::Untested | Self::TestOutdated => Reason::CredentialNotTested,
            Self::Expired => Reason::CredentialExpired,
            Self::ExpiresTooLate => Reason::RequestInvalid,
            Self::OtherDirectory => Reason::RegistrationElsewhere,
        }
    }
}

/// Without the sealed part: it does not belong in a log.
impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("id", &self.id)
            .field("registration", &self.registration)
            .field("proof", &self.proof)
            .field("expires_at", &self.expires_at)
            .field("tested_at", &self.tested_at)
            .field("removed_at", &self.removed_at)
            .finish_non_exhaustive()
    }
}

impl Credential {
    /// What its sealed part is bound to: this workspace's, of this id, kind and registration. Each part has its length before it,
    /// so that no two rows share these bytes.
    pub fn identity(&self, workspace: &WorkspaceId) -> Vec<u8> {
        let Registration { cloud, tenant, client_id } = &self.registration;
        let mut bytes = Vec::new();
        for part in [
            b"byokd/credential/v1".as_slice(),
            workspace.as_str().as_bytes(),
            self.id.as_bytes(),
            self.proof.kind().as_bytes(),
            client_id.as_str().as_bytes(),
            tenant.as_str().as_bytes(),
            cloud.as_str().as_bytes(),
        ] {
            let len = u32::try_from(part.len()).expect("ids are short");
            bytes.extend_from_slice(&len.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }

    /// Whether the directory still takes it, by its date.
    pub fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at <= now
    }
}

impl Integration {
    /// A workspace that has never had a credential of its own.
    pub fn new(workspace: WorkspaceId, now: Timestamp) -> Self {
        Self { workspace, change: 0, active: None, changed_at: now, credentials: Vec::new() }
    }

    /// Which way the workspace goes. `None`: the credential in use is not among those there are, which no change here makes.
    pub fn model(&self) -> Option<IntegrationModel<'_>> {
        match self.active {
            None => Some(IntegrationModel::Platform),
            Some(id) => self.live().find(|found| found.id == id).map(IntegrationModel::CustomerRegistration),
        }
    }

    /// The credentials that hold a slot.
    pub fn live(&self) -> impl Iterator<Item = &Credential> {
        self.credentials.iter().filter(|found| found.removed_at.is_none())
    }

    /// One that holds a slot.
    ///
    /// # Errors
    /// [`CredentialRefused::Unknown`].
    pub fn credential(&self, id: CredentialId) -> Result<&Credential, CredentialRefused> {
        self.live().find(|found| found.id == id).ok_or(CredentialRefused::Unknown)
    }

    /// Where a credential stands.
    pub fn state_of(&self, credential: &Credential) -> CredentialState {
        match (credential.removed_at, credential.tested_at) {
            (Some(_), _) => CredentialState::Removed,
            (None, _) if self.active == Some(credential.id) => CredentialState::Active,
            (None, Some(at)) => CredentialState::Tested { at },
            (None, None) => CredentialState::Added,
        }
    }

    /// Whether a key of this directory can be asked for as who is in use: a registration is asked for in its own directory and cloud
    /// alone, the platform's app in any that let it in.
    pub fn reaches(&self, cloud: Cloud, tenant: &TenantId) -> bool {
        self.model().is_some_and(|model| match model {
            IntegrationModel::Platform => true,
            IntegrationModel::CustomerRegistration(Credential { registration, .. }) => {
                registration.tenant == *tenant && registration.cloud == cloud
            }
        })
    }

    fn moved(mut self, now: Timestamp) -> Self {
        self.change += 1;
        self.changed_at = now;
        self
    }

    fn with(mut self, id: CredentialId, change: impl FnOnce(&mut Credential)) -> Result<Self, CredentialRefused> {
        let found = self.credentials.iter_mut().find(|found| found.id == id && found.removed_at.is_none());
        change(found.ok_or(CredentialRefused::Unknown)?);
        Ok(self)
    }

    /// Puts a credential into a free slot.
    ///
    /// # Errors
    /// [`CredentialRefused::SlotsFull`], [`Expired`](CredentialRefused::Expired),
    /// [`ExpiresTooLate`](CredentialRefused::ExpiresTooLate).
    pub fn add(mut self, credential: Credential, now: Timestamp) -> Result<Self, CredentialRefused> {
        if self.live().count() >= SLOTS {
            return Err(CredentialRefused::SlotsFull);
        }
        if credential.has_expired(now) {
            return Err(CredentialRefused::Expired);
        }
        if now.saturating_add(LONGEST_LIFE) < credential.expires_at {
            return Err(CredentialRefused::ExpiresTooLate);
        }
        self.credentials.push(credential);
        Ok(self.moved(now))
    }

    /// Notes what a test of exactly this credential found. One that failed takes back what an earlier one said.
    ///
    /// # Errors
    /// [`CredentialRefused::Unknown`].
    pub fn tested(self, id: CredentialId, passed: bool, now: Timestamp) -> Result<Self, CredentialRefused> {
        let noted = self.with(id, |credential| credential.tested_at = passed.then_some(now))?;
        Ok(noted.moved(now))
    }

    /// Whether this credential may become the one in use.
    ///
    /// # Errors
    /// [`CredentialRefused::Unknown`], [`Expired`](CredentialRefused::Expired),
    /// [`Untested`](CredentialRefused::Untested), [`TestOutdated`](CredentialRefused::TestOutdated).
    pub fn may_activate(&self, id: CredentialId, now: Timestamp) -> Result<&Credential, CredentialRefused> {
        let credential = self.credential(id)?;
        let tested = credential.tested_at.ok_or(CredentialRefused::Untested)?;
        if tested.until(now) > TEST_COUNTS_FOR {
            return Err(CredentialRefused::TestOutdated);
        }
        if credential.has_expired(now) {
            return Err(CredentialRefused::Expired);
        }
        Ok(credential)
    }

    /// Makes a tested credential the one in use. The one before keeps its slot until somebody removes it.
    ///
    /// # Errors
    /// As [`may_activate`](Self::may_activate).
    pub fn activate(mut self, id: CredentialId, now: Timestamp) -> Result<Self, CredentialRefused> {
        self.may_activate(id, now)?;
        self.active = Some(id);
        Ok(self.moved(now))
    }

    /// Goes back to the platform's app. The credentials keep their slots.
    pub fn use_platform(mut self, now: Timestamp) -> Self {
        self.active = None;
        self.moved(now)
    }

    /// Removes a credential and its secret part.
    ///
    /// # Errors
    /// [`CredentialRefused::InUse`], [`Unknown`](CredentialRefused::Unknown).
    pub fn remove(self, id: CredentialId, now: Timestamp) -> Result<Self, CredentialRefused> {
        self.credential(id)?;
        if self.active == Some(id) {
            return Err(CredentialRefused::InUse);
        }
        let removed = self.with(id, |credential| {
            credential.removed_at = Some(now);
            credential.sealed = Vec::new();
        })?;
        Ok(removed.moved(now))
    }

    /// Removes every credential, the one in use too: the workspace is deleted.
    pub fn removed_with_workspace(mut self, now: Timestamp) -> Self {
        self.active = None;
        for credential in self.credentials.iter_mut().filter(|found| found.removed_at.is_none()) {
            credential.removed_at = Some(now);
            credential.sealed = Vec::new();
        }
        self.moved(now)
    }

    /// Puts another sealing of the same secret part in place of the one there is.
    ///
    /// # Errors
    /// [`CredentialRefused::Unknown`].
    pub fn resealed(self, id: CredentialId, sealed: Vec<u8>, now: Timestamp) -> Result<Self, CredentialRefused> {
        Ok(self.with(id, |credential| credential.sealed = sealed)?.moved(now))
    }
}

#[cfg(test)]
mod tests;
