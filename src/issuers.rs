//! The issuers of signed tokens that a configuration names: how each is reached, and whom its tokens let in.

use std::sync::Arc;
use std::time::Duration;

use identity::jwks::{Freshness, KeySet, KeySource};
use identity::{Issuer, JwtCallers, SubjectRule};
use outbound::Sender;

use crate::clock::SystemClock;
use crate::config::ConfiguredIssuer;
use crate::files;
use crate::trouble::Trouble;

/// Asked this often at most, for a key id that is not listed.
const PAUSE: Duration = Duration::from_secs(30);

/// Callers by the tokens of these issuers, and the key sets that have to be kept fresh for them. Asks nobody yet.
pub fn signed(configured: &[ConfiguredIssuer]) -> Result<(JwtCallers, Vec<Arc<KeySet>>), Trouble> {
    let clock = Arc::new(SystemClock);
    let (mut issuers, mut sets) = (Vec::new(), Vec::new());
    for one in configured {
        let trust = one.trust.as_deref().map(files::read).transpose()?;
        let way_out = Sender::to_named_hosts(trust.as_deref());
        let way_out = way_out
            .map_err(|refused| Trouble::new(refused, "correct the issuer's `trust`: a file of PEM certificates"))?;
        let issuer = one.issuer.clone();
        let source = one.jwks.clone().map_or(KeySource::Discovered { issuer }, KeySource::At);
        let freshness = Freshness { refresh: one.refresh, pause: PAUSE.min(one.refresh), ..Freshness::default() };
        let keys = Arc::new(KeySet::new(source, Arc::new(way_out), clock.clone(), freshness));
        sets.push(keys.clone());
        let rule = |subject: &crate::config::ConfiguredSubject| SubjectRule {
            subject: subject.subject.clone(),
            name: subject.name.clone(),
            grants: subject.grants.clone(),
        };
        issuers.push(Issuer {
            issuer: one.issuer.clone(),
            audience: one.audience.clone(),
            algorithms: one.algorithms.clone(),
            longest_life: one.longest_life,
            keys,
            subjects: one.subjects.iter().map(rule).collect(),
        });
    }
    let callers = JwtCallers::new(issuers, clock);
    Ok((callers.map_err(|refused| Trouble::new(refused, "correct the [[issuers]] tables"))?, sets))
}
