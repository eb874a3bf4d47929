//! The root's file: its bytes, and how they are read and written.
//!
//! | offset | bytes | content |
//! |---|---|---|
//! | 0 | 8 | `BYOKROOT` |
//! | 8 | 1 | format version, 1 |
//! | 9 | 1 | 1 keys in the clear, 2 keys wrapped by a vault |
//! | 10 | 2 | number of keys, 1 to 16 (u16, big endian) |
//! | 12 | 16 | cluster id |
//! | 28 | 16 | id of the primary |
//! | 44 | | the keys: id 16 ‖ key 32, or id 16 ‖ length 2 ‖ `kid` ‖ length 2 ‖ wrapped key |
//! | … | 32 | SHA-256 of everything before |

use std::{
    fs::{File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use domain::{Entropy, KeyVersionLocation, PlatformKeyId, entropy::random};
use secmem::Secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use super::{ROOT_KEY_LEN, refused::RootRefused};

const MAGIC: &[u8; 8] = b"BYOKROOT";
const VERSION: u8 = 1;
const CHECKSUM_LEN: usize = 32;
pub(super) const MOST_KEYS: usize = 16;
/// Sixteen wrapped keys with the longest `kid` and an RSA 4096 blob each stay below this.
const LONGEST: u64 = 32 * 1024;

/// What a root file holds.
pub(super) struct RootFile {
    pub(super) cluster: [u8; 16],
    pub(super) primary: PlatformKeyId,
    pub(super) entries: Vec<Entry>,
}

/// One key of the root.
pub(super) enum Entry {
    Plain { id: PlatformKeyId, secret: Secret<ROOT_KEY_LEN> },
    Wrapped { id: PlatformKeyId, kid: KeyVersionLocation, blob: Vec<u8> },
}

impl Entry {
    pub(super) fn id(&self) -> PlatformKeyId {
        match self {
            Self::Plain { id, .. } | Self::Wrapped { id, .. } => *id,
        }
    }
}

/// Reads a root, having checked that only we can.
pub(super) fn read(path: &Path) -> Result<RootFile, RootRefused> {
    let nofollow = i32::try_from(rustix::fs::OFlags::NOFOLLOW.bits()).expect("a flag of open(2) is an int");
    // Not blocking: a FIFO in its place must not hold the start.
    let nonblock = i32::try_from(rustix::fs::OFlags::NONBLOCK.bits()).expect("a flag of open(2) is an int");
    let opened = OpenOptions::new().read(true).custom_flags(nofollow | nonblock).open(path);
    let file = opened.map_err(|cause| {
        if cause.kind() == io::ErrorKind::NotFound {
            RootRefused::NotThere
        } else if cause.raw_os_error() == Some(rustix::io::Errno::LOOP.raw_os_error()) {
            RootRefused::NotAPlainFile
        } else {
            RootRefused::Io { doing: "read", cause }
        }
    })?;
    let reading = |cause| RootRefused::Io { doing: "read", cause };
    // The open file is asked, not the path: what is read is what was checked.
    let metadata = file.metadata().map_err(reading)?;
    if !metadata.is_file() {
        return Err(RootRefused::NotAPlainFile);
    }
    let ours = rustix::process::geteuid().as_raw();
    if metadata.uid() != ours {
        return Err(RootRefused::NotOurs { owner: metadata.uid(), ours });
    }
    let mode = metadata.mode() & 0o7777;
    if mode & !0o600 != 0 {
        return Err(RootRefused::TooOpen { mode });
    }
    if metadata.len() > LONGEST {
        return Err(RootRefused::NotARoot);
    }
    // Room for all of it from the start: a buffer that grew would leave copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LONGEST as usize + 1));
    file.take(LONGEST).read_to_end(&mut bytes).map_err(reading)?;
    RootFile::parse(&bytes)
}

/// Writes a root that is not there yet: aside, to the disk, then linked to its name, which fails if the name is taken.
pub(super) fn create(path: &Path, root: &RootFile, entropy: &dyn Entropy) -> Result<(), RootRefused> {
    write(path, root, entropy, |aside, path| std::fs::hard_link(aside, path))
}

/// Writes a root in the place of the one that is there: whatever crashes, the old one or the new one is whole.
pub(super) fn replace(path: &Path, root: &RootFile, entropy: &dyn Entropy) -> Result<(), RootRefused> {
    write(path, root, entropy, |aside, path| std::fs::rename(aside, path))
}

fn write(
    path: &Path,
    root: &RootFile,
    entropy: &dyn Entropy,
    give_its_name: impl FnOnce(&Path, &Path) -> io::Result<()>,
) -> Result<(), RootRefused> {
    let writing = |cause| RootRefused::Io { doing: "written", cause };
    let name = path.file_name().ok_or(RootRefused::NotAPlainFile)?;
    let parent = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    };
    let mut aside_name = name.to_owned();
    aside_name.push(format!(".{}.new", hex::encode(random::<8>(entropy))));
    let aside = parent.join(aside_name);
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(&root.bytes())?;
        file.sync_all()?;
        give_its_name(&aside, path)
    })();
    // Whatever happened, the name aside goes; a failure to remove it is not worth more than the first one.
    let _ = std::fs::remove_file(&aside);
    written.map_err(|cause| match cause.kind() {
        io::ErrorKind::AlreadyExists => RootRefused::Exists,
        _ => writing(cause),
    })?;
    File::open(parent).and_then(|directory| directory.sync_all()).map_err(writing)
}

impl RootFile {
    fn bytes(&self) -> Zeroizing<Vec<u8>> {
        let mut out = Zeroizing::new(Vec::with_capacity(LONGEST as usize));
        let wrapped = self.entries.iter().any(|entry| matches!(entry, Entry::Wrapped { .. }));
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[VERSION, if wrapped { 2 } else { 1 }]);
        out.extend_from_slice(&length(self.entries.len()));
        out.extend_from_slice(&self.cluster);
        out.extend_from_slice(self.primary.as_bytes());
        for entry in &self.entries {
            out.extend_from_slice(entry.id().as_bytes());
            match entry {
                Entry::Plain { secret, .. } => secret.expose(|secret| out.extend_from_slice(secret)),
                Entry::Wrapped { kid, blob, .. } => {
                    let kid = kid.to_string();
                    out.extend_from_slice(&length(kid.len()));
                    out.extend_from_slice(kid.as_bytes());
                    out.extend_from_slice(&length(blob.len()));
                    out.extend_from_slice(blob);
                }
            }
        }
        let checksum = Sha256::digest(&*out);
        out.extend_from_slice(&checksum);
        out
    }

    fn parse(bytes: &[u8]) -> Result<Self, RootRefused> {
        let known = bytes.len().min(MAGIC.len());
        if bytes[..known] != MAGIC[..known] {
            return Err(RootRefused::NotARoot);
        }
        match bytes.get(8) {
            None => return Err(RootRefused::Truncated),
            Some(&VERSION) => {}
            Some(&version) => return Err(RootRefused::VersionUnknown { version }),
        }
        let mut rest = Reader(bytes.get(9..).unwrap_or_default());
        let form = rest.take(1)?[0];
        let count = rest.length()?;
        let cluster = rest.array()?;
        let primary = PlatformKeyId::from_bytes(rest.array()?);
        if !(1..=MOST_KEYS).contains(&count) {
            return Err(RootRefused::Damaged);
        }
        let entries = (0..count).map(|_| rest.entry(form)).collect::<Result<Vec<_>, _>>()?;
        let body = bytes.len() - rest.0.len();
        let checksum: [u8; CHECKSUM_LEN] = rest.array()?;
        let whole = rest.0.is_empty() && checksum[..] == Sha256::digest(&bytes[..body])[..];
        let distinct = entries.iter().enumerate().all(|(i, entry)| entries[..i].iter().all(|e| e.id() != entry.id()));
        if !whole || !distinct || !entries.iter().any(|entry| entry.id() == primary) {
            return Err(RootRefused::Damaged);
        }
        Ok(Self { cluster, primary, entries })
    }
}

fn length(len: usize) -> [u8; 2] {
    u16::try_from(len).expect("a root's parts are short").to_be_bytes()
}

/// Takes the file apart from the front; whatever is missing is a truncation.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], RootRefused> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(RootRefused::Truncated)?;
        self.0 = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RootRefused> {
        self.take(N)?.try_into().map_err(|_| RootRefused::Truncated)
    }

    fn length(&mut self) -> Result<usize, RootRefused> {
        Ok(u16::from_be_bytes(self.array()?).into())
    }

    fn entry(&mut self, form: u8) -> Result<Entry, RootRefused> {
        let id = PlatformKeyId::from_bytes(self.array()?);
        match form {
            1 => {
                let bytes = self.take(ROOT_KEY_LEN)?;
                Ok(Entry::Plain { id, secret: Secret::fill(|out| out.copy_from_slice(bytes))? })
            }
            2 => {
                let len = self.length()?;
                let kid = str::from_utf8(self.take(len)?).ok().and_then(|kid| KeyVersionLocation::parse(kid).ok());
                let len = self.length()?;
                let blob = self.take(len)?.to_vec();
                Ok(Entry::Wrapped { id, kid: kid.ok_or(RootRefused::Damaged)?, blob })
            }
            _ => Err(RootRefused::Damaged),
        }
    }
}
