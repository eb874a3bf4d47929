//! Is the vault there, is it the right directory's, and does it let us in? Four steps, in the order of the way.

use std::net::IpAddr;

use domain::Reason;
use vault::KeyUnavailable;

use super::ownership::may_be_told;
use super::run::Run;
use super::verdict::Verdict;
use crate::seeded_bug::SeededBug;

impl Run<'_> {
    pub(super) async fn name_resolution(&mut self) -> Verdict {
        let (approach, key) = (self.core.customer_keys.approach(), &self.target.key);
        match self.ask(|deadline| approach.resolve(key, deadline)).await {
            Ok(addresses) => {
                let shown: Vec<String> = addresses.iter().take(4).map(described).collect();
                Verdict::passed(format!("{} leads to {}", key.location.host(), shown.join(", ")))
            }
            Err(why) => Verdict::from(&why),
        }
    }

    pub(super) async fn network(&mut self) -> Verdict {
        let (approach, key) = (self.core.customer_keys.approach(), &self.target.key);
        match self.ask(|deadline| approach.reach(key, deadline)).await {
            Ok(reached) => {
                self.seen_as = reached.seen_as;
                let from =
                    reached.seen_as.map_or("an address it does not say".to_owned(), |address| address.to_string());
                let through = if reached.private { "a private endpoint" } else { "its public endpoint" };
                Verdict::passed(format!("a TLS connection is made; the vault sees us as {from}, through {through}"))
            }
            Err(why) => Verdict::from(&why),
        }
    }

    /// Nothing that is ours has been sent before this passes.
    pub(super) async fn tenant(&mut self) -> Verdict {
        let (approach, key) = (self.core.customer_keys.approach(), &self.target.key);
        if self.core.bugs.has(SeededBug::TenantStepSkipped) {
            return Verdict::passed("skipped");
        }
        match self.ask(|deadline| approach.challenge(key, deadline)).await {
            Ok(()) => match self.signed_in {
                true => Verdict::passed(format!("the vault names the tenant {} as its own", key.tenant)),
                false => Verdict::failed(Reason::TenantNotProven, Reason::TenantNotProven.summary()),
            },
            Err(why) => Verdict::from(&why),
        }
    }

    /// A new token of the directory, and a first reading of the key with our token. What the vault says to that is told here
    /// where it is about being let in; where it is about the key, by the steps after this one.
    pub(super) async fn authentication(&mut self) -> Verdict {
        let (keys, key, version) = (&self.core.customer_keys, &self.target.key, self.target.version);
        let approach = keys.approach();
        if let Err(why) = self.ask(|deadline| approach.sign_in(key, deadline)).await {
            return Verdict::from(&why);
        }
        let described = self.ask(|deadline| keys.describe(key, version, deadline)).await;
        let told = match &described {
            Err(why) if is_about_the_key(why) => None,
            Err(why) if self.before.proven.is_some() || may_be_told(why) || self.shows_everything() => {
                Some(Verdict::from(why))
            }
            Err(_) | Ok(_) => None,
        };
        self.described = Some(described);
        told.unwrap_or_else(|| {
            Verdict::passed(format!("the directory {} gave our application a new token", key.tenant))
        })
    }

    /// A fault put in: answers of a vault that nobody proved are told.
    fn shows_everything(&self) -> bool {
        self.core.bugs.has(SeededBug::UnprovenAnswersShown)
    }
}

/// Whether an answer is about the key that was asked for, and not about being let in.
fn is_about_the_key(why: &KeyUnavailable) -> bool {
    matches!(
        why,
        KeyUnavailable::Disabled(_)
            | KeyUnavailable::Expired(_)
            | KeyUnavailable::NotYetValid(_)
            | KeyUnavailable::OperationForbidden(_)
            | KeyUnavailable::NotFound(_)
            | KeyUnavailable::SoftDeleted(_)
            | KeyUnavailable::NotRsa(_)
            | KeyUnavailable::BadParameter(_)
            | KeyUnavailable::AnswerInvalid { .. }
    )
}

fn described(address: &IpAddr) -> String {
    let private = match address {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    format!("{address} ({})", if private { "private" } else { "public" })
}
