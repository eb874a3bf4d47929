//! What becomes of two consents that one browser has under way at once?

use super::town;
use super::town::{OWNER, Seen, shown};

/// Two start pages in one browser: the older one's button works as well as the newer one's, both consents go to their ends by their own
/// cookies, and a form that another page sends ends the consent of its ticket and no other.
#[tokio::test]
async fn two_start_pages_of_one_browser_leave_each_other_alone() {
    let town = town().await;
    town.workspace("acme").await;
    let (contoso, mallory) = (town.contoso.id().to_owned(), town.mallory.id().to_owned());
    let mut browser = town.browser();
    let mut pages = Vec::new();
    for tenant in [&contoso, &contoso, &mallory] {
        let begun = town.connect("acme", tenant).await.unwrap();
        let Seen::Page(200, page) = browser.open(&begun.start_url).await else { panic!("it says what it is for") };
        pages.push(page);
    }
    let seen = town.browser().continue_from(&pages[1]).await;
    assert_eq!(shown(&seen), "CONSENT_OTHER_BROWSER");
    let mut ways = Vec::new();
    for (page, user) in [(&pages[0], OWNER), (&pages[2], "owner@mallory.onmicrosoft.com")] {
        let Seen::Redirect(consent) = browser.continue_from(page).await else { panic!("its ticket counts") };
        ways.push((consent, user));
    }
    for (consent, user) in ways {
        let back = browser.at_directory(&consent, &[("user", user), ("action", "accept")]).await;
        let Seen::Redirect(sign_in) = browser.open(&back).await else { panic!("it goes on to the sign-in") };
        let back = browser.at_directory(&sign_in, &[("user", user)]).await;
        assert!(matches!(browser.open(&back).await, Seen::Page(200, _)));
    }
    assert_eq!(town.state("acme").await, "PROVEN PROVEN");
    let seen = browser.continue_from(&pages[1]).await;
    assert_eq!(shown(&seen), "CONSENT_STATE_UNKNOWN", "that one ended");
}
