//! Small models of what several replicas do at once, walked through every state. Each promise is shown to hold, and to fail when
//! the bug it is there for is put in. The rules are those of `domain` itself: a model only says who may act when.

mod enforcement;
mod lease;

use std::time::Duration;

use stateright::{Checker, HasDiscoveries, Model};

/// Far above what any of these takes.
const LONGEST: Duration = Duration::from_secs(60);

/// Walks every state; answers how many there are. The promises hold in all of them.
fn holds_everywhere<M>(name: &str, model: M) -> usize
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + std::hash::Hash + PartialEq + Send + Sync,
    M::Action: Clone + std::fmt::Debug + PartialEq + Send + Sync,
{
    let checker = model.checker().threads(2).timeout(LONGEST).spawn_bfs().join();
    eprintln!("{name}: {} states, depth {}, every promise holds", checker.unique_state_count(), checker.max_depth());
    assert!(checker.is_done(), "{name} did not end within {LONGEST:?}");
    checker.assert_properties();
    checker.unique_state_count()
}

/// With a bug put in, this promise breaks: its shortest history is printed.
fn breaks<M>(name: &str, promise: &'static str, model: M)
where
    M: Model + Send + Sync + 'static,
    M::State: Clone + std::fmt::Debug + std::hash::Hash + PartialEq + Send + Sync,
    M::Action: Clone + std::fmt::Debug + PartialEq + Send + Sync,
{
    let checker =
        model.checker().finish_when(HasDiscoveries::AllOf([promise].into())).timeout(LONGEST).spawn_bfs().join();
    let path = checker.discovery(promise).unwrap_or_else(|| panic!("{name}: {promise} held in spite of the bug"));
    let actions = path.into_actions();
    eprintln!("{name}: breaks {promise} after {} states: {actions:?}", checker.unique_state_count());
}
