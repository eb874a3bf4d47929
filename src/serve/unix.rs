//! How a Unix socket comes to stand at its path: a dead one is replaced, a live one never.

use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use super::BindRefused;

/// What fits in the kernel's `sun_path`, its final zero included, less the suffix of the temporary name.
const LONGEST_PATH: usize = 107 - ".new".len();

/// The socket's file, removed when the listener goes, if it is still the same one.
pub(super) struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if std::fs::symlink_metadata(&self.path).is_ok_and(|found| found.ino() == self.inode) {
            // Best effort: a file left behind is recognised as dead at the next start.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Binds a socket at `path` with these permission bits. It is made beside its place and moved there when its permissions
/// are right, so that nobody connects in between.
pub(super) fn bind(path: &Path, mode: u32) -> Result<(UnixListener, SocketFile), BindRefused> {
    if path.as_os_str().len() > LONGEST_PATH {
        return Err(BindRefused::SocketPathTooLong { path: path.into(), longest: LONGEST_PATH });
    }
    refuse_unless_free(path)?;
    let io = |cause: std::io::Error| match cause.kind() {
        ErrorKind::NotFound => BindRefused::NoSuchFolder { path: path.into() },
        _ => BindRefused::Socket { path: path.into(), cause },
    };
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    match std::fs::remove_file(&beside) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(io(error)),
        _ => {}
    }
    let listener = UnixListener::bind(&beside).map_err(io)?;
    std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode)).map_err(io)?;
    let inode = std::fs::symlink_metadata(&beside).map_err(io)?.ino();
    std::fs::rename(&beside, path).map_err(io)?;
    Ok((listener, SocketFile { path: path.into(), inode }))
}

/// A path is free when nothing is there, or a socket nobody listens on.
fn refuse_unless_free(path: &Path) -> Result<(), BindRefused> {
    let found = match std::fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(cause) => return Err(BindRefused::Socket { path: path.into(), cause }),
    };
    if !found.file_type().is_socket() {
        return Err(BindRefused::NotASocket { path: path.into() });
    }
    match UnixStream::connect(path) {
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => Ok(()),
        // Whoever answers, or refuses us by its permissions, is alive.
        Ok(_) => Err(BindRefused::SocketBusy { path: path.into() }),
        Err(cause) => Err(BindRefused::Socket { path: path.into(), cause }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a crashed daemon leaves behind is replaced; a living daemon's socket and any other file are left alone.
    #[test]
    fn only_a_dead_socket_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("byokd.sock");
        drop(UnixListener::bind(&path).unwrap()); // the file stays, nobody listens
        let (alive, file) = bind(&path, 0o600).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert!(matches!(bind(&path, 0o600), Err(BindRefused::SocketBusy { .. })));
        drop((alive, file));
        assert!(!path.exists(), "the socket's file goes with its listener");

        std::fs::write(&path, b"somebody's notes").unwrap();
        assert!(matches!(bind(&path, 0o600), Err(BindRefused::NotASocket { .. })));
        assert_eq!(std::fs::read(&path).unwrap(), b"somebody's notes");
        let nowhere = folder.path().join("missing/byokd.sock");
        assert!(matches!(bind(&nowhere, 0o600), Err(BindRefused::NoSuchFolder { .. })));
        let long = folder.path().join("x".repeat(120));
        assert!(matches!(bind(&long, 0o600), Err(BindRefused::SocketPathTooLong { .. })));
    }
}
