//! The steps up to a key that is in force: workspace, apps, vault, role, configuration, proof.

use client::pb;

use super::super::azure::ACME;
use super::{APP, BOT, CUSTOMER, Finding, LEASE, Walk, app, check, refused, unexpected, workspace};

impl Walk<'_> {
    pub(super) async fn workspace(&mut self) -> Finding {
        let name = workspace();
        let request = pb::CreateWorkspaceRequest { workspace_id: CUSTOMER.into(), display_name: "Acme".into() };
        let made = self.client.create_workspace(request.clone()).await;
        self.before = match made {
            Ok(_) => false,
            Err(ref error) if is(error, pb::Reason::AlreadyExists) => true,
            Err(error) => return Err(error.into()),
        };
        let found = self.client.workspace(pb::GetWorkspaceRequest { name: name.clone() }).await?;
        check(found.name == name, format_args!("asked for {name}, got {}", found.name))?;
        // An id is given out once.
        refused(self.client.create_workspace(request).await, pb::Reason::AlreadyExists)?;
        Ok(match self.before {
            false => format!("{name} was created; its id is never given out twice."),
            true => format!("{name} is there from an earlier start."),
        })
    }

    pub(super) async fn apps(&mut self) -> Finding {
        for (id, kind, display_name) in [(APP, pb::AppKind::App, "Orders"), (BOT, pb::AppKind::Bot, "Support bot")] {
            let request = pb::UpsertAppRequest { name: app(id), kind: kind.into(), display_name: display_name.into() };
            self.client.upsert_app(request).await?;
        }
        let found = self.client.apps(&workspace()).await?;
        let kind_of = |id: &str| found.iter().find(|found| found.name == app(id)).map(pb::App::kind);
        check(kind_of(APP) == Some(pb::AppKind::App), "the app is not in the list")?;
        check(kind_of(BOT) == Some(pb::AppKind::Bot), "the bot is not in the list")?;
        Ok(format!("{CUSTOMER}/{APP} and {CUSTOMER}/{BOT}; each gets data keys of its own."))
    }

    pub(super) async fn vault_and_key(&mut self) -> Finding {
        self.tenant = self.azure.tenant(CUSTOMER).await?;
        let key = self.azure.key(ACME).await?;
        let how = if key.made { "made" } else { "found" };
        let finding = format!(
            "{}\nRSA, 3072 bits, {how} in the emulated vault; its private part never leaves it.",
            key.identifier
        );
        self.key = Some(key);
        Ok(finding)
    }

    pub(super) async fn role(&mut self) -> Finding {
        let key = self.key()?;
        let first = match key.made && !self.before {
            false => "Assigned as before",
            true => {
                self.azure.consent().await?;
                let attempt = self.client.configure_key(self.configuration()?).await;
                let refusal = refused(attempt, pb::Reason::VaultRoleMissing)?;
                check(refusal.owner == client::Owner::Customer, "a missing role is the customer's to assign")?;
                "Configuring was refused (VAULT_ROLE_MISSING) until the customer's admin assigned"
            }
        };
        self.azure.assign_role(ACME, key).await?;
        Ok(format!("{first}: Key Vault Crypto Service Encryption User, on this one key: read, wrap, unwrap."))
    }

    pub(super) async fn configure(&mut self) -> Finding {
        let key = self.client.configure_key(self.configuration()?).await?;
        let read = self.client.key(pb::GetKeyRequest { name: self.key_name() }).await?;
        let wanted = self.key()?;
        check(read.key_identifier == wanted.identifier, "the stored key is another one")?;
        check(read.lease.as_ref().map(|lease| lease.seconds) == Some(2), "the stored lease is another one")?;
        check(read.current_version.ends_with(&wanted.version), "the stored version is another one")?;
        let warnings: String = key.warnings.iter().map(|warning| format!("\nWarning: {warning}")).collect();
        Ok(format!(
            "A draft: connected, and nothing is under it yet. Lease: {} s, so that you need not wait below; 300 s unless set lower.{warnings}",
            LEASE.as_secs()
        ))
    }

    pub(super) async fn proof(&mut self) -> Finding {
        let key = self.key()?;
        let (wraps, unwraps) = (self.azure.uses(key, "wrap_key").await?, self.azure.uses(key, "unwrap_key").await?);
        let versions = self.client.key_versions(pb::ListKeyVersionsRequest { parent: self.key_name() }).await?.versions;
        let recorded = versions.first().ok_or_else(|| unexpected("no key version was recorded"))?;
        check(recorded.kid == format!("{}/{}", key.identifier, key.version), "another key version was recorded")?;
        check(recorded.bits == 3072, format_args!("a key of {} bits was recorded", recorded.bits))?;
        if self.before {
            return Ok(format!("Proved when it was configured; version {} is on record.", short(&key.version)));
        }
        check(wraps >= 1 && unwraps >= 1, format_args!("the vault's log has {wraps} wraps and {unwraps} unwraps"))?;
        Ok(format!(
            "The vault's own log has {wraps} wrap and {unwraps} unwrap of random bytes by version {}: they came back the same.",
            short(&key.version)
        ))
    }

    pub(super) async fn tested(&mut self) -> Finding {
        let key = self.client.key(pb::GetKeyRequest { name: self.key_name() }).await?;
        let test = self.test().await?;
        let mut shown = String::new();
        if !self.before {
            let stopped = test.steps.iter().find(|step| step.state() == pb::KeyTestStepState::Failed);
            let stopped =
                stopped.ok_or_else(|| unexpected("the test passed before the vault was proven the customer's"))?;
            check(stopped.reason == "OWNERSHIP_NOT_PROVEN", format_args!("the test failed for {}", stopped.reason))?;
            check(stopped.command.contains(&key.ownership_nonce), "the command does not set the nonce")?;
            shown = format!(
                "It stopped at \"ownership\" until the customer's admin set the key's tag {} to this workspace's nonce.\n",
                key.ownership_tag
            );
        }
        self.azure.set_tag(ACME, &key.ownership_tag, &key.ownership_nonce).await?;
        let test = self.test().await?;
        check(test.passed, format_args!("the test did not pass: {:?}", test.steps))?;
        let history = pb::ListKeyTestsRequest { parent: self.key_name(), page_size: 1 };
        let kept = self.client.key_tests(history).await?.tests;
        check(kept.first().is_some_and(|kept| kept.name == test.name), "the test is not in the history")?;
        for step in test.steps.iter().filter(|step| step.state() == pb::KeyTestStepState::Warning) {
            shown.push_str(&format!("Warning: {} [{}].\n", step.finding, step.reason));
        }
        Ok(format!(
            "{shown}{} steps, from the vault's name to a decrypted payload; it counts for 24 h.",
            test.steps.len()
        ))
    }

    async fn test(&self) -> Result<pb::KeyTest, crate::trouble::Trouble> {
        let request = pb::TestConfigurationRequest { name: self.key_name(), ..Default::default() };
        Ok(self.client.test_configuration(request, |_| ()).await?)
    }

    fn configuration(&self) -> Result<pb::ConfigureKeyRequest, crate::trouble::Trouble> {
        Ok(pb::ConfigureKeyRequest {
            name: self.key_name(),
            key_identifier: self.key()?.identifier.clone(),
            tenant_id: self.tenant.clone(),
            lease: Some(client::whole_seconds(LEASE)),
            ..Default::default()
        })
    }
}

fn is(error: &client::Error, reason: pb::Reason) -> bool {
    error.refused().and_then(client::Refused::known_reason) == Some(reason)
}

/// The beginning of an id, to be recognised by.
pub(super) fn short(id: &str) -> String {
    id.chars().take(8).chain(['…']).collect()
}
