//! Where names lead, as far as the way out sees: as a test says, and at first where a vault of the public cloud would be.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

/// An address as a vault of the public cloud has one.
pub(super) const FINE: &str = "20.61.100.1";

/// What a resolver that an attacker has in their hands says. Every connection is made to the emulator all the same.
#[derive(Default)]
pub(super) struct Names(Mutex<BTreeMap<String, VecDeque<Vec<IpAddr>>>>);

impl Names {
    /// From now on `host` leads to these addresses in turn, one answer a look-up, and to the last of them for good.
    pub(super) fn lead(&self, host: &str, answers: &[&[&str]]) {
        let parsed = |answer: &&[&str]| answer.iter().map(|text| text.parse().unwrap()).collect();
        let answers = answers.iter().map(parsed).collect();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned(), answers);
    }

    pub(super) fn answer(&self, host: &str) -> Vec<IpAddr> {
        let mut leads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match leads.get_mut(host) {
            Some(answers) if answers.len() > 1 => answers.pop_front().unwrap(),
            Some(answers) => answers[0].clone(),
            None => vec![FINE.parse().unwrap()],
        }
    }
}
