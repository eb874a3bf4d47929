//! What the ledger has of an attack: only what is new since the last time counts, and only with its reason.

use store::RecordedEvent;

use super::town::Town;

/// More events than any row makes.
const PAGE: usize = 1_000;

/// The details that are the same in every run; the others are ids and times.
const STEADY: [&str; 4] = ["failed", "reason", "kind", "outcome"];

impl Town {
    /// The one event of this name that a workspace's chain has got since it was last asked and that has this word among its details:
    /// its name, and what of it is the same in every run.
    pub(super) async fn recorded(&self, workspace: &str, name: &str, word: &str) -> Option<String> {
        let says = |event: &RecordedEvent| event.name == name && event.details.iter().any(|(_, value)| value == word);
        let found: Vec<_> = self.since_last_asked(Some(workspace)).await.into_iter().filter(says).collect();
        assert!(found.len() < 2, "recorded more than once: {found:?}");
        let steady = found.first()?.details.iter().filter(|(key, _)| STEADY.contains(&key.as_str()));
        let steady: Vec<_> = steady.map(|(key, value)| format!("{key}={value}")).collect();
        Some(format!("workspace: `{name} {}`", steady.join(" ")))
    }

    /// That this reason was counted once since the platform's chain was last asked.
    pub(super) async fn counted(&self, reason: &str) -> Option<String> {
        self.service.record_refusals().await.unwrap();
        let found = self.since_last_asked(None).await.into_iter().filter(|event| event.name == "refusals.counted");
        let of_it = |event: RecordedEvent| {
            let counts = event.details.iter().filter_map(|(_, value)| value.split_once(' '));
            let mine = counts.filter(|(counted, _)| *counted == reason);
            mine.map(|(_, count)| count.parse::<u64>().unwrap()).sum::<u64>()
        };
        match found.map(of_it).sum() {
            0 => None,
            1 => Some(format!("platform: `refusals.counted {reason} 1`")),
            more => panic!("{reason} was counted {more} times"),
        }
    }

    /// The events of a workspace's chain, or of the platform's, behind the last one that was there when this was last asked.
    async fn since_last_asked(&self, workspace: Option<&str>) -> Vec<RecordedEvent> {
        let chain = workspace.map(|id| id.parse().unwrap());
        let mut asked = self.asked.lock().await;
        let last = asked.entry(workspace.map(str::to_owned)).or_default();
        let events = self.store.audit(chain.as_ref(), *last, PAGE).await.unwrap();
        assert!(events.len() < PAGE);
        *last = events.last().map_or(*last, |event| event.seq);
        events
    }
}
