//! At the keys: somebody else's, in a draft or with a tag; and addresses that only look like a vault's.

use azure_emulator::{Falsified, Fault, Scope, VaultHandle};

use super::table::{Found, Table};
use super::town::{Town, reason};

/// Acme's key.
pub(super) struct Owned {
    pub(super) vault: VaultHandle,
    /// The tag that proved it. The key shows another one by now.
    pub(super) tag: String,
}

/// And what was the owner's in all this.
pub(super) async fn all(town: &Town, table: &mut Table<'_>) -> Owned {
    let contoso = town.contoso.id().to_owned();
    let (vault, key) = town.vault(&town.contoso, "contoso-kv").await;
    town.workspace("mallory").await;
    town.workspace("second").await;
    town.configure("mallory", &key, &contoso).await.unwrap();
    let stopped = town.test("mallory").await;
    table
        .add(
            "another workspace's vault",
            "names the customer's vault, which lets our application in",
            (&stopped, "OWNERSHIP_NOT_PROVEN"),
            Found::In("mallory", "key.tested"),
        )
        .await;

    town.configure("acme", &key, &contoso).await.unwrap();
    let tag = town.nonce("acme").await;
    vault.set_tag("byok", "byok-enrol", &tag).unwrap();
    assert_eq!(town.test("acme").await, "", "the draft before it claimed nothing");
    let stopped = town.test("mallory").await;
    table
        .add(
            "squatting by a draft",
            "had named the key before its owner did",
            (&stopped, "OWNERSHIP_NOT_PROVEN"),
            Found::In("mallory", "key.tested"),
        )
        .await;

    town.configure("second", &key, &contoso).await.unwrap();
    vault.set_tag("byok", "byok-enrol", &town.nonce("second").await).unwrap();
    let stopped = town.test("second").await;
    table
        .add(
            "same tenant's second workspace",
            "has an admin of the tenant tag the key for them too",
            (&stopped, "KEY_BOUND_ELSEWHERE"),
            Found::In("second", "key.proof_refused"),
        )
        .await;

    for (attack, tried, identifier) in [
        (
            "look-alike suffix",
            "names a vault under vault.azure.net.evil.example",
            "https://contoso-kv.vault.azure.net.evil.example/keys/byok",
        ),
        ("userinfo", "hides their host behind an @", "https://contoso-kv.vault.azure.net@evil.example/keys/byok"),
        ("metadata address", "names the metadata service as a vault", "https://169.254.169.254/keys/byok"),
        ("percent-encoding", "hides a slash in the host", "https://contoso-kv%2evault.azure.net/keys/byok"),
    ] {
        let refused = town.configure("mallory", identifier, &contoso).await.unwrap_err();
        table.add(attack, tried, (&reason(&refused), "KEY_IDENTIFIER_INVALID"), Found::Counted).await;
    }

    let fault = Fault::Answer(Falsified::ChallengeTenant);
    let on = town.emulator.faults().switch_on(fault, Scope::everywhere());
    let stopped = town.test("acme").await;
    town.emulator.faults().clear(on);
    table
        .add(
            "challenge naming another tenant",
            "has the vault ask for a token of their directory",
            (&stopped, "VAULT_TENANT_MISMATCH"),
            Found::In("acme", "key.tested"),
        )
        .await;

    let refused = town.connect("mallory", "9188040d-6c67-4c5b-b112-36a304b66dad").await.unwrap_err();
    table
        .add(
            "the personal directory as a tenant",
            "connects the directory of personal accounts",
            (&reason(&refused), "TENANT_INVALID"),
            Found::Counted,
        )
        .await;
    Owned { vault, tag }
}
