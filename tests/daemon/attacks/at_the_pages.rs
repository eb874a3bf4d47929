//! At the browser: answers that are forged, replayed, of another browser, of another directory; codes that are guessed; and tokens that
//! are not what they say.

use api::byok::v1 as pb;
use azure_emulator::{Fault, IdTokenFault, Scope};

use super::table::{Found, Table};
use super::town::{OWNER, PUBLIC, Seen, Town, reason, shown};

pub(super) async fn all(town: &Town, table: &mut Table<'_>) {
    let tenant = town.contoso.id().to_owned();
    town.workspace("acme").await;
    let forged = format!("{PUBLIC}/entra/consent?admin_consent=True&tenant={tenant}&state=forged");
    let seen = town.browser().open(&forged).await;
    table
        .add(
            "forged callback",
            "opens /entra/consent with a state of their own",
            (&shown(&seen), "CONSENT_STATE_UNKNOWN"),
            Found::Counted,
        )
        .await;

    let mut owner = town.browser();
    let begun = town.connect("acme", &tenant).await.unwrap();
    let back = owner.consent(&begun.start_url).await;
    assert!(matches!(owner.open(&back).await, Seen::Redirect(_)));
    let seen = owner.open(&back).await;
    table
        .add(
            "state replay",
            "opens the same callback once more",
            (&shown(&seen), "CONSENT_STATE_UNKNOWN"),
            Found::Counted,
        )
        .await;

    let begun = town.connect("acme", &tenant).await.unwrap();
    let back = town.browser().consent(&begun.start_url).await;
    let seen = town.browser().open(&back).await;
    table
        .add(
            "callback in another browser",
            "has the owner's answer opened in a browser of theirs",
            (&shown(&seen), "CONSENT_OTHER_BROWSER"),
            Found::In("acme", "tenant.consent_refused"),
        )
        .await;

    let begun = town.connect("acme", &tenant).await.unwrap();
    let mut owner = town.browser();
    let back = owner.consent(&begun.start_url).await;
    let seen = owner.open(&back.replace(&tenant, town.mallory.id())).await;
    table
        .add(
            "consent of another directory",
            "comes back from the directory of their own",
            (&shown(&seen), "CONSENT_OTHER_TENANT"),
            Found::In("acme", "tenant.consent_refused"),
        )
        .await;

    town.workspace("eve").await;
    let begun = town.connect("eve", &tenant).await.unwrap();
    let Seen::Page(200, page) = town.browser().open(&begun.start_url).await else {
        panic!("opening it begins nothing")
    };
    assert!(page.contains("The eve company") && page.contains(&tenant), "{page}");
    let seen = town.browser().continue_from(&page).await;
    table
        .add(
            "start address sent to another's admin",
            "has the page that names the workspace skipped by a form of theirs",
            (&shown(&seen), "CONSENT_OTHER_BROWSER"),
            Found::In("eve", "tenant.consent_refused"),
        )
        .await;
    assert_eq!(town.state("eve").await, "NAMED");

    let begun = town.connect("acme", &tenant).await.unwrap();
    let sent = town.browser().at_directory(&begun.consent_url, &[("user", OWNER), ("action", "accept")]).await;
    let Seen::Page(200, page) = town.browser().open(&sent).await else { panic!("a page with a code") };
    assert!(page.contains("The acme company") && page.contains("class=\"code\""), "{page}");
    let request = pb::CompleteConsentRequest { name: "workspaces/acme/connection".into(), code: "BBBB-BBBB".into() };
    let refused = town.tenants().complete_consent(request).await.unwrap_err();
    table
        .add(
            "guessed code",
            "reads back a code that nobody was shown",
            (&reason(&refused), "CONSENT_CODE_WRONG"),
            Found::In("acme", "tenant.consent_refused"),
        )
        .await;
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
        table.add(attack, tried, (&shown(&seen), expected), Found::In("acme", "tenant.consent_refused")).await;
        assert_eq!(town.state("acme").await, "CAME_BACK", "{attack}");
    }

    let begun = town.connect("acme", &tenant).await.unwrap();
    let mut owner = town.browser();
    let back = owner.sign_in(&begun.start_url).await;
    let Seen::Page(200, page) = owner.open(&back).await else { panic!("the owner proves it all the same") };
    assert!(page.contains("Your directory is connected"), "{page}");
    assert_eq!(town.state("acme").await, "PROVEN");
}
