//! The steps that go over to a new version of the customer's key.

use client::pb;

use super::super::azure::ACME;
use super::setup::short;
use super::{BOT, CUSTOMER, Finding, Walk, app, check, order, unexpected};

impl Walk<'_> {
    pub(super) async fn plan_rotation(&mut self) -> Finding {
        let before = self.key()?.version.clone();
        let new = self.azure.new_version().await?;
        check(new != before, "the vault made no new version")?;
        let answer = self.client.rotate_key(self.rotation(true)).await?;
        check(answer.operation.is_none(), "a dry run began a rotation")?;
        let plan = answer.plan.ok_or_else(|| unexpected("there is no plan"))?;
        check(
            plan.from_version.ends_with(&before) && plan.to_version.ends_with(&new),
            "the plan is for other versions",
        )?;
        check(plan.vault_calls == 3 * plan.data_keys + 2, "the plan's calls do not add up")?;
        let eta = plan.eta.map_or(0.0, |eta| eta.seconds as f64 + f64::from(eta.nanos) / 1e9);
        Ok(format!(
            "From {} to {}: {} data keys, {} vault calls at {:.0} a second, {eta:.1} s. Nothing was changed.",
            short(&before),
            short(&new),
            plan.data_keys,
            plan.vault_calls,
            plan.calls_per_second
        ))
    }

    pub(super) async fn rotate(&mut self) -> Finding {
        let old = self.key()?.version.clone();
        let operation = self.client.rotate_key(self.rotation(false)).await?.operation;
        let operation = operation.ok_or_else(|| unexpected("no rotation was begun"))?;
        let mut moves = self.client.watch_operation(&operation.name).await?;
        let mut last = operation;
        while let Some(now) = moves.next().await? {
            last = now;
        }
        check(last.state() == pb::OperationState::Done, format_args!("the rotation ended as {:?}", last.state()))?;

        let versions = self.client.key_versions(pb::ListKeyVersionsRequest { parent: self.key_name() }).await?.versions;
        let find = |id: &str| versions.iter().find(|version| version.name.ends_with(id));
        let before = find(&old).ok_or_else(|| unexpected("the old version is not listed"))?;
        let after = versions.iter().find(|version| version.in_force);
        let after = after.ok_or_else(|| unexpected("no version is in force"))?;
        check(before.data_keys == 0, format_args!("{} data keys are left under the old version", before.data_keys))?;
        check(!before.safe_to_disable, "the old version is called safe to disable at once")?;
        let opened = self.client.decrypt(&app(BOT), order(), self.sealed.clone()).await?;
        check(after.name == opened.key_version, "the sample is not under the new version")?;
        let found = format!(
            "{} of {} data keys were wrapped by {}, unwrapped again and compared; then new ones went over.\nVersion {}: 0 data \
             keys. It may not be disabled yet: {}.",
            last.done,
            last.total,
            short(after.name.rsplit('/').next().unwrap_or_default()),
            short(&old),
            before.not_safe_to_disable
        );
        self.key = Some(self.azure.key(ACME).await?);
        Ok(found)
    }

    fn rotation(&self, validate_only: bool) -> pb::RotateKeyRequest {
        let name = format!("workspaces/{CUSTOMER}/key");
        pb::RotateKeyRequest { name, version: String::new(), validate_only }
    }
}
