//! What was refused that looks like somebody trying something: counted by reason, for one event a minute. A flood of it writes nothing more.

use std::collections::BTreeMap;
use std::sync::Mutex;

use domain::Reason;

use crate::Refusal;
use crate::core::Core;
use crate::keys::lock;

/// Counts since they were last written down.
#[derive(Default)]
pub(crate) struct Refusals(Mutex<BTreeMap<&'static str, (Reason, u64)>>);

impl Refusals {
    pub(crate) fn count(&self, reason: Reason) {
        self.add(reason, 1);
    }

    pub(crate) fn add(&self, reason: Reason, more: u64) {
        let mut counts = lock(&self.0);
        let (_, count) = counts.entry(reason.as_str()).or_insert((reason, 0));
        *count = count.saturating_add(more);
    }

    /// What was counted since this was last asked.
    pub(crate) fn take(&self) -> Vec<(Reason, u64)> {
        std::mem::take(&mut *lock(&self.0)).into_values().collect()
    }
}

impl Core {
    /// Counts a refusal if it is what an attack would meet: of naming a key or a directory, of a vault that leads or answers where
    /// none should, of deciding about what one asked for oneself.
    pub(crate) fn watching<T>(&self, outcome: Result<T, Refusal>) -> Result<T, Refusal> {
        outcome.inspect_err(|refusal| {
            let tried = matches!(
                refusal.reason(),
                Reason::KeyIdentifierInvalid
                    | Reason::TenantInvalid
                    | Reason::TenantNotConnected
                    | Reason::TenantDisconnected
                    | Reason::KeyReplacementUntested
                    | Reason::OwnershipNotProven
                    | Reason::OwnershipNonceExpired
                    | Reason::OwnershipNonceUsed
                    | Reason::KeyBoundElsewhere
                    | Reason::VaultAddressForbidden
                    | Reason::VaultAddressNotApproved
                    | Reason::VaultTenantMismatch
                    | Reason::VaultAnswerInvalid
                    | Reason::ApprovalOwnRequest
            );
            if tried {
                self.refusals.count(refusal.reason());
            }
        })
    }
}
