//! The steps by which a customer's directory becomes theirs: looked up, named, consented to, signed in to.

use client::pb;

use super::super::browser::{Browser, PUBLIC, Seen};
use super::{CUSTOMER, Finding, Walk, check, unexpected};
use crate::trouble::Trouble;

/// The account of the customer's admin, as the emulator has it in every directory.
fn admin() -> String {
    format!("user=owner%40{CUSTOMER}.onmicrosoft.com&action=accept")
}

fn connection() -> String {
    format!("workspaces/{CUSTOMER}/connection")
}

fn sent_on(seen: Seen) -> Result<String, Trouble> {
    match seen {
        Seen::SentOn(to) => Ok(to),
        Seen::Page(status, _) => Err(unexpected(format_args!("the browser stopped at a page ({status})"))),
    }
}

impl Walk<'_> {
    pub(super) async fn looked_up(&mut self) -> Finding {
        self.tenant = self.azure.tenant(CUSTOMER).await?;
        let domains = format!("{CUSTOMER}.onmicrosoft.com, nobody.example, owner@{CUSTOMER}.example");
        let request = pb::LookUpDomainsRequest { name: connection(), domains };
        let found = self.client.look_up_domains(request).await?.domains;
        let [own, nobody, mail] = &found[..] else { return Err(unexpected("three entries have three answers")) };
        check(own.tenant_id == self.tenant, "the domain is another directory's")?;
        check(nobody.reason() == pb::Reason::EntraTenantUnknown, "nobody's domain is somebody's")?;
        check(mail.reason() == pb::Reason::TenantInvalid, "an e-mail address was taken")?;
        Ok(format!(
            "{} is {}. Each entry has its own answer: {} is nobody's, and an e-mail address is told to be one.",
            own.typed, own.tenant_id, nobody.typed
        ))
    }

    pub(super) async fn consented(&mut self) -> Finding {
        let request = pb::StartConsentRequest { name: connection(), tenant: format!("{CUSTOMER}.onmicrosoft.com") };
        let begun = self.client.start_consent(request).await?;
        let forged = format!("{PUBLIC}/entra/consent?admin_consent=True&tenant={}&state=forged", self.tenant);
        let mut stranger = Browser::new(self.azure, self.pages);
        let refused = matches!(stranger.open(&forged).await?, Seen::Page(status, _) if status == 400);
        check(refused, "a forged answer was taken")?;
        let mut browser = Browser::new(self.azure, self.pages);
        let consent = sent_on(browser.begin(&begun.start_url).await?)?;
        let back = browser.submit(&consent, &admin()).await?;
        let sign_in = sent_on(browser.open(&back).await?)?;
        if !self.before {
            check(self.connected_as().await? == pb::tenant_link::State::CameBack, "coming back is more than that")?;
        }
        let back = browser.submit(&sign_in, &admin()).await?;
        let Seen::Page(status, page) = browser.open(&back).await? else {
            return Err(unexpected("the browser is sent on after the sign-in"));
        };
        check(
            status == 200 && page.contains("Your directory is connected"),
            format_args!("the last page is {status}"),
        )?;
        check(self.connected_as().await? == pb::tenant_link::State::Proven, "the sign-in proved nothing")?;
        Ok("Start page, consent page, back: that counts as \"came back\" only, since anybody can type that address (a forged one \
            was refused).\nThen the sign-in, with PKCE and a nonce, at exactly that directory: it is proven, and our application is there."
            .to_owned())
    }

    async fn connected_as(&self) -> Result<pb::tenant_link::State, Trouble> {
        let request = pb::GetConnectionRequest { name: connection(), look: true };
        let found = self.client.connection(request).await?;
        let of = found.tenants.iter().find(|tenant| tenant.tenant_id == self.tenant);
        let of = of.ok_or_else(|| unexpected("the directory is not on the list"))?;
        check(of.application_reason() == pb::Reason::Unspecified, "our application is not let in")?;
        Ok(of.state())
    }
}
