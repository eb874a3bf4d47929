//! Shows that an app's credentials are under the customer's key: one is stored, read back, and opened.
//!
//! Nothing is done here that an app's own data does not go through: the credential is sealed as any payload is, its ciphertext is
//! a row of the database, and what is opened is what the database gives back, by the way every Decrypt goes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use domain::audit::AuditKind;
use domain::entropy::random;
use domain::permission::{self, Permit};
use domain::validation::SUCCESSFUL;
use domain::{AppId, Owner, Protection, Reason, StoredCredential, WorkspaceId};
use envelope::Context;
use store::{Conflict, StoreError};
use subtle::ConstantTimeEq;
use zeroize::Zeroizing;

use super::{app_of, event, not_found, to_the_end};
use crate::core::Core;
use crate::data::{Opened, Sealed};
use crate::keys::{AppName, AppRef, lock};
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// How often a validation begins anew because another replica's of the same app stored its credential in between.
const ATTEMPTS: usize = 3;

/// Validations under way here, one of an app at a time: they share a row.
#[derive(Default)]
pub(crate) struct Validations(Mutex<HashMap<AppName, Arc<tokio::sync::Mutex<()>>>>);

impl Validations {
    fn turn(&self, app: AppRef<'_>) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = lock(&self.0);
        // Those that nobody waits for any more.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(app.to_owned()).or_default().clone()
    }
}

/// How a validation ended.
#[derive(Debug, Clone)]
pub struct Validation {
    /// Under what the credential was sealed, if it was.
    pub sealed: Option<Sealed>,
    /// What stands between the app and a success; absent when there is nothing.
    pub obstacle: Option<Obstacle>,
}

/// Why a validation was no success.
#[derive(Debug, Clone)]
pub struct Obstacle {
    /// How far it came.
    pub stage: Stage,
    /// What is wrong, who mends it and how.
    pub refusal: Refusal,
}

/// How far a validation came that was no success.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The credential could not be sealed and stored.
    Storing,
    /// It was stored, and did not come back.
    Retrieving,
    /// It came back, and not from under the customer's key.
    Protecting,
}

impl Validation {
    /// Whether the stored credential came back from a ciphertext under the customer's key.
    pub fn is_successful(&self) -> bool {
        self.obstacle.is_none()
    }

    /// In one sentence: [`SUCCESSFUL`], or what is wrong.
    pub fn message(&self) -> String {
        match &self.obstacle {
            None => SUCCESSFUL.to_owned(),
            Some(Obstacle { stage, refusal }) => {
                let how_far = match stage {
                    Stage::Storing => "The credential could not be stored",
                    Stage::Retrieving => "The credential was stored and could not be retrieved",
                    Stage::Protecting => "The credential was stored and retrieved, but not under the customer's key",
                };
                format!("{how_far}: {}.", refusal.message())
            }
        }
    }

    /// Who has to act, where somebody has.
    pub fn owner(&self) -> Option<Owner> {
        self.obstacle.as_ref().map(|obstacle| obstacle.refusal.owner())
    }
}

impl Service {
    /// Stores a made-up credential of the app and retrieves it. What stands in the way is part of the answer; refused is only
    /// what concerns the question itself, such as an app that is not there.
    pub async fn validate_app(&self, permit: &Permit<permission::ValidateApp>) -> Result<Validation, Refusal> {
        let (core, actor, (workspace, app)) = (self.0.clone(), permit.actor().to_owned(), app_of(permit)?);
        to_the_end(async move {
            let validation = core.validate(&workspace, &app, &actor).await?;
            let refused = validation.obstacle.as_ref().map(|obstacle| obstacle.refusal.reason());
            let what = AuditKind::AppValidated { app, refused };
            core.store.record(event(&workspace, core.clock.now().wall, &actor, what)).await?;
            Ok(validation)
        })
        .await
    }
}

impl Core {
    async fn validate(
        self: &Arc<Self>,
        workspace: &WorkspaceId,
        app: &AppId,
        actor: &str,
    ) -> Result<Validation, Refusal> {
        let found = self.store.workspace(workspace).await?;
        found.filter(|workspace| workspace.deleted_at.is_none()).ok_or_else(not_found)?;
        let found = self.store.app(workspace, app).await?;
        found.filter(|app| app.deleted_at.is_none()).ok_or_else(not_found)?;
        let app = AppRef { workspace, app };
        let context = Context::from_entries([("byokd", "validation")])
            .map_err(|invalid| Refusal::because(Reason::Internal).caused_by(invalid))?;
        let turn = self.validations.turn(app);
        let _mine = turn.lock().await;
        let mut last = Validation { sealed: None, obstacle: None };
        for _ in 0..ATTEMPTS {
            let password = u128::from_be_bytes(random(&*self.entropy));
            let credential = Zeroizing::new(format!("admin:{password:032x}"));
            let stopped = |stage, refusal: Refusal, sealed| match refusal.reason() {
                Reason::NotFound => Err(refusal),
                _ => Ok(Validation { sealed, obstacle: Some(Obstacle { stage, refusal }) }),
            };
            let (sealed, stored) = match self.store_credential(app, &context, credential.as_bytes(), actor).await {
                Ok(stored) => stored,
                Err(refusal) => return stopped(Stage::Storing, refusal, None),
            };
            let opened = match self.retrieve_credential(app, &context, credential.as_bytes(), &stored).await {
                Ok(Some(opened)) => opened,
                Ok(None) => {
                    let refusal = Refusal::because(Reason::CredentialNotRetrieved);
                    last = stopped(Stage::Retrieving, refusal, Some(sealed))?;
                    continue;
                }
                Err(refusal) => return stopped(Stage::Retrieving, refusal, Some(sealed)),
            };
            return match self.why_not_the_customers(workspace, &opened).await? {
                None => Ok(Validation { sealed: Some(sealed), obstacle: None }),
                Some(refusal) => stopped(Stage::Protecting, refusal, Some(sealed)),
            };
        }
        Ok(last)
    }

    /// Seals the credential as any payload of the app, and stores the ciphertext.
    async fn store_credential(
        self: &Arc<Self>,
        app: AppRef<'_>,
        context: &Context,
        credential: &[u8],
        actor: &str,
    ) -> Result<(Sealed, StoredCredential), Refusal> {
        let mut ciphertext = Vec::new();
        let sealed = self.seal(app, context, credential, &mut ciphertext).await?;
        let now = self.clock.now().wall;
        let stored = StoredCredential {
            workspace: app.workspace.clone(),
            app: app.app.clone(),
            data_key: sealed.data_key,
            protection: sealed.protection,
            ciphertext,
            stored_at: now,
        };
        let mut tx = self.store.begin("store_credential").await?;
        match tx.put_credential(&stored).await {
            Err(StoreError::Conflict(Conflict::NoApp)) => return Err(not_found()),
            outcome => outcome?,
        }
        let what = AuditKind::CredentialStored { app: app.app.clone(), data_key: sealed.data_key };
        tx.append_audit(event(app.workspace, now, actor, what)).await?;
        match tx.commit().await {
            // Whether it is there shows when it is read back.
            Ok(_) | Err(StoreError::OutcomeUnknown) => Ok((sealed, stored)),
            Err(why) => Err(why.into()),
        }
    }

    /// Reads the ciphertext back and opens it. `None`: what came back is not the credential.
    async fn retrieve_credential(
        self: &Arc<Self>,
        app: AppRef<'_>,
        context: &Context,
        credential: &[u8],
        stored: &StoredCredential,
    ) -> Result<Option<Opened>, Refusal> {
        let found = match self.bugs.has(SeededBug::CredentialNotReadBack) {
            true => Some(stored.clone()),
            false => self.store.credential(app.workspace, app.app).await?,
        };
        let Some(found) = found else { return Ok(None) };
        // I-14: by the app that was asked about, whatever the row says of itself.
        let Ok(header) = envelope::Header::parse(&found.ciphertext) else { return Ok(None) };
        let key = app.data_key(domain::DataKeyId::from_bytes(header.data_key_id));
        // As long as it can become: growing would leave copies of it behind in freed memory.
        let mut plaintext = Zeroizing::new(Vec::with_capacity(found.ciphertext.len()));
        match self.open(key, context, &found.ciphertext, &mut plaintext).await {
            Ok(opened) => Ok(bool::from(plaintext.as_slice().ct_eq(credential)).then_some(opened)),
            Err(refusal) if refusal.reason() == Reason::DecryptionFailed => Ok(None),
            Err(refusal) => Err(refusal),
        }
    }

    /// Why what was opened is not under the customer's key, unless it is.
    async fn why_not_the_customers(
        &self,
        workspace: &WorkspaceId,
        opened: &Opened,
    ) -> Result<Option<Refusal>, Refusal> {
        let under_the_customers = opened.protection == Protection::CustomerKey && opened.key_version.is_some();
        if under_the_customers || self.bugs.has(SeededBug::AnyProtectionValid) {
            return Ok(None);
        }
        let reason = match self.store.key_config(workspace).await? {
            None => Reason::KeyNotConfigured,
            Some(_) => Reason::AppNotUnderCustomerKey,
        };
        Ok(Some(Refusal::because(reason)))
    }
}
