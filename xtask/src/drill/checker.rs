//! The independent check: does every acknowledged ciphertext open, by nothing but the database file, the platform's key file,
//! the customers' vault and the format?
//!
//! It shares no code with `store` or `service`: the SQL here is its own, and it never asks the daemon.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use domain::{KeyVersionLocation, TenantId};
use envelope::payload::{self, Identity};
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use secmem::Secret;
use sha2::{Digest, Sha256};
use vault::platform::PlatformRoot;
use vault::{CustomerKeys, KeyRef};

use super::journal::{Acknowledged, Journal};

/// What the checker may use.
pub(crate) struct Checker {
    database: Connection,
    root: PlatformRoot,
    vault: Arc<dyn CustomerKeys>,
    keys: HashMap<Vec<u8>, Secret<32>>,
}

/// A data key's row as the checker reads it.
struct Row {
    workspace: String,
    app: String,
    protection: u8,
    state: i64,
    wrapped_by: u8,
    wrapping_key: Vec<u8>,
    sealed_blob: Vec<u8>,
    kid: Option<String>,
    tenant: Option<String>,
}

impl Checker {
    pub(crate) fn open(database: &Path, platform_key: &Path, vault: Arc<dyn CustomerKeys>) -> Result<Self> {
        let database = Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_ONLY)
            .with_context(|| format!("cannot open {}", database.display()))?;
        let root = PlatformRoot::open_file(platform_key)?;
        Ok(Self { database, root, vault, keys: HashMap::new() })
    }

    /// Opens everything in the journal from entry `from` on. Returns what is lost, each with the reason.
    pub(crate) async fn check(&mut self, journal: &Journal, from: usize) -> Vec<String> {
        let mut entries = Vec::new();
        journal.each(from, |entry| {
            entries.push((
                entry.app.clone(),
                entry.context.clone(),
                entry.ciphertext.clone(),
                entry.plaintext_hash,
                entry.round,
            ));
        });
        let mut lost = Vec::new();
        for (app, context, ciphertext, plaintext_hash, round) in entries {
            let entry = Acknowledged { app, context, ciphertext, plaintext_hash, round };
            if let Err(error) = self.opens(&entry).await {
                lost.push(format!("{} of round {round}: {error:#}", entry.app));
            }
        }
        lost
    }

    async fn opens(&mut self, entry: &Acknowledged) -> Result<()> {
        let id: [u8; 16] = entry.ciphertext.get(8..24).context("no header")?.try_into()?;
        let row = self.row(&id)?.context("the data key is not in the database")?;
        ensure!(entry.app == format!("workspaces/{}/apps/{}", row.workspace, row.app), "the data key is another app's");
        ensure!(matches!(row.state, 3 | 4), "the data key is in state {}, which never sealed", row.state);
        if !self.keys.contains_key(id.as_slice()) {
            let key = self.unwrap(&id, &row).await?;
            self.keys.insert(id.to_vec(), key);
        }
        let context = envelope::Context::from_entries(entry.context.iter().map(|(k, v)| (k.as_str(), v.as_str())))?;
        let binding = envelope::Binding {
            workspace: &row.workspace,
            app: &row.app,
            protection: row.protection,
            context: &context,
        };
        let mut plaintext = Vec::new();
        let opened =
            self.keys[id.as_slice()].expose(|key| envelope::open(key, &binding, &entry.ciphertext, &mut plaintext));
        ensure!(opened.is_ok(), "the ciphertext does not open");
        ensure!(<[u8; 32]>::from(Sha256::digest(&plaintext)) == entry.plaintext_hash, "it opens to another plaintext");
        Ok(())
    }

    fn row(&self, id: &[u8; 16]) -> Result<Option<Row>> {
        let sql = "SELECT k.workspace, k.app, k.protection, k.state, w.wrapped_by, w.wrapping_key, w.sealed_blob, v.kid, c.tenant
                     FROM data_keys k
                     JOIN wrappings w ON w.workspace = k.workspace AND w.data_key = k.data_key
                     LEFT JOIN key_versions v ON v.workspace = k.workspace AND v.version = w.wrapping_key
                     LEFT JOIN key_configs c ON c.workspace = k.workspace
                    WHERE k.data_key = ?1 ORDER BY w.number DESC LIMIT 1";
        let row = self.database.prepare_cached(sql)?.query_row([id.as_slice()], |row| {
            Ok(Row {
                workspace: row.get(0)?,
                app: row.get(1)?,
                protection: row.get(2)?,
                state: row.get(3)?,
                wrapped_by: row.get(4)?,
                wrapping_key: row.get(5)?,
                sealed_blob: row.get(6)?,
                kid: row.get(7)?,
                tenant: row.get(8)?,
            })
        });
        Ok(row.optional()?)
    }

    /// Opens every data key that is stored and can be opened now; those that were opened before are not asked for again.
    pub(crate) async fn open_all(&mut self) -> Result<()> {
        let ids: Vec<Vec<u8>> = {
            let mut all = self.database.prepare_cached("SELECT data_key FROM data_keys")?;
            all.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?
        };
        for id in ids {
            let id: [u8; 16] = id.as_slice().try_into()?;
            if self.keys.contains_key(id.as_slice()) {
                continue;
            }
            let Some(row) = self.row(&id)? else { continue };
            // Destroyed, or its owner says no: nobody opens it.
            if let Ok(key) = self.unwrap(&id, &row).await {
                self.keys.insert(id.to_vec(), key);
            }
        }
        Ok(())
    }

    /// Lends every data key that was opened, with its id.
    pub(crate) fn each_key(&self, mut look: impl FnMut(&[u8], &[u8; 32])) {
        self.keys.iter().for_each(|(id, key)| key.expose(|key| look(id, key)));
    }

    /// Platform layer off, then the wrapping itself, then the comparison with the identity.
    async fn unwrap(&self, id: &[u8; 16], row: &Row) -> Result<Secret<32>> {
        let identity =
            Identity { workspace: &row.workspace, app: &row.app, data_key_id: id, protection: row.protection };
        let mut bound = identity.hash().to_vec();
        bound.push(row.wrapped_by);
        bound.extend_from_slice(&row.wrapping_key);
        let Ok(blob) = self.root.open_blob(&row.sealed_blob, &bound) else {
            bail!("the platform's layer does not open")
        };
        let payload = match (row.wrapped_by, &row.kid, &row.tenant) {
            (1, _, _) => {
                let key = domain::PlatformKeyId::from_bytes(row.wrapping_key.as_slice().try_into()?);
                let Ok(payload) = self.root.unwrap(key, &blob, &bound) else {
                    bail!("the platform's wrapping does not open")
                };
                payload
            }
            (2, Some(kid), Some(tenant)) => {
                let kid = KeyVersionLocation::parse(kid)?;
                let at = KeyRef::of_platform(tenant.parse::<TenantId>()?, kid.key().clone());
                self.vault.unwrap(&at, kid.version(), &blob, Duration::from_secs(10)).await?.payload
            }
            _ => bail!("the wrapping names no key"),
        };
        let key = Secret::try_fill(|key| payload.expose(|payload| payload::read(payload, &identity, key)))?;
        let Ok(key) = key else { bail!("the wrapping holds another key") };
        Ok(key)
    }
}
