//! Who may hand on what: nobody gives more than they hold.

use super::action::{ChangeCallers, Verb};
use super::caller::Caller;
use super::grant::{Compiled, Grant};
use super::{NotPermitted, Permit, Target, permit};

/// Whether `held` together open, for every action, every target that `wanted` opens. `*` is covered by `*` alone: it includes
/// actions to come. `platform-service` is covered by itself alone: its use of data is not recorded one by one. Grants are
/// compared one by one, so that what only several together would open counts as not held.
pub fn covers(held: &[Grant], wanted: &Grant) -> bool {
    let held: Vec<Compiled> = held.iter().map(Grant::compile).collect();
    all_covered(&held, &wanted.compile())
}

fn all_covered(held: &[Compiled], wanted: &Compiled) -> bool {
    let mut verbs = Verb::ALL.iter().filter(|verb| wanted.has(**verb));
    verbs.all(|verb| held.iter().any(|grant| grant.covers_grant(wanted, *verb)))
}

impl Grant {
    /// Whether this grant alone opens all that `other` opens.
    pub fn covers(&self, other: &Self) -> bool {
        covers(std::slice::from_ref(self), other)
    }
}

/// The proof that somebody may change callers, with what they hold themselves. Only [`permit_to_give`] makes one.
#[derive(Debug)]
pub struct Giver {
    permit: Permit<ChangeCallers>,
    held: Box<[Compiled]>,
}

/// Decides whether `caller` may change callers at all. What they may hand on, [`Giver::may_give`] says.
pub fn permit_to_give(caller: &Caller) -> Result<Giver, NotPermitted> {
    let permit = permit::<ChangeCallers>(caller, Target::Platform)?;
    Ok(Giver { permit, held: caller.grants.clone() })
}

impl Giver {
    /// Who acts, for the audit record.
    pub fn actor(&self) -> &str {
        self.permit.actor()
    }

    /// Whether what they hold covers this.
    pub fn may_give(&self, wanted: &Grant) -> bool {
        all_covered(&self.held, &wanted.compile())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(texts: &[&str]) -> Vec<Grant> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn gives(held: &[&str], wanted: &str) -> bool {
        covers(&grants(held), &wanted.parse().unwrap())
    }

    /// What may surprise, by example.
    #[test]
    fn nobody_gives_more_than_they_hold() {
        assert!(gives(&["platform-operator"], "platform-operator"));
        assert!(gives(&["platform-operator"], "auditor@acme"));
        assert!(gives(&["workspace-owner@acme-*"], "workspace-admin@acme-eu"));
        assert!(gives(&["*"], "workspace-owner@*") && gives(&["*"], "data.decrypt@acme/bot"));
        assert!(gives(&["data.encrypt", "data.decrypt"], "data.decrypt@acme"));
        for (held, wanted) in [
            (&["platform-operator"] as &[&str], "platform-service"),
            (&["platform-operator"], "workspace-owner@acme"),
            (&["platform-operator"], "data.decrypt@acme"),
            (&["platform-operator"], "*"),
            // A person's use of data is recorded one by one, and a service's is not.
            (&["*"], "platform-service@acme"),
            (&["data.encrypt", "data.decrypt", "data.reencrypt", "key.read_selection"], "platform-service"),
            (&["*@acme"], "*"),
            (&["*@acme"], "auditor"),
            (&["auditor@acme-*"], "auditor@acme"),
            (&["auditor@acme-*"], "auditor@acmecorp"),
            (&["auditor@acme"], "auditor@acme-*"),
            (&["data.decrypt@acme/bot"], "data.decrypt@acme"),
            (&["data.decrypt@acme/support-*"], "data.decrypt@acme/*"),
            (&[], "data.decrypt@acme/bot"),
        ] {
            assert!(!gives(held, wanted), "{held:?} gave {wanted}");
        }
    }

    /// Only who may change callers is a giver, and of what was given to them only.
    #[test]
    fn a_giver_may_change_callers() {
        let caller = |texts: &[&str]| Caller::new("ann", &grants(texts));
        assert!(permit_to_give(&caller(&["auditor"])).is_err());
        assert!(permit_to_give(&caller(&["callers.change@acme"])).is_err());
        let giver = permit_to_give(&caller(&["callers.change", "auditor@acme"])).unwrap();
        assert_eq!(giver.actor(), "ann");
        assert!(giver.may_give(&"key.read@acme".parse().unwrap()) && !giver.may_give(&"auditor".parse().unwrap()));
    }
}
