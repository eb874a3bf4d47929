//! How the customer's key is switched off here, and on again: the local kill switch.

use crate::Timestamp;
use crate::audit::AuditKind;

use super::{Cause, KeyLife, Step};

/// A key that is switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Revocation {
    /// By whom or what.
    pub cause: Cause,
    /// Since when.
    pub since: Timestamp,
}

impl KeyLife {
    /// Switches the key off, in whatever phase it is. `Err` gives the life back unchanged: it is off already.
    pub fn revoke(self, cause: Cause, now: Timestamp) -> Result<Step<Self>, Box<Self>> {
        if self.revoked.is_some() {
            return Err(Box::new(self));
        }
        let revoked = Some(Revocation { cause, since: now });
        let next = Self { revoked, change: self.change + 1, changed_at: now, ..self };
        Ok(Step { next, record: AuditKind::KeyRevoked { cause } })
    }

    /// Switches it on again. `Err` gives the life back unchanged: it is on, or disconnected, which a switch does not end.
    pub fn restore(self, now: Timestamp) -> Result<Step<Self>, Box<Self>> {
        match self.revoked {
            None | Some(Revocation { cause: Cause::Disconnected, .. }) => Err(Box::new(self)),
            Some(Revocation { cause: Cause::KillSwitch, since }) => Ok(self.on_again(since, now)),
        }
    }

    /// Holds the key as disconnected, whether it is on or switched off. `Err` gives the life back unchanged: it is held so already.
    pub fn disconnect(self, now: Timestamp) -> Result<Step<Self>, Box<Self>> {
        match self.revoked {
            Some(Revocation { cause: Cause::Disconnected, .. }) => Err(Box::new(self)),
            None | Some(Revocation { cause: Cause::KillSwitch, .. }) => {
                let revoked = Some(Revocation { cause: Cause::Disconnected, since: now });
                let next = Self { revoked, change: self.change + 1, changed_at: now, ..self };
                Ok(Step { next, record: AuditKind::KeyRevoked { cause: Cause::Disconnected } })
            }
        }
    }

    /// Ends a disconnection. Whoever calls this has seen everything proven anew. `Err` gives the life back unchanged: it is not
    /// disconnected.
    pub fn reconnect(self, now: Timestamp) -> Result<Step<Self>, Box<Self>> {
        match self.revoked {
            None | Some(Revocation { cause: Cause::KillSwitch, .. }) => Err(Box::new(self)),
            Some(Revocation { cause: Cause::Disconnected, since }) => Ok(self.on_again(since, now)),
        }
    }

    fn on_again(self, since: Timestamp, now: Timestamp) -> Step<Self> {
        let next = Self { revoked: None, change: self.change + 1, changed_at: now, ..self };
        Step { next, record: AuditKind::KeyRestored { since } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_life::Hold;

    /// Switched off and on, a key is where it was; doing either twice is one change.
    #[test]
    fn the_switch_has_two_positions() {
        let at = Timestamp::from_micros;
        let life = KeyLife::in_force("acme".parse().unwrap(), at(0));
        let off = life.clone().revoke(Cause::KillSwitch, at(7)).unwrap().next;
        assert_eq!(off.hold(), Hold::Revoked { cause: Cause::KillSwitch, since: at(7) });
        assert_eq!(*off.clone().revoke(Cause::KillSwitch, at(8)).unwrap_err(), off);
        let on = off.restore(at(9)).unwrap().next;
        assert_eq!((on.hold(), on.change, &on.enforcement), (Hold::None, 2, &life.enforcement));
        assert_eq!(*on.clone().restore(at(10)).unwrap_err(), on);
    }

    /// The switch does not end a disconnection, nor does it hide one that came on top of it.
    #[test]
    fn a_switch_does_not_end_a_disconnection() {
        let at = Timestamp::from_micros;
        let off = KeyLife::in_force("acme".parse().unwrap(), at(0)).revoke(Cause::KillSwitch, at(1)).unwrap().next;
        let gone = off.disconnect(at(2)).unwrap().next;
        assert_eq!(gone.hold(), Hold::Disconnected { since: at(2) });
        for unchanged in
            [gone.clone().restore(at(3)), gone.clone().revoke(Cause::KillSwitch, at(3)), gone.clone().disconnect(at(3))]
        {
            assert_eq!(*unchanged.unwrap_err(), gone);
        }
        let on = gone.reconnect(at(4)).unwrap().next;
        assert_eq!(on.hold(), Hold::None);
        assert_eq!(*on.clone().reconnect(at(5)).unwrap_err(), on);
    }
}
