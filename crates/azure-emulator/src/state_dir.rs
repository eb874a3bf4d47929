//! Where the emulator keeps what must survive a restart: one folder, every file readable by its owner only.
//!
//! `state.json` (tenants, apps, vaults, attributes), `authority.pem` (the private authority's key), `ca.pem` (its
//! certificate, to be trusted by clients), `token-signing.p8`, and `keys/{version}.p8`, one for each key version.

use std::collections::HashSet;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::jwt::Signer;
use crate::keyvault::key::KeyVersion;
use crate::rsa_key::RsaKey;
use crate::tls::Authority;
use crate::world::State;

/// The state directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum NotKept {
    /// The file system refused.
    #[error("{}: {cause}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What it said.
        cause: io::Error,
    },
    /// A file is there and is not what the emulator writes.
    #[error("{}: not written by this emulator ({what}); name an empty directory or remove it", path.display())]
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
}

pub(crate) struct StateDir {
    root: PathBuf,
}

impl StateDir {
    pub(crate) fn open(root: &Path) -> Result<Self, NotKept> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |cause| NotKept::File { path, cause }
        };
        for folder in [root.to_owned(), root.join("keys")] {
            fs::create_dir_all(&folder).map_err(at(&folder))?;
            fs::set_permissions(&folder, Permissions::from_mode(0o700)).map_err(at(&folder))?;
        }
        Ok(Self { root: root.to_owned() })
    }

    /// What was kept, with its key material; empty in a new directory.
    pub(crate) fn load(&self) -> Result<State, NotKept> {
        let path = self.root.join("state.json");
        let Some(bytes) = self.read(&path)? else { return Ok(State::default()) };
        let damaged = |e: serde_json::Error| NotKept::Damaged { path: path.clone(), what: e.to_string() };
        let mut state: State = serde_json::from_slice(&bytes).map_err(damaged)?;
        for version in versions_mut(&mut state) {
            version.material = Some(Arc::new(self.load_key(&version.id)?));
        }
        Ok(state)
    }

    fn load_key(&self, id: &str) -> Result<RsaKey, NotKept> {
        let path = self.key_path(id);
        let damaged = |what: &str| NotKept::Damaged { path: path.clone(), what: what.to_owned() };
        let bytes = self.read(&path)?.ok_or_else(|| damaged("the key's file is missing"))?;
        RsaKey::from_pkcs8(&bytes).map_err(|e| damaged(&e.to_string()))
    }

    /// Keys first, then the state that names them, then the removal of keys no longer named: whenever the process
    /// ends in between, every key that the state names is there.
    pub(crate) fn keep(&self, state: &State) -> Result<(), NotKept> {
        let mut named = HashSet::new();
        for version in versions(state) {
            let path = self.key_path(&version.id);
            if let Some(material) = &version.material
                && !path.exists()
            {
                self.write(&path, material.pkcs8())?;
            }
            named.insert(path);
        }
        let path = self.root.join("state.json");
        let json = serde_json::to_vec_pretty(state)
            .map_err(|e| NotKept::Damaged { path: path.clone(), what: e.to_string() })?;
        self.write(&path, &json)?;
        let folder = self.root.join("keys");
        let at = |cause| NotKept::File { path: folder.clone(), cause };
        for entry in fs::read_dir(&folder).map_err(at)? {
            let found = entry.map_err(at)?.path();
            if !named.contains(&found) {
                fs::remove_file(&found).map_err(|cause| NotKept::File { path: found, cause })?;
            }
        }
        Ok(())
    }

    /// The authority that was kept, or a new one.
    pub(crate) fn authority(&self) -> Result<Authority, NotKept> {
        let path = self.root.join("authority.pem");
        let damaged = |what: String| NotKept::Damaged { path: path.clone(), what };
        let authority = match self.read(&path)? {
            Some(pem) => {
                let pem = String::from_utf8(pem).map_err(|e| damaged(e.to_string()))?;
                Authority::from_key_pem(&pem).map_err(|e| damaged(e.to_string()))?
            }
            None => {
                let new = Authority::create().map_err(|e| damaged(e.to_string()))?;
                self.write(&path, new.key_pem().as_bytes())?;
                new
            }
        };
        let certificate = self.ca_path();
        if !certificate.exists() {
            self.write(&certificate, authority.pem().as_bytes())?;
        }
        Ok(authority)
    }

    /// The authority's certificate.
    pub(crate) fn ca_path(&self) -> PathBuf {
        self.root.join("ca.pem")
    }

    /// The key that signs tokens: kept, so that tokens given out before a restart stay good.
    pub(crate) fn signer(&self) -> Result<Signer, NotKept> {
        let path = self.root.join("token-signing.p8");
        let damaged = |what: String| NotKept::Damaged { path: path.clone(), what };
        if let Some(bytes) = self.read(&path)? {
            return Ok(Signer::new(RsaKey::from_pkcs8(&bytes).map_err(|e| damaged(e.to_string()))?));
        }
        let new = Signer::create().map_err(|e| damaged(e.to_string()))?;
        self.write(&path, &new.pkcs8())?;
        Ok(new)
    }

    fn key_path(&self, id: &str) -> PathBuf {
        self.root.join("keys").join(format!("{id}.p8"))
    }

    fn read(&self, path: &Path) -> Result<Option<Vec<u8>>, NotKept> {
        match fs::read(path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(NotKept::File { path: path.to_owned(), cause }),
        }
    }

    /// Whole or not at all, mode 0600 from the first byte.
    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), NotKept> {
        let aside = self.root.join("unfinished");
        let write = || -> io::Result<()> {
            let _ = fs::remove_file(&aside);
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
            file.write_all(bytes)?;
            file.sync_all()?;
            fs::rename(&aside, path)
        };
        write().map_err(|cause| NotKept::File { path: path.to_owned(), cause })
    }
}

fn versions(state: &State) -> impl Iterator<Item = &KeyVersion> {
    state.vaults.iter().flat_map(|v| {
        let deleted = v.deleted_keys.values().map(|d| &d.key);
        v.keys.values().chain(deleted).flat_map(|k| &k.versions)
    })
}

fn versions_mut(state: &mut State) -> impl Iterator<Item = &mut KeyVersion> {
    state.vaults.iter_mut().flat_map(|v| {
        let deleted = v.deleted_keys.values_mut().map(|d| &mut d.key);
        v.keys.values_mut().chain(deleted).flat_map(|k| &mut k.versions)
    })
}
