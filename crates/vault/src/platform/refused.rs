//! Why the platform root was not opened or created, and what to do about it.

use std::io;

use crate::KeyUnavailable;

/// Why the root was refused. Nothing starts without it, and nothing is created in its place.
#[derive(Debug, thiserror::Error)]
pub enum RootRefused {
    /// There is no such file.
    #[error("there is no platform key file at the configured path")]
    NotThere,
    /// `init` found a file.
    #[error("the platform key file exists already")]
    Exists,
    /// A symbolic link, a directory, a device.
    #[error("the platform key is not a plain file of its own")]
    NotAPlainFile,
    /// Somebody else owns it.
    #[error("the platform key file belongs to user {owner}, and this process runs as user {ours}")]
    NotOurs {
        /// The owner's user id.
        owner: u32,
        /// Ours.
        ours: u32,
    },
    /// Others may read or write it.
    #[error("the platform key file has mode {mode:04o}; others must not be able to read or write it")]
    TooOpen {
        /// Its permission bits.
        mode: u32,
    },
    /// The file system failed.
    #[error("the platform key file could not be {doing}")]
    Io {
        /// `read` or `written`.
        doing: &'static str,
        /// How.
        #[source]
        cause: io::Error,
    },
    /// It does not begin as a root does.
    #[error("this is not a platform key file")]
    NotARoot,
    /// It ends early.
    #[error("the platform key file is truncated")]
    Truncated,
    /// Its checksum, or something the checksum covers, is wrong.
    #[error("the platform key file is damaged")]
    Damaged,
    /// A later release wrote it.
    #[error("the platform key file has format version {version}, which this release does not know")]
    VersionUnknown {
        /// The version it says.
        version: u8,
    },
    /// Its keys are wrapped by a vault, and none was given.
    #[error("the platform key file is wrapped by a vault")]
    Wrapped,
    /// Its keys stand in the clear, and a vault was given.
    #[error("the platform key file is not wrapped by a vault, but the configuration says so")]
    NotWrapped,
    /// Another key of the vault wrapped it.
    #[error("the platform key file is wrapped by another key than the configured one")]
    WrappedByAnother,
    /// The vault's key cannot wrap a root.
    #[error("the configured vault key cannot protect the platform key: {0}")]
    KeyUnsuitable(domain::Reason),
    /// The vault did not unwrap it.
    #[error("the platform's own vault did not unwrap the platform key: {0}")]
    VaultRefused(#[from] KeyUnavailable),
    /// The vault unwrapped something else.
    #[error("what the vault unwrapped is not this platform key")]
    NotThisKey,
    /// The file has no key of this id.
    #[error("the platform key file has no key {0}")]
    NoSuchKey(domain::PlatformKeyId),
    /// The primary is not removed.
    #[error("{0} is the primary: it seals what is written now")]
    IsPrimary(domain::PlatformKeyId),
    /// The file holds as many keys as it can.
    #[error("the platform key file holds 16 keys, and no more fit")]
    Full,
    /// No locked memory.
    #[error("there is no locked memory for the platform key")]
    OutOfLockedMemory(#[from] secmem::OutOfLockedMemory),
}

impl RootRefused {
    /// The next step.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotThere => {
                "create one with `byokd platform-key init`, or restore it from its backup; a new one opens nothing sealed before"
            }
            Self::Exists => "use it, or choose another path; an existing root is never overwritten",
            Self::NotAPlainFile => "point the configuration at the file itself",
            Self::NotOurs { .. } => "give the file to the user the service runs as (chown)",
            Self::TooOpen { .. } => "run chmod 0600 on the file, and think of who may have read it",
            Self::Io { .. } => "check the path, its directory's permissions and the disk",
            Self::NotARoot => "point the configuration at the file that `byokd platform-key init` made",
            Self::Truncated | Self::Damaged => "restore the file from its backup",
            Self::VersionUnknown { .. } => "use the release that wrote it, or a later one",
            Self::Wrapped => "name the platform's vault key in the configuration",
            Self::NotWrapped => "remove the vault key from the configuration, or point it at the wrapped file",
            Self::WrappedByAnother => "name the vault key that wrapped the file",
            Self::KeyUnsuitable(reason) => reason.remedy(),
            Self::VaultRefused(why) => why.remedy(),
            Self::NotThisKey => "restore the file from its backup; somebody may have exchanged it",
            Self::NoSuchKey(_) => "list its keys with `byokd platform-key list`",
            Self::IsPrimary(_) => "make another key the primary first: `byokd platform-key promote`",
            Self::Full => "remove a key that nothing is under: `byokd platform-key list` says which",
            Self::OutOfLockedMemory(_) => {
                "raise the limit of locked memory (LimitMEMLOCK=), or set memory_lock to preferred"
            }
        }
    }
}
