//! Does a payload come back? A data key is born, opened and used as every app's is, and then thrown away: no row of it is ever
//! stored, and so no app's data can be under it (I-2).

use domain::key_config::{LONGEST_LEASE, VersionChoices};
use domain::key_life::{Ruled, Ruling};
use domain::{AppId, DataKey, KeyConfig, Reason, Wrapping, WrappingKey};
use envelope::{Binding, Context};

use super::run::Run;
use super::verdict::Verdict;
use crate::core::Core;
use crate::data::nanos;
use crate::keys::unwrap::{blob_binding, identity_of};
use crate::keys::vault_call::{At, Budget};
use crate::keys::{AppRef, Failure, Standing};

/// For whom the data key would be. An app of this name may exist: the key is not its, since it is stored nowhere.
const APP: &str = "byokd-self-test";
const PAYLOAD: &[u8] = b"a payload of a test of the configuration";

impl Run<'_> {
    pub(super) async fn data_path(&mut self) -> Verdict {
        match self.there_and_back().await {
            Ok(true) => Verdict::passed(
                "a payload was encrypted and decrypted under a data key that the vault wrapped; the data key is thrown away",
            ),
            Ok(false) => Verdict::failed(Reason::Internal, "what was decrypted is not what was encrypted"),
            Err(failure) => Verdict::from(failure),
        }
    }

    /// Whether the payload came back, and came back only in its own context.
    async fn there_and_back(&self) -> Result<bool, Failure> {
        let core = self.core;
        let budget = Budget::new(&*core.clock, core.options.vault_deadline);
        let app: AppId = APP.parse().map_err(|_| Failure::NotFound)?;
        let config = self.candidate()?;
        let Some(Ok(key)) = &self.described else { return Err(Failure::Corrupt("the key was not described")) };
        let recorded = key.record(&self.target.workspace, core.clock.now().wall);
        let at = At::of(&config, &recorded, self.target.key.as_whom.clone());
        let standing = Standing {
            workspace: self.state.clone(),
            epoch: 0,
            asked_at: core.clock.now(),
            config: Some(config),
            ruled: Ruled::always(Ruling::CustomerKey),
            revoked: false,
        };
        let app = AppRef { workspace: &self.target.workspace, app: &app };
        let (row, wrapping) = core.conceive_under(&standing, app, Some(&at), &budget).await?;

        let mut sealed = Vec::new();
        let context = Context::from_entries([("purpose", "test")]).map_err(|_| Failure::Corrupt("the context"))?;
        let born = core.open_again(&standing, &row, &wrapping, &at, &budget).await?;
        let nonce = envelope::fresh_nonce(nanos(core.clock.now()));
        born.expose(|key| {
            envelope::seal(key, row.id.as_bytes(), &nonce, &binding(&row, &context), PAYLOAD, &mut sealed)
        });
        drop(born);

        // As a replica that has never held the key.
        let found = core.open_again(&standing, &row, &wrapping, &at, &budget).await?;
        let (mut opened, mut elsewhere) = (Vec::new(), Vec::new());
        let nothing = Context::empty();
        let came_back = found.expose(|key| envelope::open(key, &binding(&row, &context), &sealed, &mut opened)).is_ok();
        let in_another =
            found.expose(|key| envelope::open(key, &binding(&row, &nothing), &sealed, &mut elsewhere)).is_ok();
        Ok(came_back && opened == PAYLOAD && !in_another)
    }

    /// The configuration as it would be in force.
    fn candidate(&self) -> Result<KeyConfig, Failure> {
        let version = self.version().ok_or(Failure::Corrupt("the key was not described"))?;
        Ok(KeyConfig {
            workspace: self.target.workspace.clone(),
            location: self.target.key.location.clone(),
            tenant: self.target.key.tenant.clone(),
            current_version: version,
            wrap_epoch: 0,
            lease: LONGEST_LEASE,
            configured_at: self.core.clock.now().wall,
            left_at: None,
            choices: VersionChoices::default(),
        })
    }
}

fn binding<'a>(row: &'a DataKey, context: &'a Context) -> Binding<'a> {
    Binding { workspace: row.workspace.as_str(), app: row.app.as_str(), protection: row.protection.byte(), context }
}

impl Core {
    /// Takes both layers off a wrapping that stands nowhere but here, and compares (I-15).
    async fn open_again(
        &self,
        standing: &Standing,
        row: &DataKey,
        wrapping: &Wrapping,
        at: &At,
        budget: &Budget<'_>,
    ) -> Result<secmem::Locked<envelope::ExpandedKey>, Failure> {
        let identity = identity_of(row);
        let wrapped_by = WrappingKey::Customer(at.version);
        let blob = self.platform.open_blob(&wrapping.sealed_blob, &blob_binding(&identity, wrapped_by))?;
        // The proof is not admitted: a test renews no lease.
        let (payload, _proof) = self.ask_unwrap(&standing.workspace, at, &blob, budget).await?;
        self.compare(&payload, &identity, row)
    }
}
