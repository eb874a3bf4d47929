//! What `dev` keeps between two starts, and where.
//!
//! | name | content |
//! |---|---|
//! | `platform.key` | the platform root |
//! | `byokd.db` | the database |
//! | `byokd.db.head` | the database's head; in production on another volume |
//! | `token` | the bearer token |
//! | `second-token` | that of somebody else, who approves what the first asks for |
//! | `emulator/` | the emulated Azure: directories, vaults, keys |
//! | `emulator-ca.pem` | the authority of the emulator in use |
//! | `first-message.byok` | the first ciphertext of the first walk; later walks open it again |
//! | `before-the-date.byok` | a ciphertext from before the date; each walk encrypts it again |

use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::Entropy;
use tempfile::TempDir;

use crate::entropy::SystemEntropy;
use crate::files;
use crate::trouble::Trouble;

/// The names that the two callers of `dev` are known by.
pub(super) const CALLERS: [&str; 2] = ["dev", "second"];

/// The bearer tokens of [`CALLERS`]: of whoever types, and of somebody else, who approves.
pub(super) struct Tokens {
    pub(super) dev: String,
    pub(super) second: String,
}

/// The directory; a temporary one goes away with this.
pub(super) struct Home {
    path: PathBuf,
    temporary: Option<TempDir>,
}

impl Home {
    /// Opens `data`, creating it for its owner only, or makes a temporary one.
    pub(super) fn open(data: Option<&Path>) -> Result<Self, Trouble> {
        let Some(path) = data else {
            let made = tempfile::Builder::new().prefix("byokd-dev-").tempdir();
            let temporary = made.map_err(|cause| {
                Trouble::new(format_args!("no temporary directory: {cause}"), "name one with --data DIR")
            })?;
            return Ok(Self { path: temporary.path().to_owned(), temporary: Some(temporary) });
        };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        // Absolute, because it is printed for other terminals.
        let path = made.and_then(|()| path.canonicalize()).map_err(|cause| {
            let what = format!("the directory {} cannot be used: {cause}", path.display());
            Trouble::new(what, "name a directory of your own with --data DIR")
        })?;
        Ok(Self { path, temporary: None })
    }

    /// The directory.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it goes away at the end.
    pub(super) fn is_temporary(&self) -> bool {
        self.temporary.is_some()
    }

    /// Something in it.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// The bearer tokens: 192 random bits each, the same at every start.
    pub(super) fn tokens(&self) -> Result<Tokens, Trouble> {
        Ok(Tokens { dev: self.secret("token")?, second: self.secret("second-token")? })
    }

    /// What Event Grid shows: as random, and as lasting.
    pub(super) fn webhook_secret(&self) -> Result<String, Trouble> {
        self.secret("webhook-secret")
    }

    fn secret(&self, name: &str) -> Result<String, Trouble> {
        let path = self.file(name);
        if path.exists() {
            let text = String::from_utf8(files::read_private(&path)?).unwrap_or_default();
            let token = text.trim();
            if token.len() < 32 || !token.bytes().all(|b| b.is_ascii_graphic()) {
                let what = format!("{} holds no token", path.display());
                return Err(Trouble::new(what, "remove the file: another token is made at the next start"));
            }
            return Ok(token.to_owned());
        }
        let mut random = [0; 24];
        SystemEntropy.fill(&mut random);
        let token = URL_SAFE_NO_PAD.encode(random);
        self.write(&path, token.as_bytes())?;
        Ok(token)
    }

    /// Writes a file for its owner only, whole or not at all.
    pub(super) fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), Trouble> {
        let partial = path.with_extension("partial");
        let written = std::fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&partial)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&partial, path));
        written.map_err(|cause| {
            Trouble::new(
                format_args!("{} cannot be written: {cause}", path.display()),
                "check its directory and the free space",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// The tokens are the same at the next start, and nobody else's to read.
    #[test]
    fn the_tokens_stay_and_are_private() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::open(Some(&dir.path().join("data"))).unwrap();
        let Tokens { dev, second } = home.tokens().unwrap();
        assert_eq!((dev.len(), second.len()), (32, 32));
        assert_ne!(dev, second);
        let again = home.tokens().unwrap();
        assert_eq!((again.dev, again.second), (dev, second));
        let mode = |path: PathBuf| path.metadata().unwrap().permissions().mode() & 0o777;
        for token in ["token", "second-token"] {
            assert_eq!((mode(home.file(token)), mode(home.path().to_owned())), (0o600, 0o700));
        }
        std::fs::write(home.file("token"), "short").unwrap();
        assert!(home.tokens().is_err());
    }
}
