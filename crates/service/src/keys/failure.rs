//! Why a key could not be made ready.

use domain::Reason;
use store::StoreError;
use vault::KeyUnavailable;
use vault::platform::NotOpened;

use crate::Refusal;

/// Why the work behind a cold key ended without it. Told to everyone who waited for it.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum Failure {
    /// No such workspace or app, or it was deleted.
    #[error("there is no such app")]
    NotFound,
    /// The app has no such data key that could have sealed anything.
    #[error("the app has no such data key")]
    UnknownKey,
    /// The life of the customer's key does not permit it.
    #[error("refused by the life of the customer's key: {0}")]
    Ruled(Reason),
    /// The customer's vault did not do what it was asked.
    #[error("the vault: {0}")]
    Vault(#[from] KeyUnavailable),
    /// The database did not do what it was asked.
    #[error("the store: {0}")]
    Store(#[from] StoreError),
    /// The database did not answer in time.
    #[error("the store did not answer in time")]
    StoreSlow,
    /// This replica has not read the database for longer than C, and could not now.
    #[error("the database could not be read for too long: {0}")]
    Adrift(StoreError),
    /// The platform root does not open what it should have sealed.
    #[error("the platform key: {0}")]
    Platform(#[from] NotOpened),
    /// The vault said yes, and what came back is not this key; or the rows around it do not fit together.
    #[error("a wrapped key is corrupt: {0}")]
    Corrupt(&'static str),
    /// No locked memory for another key.
    #[error("out of locked memory")]
    OutOfMemory,
    /// The key version's or the workspace's standing changed again and again while the work was under way, or the vault's
    /// answer took longer than the lease it gives.
    #[error("the proof came too late")]
    TooLate,
    /// The work panicked.
    #[error("the work ended in a panic")]
    Crashed,
}

impl From<secmem::OutOfLockedMemory> for Failure {
    fn from(_: secmem::OutOfLockedMemory) -> Self {
        Self::OutOfMemory
    }
}

impl From<Failure> for Refusal {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::NotFound => Self::because(Reason::NotFound),
            Failure::UnknownKey => Self::because(Reason::DecryptionFailed),
            Failure::Ruled(reason) => Self::because(reason),
            Failure::Vault(why) => Self::from(why),
            Failure::Store(why) => Self::from(why),
            // What a reading found is for its owner to hear; that there was none has its own words.
            Failure::Adrift(why) => match why.reason() {
                Reason::StoreUnavailable => Self::because(Reason::ControlLeaseEnded).caused_by(why),
                _ => Self::from(why),
            },
            Failure::StoreSlow => Self::because(Reason::StoreUnavailable).caused_by(failure),
            Failure::Platform(why) => Self::because(why.reason()).caused_by(why),
            Failure::Corrupt(_) => Self::because(Reason::WrappedKeyCorrupt).caused_by(failure),
            Failure::TooLate => Self::because(Reason::VaultTimeout).caused_by(failure),
            Failure::OutOfMemory | Failure::Crashed => Self::because(Reason::Internal).caused_by(failure),
        }
    }
}
