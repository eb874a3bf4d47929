//! Where data goes, so that a file appears only when it is whole.
//!
//! A file is written under another name in the same directory, flushed to the disk, and then given its name in one step; until
//! then there is nothing under that name, or what was there before. A pipe (standard output, a device) gets its bytes as they
//! come: there the exit code says whether they count.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use tempfile::NamedTempFile;
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::failure::Failure;

/// An opened output.
pub(crate) struct Destination {
    writer: Box<dyn AsyncWrite + Unpin + Send>,
    file: Option<Pending>,
}

/// A file that does not have its name yet. Dropping it removes it.
struct Pending {
    temporary: NamedTempFile,
    /// As it was typed.
    named: PathBuf,
    /// What it leads to.
    path: PathBuf,
    replace: bool,
}

impl Destination {
    /// Opens `path`; `-` is standard output. `private`: for its owner's eyes only, as plaintexts are.
    pub(crate) fn open(path: &Path, replace: bool, private: bool) -> Result<Self, Failure> {
        if path.as_os_str() == "-" {
            return Ok(Self { writer: Box::new(tokio::io::stdout()), file: None });
        }
        match std::fs::metadata(path) {
            Ok(there) if there.is_dir() => {
                return Err(Failure::caller(format!("{} is a directory", path.display())).hint("name a file in it"));
            }
            Ok(there) if !there.is_file() => return Self::open_device(path),
            Ok(_) if !replace => return Err(in_the_way(path)),
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unwritable(path, &error)),
        }
        // What a link leads to is replaced, not the link.
        let named = path.to_owned();
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let directory = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            Some(_) | None => Path::new("."),
        };
        let mut prefix = OsString::from(".");
        prefix.push(path.file_name().unwrap_or_default());
        let made = tempfile::Builder::new()
            .prefix(&prefix)
            .suffix(".partial")
            .permissions(std::os::unix::fs::PermissionsExt::from_mode(if private { 0o600 } else { 0o666 }))
            .tempfile_in(directory);
        let temporary = made.map_err(|error| unwritable(&path, &error))?;
        let handle = temporary.as_file().try_clone().map_err(|error| unwritable(&path, &error))?;
        let mut writer = tokio::fs::File::from_std(handle);
        writer.set_max_buf_size(256 * 1024);
        Ok(Self { writer: Box::new(writer), file: Some(Pending { temporary, named, path, replace }) })
    }

    /// A device or a named pipe is no file: it is written as a pipe is, and never replaced by one.
    fn open_device(path: &Path) -> Result<Self, Failure> {
        let opened = std::fs::OpenOptions::new().write(true).open(path);
        let file = opened.map_err(|error| unwritable(path, &error))?;
        Ok(Self { writer: Box::new(tokio::fs::File::from_std(file)), file: None })
    }

    /// Where bytes are written to. Before [`Self::keep`] they count for nothing in a file, and are provisional in a pipe.
    pub(crate) fn writer(&mut self) -> &mut (dyn AsyncWrite + Unpin + Send) {
        &mut *self.writer
    }

    /// Whether bytes leave as they are written, and cannot be taken back.
    pub(crate) fn is_pipe(&self) -> bool {
        self.file.is_none()
    }

    /// The file's name as typed; `None` for a pipe.
    pub(crate) fn file_name(&self) -> Option<String> {
        self.file.as_ref().map(|pending| pending.named.display().to_string())
    }

    pub(crate) async fn write_all(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer.write_all(bytes).await.map_err(|error| client::StreamError::Write(error).into())
    }

    /// Gives a file that takes another's place the permissions of that one, and its owner where we may.
    pub(crate) fn look_like(&self, other: &std::fs::Metadata) -> Result<(), Failure> {
        use std::os::unix::fs::MetadataExt;
        let Some(pending) = &self.file else { return Ok(()) };
        let file = pending.temporary.as_file();
        // Only root may give files away; whoever may replace a file may own what replaces it.
        let _ = std::os::unix::fs::fchown(file, Some(other.uid()), Some(other.gid()));
        file.set_permissions(other.permissions()).map_err(|error| unwritable(&pending.path, &error))
    }

    /// Everything is there: waits until it is on the disk and gives the file its name.
    pub(crate) async fn keep(mut self) -> Result<(), Failure> {
        self.writer.flush().await.map_err(client::StreamError::Write)?;
        let Some(Pending { temporary, path, replace, .. }) = self.file else { return Ok(()) };
        temporary.as_file().sync_all().map_err(|error| unwritable(&path, &error))?;
        let kept = if replace { temporary.persist(&path) } else { temporary.persist_noclobber(&path) };
        kept.map_err(|refused| match refused.error.kind() {
            io::ErrorKind::AlreadyExists => in_the_way(&path),
            _ => unwritable(&path, &refused.error),
        })?;
        // The name is durable once the directory is. Some file systems cannot: then the system decides when.
        if let Some(directory) = path.parent().filter(|d| !d.as_os_str().is_empty()) {
            let _ = std::fs::File::open(directory).and_then(|directory| directory.sync_all());
        }
        Ok(())
    }
}

/// Refuses to pour bytes that are no text over a terminal.
pub(crate) fn not_a_terminal(path: &Path) -> Result<(), Failure> {
    if path.as_os_str() == "-" && io::stdout().is_terminal() {
        return Err(Failure::caller("the output is not text and standard output is a terminal")
            .hint("write it to a file with -o FILE, or pipe it on"));
    }
    Ok(())
}

fn in_the_way(path: &Path) -> Failure {
    Failure::caller(format!("{} exists already", path.display()))
        .hint("choose another name, or replace it with --force")
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    Failure::caller(format!("{} cannot be written: {error}", path.display()))
        .hint("check the directory, its permissions and its free space")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(directory: &Path) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    /// Until it is whole there is nothing under the file's name, and giving up leaves nothing at all.
    #[tokio::test]
    async fn a_file_appears_only_when_it_is_whole() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut given_up = Destination::open(&path, false, false).unwrap();
        given_up.write_all(b"half").await.unwrap();
        assert!(!path.exists());
        drop(given_up);
        assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));

        let mut kept = Destination::open(&path, false, true).unwrap();
        kept.write_all(b"whole").await.unwrap();
        assert!(!path.exists());
        kept.keep().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"whole");
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "a plaintext is for its owner");
        assert_eq!(names(dir.path()), ["out"]);
    }

    /// A file that is in the way stays as it is, also when it came while ours was being written.
    #[tokio::test]
    async fn what_exists_is_never_overwritten_unasked() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut racing = Destination::open(&path, false, false).unwrap();
        racing.write_all(b"ours").await.unwrap();
        std::fs::write(&path, "theirs").unwrap();
        assert!(racing.keep().await.is_err());
        assert!(Destination::open(&path, false, false).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");

        let mut forced = Destination::open(&path, true, false).unwrap();
        forced.write_all(b"ours").await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs", "replaced in one step, at the end");
        forced.keep().await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"ours");
        assert_eq!(names(dir.path()), ["out"]);
    }

    /// A device is written to, not replaced by a file; a link stays a link.
    #[tokio::test]
    async fn devices_and_links_stay_what_they_are() {
        let mut null = Destination::open(Path::new("/dev/null"), true, false).unwrap();
        assert!(null.is_pipe());
        null.write_all(b"x").await.unwrap();
        null.keep().await.unwrap();
        assert!(!std::fs::metadata("/dev/null").unwrap().is_file());

        let dir = tempfile::tempdir().unwrap();
        let (real, link) = (dir.path().join("real"), dir.path().join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        let mut through = Destination::open(&link, true, false).unwrap();
        through.write_all(b"new").await.unwrap();
        through.keep().await.unwrap();
        assert!(link.symlink_metadata().unwrap().is_symlink());
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
    }
}
