//! The way of an honest administrator, and where everybody else's ends.

use azure_emulator::{GLOBAL_ADMINISTRATOR, PRIVILEGED_ROLE_ADMINISTRATOR, UserKind};
use domain::DomainName;

use super::*;
use crate::entra::{AdminRole, IdTokenRefused, Rule};

fn broken(rule: Rule) -> Result<SignedIn, DirectoryRefused> {
    Err(IdTokenRefused { rule }.into())
}

/// Look-up, consent and sign-in of a new customer, through the pages a browser would show; what is kept of the person is tenant,
/// object id and role.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_administrator_comes_the_whole_way() {
    let world = World::start().await;
    let fabrikam = world.emulator.tenant("fabrikam");
    let domain: DomainName = "@Fabrikam.example".parse().unwrap();
    let tenant = world.directory.look_up(Cloud::Public, &domain).await.unwrap();
    assert_eq!(tenant.as_str(), fabrikam.id());

    let consent = world.directory.consent_url(Cloud::Public, &tenant, "state-0");
    let page = world.browser.get(world.led(&consent)).send().await.unwrap();
    assert_eq!(page.status(), 200);
    let page = page.text().await.unwrap();
    assert!(page.contains("byokd") && page.contains("openid") && page.contains("profile"), "{page}");
    let back = world.post(&consent, &[("action", "accept"), ("user", "owner@fabrikam.onmicrosoft.com")]).await.unwrap();
    assert!(back.as_str().starts_with("https://keys.example.com/entra/consent?"));
    assert_eq!(said(&back, "admin_consent").as_deref(), Some("True"));
    assert_eq!(said(&back, "tenant").as_deref(), Some(fabrikam.id()));
    assert_eq!((said(&back, "state").as_deref(), said(&back, "error")), (Some("state-0"), None));
    assert!(fabrikam.principal(&world.app).is_some(), "the enterprise application is there");

    let challenge = challenge_of(VERIFIER);
    let ask = SignInAsk { state: "state-1", nonce: NONCE, challenge: &challenge };
    let url = world.directory.sign_in_url(Cloud::Public, &tenant, &ask);
    let page = world.browser.get(world.led(&url)).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("owner@fabrikam.onmicrosoft.com") && page.contains("#EXT#"), "{page}");
    let back = world.post(&url, &[("user", "owner@fabrikam.onmicrosoft.com")]).await.unwrap();
    assert_eq!(said(&back, "state").as_deref(), Some("state-1"));
    let code = said(&back, "code").unwrap();
    let signed_in = world.directory.redeem(Cloud::Public, &tenant, &code, VERIFIER, NONCE).await.unwrap();
    assert_eq!(signed_in.tenant, tenant);
    assert_eq!(signed_in.object_id.as_str(), fabrikam.user("owner@fabrikam.onmicrosoft.com").unwrap().object_id);
    assert_eq!(signed_in.admin_role, AdminRole::GlobalAdministrator);
}

/// Only somebody at home in the tenant with one of the two roles proves it: not a plain user, not a guest even with the role, and
/// no personal account, which the tenant's page does not even let in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_an_administrator_at_home_proves_a_tenant() {
    let world = World::start().await;
    let contoso = &world.contoso;
    contoso.add_user("privileged", UserKind::Member, &[PRIVILEGED_ROLE_ADMINISTRATOR]);
    let guest = contoso.add_user("boss@partner.example", UserKind::Guest, &[GLOBAL_ADMINISTRATOR]);
    let roles = world.sign_in("privileged@contoso.onmicrosoft.com").await.unwrap().admin_role;
    assert_eq!(roles, AdminRole::PrivilegedRoleAdministrator);
    assert_eq!(world.sign_in("user@contoso.onmicrosoft.com").await, broken(Rule::Administrator));
    assert_eq!(world.sign_in(&guest.name).await, broken(Rule::NotAGuest));
    let page = world.post(&world.sign_in_url(), &[("user", "someone@outlook.example")]).await.unwrap_err();
    assert!(page.contains("AADSTS50020"), "{page}");
    world.emulator.tenant("fabrikam");
    let page = world.post(&world.sign_in_url(), &[("user", "owner@fabrikam.onmicrosoft.com")]).await.unwrap_err();
    assert!(page.contains("AADSTS50020"), "{page}");
}

/// A code is good once, for ten minutes, with its own verifier and at its own tenant; whatever else is shown, the sign-in is over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_good_once_and_only_with_its_verifier() {
    let world = World::start().await;
    let code = world.code(owner()).await;
    world.redeem(&code).await.unwrap();
    assert_eq!(world.redeem(&code).await, Err(DirectoryRefused::SignInOver), "used");

    let (code, tenant) = (world.code(owner()).await, world.tenant());
    let stolen =
        world.directory.redeem(Cloud::Public, &tenant, &code, "another-verifier-of-somebody-who-saw-it", NONCE);
    assert_eq!(stolen.await, Err(DirectoryRefused::SignInOver), "another verifier");
    assert_eq!(world.redeem(&code).await, Err(DirectoryRefused::SignInOver), "and used up by the attempt");

    let code = world.code(owner()).await;
    world.clock.pass(601);
    assert_eq!(world.redeem(&code).await, Err(DirectoryRefused::SignInOver), "old");

    let code = world.code(owner()).await;
    let other = world.directory.redeem(Cloud::Public, &tenant, &code, VERIFIER, "nonce-of-another-sign-in");
    assert_eq!(other.await, broken(Rule::Nonce), "the code of another sign-in");

    let fabrikam: TenantId = world.emulator.tenant("fabrikam").id().parse().unwrap();
    let code = world.code(owner()).await;
    let elsewhere = world.directory.redeem(Cloud::Public, &fabrikam, &code, VERIFIER, NONCE).await;
    assert_eq!(elsewhere, Err(DirectoryRefused::SignInOver), "another tenant");
    for bad in ["", "x", &"y".repeat(9_000)] {
        assert_eq!(world.redeem(bad).await, Err(DirectoryRefused::SignInOver));
    }
}

/// Declined, asked by somebody who may not, or with another address: nothing is registered, and the browser is told so or not sent
/// back at all. The second version says `admin_consent=True` with an error as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_consent_that_was_none_registers_nothing() {
    let world = World::start().await;
    let fabrikam = world.emulator.tenant("fabrikam");
    let tenant: TenantId = fabrikam.id().parse().unwrap();
    let url = world.directory.consent_url(Cloud::Public, &tenant, "s");
    let back = world.post(&url, &[("action", "decline")]).await.unwrap();
    assert_eq!(said(&back, "error").as_deref(), Some("access_denied"));
    assert_eq!(said(&back, "admin_consent").as_deref(), Some("True"), "the quirk");
    let page = world.post(&url, &[("action", "accept"), ("user", "user@fabrikam.example")]).await;
    assert!(page.unwrap_err().contains("AADSTS50034"));
    let page = world.post(&url, &[("action", "accept"), ("user", "user@fabrikam.onmicrosoft.com")]).await;
    assert!(page.unwrap_err().contains("AADSTS90094"));
    let elsewhere = url.replace("keys.example.com", "evil.example");
    let page = world.post(&elsewhere, &[("action", "accept"), ("user", "owner@fabrikam.onmicrosoft.com")]).await;
    assert!(page.unwrap_err().contains("AADSTS50011"));
    assert!(fabrikam.principal(&world.app).is_none());

    let first = url.replace("/v2.0/adminconsent", "/adminconsent");
    let back = world.post(&first, &[("action", "decline")]).await.unwrap();
    assert_eq!((said(&back, "error").as_deref(), said(&back, "admin_consent")), (Some("access_denied"), None));
    let back = world.post(&first, &[("action", "accept"), ("user", "owner@fabrikam.onmicrosoft.com")]).await.unwrap();
    assert_eq!(said(&back, "tenant").as_deref(), Some(fabrikam.id()));
    assert!(fabrikam.principal(&world.app).is_some());
}

/// A domain of nobody, and a directory that is away, are told apart; consent that was withdrawn is met at the sign-in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_directory_says_is_told_apart() {
    let world = World::start().await;
    let look_up = |domain: &str| {
        let domain: DomainName = domain.parse().unwrap();
        let directory = &world.directory;
        async move { directory.look_up(Cloud::Public, &domain).await }
    };
    assert_eq!(look_up("nobody.example").await, Err(DirectoryRefused::TenantUnknown));
    let domain: DomainName = "contoso.example".parse().unwrap();
    let elsewhere = world.directory.look_up(Cloud::UsGovernment, &domain).await;
    assert_eq!(elsewhere, Err(DirectoryRefused::TenantUnknown), "another cloud has other tenants");

    let code = world.code(owner()).await;
    world.app.remove_secrets();
    assert_eq!(world.redeem(&code).await, Err(DirectoryRefused::SecretWrong));
    world.contoso.withdraw_consent(&world.app);
    let back = world.post(&world.sign_in_url(), &[("user", owner())]).await.unwrap();
    assert_eq!(said(&back, "error").as_deref(), Some("invalid_grant"));
    world.contoso.disable(&world.app);
    let page = world.post(&world.sign_in_url(), &[("user", owner())]).await.unwrap_err();
    assert!(page.contains("AADSTS7000112"), "{page}");
}

/// The authorise endpoint takes exactly the registered address, the code flow, and PKCE.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sign_in_page_takes_only_what_was_registered() {
    let world = World::start().await;
    let url = world.sign_in_url();
    let fields = [("user", owner())];
    for (from, to, number) in [
        ("entra%2Fsign-in", "entra%2Fsign-in%2F", "AADSTS50011"),
        ("keys.example.com", "keys.example.com.evil.example", "AADSTS50011"),
        (world.app.client_id(), "11111111-2222-4333-8444-555555555555", "AADSTS700016"),
        (world.contoso.id(), "11111111-2222-4333-8444-555555555555", "AADSTS90002"),
    ] {
        let page = world.post(&url.replace(from, to), &fields).await.unwrap_err();
        assert!(page.contains(number), "{to}: {page}");
    }
    for (from, to, error) in [
        ("response_type=code", "response_type=id_token", "unsupported_response_type"),
        ("code_challenge_method=S256", "code_challenge_method=plain", "invalid_request"),
        ("code_challenge=", "other=", "invalid_request"),
        ("prompt=select_account", "prompt=none", "login_required"),
    ] {
        let back = world.post(&url.replace(from, to), &fields).await.unwrap();
        assert_eq!(said(&back, "error").as_deref(), Some(error), "{to}");
        assert_eq!((said(&back, "code"), said(&back, "state").as_deref()), (None, Some("state-1")));
    }
    let back = world.post(&url, &[("action", "cancel")]).await.unwrap();
    assert_eq!(said(&back, "error").as_deref(), Some("access_denied"));
}

/// The public address is an origin; whatever else it holds could send a browser, and a code with it, somewhere else.
#[test]
fn the_public_address_is_an_origin() {
    let app = EntraApp::new("AABB", "https://keys.example.com/").unwrap();
    assert_eq!(app.sign_in_redirect(), "https://keys.example.com/entra/sign-in");
    assert_eq!(EntraApp::new("x", "https://keys.example.com:8443").unwrap().consent_redirect().len(), 43);
    for bad in
        ["http://keys.example.com", "https://u@keys.example.com", "https://k.example/x", "https://k.example/?a", "k"]
    {
        assert_eq!(EntraApp::new("x", bad), Err(crate::entra::InvalidPublicUrl), "{bad}");
    }
}
