//! The head's file: its bytes, and how they are written so that a power loss leaves one whole head.
//!
//! Two slots, written in turn, each synced before anybody is answered: while one is being written the other is whole. In
//! place, because a file made anew and renamed at every commit costs two more syncs of its directory.
//!
//! | offset in a slot | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `BYOKHEAD` |
//! | 8 | 2 | format version, 1; number of the slot, 0 or 1 |
//! | 10 | 6 | zero |
//! | 16 | 16 | cluster id |
//! | 32 | 48 | epoch 8, revision 8, digest 32 |
//! | 80 | 48 | key id 16, HMAC-SHA-256 over the 80 bytes before 32 |
//! | 128 | | zero, up to 4,096 |

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::PlatformKeyId;
use domain::row_seal::{RowBytes, RowMac, RowSeal};

use super::{HEAD_LEN, Head, HeadRefused};

const MAGIC: &[u8; 8] = b"BYOKHEAD";
const VERSION: u8 = 1;
const SLOT: usize = 4_096;
const SEALED: usize = 32 + HEAD_LEN;
const USED: usize = SEALED + 48;

/// An open head.
pub(crate) struct HeadFile {
    path: PathBuf,
    file: File,
    cluster: [u8; 16],
    seal: Arc<dyn RowSeal>,
    last: Head,
    /// Which slot holds `last`; the other is written next.
    slot: usize,
}

/// What a file's bytes say.
struct Found {
    newest: Head,
    slot: usize,
    /// The other slot is not whole: it was being written.
    torn: bool,
}

impl HeadFile {
    /// Reads the head. `torn`, answered beside it: one of its slots is not whole, as a power loss leaves it.
    pub(crate) fn open(path: &Path, cluster: [u8; 16], seal: Arc<dyn RowSeal>) -> Result<(Self, bool), HeadRefused> {
        let of = |cause: io::Error| match cause.kind() {
            io::ErrorKind::NotFound => HeadRefused::Missing { path: path.to_owned() },
            _ if cause.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) => {
                HeadRefused::NotOurs { path: path.to_owned() }
            }
            _ => HeadRefused::Io { path: path.to_owned(), cause },
        };
        // Not blocking: a FIFO in its place must not hold the start.
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).expect("flags of open(2) are an int");
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(path).map_err(of)?;
        let found = file.metadata().map_err(of)?;
        let ours = rustix::process::geteuid().as_raw();
        if !found.is_file() || found.uid() != ours || found.mode() & 0o022 != 0 {
            return Err(HeadRefused::NotOurs { path: path.to_owned() });
        }
        let damaged = || HeadRefused::Damaged { path: path.to_owned() };
        if found.len() != 2 * SLOT as u64 {
            return Err(damaged());
        }
        let mut bytes = vec![0; 2 * SLOT];
        file.read_exact_at(&mut bytes, 0).map_err(of)?;
        let head = match parse(&bytes, &cluster, &*seal) {
            Ok(found) => found,
            Err(Not::Ours) => return Err(HeadRefused::Foreign { path: path.to_owned() }),
            Err(Not::Whole) => return Err(damaged()),
        };
        let Found { newest: last, slot, torn } = head;
        Ok((Self { path: path.to_owned(), file, cluster, seal, last, slot }, torn))
    }

    /// Makes the file, whole under another name first; what stands there is replaced.
    pub(crate) fn create(
        path: &Path,
        cluster: [u8; 16],
        seal: Arc<dyn RowSeal>,
        head: &Head,
    ) -> Result<Self, HeadRefused> {
        let of = |cause| HeadRefused::Io { path: path.to_owned(), cause };
        let mut aside = path.as_os_str().to_owned();
        aside.push(".new");
        let aside = PathBuf::from(aside);
        match std::fs::remove_file(&aside) {
            Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(of(cause)),
            Ok(()) | Err(_) => {}
        }
        let write = || {
            let mut file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&aside)?;
            file.write_all(&[slot_bytes(0, &cluster, head, &*seal), slot_bytes(1, &cluster, head, &*seal)].concat())?;
            file.sync_all()?;
            std::fs::rename(&aside, path)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            File::open(parent)?.sync_all()?;
            Ok(file)
        };
        let file = write().map_err(of)?;
        Ok(Self { path: path.to_owned(), file, cluster, seal, last: *head, slot: 0 })
    }

    /// The head that is surely on the disk.
    pub(crate) fn last(&self) -> Head {
        self.last
    }

    /// Puts another head in the place of the last, on the disk when this returns. After a failure either may be there, and the
    /// same head has to be written before another.
    pub(crate) fn advance(&mut self, head: &Head) -> Result<(), HeadRefused> {
        let slot = 1 - self.slot;
        let bytes = slot_bytes(slot, &self.cluster, head, &*self.seal);
        let written = (|| {
            // Somebody may have put another file there: what is written into this one would not be found again.
            let (named, open) = (std::fs::metadata(&self.path)?, self.file.metadata()?);
            if (named.dev(), named.ino()) != (open.dev(), open.ino()) {
                return Err(io::Error::other("another file was put in its place"));
            }
            self.file.write_all_at(&bytes, (slot * SLOT) as u64)?;
            self.file.sync_data()
        })();
        written.map_err(|cause| HeadRefused::Io { path: self.path.clone(), cause })?;
        (self.last, self.slot) = (*head, slot);
        Ok(())
    }
}

fn sealed(bytes: &[u8]) -> RowBytes {
    RowBytes::bare().field(b"byokd/head/v1").field(bytes)
}

fn slot_bytes(slot: usize, cluster: &[u8; 16], head: &Head, seal: &dyn RowSeal) -> [u8; SLOT] {
    let mut bytes = [0; SLOT];
    bytes[..8].copy_from_slice(MAGIC);
    bytes[8] = VERSION;
    bytes[9] = u8::from(slot == 1);
    bytes[16..32].copy_from_slice(cluster);
    bytes[32..SEALED].copy_from_slice(&head.to_bytes());
    let mac = seal.seal(sealed(&bytes[..SEALED]).as_bytes());
    bytes[SEALED..SEALED + 16].copy_from_slice(mac.key.as_bytes());
    bytes[SEALED + 16..USED].copy_from_slice(&mac.code);
    bytes
}

/// Why bytes are no head.
#[derive(Debug, PartialEq, Eq)]
enum Not {
    Ours,
    Whole,
}

fn parse_slot(bytes: &[u8], slot: usize, cluster: &[u8; 16], seal: &dyn RowSeal) -> Result<Head, Not> {
    let plain = bytes[..8] == *MAGIC && bytes[8] == VERSION && usize::from(bytes[9]) == slot;
    if !plain || bytes[10..16].iter().chain(&bytes[USED..]).any(|byte| *byte != 0) {
        return Err(Not::Whole);
    }
    if bytes[16..32] != *cluster {
        return Err(Not::Ours);
    }
    let key = PlatformKeyId::from_bytes(std::array::from_fn(|i| bytes[SEALED + i]));
    let mac = RowMac { key, code: std::array::from_fn(|i| bytes[SEALED + 16 + i]) };
    if !seal.verify(sealed(&bytes[..SEALED]).as_bytes(), &mac) {
        return Err(Not::Whole);
    }
    Ok(Head::from_bytes(&std::array::from_fn(|i| bytes[32 + i])))
}

fn parse(bytes: &[u8], cluster: &[u8; 16], seal: &dyn RowSeal) -> Result<Found, Not> {
    let (first, second) = bytes.split_at(SLOT);
    match (parse_slot(first, 0, cluster, seal), parse_slot(second, 1, cluster, seal)) {
        (Ok(first), Ok(second)) if second.place() > first.place() => Ok(Found { newest: second, slot: 1, torn: false }),
        (Ok(first), Ok(_)) => Ok(Found { newest: first, slot: 0, torn: false }),
        (Ok(newest), Err(Not::Whole)) => Ok(Found { newest, slot: 0, torn: true }),
        (Err(Not::Whole), Ok(newest)) => Ok(Found { newest, slot: 1, torn: true }),
        (Err(Not::Ours), _) | (_, Err(Not::Ours)) => Err(Not::Ours),
        (Err(Not::Whole), Err(Not::Whole)) => Err(Not::Whole),
    }
}
