//! Whether the customer's vault lets somebody in who is not in use yet: asked before the one in use is let go of.

use domain::ledger::Purpose;
use domain::{KeyConfig, KeyVersion, WorkspaceId};
use secmem::Secret;
use subtle::ConstantTimeEq;
use tokio::time::timeout;
use vault::{AnswerFault, Application, KeyRef, KeyUnavailable, Trace};

use crate::Refusal;
use crate::core::Core;
use crate::keys::vault_call::Budget;
use domain::credential::CredentialRefused;

impl Core {
    /// The versions that something is still under, the one in force first. Data may be under a key of before, elsewhere.
    async fn versions_needed(&self, config: &KeyConfig) -> Result<Vec<KeyVersion>, Refusal> {
        let uses = self.store.version_uses(&config.workspace).await?;
        let needed = |version: &KeyVersion| {
            (version.id == config.current_version && config.left_at.is_none())
                || uses.iter().any(|found| found.version == version.id && found.data_keys > 0)
        };
        let mut versions = self.store.key_versions(&config.workspace).await?;
        versions.retain(needed);
        versions.sort_by_key(|version| version.id != config.current_version);
        Ok(versions)
    }

    /// Has 65 random bytes wrapped and unwrapped as this application by every version that is still needed. It purges nothing and
    /// records no denial: nobody is served as this application yet.
    pub(super) async fn vault_lets_in(
        &self,
        workspace: &WorkspaceId,
        config: &KeyConfig,
        as_whom: &Application,
    ) -> Result<(), Refusal> {
        for version in self.versions_needed(config).await? {
            let tenant = version.tenant.as_ref().unwrap_or(&config.tenant).clone();
            let location = version.location.key().clone();
            if let Application::Registered(app) = as_whom {
                let registration = app.registration();
                if registration.tenant != tenant || registration.cloud != location.cloud() {
                    return Err(super::refused(CredentialRefused::OtherDirectory));
                }
            }
            let at = KeyRef::new(tenant, location, as_whom.clone()).of(workspace);
            if *as_whom == Application::Platform {
                // A kept token would hide that it was shut out meanwhile; a registration's credential was just opened and has none.
                let left = self.budget().left();
                let asked = timeout(left, self.customer_keys.prove_consent(&at, left)).await;
                asked.unwrap_or(Err(KeyUnavailable::DirectoryUnreachable))?;
            }
            self.there_and_back_as(workspace, &at, &version).await?;
        }
        Ok(())
    }

    async fn there_and_back_as(
        &self,
        workspace: &WorkspaceId,
        at: &KeyRef,
        version: &KeyVersion,
    ) -> Result<(), KeyUnavailable> {
        let (state, budget) = (self.table.existing_workspace(workspace), self.budget());
        let _place = self.place(&state, &budget).await?;
        let sent = Secret::<65>::fill(|bytes| self.entropy.fill(bytes))?;
        let late = |waited| KeyUnavailable::TimedOut { waited };
        let invalid = || KeyUnavailable::AnswerInvalid { fault: AnswerFault::OtherKey, trace: Trace::default() };
        let left = Budget::left(&budget);
        let call = self.journal.call(workspace, version.id, Purpose::TestWrap);
        let answer = timeout(left, self.customer_keys.wrap(at, version.id, &sent, left)).await;
        let answer = answer.unwrap_or_else(|_| Err(late(left)));
        call.ended(&answer, |wrapped| &wrapped.trace);
        let wrapped = answer?;
        if wrapped.version != at.location.at(version.id) {
            return Err(invalid());
        }
        let left = budget.left();
        let call = self.journal.call(workspace, version.id, Purpose::TestUnwrap);
        let answer = timeout(left, self.customer_keys.unwrap(at, version.id, &wrapped.blob, left)).await;
        let answer = answer.unwrap_or_else(|_| Err(late(left)));
        call.ended(&answer, |unwrapped| &unwrapped.trace);
        let back = answer?.payload;
        let same = sent.expose(|sent| back.expose(|back| bool::from(sent.ct_eq(back))));
        if same { Ok(()) } else { Err(invalid()) }
    }
}
