//! On the way to a vault: names that lead inward, at once or the second time; answers that lead elsewhere. Nothing of ours goes there.

use std::sync::atomic::Ordering;

use azure_emulator::{Falsified, Fault, Operation, Scope};
use domain::WorkspaceId;

use super::names::FINE;
use super::table::{Found, Table};
use super::town::{Town, reason};

const METADATA: &str = "169.254.169.254";

pub(super) async fn all(town: &Town, table: &mut Table<'_>) {
    names_that_lead_inward(town, table).await;
    answers_that_lead_elsewhere(town, table).await;
}

async fn names_that_lead_inward(town: &Town, table: &mut Table<'_>) {
    let mallory = town.mallory.id().to_owned();
    town.workspace("inward").await;
    let (vault, key) = town.vault(&town.mallory, "inward-kv").await;
    let host = vault.host();
    let stopped = town.test_of("inward", &key, &mallory).await;
    assert_eq!(stopped.reason, "OWNERSHIP_NOT_PROVEN", "where its name leads to a vault's address, it is reached");
    town.recorded("inward", "key.tested", &stopped.reason).await.unwrap();

    for (attack, tried, answers, expected) in [
        (
            "name of the metadata service",
            "has their vault's name lead to the metadata service",
            &[&[METADATA][..]][..],
            "VAULT_ADDRESS_FORBIDDEN",
        ),
        (
            "the same in an IPv6 address",
            "writes the metadata service's address as an IPv6 one",
            &[&["::ffff:169.254.169.254"]],
            "VAULT_ADDRESS_FORBIDDEN",
        ),
        (
            "link-local name",
            "has the name lead to another link-local address",
            &[&["169.254.0.7"]],
            "VAULT_ADDRESS_FORBIDDEN",
        ),
        (
            "name of the host's agent",
            "has the name lead to the agent of the host under us",
            &[&["168.63.129.16"]],
            "VAULT_ADDRESS_FORBIDDEN",
        ),
        (
            "name of this machine",
            "has the name lead to the machine itself",
            &[&["127.0.0.1"]],
            "VAULT_ADDRESS_FORBIDDEN",
        ),
        (
            "address behind a good one",
            "has the name lead to a vault's address and to the metadata service",
            &[&[FINE, METADATA]],
            "VAULT_ADDRESS_FORBIDDEN",
        ),
        (
            "DNS rebinding",
            "has the name lead to a vault's address when it is looked at, and inward when it is connected to",
            &[&[FINE], &[METADATA]],
            "VAULT_ADDRESS_FORBIDDEN",
        ),
        (
            "private name",
            "has the name lead into a private network that nobody approved for them",
            &[&["10.20.0.5"]],
            "VAULT_ADDRESS_NOT_APPROVED",
        ),
    ] {
        town.names.lead(host, answers);
        town.emulator.clear_calls();
        let stopped = town.test_of("inward", &key, &mallory).await;
        let rebound = answers.len() > 1;
        let step = if rebound { "KEY_TEST_STEP_NETWORK" } else { "KEY_TEST_STEP_NAME_RESOLUTION" };
        assert_eq!(stopped.step().as_str_name(), step, "{attack}");
        table.add(attack, tried, (&stopped.reason, expected), Found::In("inward", "key.tested")).await;
        nothing_reached(town, host, attack);
    }

    // Vaults that nobody has a connection to yet: one that was made to a checked address lasts a second.
    for (attack, tried, vault, address, expected) in [
        (
            "configuring such a key",
            "names a key in a vault whose name leads to the metadata service",
            "metadata-kv",
            METADATA,
            "VAULT_ADDRESS_FORBIDDEN",
        ),
        (
            "configuring a private one",
            "names a key in a vault whose name leads into a private network",
            "private-kv",
            "10.20.0.5",
            "VAULT_ADDRESS_NOT_APPROVED",
        ),
    ] {
        let (vault, key) = town.vault(&town.mallory, vault).await;
        town.names.lead(vault.host(), &[&[address]]);
        town.emulator.clear_calls();
        let refused = town.configure("inward", &key, &mallory).await.unwrap_err();
        table.add(attack, tried, (&reason(&refused), expected), Found::Counted).await;
        nothing_reached(town, vault.host(), attack);
    }
}

async fn answers_that_lead_elsewhere(town: &Town, table: &mut Table<'_>) {
    let contoso = town.contoso.id().to_owned();
    // Who follows gets there: with the same role, in the same directory.
    let (collector, _) = town.vault(&town.contoso, Falsified::COLLECTOR).await;
    let (vault, key) = town.vault(&town.contoso, "elsewhere-kv").await;
    town.workspace("elsewhere").await;
    town.configure("elsewhere", &key, &contoso).await.unwrap();
    vault.set_tag("byok", "byok-enrol", &town.nonce("elsewhere").await).unwrap();
    assert_eq!(town.test("elsewhere").await, "");

    let here = || Scope::everywhere().host(vault.host());
    for (attack, tried, scope, expected) in [
        (
            "redirect before any token",
            "has their vault answer the first request with a redirect to another",
            here().operation(Operation::Challenge),
            "VAULT_ANSWER_INVALID",
        ),
        (
            "redirect of a request with a token",
            "has their vault send our token on to another",
            here().operation(Operation::GetKey),
            "VAULT_ANSWER_INVALID",
        ),
        (
            "redirect of the request with our secret",
            "has the login host's answer lead to a vault of theirs",
            Scope::everywhere().operation(Operation::Token),
            "ENTRA_REFUSED",
        ),
    ] {
        town.emulator.clear_calls();
        let on = town.emulator.faults().switch_on(Fault::Answer(Falsified::Redirect), scope);
        let stopped = town.test("elsewhere").await;
        assert!(town.emulator.faults().hits(on).unwrap() > 0, "{attack}: never tried");
        town.emulator.faults().clear(on);
        table.add(attack, tried, (&stopped, expected), Found::In("elsewhere", "key.tested")).await;
        nothing_reached(town, collector.host(), attack);
    }

    // A newer version, which a list that is believed would have it go over to.
    let elsewhere: WorkspaceId = "elsewhere".parse().unwrap();
    testkit::put_in_force(&*town.store, &elsewhere).await;
    // Vaults tell versions apart by the second.
    town.ahead.store(1_000_000, Ordering::Relaxed);
    vault.rotate_key("byok").await.unwrap();
    let rotations = || async {
        town.service.follow_new_versions().await.unwrap();
        town.store.operations(&elsewhere, None, 10).await.unwrap().len().to_string()
    };
    let foreign = Fault::Answer(Falsified::ForeignNextLink);
    let on = town.emulator.faults().switch_on(foreign, here().operation(Operation::ListVersions));
    let begun = rotations().await;
    assert!(town.emulator.faults().hits(on).unwrap() > 0, "never tried");
    town.emulator.faults().clear(on);
    table
        .add(
            "`nextLink` to another host",
            "has the list of the key's versions go on at a host of theirs, while new versions are looked for",
            (&format!("{begun} rotations"), "0 rotations"),
            Found::CountedAs("VAULT_ANSWER_INVALID"),
        )
        .await;
    assert_eq!(rotations().await, "1", "the list is followed once it is one again");
}

/// No request came to this host since the calls were cleared.
fn nothing_reached(town: &Town, host: &str, attack: &str) {
    let calls = town.emulator.calls();
    assert!(calls.iter().all(|call| call.host != host), "{attack}: {calls:?}");
}
