//! What can be made to go wrong, and for whom: fault switches with their scope.

use std::sync::Mutex;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::entra::forged::{IdTokenFault, KeySetFault};
use crate::entra::refusal::EntraRefusal;
use crate::keyvault::refusal::VaultRefusal;
use crate::operation::Operation;

/// One thing that goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// A vault answers with this refusal, whatever the truth. Needs a request with a token.
    Vault(VaultRefusal),
    /// The token endpoint answers with this refusal, whatever the truth.
    Entra(EntraRefusal),
    /// A true answer is falsified.
    Answer(Falsified),
    /// The way to the answer is disturbed.
    Wire(Disturbance),
    /// An id_token is one that nobody may believe.
    IdToken(IdTokenFault),
    /// The directory's key set is not what it should be.
    Keys(KeySetFault),
}

/// What is false in an answer that looks like a success.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Falsified {
    /// The body is cut JSON, with status 200.
    BadJson,
    /// The `kid` names another version.
    WrongKid,
    /// Unwrap and decrypt answer other bytes of the same length.
    WrongPlaintext,
    /// The key's modulus is another one under the same `kid`.
    WrongPublicKey,
    /// The key is said to be an elliptic-curve key.
    OtherKeyType,
    /// The key's modulus has 1,024 bits.
    SmallKey,
    /// `nextLink` leads to another origin.
    ForeignNextLink,
    /// A redirect (307) to [`Self::COLLECTOR`], with the path that was asked for; at a login host too.
    Redirect,
    /// The challenge names another tenant's authority.
    ChallengeTenant,
    /// The challenge names a resource outside the vault's domain.
    ChallengeResource,
}

/// What happens to a request besides its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Disturbance {
    /// The answer waits this long before it is worked out.
    Delay {
        /// Milliseconds.
        millis: u64,
    },
    /// The answer is worked out only when this fault is cleared.
    Hold,
    /// No answer, ever; the connection stays open until this fault is cleared.
    Timeout,
    /// The connection is closed before any answer. The request had no effect.
    DropBefore,
    /// The connection is closed after the request took effect, before any answer.
    DropAfter,
    /// The connection is closed in the middle of the body.
    DropMidAnswer,
    /// The connection is reset (RST) before any answer.
    Reset,
    /// The body comes in single bytes, this far apart.
    SlowDrip {
        /// Milliseconds between two bytes.
        millis: u64,
    },
    /// The TLS certificate is signed by a stranger.
    UntrustedCertificate,
    /// The name does not exist: [`crate::Emulator::resolves`] says no and the handshake is refused.
    NameUnknown,
}

impl Disturbance {
    /// One example of each.
    pub const ALL: [Self; 10] = [
        Self::Delay { millis: 500 },
        Self::Hold,
        Self::Timeout,
        Self::DropBefore,
        Self::DropAfter,
        Self::DropMidAnswer,
        Self::Reset,
        Self::SlowDrip { millis: 20 },
        Self::UntrustedCertificate,
        Self::NameUnknown,
    ];

    const fn at_handshake(self) -> bool {
        matches!(self, Self::UntrustedCertificate | Self::NameUnknown)
    }

    pub(crate) const fn delay(self) -> Option<Duration> {
        match self {
            Self::Delay { millis } => Some(Duration::from_millis(millis)),
            _ => None,
        }
    }
}

impl Falsified {
    /// The vault that redirects lead to. It is there if somebody made it.
    pub const COLLECTOR: &str = "collector";

    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::BadJson,
        Self::WrongKid,
        Self::WrongPlaintext,
        Self::WrongPublicKey,
        Self::OtherKeyType,
        Self::SmallKey,
        Self::ForeignNextLink,
        Self::Redirect,
        Self::ChallengeTenant,
        Self::ChallengeResource,
    ];

    const fn of_the_challenge(self) -> bool {
        matches!(self, Self::ChallengeTenant | Self::ChallengeResource)
    }
}

impl Fault {
    /// Every fault that can be switched on, one example of those with a parameter.
    pub fn all() -> Vec<Self> {
        let vault = VaultRefusal::ALL.iter().copied().map(Self::Vault);
        let entra = EntraRefusal::ALL.iter().copied().map(Self::Entra);
        let answer = Falsified::ALL.into_iter().map(Self::Answer);
        let wire = Disturbance::ALL.into_iter().map(Self::Wire);
        let id_token = IdTokenFault::ALL.iter().copied().map(Self::IdToken);
        let keys = KeySetFault::ALL.iter().copied().map(Self::Keys);
        vault.chain(entra).chain(answer).chain(wire).chain(id_token).chain(keys).collect()
    }

    /// Whether this fault has a meaning for `operation`, when the scope does not name one.
    fn concerns(self, operation: Operation) -> bool {
        let entra = operation == Operation::Token;
        let elsewhere = matches!(
            operation,
            Operation::Challenge
                | Operation::Health
                | Operation::Discovery
                | Operation::Jwks
                | Operation::AdminConsent
                | Operation::Authorize
                | Operation::Connect
        );
        match self {
            Self::Vault(_) => !entra && !elsewhere,
            Self::Entra(_) => entra,
            Self::Answer(falsified) if falsified.of_the_challenge() => operation == Operation::Challenge,
            Self::Answer(_) => !elsewhere,
            Self::Wire(disturbance) if disturbance.at_handshake() => operation == Operation::Connect,
            Self::Wire(_) => !elsewhere,
            Self::IdToken(_) => entra,
            Self::Keys(_) => operation == Operation::Jwks,
        }
    }
}

/// Which requests a fault meets. Everything left out matches.
///
/// Without an operation, a fault leaves alone what a client does on the way: the anonymous request that fetches the
/// challenge, discovery, health. Name the operation to disturb those.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Scope {
    /// Host name, without port.
    pub host: Option<String>,
    /// Kind of request.
    pub operation: Option<Operation>,
    /// Key name.
    pub key: Option<String>,
    /// Key version.
    pub version: Option<String>,
    /// The next so many matching requests; until cleared when left out.
    pub times: Option<u64>,
}

impl Scope {
    /// Everywhere, until cleared.
    pub fn everywhere() -> Self {
        Self::default()
    }

    /// Only at this host.
    pub fn host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// Only this kind of request.
    pub fn operation(mut self, operation: Operation) -> Self {
        self.operation = Some(operation);
        self
    }

    /// Only this key.
    pub fn key(mut self, key: impl Into<String>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Only this version.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.version = Some(version.into());
        self
    }

    /// Only the next `times` requests.
    pub fn times(mut self, times: u64) -> Self {
        self.times = Some(times);
        self
    }

    fn matches(&self, at: &Place<'_>) -> bool {
        let same = |wanted: &Option<String>, found: Option<&str>| {
            wanted.as_deref().is_none_or(|w| found.is_some_and(|f| f.eq_ignore_ascii_case(w)))
        };
        same(&self.host, Some(at.host))
            && same(&self.key, at.key)
            && same(&self.version, at.version)
            && self.operation.is_none_or(|o| o == at.operation)
    }
}

/// What a request is, as far as scopes go.
pub(crate) struct Place<'a> {
    pub(crate) host: &'a str,
    pub(crate) operation: Operation,
    pub(crate) key: Option<&'a str>,
    pub(crate) version: Option<&'a str>,
}

/// The number of a fault that was switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FaultId(pub u64);

/// A fault that is on, as the admin API lists it.
#[derive(Debug, Clone, Serialize)]
pub struct ActiveFault {
    /// Its number.
    pub id: FaultId,
    /// What goes wrong.
    pub fault: Fault,
    /// For whom.
    pub scope: Scope,
    /// How many requests it has met.
    pub hits: u64,
}

struct Switch {
    active: ActiveFault,
    cleared: watch::Sender<bool>,
}

impl Switch {
    fn is_spent(&self) -> bool {
        self.active.scope.times.is_some_and(|times| self.active.hits >= times)
    }
}

/// A fault that met a request. Waiting for it to be cleared is how `Hold` and `Timeout` work.
#[derive(Debug, Clone)]
pub(crate) struct Met {
    pub(crate) fault: Fault,
    cleared: watch::Receiver<bool>,
}

impl Met {
    pub(crate) async fn cleared(&self) {
        let mut cleared = self.cleared.clone();
        // An error means that the switch itself is gone: cleared as well.
        let _ = cleared.wait_for(|c| *c).await;
    }
}

/// The switches. Cheap to reach from everywhere; see [`crate::Emulator::faults`].
#[derive(Default)]
pub struct Faults {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    last: u64,
    switches: Vec<Switch>,
}

impl Faults {
    /// Switches `fault` on for what `scope` matches. Several can be on; each disturbs by itself, and of two refusals
    /// the earlier one answers.
    pub fn switch_on(&self, fault: Fault, scope: Scope) -> FaultId {
        let mut inner = self.lock();
        inner.last += 1;
        let id = FaultId(inner.last);
        let active = ActiveFault { id, fault, scope, hits: 0 };
        inner.switches.push(Switch { active, cleared: watch::Sender::new(false) });
        id
    }

    /// Switches one off, and lets go what it holds. False when there is no such fault.
    pub fn clear(&self, id: FaultId) -> bool {
        let mut inner = self.lock();
        let Some(at) = inner.switches.iter().position(|s| s.active.id == id) else { return false };
        inner.switches.remove(at).cleared.send_replace(true);
        true
    }

    /// Switches all off.
    pub fn clear_all(&self) {
        for switch in self.lock().switches.drain(..) {
            switch.cleared.send_replace(true);
        }
    }

    /// What is on, spent ones included (they still hold what they hold).
    pub fn list(&self) -> Vec<ActiveFault> {
        self.lock().switches.iter().map(|s| s.active.clone()).collect()
    }

    /// How many requests a fault has met; `None` when it is not on.
    pub fn hits(&self, id: FaultId) -> Option<u64> {
        self.lock().switches.iter().find(|s| s.active.id == id).map(|s| s.active.hits)
    }

    /// Takes every fault that meets a request there, counting it.
    pub(crate) fn meet(&self, at: &Place<'_>) -> Vec<Met> {
        let mut inner = self.lock();
        let mut met = Vec::new();
        for switch in &mut inner.switches {
            let active = &mut switch.active;
            let concerned = active.scope.operation.is_some() || active.fault.concerns(at.operation);
            let spent = active.scope.times.is_some_and(|times| active.hits >= times);
            if concerned && !spent && active.scope.matches(at) {
                active.hits += 1;
                met.push(Met { fault: active.fault, cleared: switch.cleared.subscribe() });
            }
        }
        met
    }

    /// Whether an unspent fault of this kind stands there, without counting.
    pub(crate) fn stands(&self, disturbance: Disturbance, host: &str) -> bool {
        let at = Place { host, operation: Operation::Connect, key: None, version: None };
        self.lock()
            .switches
            .iter()
            .any(|s| s.active.fault == Fault::Wire(disturbance) && !s.is_spent() && s.active.scope.matches(&at))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(operation: Operation) -> Place<'static> {
        Place { host: "v1.vault.azure.net", operation, key: Some("k1"), version: None }
    }

    /// A fault for the next two calls meets two calls, only those in its scope, and never the challenge on the way.
    #[test]
    fn a_counted_fault_meets_exactly_so_many_calls_in_its_scope() {
        let faults = Faults::default();
        let scope = Scope::everywhere().host("V1.vault.azure.net").operation(Operation::UnwrapKey).key("k1").times(2);
        let id = faults.switch_on(Fault::Vault(VaultRefusal::KeyDisabled), scope);
        assert!(faults.meet(&at(Operation::WrapKey)).is_empty());
        assert_eq!(faults.meet(&at(Operation::UnwrapKey)).len(), 1);
        assert_eq!(faults.meet(&at(Operation::UnwrapKey)).len(), 1);
        assert!(faults.meet(&at(Operation::UnwrapKey)).is_empty());
        assert_eq!(faults.hits(id), Some(2));
        assert!(faults.clear(id) && !faults.clear(id));

        faults.switch_on(Fault::Wire(Disturbance::DropBefore), Scope::everywhere());
        assert!(faults.meet(&at(Operation::Challenge)).is_empty());
        assert_eq!(faults.meet(&at(Operation::GetKey)).len(), 1);
    }

    /// Every fault has its own name in JSON and is read back as itself.
    #[test]
    fn every_fault_has_one_name_in_the_admin_api() {
        let mut names: Vec<String> = Fault::all().iter().map(|f| serde_json::to_string(f).unwrap()).collect();
        for (name, fault) in names.iter().zip(Fault::all()) {
            assert_eq!(serde_json::from_str::<Fault>(name).unwrap(), fault, "{name}");
        }
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
