//! What do the browsers mean that come to our pages: the owner's that begins, those that come back from consent, and the one that has
//! signed in?
//!
//! Nothing a browser brings is believed but a state that this process gave out. The directory it speaks of is the one the consent was
//! begun for; what the address says is only looked at to refuse sooner.

use std::sync::Arc;
use std::time::Duration;

use domain::audit::AuditKind;
use domain::tenancy::{Connection, Proof, ProvenBy, Standing};
use domain::{Reason, WorkspaceId};
use identity::entra::{SignInAsk, SignedIn};
use store::StoreError;
use subtle::ConstantTimeEq as _;
use tokio::time::timeout;

use super::super::{event, to_the_end};
use super::BROWSER;
use super::consents::{Back, ConsentId, For, Opened, Refused, is_secret, secret};
use crate::core::Core;
use crate::seeded_bug::SeededBug;
use crate::{Refusal, Service};

/// How long the directory may take over a code.
const REDEEM: Duration = Duration::from_secs(20);

/// What somebody is shown who opens a start address, before anything is begun.
pub struct Beginning {
    /// The workspace that is to be connected, by the name that people know it under.
    pub workspace: String,
    /// The directory's id.
    pub tenant: String,
    /// What the page's form and a cookie both say, so that no other page sends the form.
    pub form: String,
}

/// An owner's browser that showed its ticket.
pub struct Started {
    /// What it shows from now on, in a cookie of this consent's own.
    pub session: String,
    /// Which consent: [`consent_of`](crate::consent_of) finds it again in the states that come back.
    pub consent: String,
    /// Where it is sent.
    pub go_to: String,
}

/// What an address said to which a browser was sent back from the consent page.
#[derive(Debug, Clone, Default)]
pub struct ConsentAnswer {
    /// What we gave it.
    pub state: String,
    /// The directory's refusal, if it is one. Looked at first: a refusal may say `admin_consent=True` besides.
    pub error: Option<String>,
    /// The directory it says it comes from. Anybody can write it.
    pub tenant: Option<String>,
}

/// What an address said to which a browser was sent back from signing in.
#[derive(Clone, Default)]
pub struct SignInAnswer {
    /// What we gave it.
    pub state: String,
    /// The directory's refusal, if it is one.
    pub error: Option<String>,
    /// What the directory is asked with.
    pub code: Option<String>,
}

/// How it goes on after consent.
pub enum WhatNext {
    /// The owner signs in there.
    SignIn {
        /// Where.
        go_to: String,
    },
    /// Somebody else consented: they tell the owner this code.
    ReadBack {
        /// The workspace that is connected, by the name that people know it under.
        workspace: String,
        /// Eight letters.
        code: String,
    },
}

/// What was proven.
pub struct Proven {
    /// The workspace, by the name that people know it under.
    pub workspace: String,
    /// Its directory's id.
    pub tenant: String,
}

impl Service {
    /// A browser opens a start address: what is about to be connected. The address may have been sent to somebody who knows nothing of
    /// it, whose sign-in would prove their directory to be another's: nothing is begun, and the ticket is not used up. `shown` is what the
    /// browser's cookie says of a page that it has open already: it goes on counting, so that either page's form is taken.
    pub async fn look_at_consent(&self, ticket: &str, shown: Option<&str>) -> Result<Beginning, Refusal> {
        let core = &self.0;
        core.pages()?;
        let Some((_, of)) = core.consents.look(ticket, core.clock.now().boot) else {
            return Err(core.refuse_unknown(Reason::ConsentStateUnknown));
        };
        let workspace = core.name_of(&of.workspace).await?;
        let shown = shown.filter(|shown| is_secret(shown) && !core.bugs.has(SeededBug::NewestPageAlone));
        let form = shown.map_or_else(|| secret(&*core.entropy), str::to_owned);
        Ok(Beginning { workspace, tenant: of.tenant.to_string(), form })
    }

    /// Whoever was shown that goes on, by the page's form: what it says, and what the cookie says that came with the page. A form that
    /// another page sent ends the consent.
    pub async fn open_consent(
        &self,
        ticket: &str,
        form: Option<&str>,
        cookie: Option<&str>,
    ) -> Result<Started, Refusal> {
        let ours = form.zip(cookie).is_some_and(|(form, cookie)| bool::from(form.as_bytes().ct_eq(cookie.as_bytes())));
        let (core, ticket) = (self.0.clone(), ticket.to_owned());
        to_the_end(async move { core.opened(&ticket, ours).await }).await
    }

    /// A browser comes back from the consent page.
    pub async fn consent_came_back(&self, session: Option<&str>, answer: ConsentAnswer) -> Result<WhatNext, Refusal> {
        let (core, session) = (self.0.clone(), session.map(str::to_owned));
        to_the_end(async move { core.came_back(session.as_deref(), &answer).await }).await
    }

    /// The owner's browser comes back from signing in. What it brings is redeemed at the directory that the consent was begun for.
    pub async fn owner_signed_in(&self, session: Option<&str>, answer: SignInAnswer) -> Result<Proven, Refusal> {
        let (core, session) = (self.0.clone(), session.map(str::to_owned));
        to_the_end(async move { core.signed_in(session.as_deref(), answer).await }).await
    }
}

impl Core {
    fn refuse_unknown(&self, why: Reason) -> Refusal {
        self.refusals.count(why);
        Refusal::because(why)
    }

    /// An answer that counts for nothing: recorded with the workspace it was about, or counted.
    async fn refused(&self, refused: Refused) -> Refusal {
        let Refused { why, of } = refused;
        match of {
            None => self.refuse_unknown(why),
            Some(of) => match self.record_refusal(&of.workspace, &of.tenant, why).await {
                Ok(()) => Refusal::because(why),
                Err(store) => store.into(),
            },
        }
    }

    /// As [`Core::refused`], and nothing more is to come of this consent; of its workspace's others there may be.
    async fn ended(&self, id: ConsentId, of: For, why: Reason) -> Refusal {
        self.consents.end(id, self.clock.now().boot);
        self.refused(Refused { why, of: Some(of) }).await
    }

    /// `ours`: the form was sent by the page that we gave this browser.
    async fn opened(self: Arc<Self>, ticket: &str, ours: bool) -> Result<Started, Refusal> {
        let pages = self.pages()?;
        let now = self.clock.now().boot;
        if !ours
            && !self.bugs.has(SeededBug::AnyBrowser)
            && let Some((id, of)) = self.consents.look(ticket, now)
        {
            return Err(self.ended(id, of, Reason::ConsentOtherBrowser).await);
        }
        let opened = self.consents.open(ticket, now, &*self.entropy);
        let opened = opened.ok_or_else(|| self.refuse_unknown(Reason::ConsentStateUnknown))?;
        let Opened { id, of, session, state, came_back } = opened;
        let go_to = match came_back {
            true => self.to_sign_in(id, &of)?,
            false => pages.directory.consent_url(of.cloud, &of.tenant, &state),
        };
        Ok(Started { session, consent: id.to_string(), go_to })
    }

    fn to_sign_in(&self, id: ConsentId, of: &For) -> Result<String, Refusal> {
        let asked = self.consents.sign_in(id, self.clock.now().boot, &*self.entropy);
        let (state, nonce, challenge) = asked.ok_or_else(|| self.refuse_unknown(Reason::ConsentStateUnknown))?;
        let ask = SignInAsk { state: &state, nonce: &nonce, challenge: &challenge };
        Ok(self.pages()?.directory.sign_in_url(of.cloud, &of.tenant, &ask))
    }

    async fn came_back(self: Arc<Self>, session: Option<&str>, answer: &ConsentAnswer) -> Result<WhatNext, Refusal> {
        self.pages()?;
        let back = match self.consents.back(&answer.state, session, self.clock.now().boot) {
            Ok(back) => back,
            Err(refused) => return Err(self.refused(refused).await),
        };
        let (Back::Owner(id, of) | Back::Another(id, of)) = &back;
        if answer.error.is_some() {
            return Err(self.ended(*id, of.clone(), Reason::ConsentDeclined).await);
        }
        let elsewhere = |tenant: &String| !tenant.eq_ignore_ascii_case(of.tenant.as_str());
        if answer.tenant.as_ref().is_some_and(elsewhere) {
            return Err(self.ended(*id, of.clone(), Reason::ConsentOtherTenant).await);
        }
        match back {
            Back::Owner(id, of) => {
                self.record_coming_back(&of, "owner", BROWSER).await?;
                if self.bugs.has(SeededBug::ComingBackProves) {
                    let by = ProvenBy::SignIn { object_id: "unknown".to_owned(), admin: true };
                    let _ = self.record_proof(&of, by).await?;
                }
                let go_to = self.to_sign_in(id, &of)?;
                Ok(WhatNext::SignIn { go_to })
            }
            Back::Another(id, of) => {
                let workspace = self.name_of(&of.workspace).await?;
                let code = self.consents.code(id, self.clock.now().boot, &*self.entropy);
                let code = code.ok_or_else(|| self.refuse_unknown(Reason::ConsentStateUnknown))?;
                Ok(WhatNext::ReadBack { workspace, code })
            }
        }
    }

    /// Whatever comes of it, the consent has ended with this answer.
    async fn signed_in(self: Arc<Self>, session: Option<&str>, answer: SignInAnswer) -> Result<Proven, Refusal> {
        let directory = self.pages()?.directory.clone();
        let (of, asked) = match self.consents.signed_in(&answer.state, session, self.clock.now().boot) {
            Ok(found) => found,
            Err(refused) => return Err(self.refused(refused).await),
        };
        let SignInAnswer { error, code, .. } = answer;
        let Some(code) = code.filter(|_| error.is_none()) else {
            return Err(self.refused(Refused { why: Reason::EntraDenied, of: Some(of) }).await);
        };
        let redeemed = directory.redeem(of.cloud, &of.tenant, &code, &asked.verifier, &asked.nonce);
        let SignedIn { tenant, object_id, .. } = match timeout(REDEEM, redeemed).await {
            Ok(Ok(signed_in)) => signed_in,
            Ok(Err(why)) => {
                let reason = why.reason();
                tracing::warn!(%reason, %why, "a sign-in proves nothing");
                return Err(self.refused(Refused { why: reason, of: Some(of) }).await);
            }
            Err(_) => return Err(self.refused(Refused { why: Reason::EntraUnreachable, of: Some(of) }).await),
        };
        // The directory has checked it; whose proof this is hangs on nothing but this.
        if tenant != of.tenant {
            return Err(self.refused(Refused { why: Reason::ConsentOtherTenant, of: Some(of) }).await);
        }
        let by = ProvenBy::SignIn { object_id: object_id.to_string(), admin: true };
        if let Err(why) = self.record_proof(&of, by).await? {
            return Err(self.refused(Refused { why, of: Some(of) }).await);
        }
        self.look_for_application(&of).await;
        Ok(Proven { workspace: self.name_of(&of.workspace).await?, tenant: of.tenant.to_string() })
    }

    /// The directory is the workspace's, unless it was disconnected while this sign-in was under way, here or in another process: what
    /// was begun before proves nothing after, and nothing either where somebody has named it again meanwhile. The inner error is what the browser is told.
    async fn record_proof(&self, of: &For, by: ProvenBy) -> Result<Result<(), Reason>, StoreError> {
        let now = self.clock.now().wall;
        let mut tx = self.store.begin("prove_tenant").await?;
        let connection = Connection { tenants: tx.tenants(&of.workspace).await? };
        let found = connection.find(of.cloud, &of.tenant).cloned();
        let link = found.ok_or(StoreError::RowForged { table: "tenant_links" })?;
        let disconnected = matches!(link.standing, Standing::Disconnected { .. });
        // Named or proven again since: that was not for what was begun before.
        let anew = link.named_at != of.named_at && !self.bugs.has(SeededBug::NamingAgainOverlooked);
        if (disconnected || anew) && !self.bugs.has(SeededBug::DisconnectionOvertaken) {
            return Ok(Err(Reason::ConsentStateUnknown));
        }
        tx.put_tenant(&link.proven(Proof { at: now, by: by.clone() })).await?;
        let actor = match &by {
            ProvenBy::SignIn { object_id, .. } => object_id.as_str(),
            ProvenBy::KeyTag { .. } => BROWSER,
        };
        let what = AuditKind::TenantProven { tenant: of.tenant.clone(), by: by.clone() };
        tx.append_audit(event(&of.workspace, now, actor, what)).await?;
        tx.commit().await.map(|_| Ok(()))
    }

    async fn name_of(&self, workspace: &WorkspaceId) -> Result<String, Refusal> {
        let found = self.store.workspace(workspace).await?.filter(|found| found.deleted_at.is_none());
        Ok(found.ok_or_else(super::super::not_found)?.display_name)
    }
}
