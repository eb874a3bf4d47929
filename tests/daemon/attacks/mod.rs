//! Who tries to have this service open somebody else's vault, or send its token elsewhere, and what they are told: each attack is refused, and
//! recorded. `docs/attacks.md` is the list.
//!
//! The ways out that only a transport sees (many more addresses, two workspaces at one private vault, a seeded bug for each) are attacked in
//! `crates/vault/tests/attacks.rs`; an example of each kind is here, for the transport has no ledger.
//!
//! | file | question |
//! |---|---|
//! | `at_the_pages` | browsers, codes and id_tokens that are not what they say |
//! | `at_the_keys` | somebody else's key, and addresses that only look like a vault's |
//! | `on_the_way` | vaults whose names lead inward and whose answers lead elsewhere |
//! | `takeover` | a stolen session that goes over to the attacker's own key |
//! | `table` | refused and recorded, row by row |
//! | `recorded` | what is new in the ledger |
//! | `two_pages` | two consents that one browser has under way at once |
//! | `town`, `names` | the daemon, its Azure, and where names lead |

mod at_the_keys;
mod at_the_pages;
#[path = "../../golden/attacks_document.rs"]
mod document;
mod names;
mod on_the_way;
mod recorded;
mod table;
mod takeover;
mod town;
mod two_pages;

use self::table::Table;
use self::town::{PUBLIC, Town, shown};

async fn town() -> Town {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    Town::start().await
}

/// Every attack is refused with its reason and found again in a ledger, as the page says.
#[tokio::test]
async fn every_attack_is_refused_and_recorded() {
    let town = town().await;
    let mut table = Table::new(&town);
    at_the_pages::all(&town, &mut table).await;
    let owned = at_the_keys::all(&town, &mut table).await;
    takeover::all(&town, &owned, &mut table).await;
    on_the_way::all(&town, &mut table).await;
    table.compare();
    town.store.verify().await.unwrap();
}

/// What the table rests on: a record counts once, for the attack that it is of, under its own reason. An attack that leaves nothing
/// behind is not taken for recorded because one before it was.
#[tokio::test]
async fn what_was_recorded_before_is_no_record_of_what_comes_after() {
    let town = town().await;
    town.workspace("acme").await;
    let forged = format!("{PUBLIC}/entra/consent?admin_consent=True&tenant={}&state=forged", town.contoso.id());
    shown(&town.browser().open(&forged).await);
    assert!(town.counted("CONSENT_STATE_UNKNOWN").await.is_some());
    assert_eq!(town.counted("CONSENT_STATE_UNKNOWN").await, None, "counted for another attack before");

    let (_, key) = town.vault(&town.contoso, "contoso-kv").await;
    let tested = || town.test_of("acme", &key, town.contoso.id());
    assert_eq!(tested().await.reason, "OWNERSHIP_NOT_PROVEN");
    assert_eq!(town.recorded("acme", "key.tested", "VAULT_TENANT_MISMATCH").await, None, "another reason");
    assert_eq!(town.recorded("acme", "key.tested", "OWNERSHIP_NOT_PROVEN").await, None, "of before that asking");
    tested().await;
    assert!(town.recorded("acme", "key.tested", "OWNERSHIP_NOT_PROVEN").await.is_some());
    assert_eq!(town.recorded("acme", "key.tested", "OWNERSHIP_NOT_PROVEN").await, None);
}
