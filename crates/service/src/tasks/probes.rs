//! Which key versions are asked about by themselves.

use std::sync::Arc;

use crate::core::Core;
use crate::seeded_bug::SeededBug;

impl Core {
    /// The probes that are due, to be run side by side. What they find out goes into the table, the audit chain and the log.
    pub(crate) fn due_probes(self: &Arc<Self>) -> Vec<impl Future<Output = ()> + Send + use<>> {
        if self.bugs.has(SeededBug::NeverProbed) {
            return Vec::new();
        }
        let due = self.table.due_probes(self.clock.now());
        let probe = |(workspace, version)| {
            let core = self.clone();
            async move {
                let _ = core.ask_about(&workspace, version, || false).await;
            }
        };
        due.into_iter().map(probe).collect()
    }

    /// This replica is awake. If it was not for a while, whatever it holds is asked about before it is used.
    pub(crate) fn notice_pause(&self) {
        let now = self.clock.now();
        if self.control.overslept(now) {
            tracing::warn!(
                "this replica stood still, or a clock was stepped: every key is asked about before its next use"
            );
            self.table.doubt_all();
        }
        self.control.beat(now);
    }
}
