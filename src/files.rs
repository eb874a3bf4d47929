//! How files an operator names are read, and when one that holds a secret is refused.

use std::io::{ErrorKind, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// No file the daemon reads whole is larger; a wrong path must not fill the memory.
const LARGEST: u64 = 1024 * 1024;

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileRefused {
    /// Nothing is there.
    #[error("{} does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// This user may not read it.
    #[error("{} may not be read by this user", path.display())]
    Forbidden {
        /// The path.
        path: PathBuf,
    },
    /// A folder, a device, or longer than any such file is.
    #[error("{} is not a file of at most 1 MiB", path.display())]
    NotAFile {
        /// The path.
        path: PathBuf,
    },
    /// Others can read a secret.
    #[error("{} holds a secret and has the permissions {mode:04o}", path.display())]
    ReadableByOthers {
        /// The path.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The secret belongs to another user, who can change it.
    #[error("{} holds a secret and belongs to another user", path.display())]
    NotOurs {
        /// The path.
        path: PathBuf,
    },
    /// Any other failure to read it.
    #[error("{} cannot be read: {cause}", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the operating system said.
        cause: std::io::Error,
    },
}

impl FileRefused {
    /// The next step.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "check the path",
            Self::Forbidden { .. } => "run as the user the file belongs to, or let that user read it",
            Self::NotAFile { .. } => "check the path",
            Self::ReadableByOthers { .. } => "take the permissions of group and others away: chmod 600 FILE",
            Self::NotOurs { .. } => "let the file belong to the user the service runs as, or to root",
            Self::Unreadable { .. } => "check the disk and the file",
        }
    }
}

/// Reads a file that may be public, at most 1 MiB.
pub fn read(path: &Path) -> Result<Vec<u8>, FileRefused> {
    read_if(path, |_| Ok(()))
}

/// Reads a file that holds a secret: nobody but its owner may read it, and the owner is this user or root.
pub fn read_private(path: &Path) -> Result<Vec<u8>, FileRefused> {
    read_if(path, |found| {
        if found.mode() & 0o077 != 0 {
            return Err(FileRefused::ReadableByOthers { path: path.into(), mode: found.mode() & 0o7777 });
        }
        let us = rustix::process::geteuid().as_raw();
        if found.uid() == us || found.uid() == 0 { Ok(()) } else { Err(FileRefused::NotOurs { path: path.into() }) }
    })
}

/// Opens, then looks at what was opened: the path cannot be exchanged in between.
fn read_if(
    path: &Path,
    check: impl FnOnce(&std::fs::Metadata) -> Result<(), FileRefused>,
) -> Result<Vec<u8>, FileRefused> {
    let refused = |cause: std::io::Error| match cause.kind() {
        ErrorKind::NotFound => FileRefused::Missing { path: path.into() },
        ErrorKind::PermissionDenied => FileRefused::Forbidden { path: path.into() },
        _ => FileRefused::Unreadable { path: path.into(), cause },
    };
    // A named pipe would block the open for ever.
    if !std::fs::metadata(path).map_err(refused)?.is_file() {
        return Err(FileRefused::NotAFile { path: path.into() });
    }
    let file = std::fs::File::open(path).map_err(refused)?;
    let found = file.metadata().map_err(refused)?;
    if !found.is_file() || found.len() > LARGEST {
        return Err(FileRefused::NotAFile { path: path.into() });
    }
    check(&found)?;
    let mut bytes = Vec::with_capacity(usize::try_from(found.len()).unwrap_or(0));
    file.take(LARGEST).read_to_end(&mut bytes).map_err(refused)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A secret that a group or the world can read is refused; the same file without those bits is read.
    #[test]
    fn a_secret_others_can_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("secret");
        std::fs::write(&path, b"s3cret").unwrap();
        let with = |mode| {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            read_private(&path)
        };
        for open in [0o604, 0o640, 0o644, 0o666, 0o620, 0o601] {
            assert!(matches!(with(open), Err(FileRefused::ReadableByOthers { .. })), "{open:o}");
        }
        assert_eq!(with(0o600).unwrap(), b"s3cret");
        assert_eq!(with(0o400).unwrap(), b"s3cret");
        assert!(matches!(read(folder.path()), Err(FileRefused::NotAFile { .. })));
        assert!(matches!(read(&folder.path().join("none")), Err(FileRefused::Missing { .. })));
    }
}
