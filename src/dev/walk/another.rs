//! Another customer, who goes over to a key in another vault, leaves, and has a data key destroyed: the steps that need a second
//! person. A new workspace at each start, because what it does cannot be undone.

use std::time::Duration;

use bytes::Bytes;
use client::{Client, pb};
use domain::{Clock, Timestamp};

use super::super::azure::{CustomerKey, KEY, Place};
use super::super::daemon::{SECOND_THOUGHTS, SOONEST_DATE};
use super::date::later;
use super::setup::short;
use super::{Finding, LEASE, Walk, check, order, refused, unexpected};
use crate::clock::SystemClock;
use crate::trouble::Trouble;

const NAME: &str = "globex";
const FIRST_VAULT: &str = "globex-keys";
const OTHER_VAULT: &str = "globex-new";
/// How soon a destroyed data key is out of memory, everywhere.
const WIPED_WITHIN: Duration = Duration::from_secs(1);
const LETTER: &[u8] = b"a letter to globex";

/// A key of this workspace's own in one of the vaults: a key, once proven, is one workspace's for ever.
fn place(workspace: &str, vault: &'static str) -> Place {
    let key = format!("{KEY}-{}", workspace.trim_start_matches("workspaces/"));
    Place { customer: NAME, vault, key: key.into() }
}

/// Who it is.
pub(super) struct Another {
    workspace: String,
    app: String,
    tenant: String,
    sealed: Bytes,
    data_key: String,
}

impl Walk<'_> {
    /// Everything up to the date, as for the first customer.
    pub(super) async fn another_customer(&mut self) -> Finding {
        let workspace = self.fresh_workspace().await?;
        let (app, name) = (format!("{workspace}/apps/crm"), format!("{workspace}/key"));
        let kind = pb::AppKind::App.into();
        self.client.upsert_app(pb::UpsertAppRequest { name: app.clone(), kind, display_name: "CRM".into() }).await?;
        let tenant = self.azure.tenant(NAME).await?;
        let first = place(&workspace, FIRST_VAULT);
        let key = self.azure.key(first.clone()).await?;
        self.azure.assign_role(first.clone(), &key).await?;
        let configuration = pb::ConfigureKeyRequest {
            name: name.clone(),
            key_identifier: key.identifier.clone(),
            key_name: String::new(),
            tenant_id: tenant.clone(),
            lease: Some(client::whole_seconds(LEASE)),
            ..Default::default()
        };
        let configured = self.client.configure_key(configuration).await?;
        self.azure.set_tag(first, &configured.ownership_tag, &configured.ownership_nonce).await?;
        let test = pb::TestConfigurationRequest { name: name.clone(), ..Default::default() };
        let test = self.client.test_configuration(test, |_| ()).await?;
        check(test.passed, format_args!("the test did not pass: {:?}", test.steps))?;
        let date = pb::ScheduleEnforcementRequest {
            name,
            local_time: later(SOONEST_DATE),
            time_zone: "UTC".into(),
            otherwise: pb::enforcement::Otherwise::Stay.into(),
        };
        self.client.schedule_enforcement(date).await?;
        let found = format!(
            "{workspace} with an app, a directory, a vault and a key of its own: configured, tested, and with a date. It comes back \
             at the end, to leave."
        );
        let (sealed, data_key) = (Bytes::new(), String::new());
        self.another = Some(Another { workspace, app, tenant, sealed, data_key });
        Ok(found)
    }

    pub(super) async fn replaced(&mut self) -> Finding {
        let sealed = self.sealed_under_the_customers_key().await?;
        let place = place(&self.another()?.workspace, OTHER_VAULT);
        let other = self.azure.key(place.clone()).await?;
        self.azure.assign_role(place, &other).await?;
        let request = |validate_only| -> Result<pb::ReplaceKeyRequest, Trouble> {
            let another = self.another()?;
            Ok(pb::ReplaceKeyRequest {
                name: format!("{}/key", another.workspace),
                key_identifier: other.identifier.clone(),
                key_name: String::new(),
                tenant_id: another.tenant.clone(),
                validate_only,
            })
        };
        let untested = self.client.replace_key(request(true)?).await;
        let untested = refused(untested, pb::Reason::KeyReplacementUntested)?;
        self.test_the_other(&other).await?;
        let plan = self.client.replace_key(request(true)?).await?;
        check(plan.needs_approval, "another vault needs nobody's approval")?;
        let count = plan.plan.map_or(0, |plan| plan.data_keys);
        let asked = self.client.replace_key(request(false)?).await?.operation;
        let (own, waited) = self.approved_by_another(asked).await?;

        let another = self.another()?;
        let key = self.client.key(pb::GetKeyRequest { name: format!("{}/key", another.workspace) }).await?;
        check(key.key_identifier == other.identifier, "the key in force is another one")?;
        let opened = self.client.decrypt(&another.app, order(), sealed.ciphertext.clone()).await?;
        check(opened.plaintext == LETTER, "another plaintext came back")?;
        check(opened.key_version.ends_with(&other.version), "the data key is not under the new key")?;
        if let Some(another) = &mut self.another {
            (another.sealed, another.data_key) = (sealed.ciphertext, sealed.data_key);
        }
        Ok(format!(
            "{}: refused until exactly this key was tested ({}) with its owner's tag. \"dev\" asked and may not approve ({own}); \
             \"second\" did, and it waited {waited} (24 h elsewhere). Then {count} data key was wrapped by it, and what was encrypted before \
             opens.",
            other.identifier, untested.reason
        ))
    }

    pub(super) async fn left(&mut self) -> Finding {
        let another = self.another()?;
        let request =
            |validate_only| pb::LeaveCustomerKeyRequest { name: format!("{}/key", another.workspace), validate_only };
        let needed = self.client.leave_customer_key(request(true)).await?;
        check(needed.operation.is_none(), "a look at it was taken for the wish")?;
        let asked = self.client.leave_customer_key(request(false)).await?.operation;
        let (own, _) = self.approved_by_another(asked).await?;
        let new = self.client.encrypt(&another.app, order(), Bytes::from_static(b"new")).await?;
        check(new.protection() == pb::Protection::PlatformKey, "new data is under the customer's key")?;
        let opened = self.client.decrypt(&another.app, order(), another.sealed.clone()).await?;
        check(opened.plaintext == LETTER, "another plaintext came back")?;
        let needed = self.client.leave_customer_key(request(true)).await?.still_needed;
        let [needed] = &needed[..] else { return Err(unexpected("it is not said what still needs the key")) };
        check(needed.app == another.app && needed.data_keys == 1, "it is not said which app still needs the key")?;
        Ok(format!(
            "Asked by \"dev\" ({own}), approved by \"second\". New data is under the platform's key; what is under the customer's opens \
             while their key is enabled, and is listed: {} data key of {}.",
            needed.data_keys,
            needed.app.rsplit('/').next().unwrap_or_default()
        ))
    }

    pub(super) async fn destroyed(&mut self) -> Finding {
        let another = self.another()?;
        let asked = self.client.destroy_data_key(pb::DestroyDataKeyRequest { name: another.data_key.clone() }).await?;
        let opened = self.client.decrypt(&another.app, order(), another.sealed.clone()).await?;
        check(opened.plaintext == LETTER, "it is gone before anybody approved")?;
        let (own, waited) = self.approved_by_another(Some(asked)).await?;
        // The database says so first; memory is wiped within a second.
        let told = SystemClock.now();
        let gone = loop {
            let attempt = self.client.decrypt(&another.app, order(), another.sealed.clone()).await;
            if attempt.is_err() || SystemClock.now().since(told) > WIPED_WITHIN {
                break refused(attempt, pb::Reason::DecryptionFailed)?;
            }
            tokio::time::sleep(super::LOOK_EVERY).await;
        };
        let again = pb::DestroyDataKeyRequest { name: another.data_key.clone() };
        refused(self.client.destroy_data_key(again).await, pb::Reason::DataKeyDestroyed)?;
        let request = pb::LeaveCustomerKeyRequest { name: format!("{}/key", another.workspace), validate_only: true };
        let needed = self.client.leave_customer_key(request).await?.still_needed;
        check(needed.is_empty(), "something still needs the key")?;
        let id = another.data_key.rsplit('/').next().unwrap_or_default();
        Ok(format!(
            "Data key {}: asked by \"dev\" ({own}), approved by \"second\"; it opened while it waited {waited} (7 days elsewhere). Its wrapped \
             bytes are erased: {}. Nothing needs the customer's key any more.",
            short(id),
            gone.reason
        ))
    }

    fn another(&self) -> Result<&Another, Trouble> {
        self.another.as_ref().ok_or_else(|| unexpected("there is no other customer"))
    }

    /// Ids are given out once: the first that is free.
    async fn fresh_workspace(&self) -> Result<String, Trouble> {
        for n in 1..1_000 {
            let id = if n == 1 { NAME.to_owned() } else { format!("{NAME}-{n}") };
            let request = pb::CreateWorkspaceRequest { workspace_id: id.clone(), display_name: "Globex".into() };
            match self.client.create_workspace(request).await {
                Ok(_) => return Ok(format!("workspaces/{id}")),
                Err(taken) => drop(refused::<()>(Err(taken), pb::Reason::AlreadyExists)?),
            }
        }
        Err(Trouble::new("too many walks on the same data", "use another directory with --data DIR"))
    }

    /// Its date was set a moment after the first customer's: here it has come, or is about to.
    async fn sealed_under_the_customers_key(&self) -> Result<pb::EncryptResponse, Trouble> {
        let another = self.another()?;
        loop {
            let sealed = self.client.encrypt(&another.app, order(), Bytes::from_static(LETTER)).await?;
            if sealed.protection() == pb::Protection::CustomerKey {
                return Ok(sealed);
            }
            tokio::time::sleep(super::LOOK_EVERY).await;
        }
    }

    /// What the other key's owner does: tests it, sets the tag that the failed step's command names, and tests it again.
    async fn test_the_other(&self, other: &CustomerKey) -> Result<(), Trouble> {
        let another = self.another()?;
        let request = pb::TestConfigurationRequest {
            name: format!("{}/key", another.workspace),
            key_identifier: other.identifier.clone(),
            key_name: String::new(),
            tenant_id: another.tenant.clone(),
        };
        let first = self.client.test_configuration(request.clone(), |_| ()).await?;
        let command = first.steps.iter().find(|step| step.reason == "OWNERSHIP_NOT_PROVEN").map(|step| &step.command);
        let tag = command.and_then(|command| command.split("--tags ").nth(1)).and_then(|rest| rest.split(' ').next());
        let (tag, nonce) = tag.and_then(|tag| tag.split_once('=')).ok_or_else(|| {
            unexpected(format_args!("the other key's test does not say which tag to set: {:?}", first.steps))
        })?;
        self.azure.set_tag(place(&another.workspace, OTHER_VAULT), tag, nonce).await?;
        let test = self.client.test_configuration(request, |_| ()).await?;
        check(test.passed, format_args!("the test did not pass: {:?}", test.steps))
    }

    /// Whoever asked may not approve; somebody else does; it waits, and is done. The refusal's reason, and how long it waited.
    async fn approved_by_another(&self, asked: Option<pb::Operation>) -> Result<(String, String), Trouble> {
        let asked = asked.ok_or_else(|| unexpected("nothing was asked for"))?;
        check(asked.state() == pb::OperationState::AwaitingApproval, "it awaits nobody's approval")?;
        let approve =
            async |client: &Client| client.approve_operation(pb::ApproveRequest { name: asked.name.clone() }).await;
        let own = refused(approve(&self.client).await, pb::Reason::ApprovalOwnRequest)?;
        let approved = approve(&self.second).await?;
        let approval = approved.approval.unwrap_or_default();
        check(approval.approved && approval.decided_by == "second", "somebody else approved")?;
        let waits = approval.waits.map_or(0, |waits| waits.seconds);
        check(waits == 0 || waits == SECOND_THOUGHTS.as_secs() as i64, format_args!("it waits {waits} s"))?;
        let not_before = approval.not_before.ok_or_else(|| unexpected("it is not said from when on it is done"))?;

        let mut moves = self.client.watch_operation(&asked.name).await?;
        let mut last = asked;
        while let Some(now) = moves.next().await? {
            last = now;
        }
        check(last.state() == pb::OperationState::Done, format_args!("it ended as {:?}", last.state()))?;
        let not_before = not_before.seconds * 1_000_000 + i64::from(not_before.nanos) / 1_000;
        check(SystemClock.now().wall >= Timestamp::from_micros(not_before), "it did not wait")?;
        Ok((own.reason, format!("{waits} s")))
    }
}
