//! Setting the date from which the customer's key is to be used, or moving it.

use domain::key_life::{EnforceAt, PassingTest, Plan, Policy};
use domain::permission::{self, Permit};
use domain::{Reason, WorkspaceId};

use super::life::{config_hash, key_and_life};
use super::{KeyStatus, to_the_end, workspace_of};
use crate::core::Core;
use crate::keys::table::Change;
use crate::options::MOST_PAGE;
use crate::{Refusal, Service};

/// What a customer's admin types.
#[derive(Debug, Clone)]
pub struct ScheduleEnforcement {
    /// `2027-03-01` (its first instant), `2027-03-01T09:00` or `2027-03-01T09:00:00`, as clocks in `zone` show it.
    pub local: String,
    /// An IANA zone, such as `Europe/Berlin`.
    pub zone: String,
    /// What happens to the selected apps if the date cannot be kept.
    pub policy: Policy,
}

impl Service {
    /// Sets the date from which new data of the selected apps is under the customer's key, or moves it. It needs a passing test
    /// of exactly this configuration, begun within the last 24 hours (I-22), and a date for whose freeze there is time left.
    /// May be repeated until the freeze; from then on it is refused (I-21).
    pub async fn schedule_enforcement(
        &self,
        permit: &Permit<permission::ScheduleEnforcement>,
        request: ScheduleEnforcement,
    ) -> Result<KeyStatus, Refusal> {
        let (core, actor, workspace) = (self.0.clone(), permit.actor().to_owned(), workspace_of(permit)?);
        to_the_end(async move { core.schedule(&workspace, &request, &actor).await }).await
    }
}

impl Core {
    async fn schedule(
        &self,
        workspace: &WorkspaceId,
        request: &ScheduleEnforcement,
        actor: &str,
    ) -> Result<KeyStatus, Refusal> {
        let mut tx = self.store.begin("schedule_enforcement").await?;
        let (config, life) = key_and_life(&mut *tx, workspace).await?;
        if config.left_at.is_some() {
            return Err(Refusal::because(Reason::KeyLeft));
        }
        let tests = tx.key_tests(workspace, MOST_PAGE).await?;
        let now = self.clock.now().wall;
        let at = EnforceAt::parse(&request.local, &request.zone, now)
            .map_err(|invalid| Refusal::because(invalid.reason()))?;
        // A key that is in force says so before it asks for a test.
        if let Some(decided) = life.refuses_edits(now) {
            return Err(Refusal::because(decided));
        }
        let test = PassingTest::among(&tests, &config_hash(&config), now).map_err(Refusal::because)?;
        let step = life.schedule(test, Plan { at, policy: request.policy }, now, self.options.timing());
        let life = self.commit_life(tx, step.map_err(Refusal::because)?, actor, Change::Selection).await?;
        let ownership = self.ownership_for_status(&config).await;
        Ok(KeyStatus { config, life, proof: Ok(test), ownership })
    }
}
