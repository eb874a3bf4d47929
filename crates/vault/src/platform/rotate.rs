//! How a root gets another key, another primary, and one key less. The file is replaced whole; what runs has read the one before.

use std::path::Path;

use domain::{Entropy, PlatformKeyId, entropy::random};
use secmem::Secret;

use super::file::{self, Entry, MOST_KEYS};
use super::{PlatformRoot, RootRefused};

impl PlatformRoot {
    /// Adds a new key to a root that is kept in the file itself. It opens from then on, and seals nothing until it is
    /// [promoted](Self::promote).
    ///
    /// # Errors
    /// [`RootRefused`].
    pub fn add_key(path: &Path, entropy: &dyn Entropy) -> Result<PlatformKeyId, RootRefused> {
        // All of it opens, or nothing is added.
        Self::open_file(path)?;
        let id = PlatformKeyId::from_bytes(random(entropy));
        let secret = Secret::fill(|out| entropy.fill(out))?;
        add(path, Entry::Plain { id, secret }, entropy)
    }

    /// Makes a key the primary, which seals what is written from the next start on.
    ///
    /// # Errors
    /// [`RootRefused`].
    pub fn promote(path: &Path, key: PlatformKeyId, entropy: &dyn Entropy) -> Result<(), RootRefused> {
        let mut root = file::read(path)?;
        if !root.entries.iter().any(|entry| entry.id() == key) {
            return Err(RootRefused::NoSuchKey(key));
        }
        root.primary = key;
        file::replace(path, &root, entropy)
    }

    /// Takes a key out of the file, for good. Whether anything is still under it is for the caller to know.
    ///
    /// # Errors
    /// [`RootRefused`].
    pub fn remove_key(path: &Path, key: PlatformKeyId, entropy: &dyn Entropy) -> Result<(), RootRefused> {
        let mut root = file::read(path)?;
        if root.primary == key {
            return Err(RootRefused::IsPrimary(key));
        }
        let before = root.entries.len();
        root.entries.retain(|entry| entry.id() != key);
        if root.entries.len() == before {
            return Err(RootRefused::NoSuchKey(key));
        }
        file::replace(path, &root, entropy)
    }
}

/// Adds an entry at the end: the oldest stays the first.
pub(super) fn add(path: &Path, entry: Entry, entropy: &dyn Entropy) -> Result<PlatformKeyId, RootRefused> {
    let mut root = file::read(path)?;
    if root.entries.len() >= MOST_KEYS {
        return Err(RootRefused::Full);
    }
    let id = entry.id();
    root.entries.push(entry);
    file::replace(path, &root, entropy)?;
    Ok(id)
}
