//! The way to an Azure Key Vault, looked at stretch by stretch.

use std::{future::Future, net::IpAddr, sync::Arc, time::Duration};

use domain::credential::Registration;

use azure_core::http::{
    Method, Request, Url,
    headers::{HeaderName, Headers},
};
use outbound::Sender;

use domain::{Cloud, TenantId};

use super::{
    AzureKeys,
    bridge::{self, no_answer, not_resolved},
    report,
    token::TokenSource,
    vault_answer,
    vault_transport::VaultTransport,
};
use crate::{Application, Approach, KeyRef, KeyUnavailable, Reached, RegisteredApp};

/// How a vault sees its caller: `conn_type=Ipv4;addr=203.0.113.7;act_addr_fam=InterNetwork;`.
const NETWORK_INFO: HeaderName = HeaderName::from_static("x-ms-keyvault-network-info");

#[async_trait::async_trait]
impl Approach for AzureKeys {
    fn application(&self) -> &str {
        self.options.client_id.as_str()
    }

    async fn resolve(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<IpAddr>, KeyUnavailable> {
        let looked_up = async { self.way(at)?.look_up(&at.location.host()).await.map_err(not_resolved) };
        within(deadline, KeyUnavailable::TimedOut { waited: deadline }, looked_up).await
    }

    async fn reach(&self, at: &KeyRef, deadline: Duration) -> Result<Reached, KeyUnavailable> {
        let work = async {
            let url = format!("{}healthstatus", at.location.vault_uri());
            let url = Url::parse(&url).expect("a vault's URI and a fixed path make a URL");
            let received = bridge::send(&self.anew(at)?, &Request::new(url, Method::Get)).await.map_err(no_answer)?;
            if (200..300).contains(&received.status) {
                return Ok(reached(&received.headers));
            }
            let answer =
                vault_answer::Answer { status: received.status, headers: &received.headers, body: &received.body };
            Err(vault_answer::classify(&answer, self.options.clock.now().wall))
        };
        within(deadline, KeyUnavailable::TimedOut { waited: deadline }, work).await
    }

    async fn challenge(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        // A transport of its own has seen no challenge yet.
        let tokens = self.tokens(at)?;
        let anew = VaultTransport::new(self.anew(at)?, &at.location, at.tenant.clone(), tokens);
        within(deadline, KeyUnavailable::TimedOut { waited: deadline }, anew.warm_up(&at.location)).await
    }

    async fn sign_in(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.given_a_token(&at.tenant, at.location.cloud(), &at.as_whom, deadline).await
    }

    async fn admitted(&self, tenant: &TenantId, cloud: Cloud, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.given_a_token(tenant, cloud, &Application::Platform, deadline).await
    }

    async fn show(&self, app: &RegisteredApp, deadline: Duration) -> Result<(), KeyUnavailable> {
        let Registration { cloud, tenant, .. } = app.registration();
        self.given_a_token(tenant, *cloud, &Application::Registered(app.clone()), deadline).await
    }
}

impl AzureKeys {
    /// Whether a directory gives a token now, over a connection of its own. A source of its own holds no token yet.
    async fn given_a_token(
        &self,
        tenant: &TenantId,
        cloud: Cloud,
        as_whom: &Application,
        deadline: Duration,
    ) -> Result<(), KeyUnavailable> {
        let ask = self.ask(tenant, cloud, as_whom, anew(&self.sender)?)?;
        let anew = TokenSource::new(Box::new(ask), Arc::clone(&self.options.clock));
        let given = async { anew.token().await.map(drop) };
        within(deadline, KeyUnavailable::DirectoryUnreachable, given).await
    }

    /// The way out for who asks.
    fn way(&self, at: &KeyRef) -> Result<Sender, KeyUnavailable> {
        let approved = self.options.approved(at.workspace.as_ref());
        self.sender.approving(approved.clone()).map_err(|_| KeyUnavailable::Unreachable)
    }

    /// The same, with nothing kept from before.
    fn anew(&self, at: &KeyRef) -> Result<Sender, KeyUnavailable> {
        anew(&self.way(at)?)
    }
}

fn anew(sender: &Sender) -> Result<Sender, KeyUnavailable> {
    sender.anew().map_err(|_| KeyUnavailable::Unreachable)
}

async fn within<T>(
    deadline: Duration,
    late: KeyUnavailable,
    work: impl Future<Output = Result<T, KeyUnavailable>> + Send,
) -> Result<T, KeyUnavailable> {
    tokio::time::timeout(deadline, work).await.unwrap_or(Err(late)).inspect_err(report)
}

/// Only an address comes out of the header, never its text.
fn reached(headers: &Headers) -> Reached {
    let info = headers.get_optional_str(&NETWORK_INFO).unwrap_or_default();
    let value = |name: &str| {
        let pairs = info.split(';').filter_map(|pair| pair.split_once('='));
        pairs.into_iter().find(|(key, _)| key.trim().eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    };
    Reached {
        seen_as: value("addr").and_then(|address| address.parse().ok()),
        private: value("conn_type").is_some_and(|kind| kind.eq_ignore_ascii_case("PrivateLink")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(info: &'static str) -> Reached {
        let mut headers = Headers::new();
        headers.insert(NETWORK_INFO, info);
        reached(&headers)
    }

    /// The address an admin has to allow is read out of the vault's own words, and nothing but an address is.
    #[test]
    fn the_address_a_vault_sees_is_read() {
        let public = Reached { seen_as: "203.0.113.7".parse().ok(), private: false };
        assert_eq!(read("conn_type=Ipv4;addr=203.0.113.7;act_addr_fam=InterNetwork;"), public);
        let private = Reached { seen_as: "fd00::7".parse().ok(), private: true };
        assert_eq!(read("addr=fd00::7;conn_type=PrivateLink"), private);
        for nonsense in ["", "addr", "addr=$(reboot)", "addr=1.2.3.4 && x", "=;=;"] {
            assert_eq!(read(nonsense), Reached { seen_as: None, private: false }, "{nonsense}");
        }
    }
}
