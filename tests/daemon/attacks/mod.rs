//! Who tries to have this service open somebody else's vault, and what they are told: each attack is refused, and recorded.
//!
//! Attacks on the way out to vaults (redirects, addresses of the metadata service, names that lead elsewhere the second time, `nextLink` to
//! another host) are made against the transport itself, in `crates/vault/tests` and `crates/outbound`.

mod town;

use api::byok::v1 as pb;
use azure_emulator::{Falsified, Fault, IdTokenFault, Scope};

use self::town::{OWNER, PUBLIC, Seen, Town, reason, shown};

/// One attack, as it went.
struct Row {
    attack: &'static str,
    tried: &'static str,
    answer: String,
    recorded: String,
}

#[derive(Default)]
struct Table(Vec<Row>);

impl Table {
    /// Both have to be there: a refusal nobody can find later would go on unseen.
    fn add(&mut self, attack: &'static str, tried: &'static str, answer: (&str, &str), recorded: Option<String>) {
        let (answer, expected) = answer;
        assert_eq!(answer, expected, "{attack}");
        let recorded = recorded.unwrap_or_else(|| panic!("{attack}: nothing was recorded"));
        self.0.push(Row { attack, tried, answer: answer.to_owned(), recorded });
    }

    #[expect(clippy::print_stdout, reason = "the table is what a person reads of this test (--nocapture)")]
    fn print(&self) {
        println!("{:<38} {:<62} {:<28} recorded", "attack", "what the attacker did", "answer");
        for Row { attack, tried, answer, recorded } in &self.0 {
            println!("{attack:<38} {tried:<62} {answer:<28} {recorded}");
        }
    }
}

/// At the browser: answers that are forged, replayed, of another browser, of another directory; codes that are guessed; and tokens that
/// are not what they say.
async fn at_the_pages(town: &Town, table: &mut Table) {
    let tenant = town.contoso.id().to_owned();
    town.workspace("acme").await;
    let forged = format!("{PUBLIC}/entra/consent?admin_consent=True&tenant={tenant}&state=forged");
    let seen = town.browser().open(&forged).await;
    let counted = town.counted("CONSENT_STATE_UNKNOWN").await;
    table.add(
        "forged callback",
        "opens /entra/consent with a state of their own",
        (&shown(&seen), "CONSENT_STATE_UNKNOWN"),
        counted,
    );

    let mut owner = town.browser();
    let begun = town.connect("acme", &tenant).await.unwrap();
    let back = owner.consent(&begun.start_url).await;
    assert!(matches!(owner.open(&back).await, Seen::Redirect(_)));
    let seen = owner.open(&back).await;
    let counted = town.counted("CONSENT_STATE_UNKNOWN").await;
    table.add("state replay", "opens the same callback once more", (&shown(&seen), "CONSENT_STATE_UNKNOWN"), counted);

    let begun = town.connect("acme", &tenant).await.unwrap();
    let back = town.browser().consent(&begun.start_url).await;
    let seen = town.browser().open(&back).await;
    let recorded = town.recorded("acme", "tenant.consent_refused").await;
    table.add(
        "callback in another browser",
        "has the owner's answer opened in a browser of theirs",
        (&shown(&seen), "CONSENT_OTHER_BROWSER"),
        recorded,
    );

    let begun = town.connect("acme", &tenant).await.unwrap();
    let mut owner = town.browser();
    let back = owner.consent(&begun.start_url).await;
    let seen = owner.open(&back.replace(&tenant, town.mallory.id())).await;
    let recorded = town.recorded("acme", "tenant.consent_refused").await;
    table.add(
        "consent of another directory",
        "comes back from the directory of their own",
        (&shown(&seen), "CONSENT_OTHER_TENANT"),
        recorded,
    );

    town.workspace("eve").await;
    let begun = town.connect("eve", &tenant).await.unwrap();
    let Seen::Page(200, page) = town.browser().open(&begun.start_url).await else {
        panic!("opening it begins nothing")
    };
    assert!(page.contains("The eve company") && page.contains(&tenant), "{page}");
    let seen = town.browser().continue_from(&page).await;
    let recorded = town.recorded("eve", "tenant.consent_refused").await;
    table.add(
        "start address sent to another's admin",
        "has the page that names the workspace skipped by a form of theirs",
        (&shown(&seen), "CONSENT_OTHER_BROWSER"),
        recorded,
    );
    assert_eq!(town.state("eve").await, "NAMED");

    let begun = town.connect("acme", &tenant).await.unwrap();
    let sent = town.browser().at_directory(&begun.consent_url, &[("user", OWNER), ("action", "accept")]).await;
    let Seen::Page(200, page) = town.browser().open(&sent).await else { panic!("a page with a code") };
    assert!(page.contains("The acme company") && page.contains("class=\"code\""), "{page}");
    let request = pb::CompleteConsentRequest { name: "workspaces/acme/connection".into(), code: "BBBB-BBBB".into() };
    let refused = town.tenants().complete_consent(request).await.unwrap_err();
    let recorded = town.recorded("acme", "tenant.consent_refused").await;
    table.add(
        "guessed code",
        "reads back a code that nobody was shown",
        (&reason(&refused), "CONSENT_CODE_WRONG"),
        recorded,
    );
    assert_eq!(town.state("acme").await, "CAME_BACK", "nothing of all this proves");

    for (fault, attack, tried, expected) in [
        (
            IdTokenFault::PersonalTenant,
            "personal-account tid",
            "signs in with a personal account",
            "SIGN_IN_OTHER_TENANT",
        ),
        (IdTokenFault::AlgorithmNone, "alg=none", "brings an id_token without a signature", "SIGN_IN_UNTRUSTED"),
        (
            IdTokenFault::HmacWithPublicKey,
            "alg confusion",
            "signs with HMAC and the directory's public key",
            "SIGN_IN_UNTRUSTED",
        ),
        (
            IdTokenFault::KeyOfAnotherIssuer,
            "key of another issuer",
            "signs with a key that is listed as another issuer's",
            "SIGN_IN_UNTRUSTED",
        ),
        (
            IdTokenFault::AdministratorsMail,
            "e-mail claim games",
            "has the admin's address, name and UPN, not the role",
            "SIGN_IN_NOT_ADMINISTRATOR",
        ),
        (
            IdTokenFault::AnotherTenant,
            "tid of another directory",
            "signs in to a directory of their own",
            "SIGN_IN_OTHER_TENANT",
        ),
        (IdTokenFault::Guest, "guest", "was invited to the directory", "SIGN_IN_GUEST"),
        (
            IdTokenFault::WrongNonce,
            "id_token of another sign-in",
            "brings a token with another sign-in's nonce",
            "SIGN_IN_OVER",
        ),
    ] {
        let begun = town.connect("acme", &tenant).await.unwrap();
        let mut browser = town.browser();
        let back = browser.sign_in(&begun.start_url).await;
        let on = town.emulator.faults().switch_on(Fault::IdToken(fault), Scope::everywhere());
        let seen = browser.open(&back).await;
        town.emulator.faults().clear(on);
        let recorded = town.recorded("acme", "tenant.consent_refused").await;
        table.add(attack, tried, (&shown(&seen), expected), recorded.filter(|found| found.ends_with(expected)));
        assert_eq!(town.state("acme").await, "CAME_BACK", "{attack}");
    }

    let begun = town.connect("acme", &tenant).await.unwrap();
    let mut owner = town.browser();
    let back = owner.sign_in(&begun.start_url).await;
    let Seen::Page(200, page) = owner.open(&back).await else { panic!("the owner proves it all the same") };
    assert!(page.contains("Your directory is connected"), "{page}");
    assert_eq!(town.state("acme").await, "PROVEN");
}

/// At the keys: somebody else's, in a draft or with a tag; addresses that look like a vault's; and another key in the place of one.
async fn at_the_keys(town: &Town, table: &mut Table) {
    let (contoso, mallory) = (town.contoso.id().to_owned(), town.mallory.id().to_owned());
    let (vault, key) = town.vault(&town.contoso, "contoso-kv").await;
    town.workspace("mallory").await;
    town.workspace("second").await;
    town.configure("mallory", &key, &contoso).await.unwrap();
    let stopped = town.test("mallory").await;
    let recorded = town.recorded("mallory", "key.tested").await;
    table.add(
        "another workspace's vault",
        "names the customer's vault, which lets our application in",
        (&stopped, "OWNERSHIP_NOT_PROVEN"),
        recorded,
    );

    town.configure("acme", &key, &contoso).await.unwrap();
    vault.set_tag("byok", "byok-enrol", &town.nonce("acme").await).unwrap();
    assert_eq!(town.test("acme").await, "", "the draft before it claimed nothing");
    let stopped = town.test("mallory").await;
    let recorded = town.recorded("mallory", "key.tested").await;
    table.add(
        "squatting by a draft",
        "had named the key before its owner did",
        (&stopped, "OWNERSHIP_NOT_PROVEN"),
        recorded,
    );

    town.configure("second", &key, &contoso).await.unwrap();
    vault.set_tag("byok", "byok-enrol", &town.nonce("second").await).unwrap();
    let stopped = town.test("second").await;
    let recorded = town.recorded("second", "key.proof_refused").await;
    table.add(
        "same tenant's second workspace",
        "has an admin of the tenant tag the key for them too",
        (&stopped, "KEY_BOUND_ELSEWHERE"),
        recorded,
    );

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
        let counted = town.counted("KEY_IDENTIFIER_INVALID").await;
        table.add(attack, tried, (&reason(&refused), "KEY_IDENTIFIER_INVALID"), counted);
    }

    let fault = Fault::Answer(Falsified::ChallengeTenant);
    let on = town.emulator.faults().switch_on(fault, Scope::everywhere());
    let stopped = town.test("acme").await;
    town.emulator.faults().clear(on);
    let recorded = town.recorded("acme", "key.tested").await;
    table.add(
        "challenge naming another tenant",
        "has the vault ask for a token of their directory",
        (&stopped, "VAULT_TENANT_MISMATCH"),
        recorded,
    );

    let refused = town.connect("mallory", "9188040d-6c67-4c5b-b112-36a304b66dad").await.unwrap_err();
    let counted = town.counted("TENANT_INVALID").await;
    table.add(
        "the personal directory as a tenant",
        "connects the directory of personal accounts",
        (&reason(&refused), "TENANT_INVALID"),
        counted,
    );

    testkit::put_in_force(&*town.store, &"acme".parse().unwrap()).await;
    let (_, own) = town.vault(&town.mallory, "mallory-kv").await;
    let replace = pb::ReplaceKeyRequest {
        name: "workspaces/acme/key".into(),
        key_identifier: own.clone(),
        tenant_id: mallory.clone(),
        ..Default::default()
    };
    let refused = town.keys().replace_key(replace.clone()).await.unwrap_err();
    let counted = town.counted("TENANT_NOT_CONNECTED").await;
    table.add(
        "replace by an attacker's own vault",
        "asks for it with a stolen session of the workspace",
        (&reason(&refused), "TENANT_NOT_CONNECTED"),
        counted,
    );

    town.connect("acme", &mallory).await.unwrap();
    let refused = town.keys().replace_key(replace).await.unwrap_err();
    let counted = town.counted("KEY_REPLACEMENT_UNTESTED").await;
    table.add(
        "the same, having named its directory",
        "names their directory first, and asks again",
        (&reason(&refused), "KEY_REPLACEMENT_UNTESTED"),
        counted,
    );
}

/// Every attack is refused with its reason and found again in a ledger.
#[tokio::test]
async fn every_attack_is_refused_and_recorded() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let town = Town::start().await;
    let mut table = Table::default();
    at_the_pages(&town, &mut table).await;
    at_the_keys(&town, &mut table).await;
    table.print();
    assert!(table.0.len() >= 20, "{}", table.0.len());
    town.store.verify().await.unwrap();
}
