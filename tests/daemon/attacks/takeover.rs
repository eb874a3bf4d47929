//! A stolen session of a workspace that goes over to a key of the attacker's own: every step on that way, the last one included, and that the
//! owner's key wraps all along.

use api::byok::v1 as pb;
use api::byok::v1::encryption_client::EncryptionClient;
use api::byok::v1::operations_client::OperationsClient;
use api::byok::v1::workspaces_client::WorkspacesClient;
use domain::{KeyVersionId, WorkspaceId, WrappingKey};

use super::at_the_keys::Owned;
use super::table::{Found, Table};
use super::town::{Town, reason};
use crate::site::Client;

pub(super) async fn all(town: &Town, owned: &Owned, table: &mut Table<'_>) {
    let acme: WorkspaceId = "acme".parse().unwrap();
    testkit::put_in_force(&*town.store, &acme).await;
    let owners = town.store.key_config(&acme).await.unwrap().unwrap().current_version;
    town.encrypts_for("before").await;
    let (vault, own) = town.vault(&town.mallory, "mallory-kv").await;
    let mallory = town.mallory.id().to_owned();
    let replace = || async {
        let request = pb::ReplaceKeyRequest {
            name: "workspaces/acme/key".into(),
            key_identifier: own.clone(),
            tenant_id: mallory.clone(),
            ..Default::default()
        };
        town.keys().replace_key(request).await.map(|answer| answer.into_inner())
    };

    let refused = replace().await.unwrap_err();
    table
        .add(
            "replace by an attacker's own vault",
            "asks for it with a stolen session of the workspace",
            (&reason(&refused), "TENANT_NOT_CONNECTED"),
            Found::Counted,
        )
        .await;

    town.connect("acme", &mallory).await.unwrap();
    let refused = replace().await.unwrap_err();
    table
        .add(
            "the same, having named its directory",
            "names their directory first, and asks again",
            (&reason(&refused), "KEY_REPLACEMENT_UNTESTED"),
            Found::Counted,
        )
        .await;

    // What the test tells them to set, they can set: the key is theirs.
    let stopped = town.test_of("acme", &own, &mallory).await;
    assert_eq!(stopped.reason, "OWNERSHIP_NOT_PROVEN");
    vault.set_tag("byok", "byok-enrol", shown_nonce(&stopped.command)).unwrap();
    assert_eq!(town.test_of("acme", &own, &mallory).await.reason, "", "their own key is a fit one");
    let refused = replace().await.unwrap_err();
    table
        .add(
            "the same, their key tagged and tested",
            "tags and tests their own key, while the key in force shows no tag of the workspace",
            (&reason(&refused), "OWNERSHIP_NOT_PROVEN"),
            Found::Counted,
        )
        .await;

    // As it is where nobody took the tag away again.
    owned.vault.set_tag("byok", "byok-enrol", &owned.tag).unwrap();
    let asked = replace().await.unwrap();
    assert!(asked.needs_approval && asked.waits.unwrap().seconds == 86_400, "a second person, and a day");
    let operation = asked.operation.unwrap();
    table
        .add(
            "the same, both keys showing their tags",
            "tags and tests their own key, and the owner's shows its tag: all that one person can do",
            (operation.state().as_str_name(), "OPERATION_STATE_AWAITING_APPROVAL"),
            Found::Saying("acme", "operation.approval_asked", "replace_key"),
        )
        .await;

    let approve = pb::ApproveRequest { name: operation.name.clone() };
    let refused = decisions(&town.client).approve(approve.clone()).await.unwrap_err();
    table
        .add(
            "approving what they asked for",
            "approves it with the same stolen session",
            (&reason(&refused), "APPROVAL_OWN_REQUEST"),
            Found::Counted,
        )
        .await;
    town.service.run_operations().await.unwrap();
    town.encrypts_for("meanwhile").await;
    assert_eq!(town.wrapped_by(&acme).await, [owners; 2], "all of it is under the owner's key");

    let approved = decisions(&town.second).approve(approve).await.unwrap().into_inner();
    assert_eq!(approved.state(), pb::OperationState::Waiting, "there is a day to stop it in");
    town.service.run_operations().await.unwrap();
    town.encrypts_for("approved").await;
    let cancel = pb::CancelOperationRequest { name: operation.name };
    let stopped = decisions(&town.client).cancel_operation(cancel).await.unwrap().into_inner();
    table
        .add(
            "having a second person taken in",
            "has a second person approve it; the owner cancels it within the day that it waits",
            (stopped.state().as_str_name(), "OPERATION_STATE_CANCELLED"),
            Found::Saying("acme", "operation.ended", "cancelled"),
        )
        .await;
    assert_eq!(town.wrapped_by(&acme).await, [owners; 3], "their key has never wrapped anything");
}

fn decisions(client: &Client) -> OperationsClient<Client> {
    OperationsClient::new(client.clone())
}

/// The nonce in the command that a test shows.
fn shown_nonce(command: &str) -> &str {
    let (_, nonce) = command.split_once("byok-enrol=").unwrap_or_else(|| panic!("no tag in {command}"));
    nonce.split(|c: char| !c.is_ascii_alphanumeric()).next().unwrap()
}

impl Town {
    /// An app of acme's with a data key.
    async fn encrypts_for(&self, app: &str) {
        let name = format!("workspaces/acme/apps/{app}");
        let app = pb::UpsertAppRequest { name: name.clone(), kind: pb::AppKind::App.into(), display_name: app.into() };
        WorkspacesClient::new(self.client.clone()).upsert_app(app).await.unwrap();
        let request = pb::EncryptRequest { app: name, plaintext: "an order".into(), ..Default::default() };
        EncryptionClient::new(self.client.clone()).encrypt(request).await.unwrap();
    }

    /// Which version of a customer's key wraps each data key of this workspace.
    async fn wrapped_by(&self, workspace: &WorkspaceId) -> Vec<KeyVersionId> {
        let mut found = Vec::new();
        for key in self.store.data_keys(workspace, None, 100).await.unwrap() {
            let wrapping = self.store.wrapping(workspace, key.id).await.unwrap().unwrap();
            let WrappingKey::Customer(version) = wrapping.wrapped_by else { panic!("not under the customer's key") };
            found.push(version);
        }
        found
    }
}
