//! The files of a database: who may read them, who holds them, and how a new one comes into being whole or not at all.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use super::OpenRefused;

/// The lock on `{database}.lock`. Held as long as it lives; the kernel lets go of it however the process ends.
pub(super) struct Lock {
    _files: Vec<File>,
}

impl Lock {
    /// Takes the lock, or says who has it. The file stays when the lock is gone: removing it would race with the next one.
    pub(super) fn take(database: &Path) -> Result<Self, OpenRefused> {
        let path = beside(database, ".lock");
        let refused = |cause| OpenRefused::LockFile { path: path.clone(), cause };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(refused)?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let mut holder = String::new();
                let pid = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
                return Err(OpenRefused::Locked { path: database.to_owned(), pid });
            }
            Err(error) => return Err(refused(error.into())),
        }
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| writeln!(file, "{}", std::process::id()));
        written.map_err(refused)?;
        Ok(Self { _files: vec![file] })
    }

    /// Both in one.
    pub(super) fn and(mut self, other: Self) -> Self {
        self._files.extend(other._files);
        self
    }
}

/// `{path}{suffix}`, in the same directory.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Refuses a database file that is not a regular file, not ours, or open to others; and one that is not SQLite's, or not
/// ours by its application id. Everything here is read before SQLite touches the file.
pub(super) fn check(path: &Path, application_id: u32) -> Result<(), OpenRefused> {
    let unreadable = |cause| OpenRefused::Unreadable { path: path.to_owned(), cause };
    let found = fs::metadata(path).map_err(unreadable)?;
    if !found.is_file() {
        return Err(OpenRefused::NotAFile { path: path.to_owned() });
    }
    let owner = found.uid();
    if owner != rustix::process::geteuid().as_raw() {
        return Err(OpenRefused::OwnedByAnother { path: path.to_owned(), owner });
    }
    let mode = found.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(OpenRefused::TooWidelyReadable { path: path.to_owned(), mode });
    }
    if found.len() == 0 {
        return Err(OpenRefused::Empty { path: path.to_owned() });
    }
    // Opened for writing, so that a read-only disk or file is named now and not at the first commit.
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(unreadable)?;
    let mut header = [0; 100];
    match file.read_exact(&mut header) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
            return Err(OpenRefused::NotADatabase { path: path.to_owned() });
        }
        Err(error) => return Err(unreadable(error)),
    }
    if !header.starts_with(b"SQLite format 3\0") {
        return Err(OpenRefused::NotADatabase { path: path.to_owned() });
    }
    // Big endian at offset 68: the file format's "application ID". We set it before the file gets its name.
    if header[68..72] != application_id.to_be_bytes() {
        return Err(OpenRefused::NotOurs { path: path.to_owned() });
    }
    Ok(())
}

/// Makes a new database under another name, lets `fill` complete it, and gives it its name only then: whatever crashes in
/// between, there is a whole database or none.
pub(super) fn create(path: &Path, fill: impl FnOnce(&Path) -> Result<(), OpenRefused>) -> Result<(), OpenRefused> {
    let refused = |cause| OpenRefused::NotCreated { path: path.to_owned(), cause };
    let unfinished = beside(path, ".new");
    for left_behind in [&unfinished, &beside(path, ".new-journal")] {
        match fs::remove_file(left_behind) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(refused(error)),
            Ok(()) | Err(_) => {}
        }
    }
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished).map_err(refused)?;
    fill(&unfinished)?;
    file.sync_all().map_err(refused)?;
    fs::rename(&unfinished, path).map_err(refused)?;
    // The name itself is durable only with its directory.
    sync_directory_of(path).map_err(refused)
}

fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(parent)?.sync_all()
}
