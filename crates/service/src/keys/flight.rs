//! How many ask for the same thing at once: one, and the others wait for its outcome (I-26).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use domain::{KeyVersionId, WorkspaceId};
use tokio::sync::watch;

use super::{AppName, DataKeyName, Failure, lock};

/// What can be under way.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Flight {
    /// Finding out under which key an app encrypts, making one if there is none, and opening it.
    Seal(AppName),
    /// Opening one data key.
    Open(DataKeyName),
    /// Renewing the lease of a key version.
    Renew(WorkspaceId, KeyVersionId),
}

/// The work that is under way.
///
/// Work runs as a task of its own: the first caller's deadline ends its waiting and not the work that others wait for too.
#[derive(Default)]
pub(crate) struct Flights {
    under_way: Mutex<HashMap<Flight, UnderWay>>,
    begun: AtomicU64,
}

struct UnderWay {
    number: u64,
    /// How often the workspace's vault had said no when it began. After another denial nobody joins it any more (I-9).
    denials: u64,
    outcome: watch::Receiver<Option<Result<(), Failure>>>,
}

impl Flights {
    /// How much is under way.
    pub(crate) fn count(&self) -> usize {
        lock(&self.under_way).len()
    }

    /// Waits for this work, beginning it if it is not under way. `done` is asked once more before beginning: whoever came
    /// just after the end of another's work finds its result and does not do it again.
    pub(crate) async fn join<W>(
        self: &Arc<Self>,
        flight: Flight,
        denials: u64,
        done: impl FnOnce() -> bool,
        work: impl FnOnce() -> W,
    ) -> Result<(), Failure>
    where
        W: Future<Output = Result<(), Failure>> + Send + 'static,
    {
        let mut outcome = {
            let mut under_way = lock(&self.under_way);
            match under_way.entry(flight) {
                Entry::Occupied(present) if present.get().denials == denials => present.get().outcome.clone(),
                _ if done() => return Ok(()),
                entry => {
                    let (tell, outcome) = watch::channel(None);
                    let number = self.begun.fetch_add(1, Ordering::Relaxed);
                    let landing = Landing { flights: self.clone(), flight: entry.key().clone(), number };
                    entry.insert_entry(UnderWay { number, denials, outcome: outcome.clone() });
                    let work = work();
                    tokio::spawn(async move {
                        let result = work.await;
                        // Off the list before it is told: who joins later finds the result in the table.
                        drop(landing);
                        tell.send_replace(Some(result));
                    });
                    outcome
                }
            }
        };
        match outcome.wait_for(Option::is_some).await {
            Ok(result) => result.clone().unwrap_or(Err(Failure::Crashed)),
            Err(_) => Err(Failure::Crashed),
        }
    }
}

/// Takes a flight off the list when its work ends, by a panic too.
struct Landing {
    flights: Arc<Flights>,
    flight: Flight,
    number: u64,
}

impl Drop for Landing {
    fn drop(&mut self) {
        let mut under_way = lock(&self.flights.under_way);
        if under_way.get(&self.flight).is_some_and(|present| present.number == self.number) {
            under_way.remove(&self.flight);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use tokio::sync::Notify;

    fn flight() -> Flight {
        Flight::Renew("acme".parse().unwrap(), KeyVersionId::from_bytes([1; 16]))
    }

    /// I-26: a thousand ask, one works; the one who asked first going away ends nothing.
    #[tokio::test]
    async fn one_works_and_all_learn() {
        let flights = Arc::new(Flights::default());
        let (begun, go) = (Arc::new(AtomicUsize::new(0)), Arc::new(Notify::new()));
        let ask = || {
            let (flights, begun, go) = (flights.clone(), begun.clone(), go.clone());
            tokio::spawn(async move {
                let work = || async move {
                    begun.fetch_add(1, Ordering::Relaxed);
                    go.notified().await;
                    Ok(())
                };
                flights.join(flight(), 0, || false, work).await
            })
        };
        let first = ask();
        tokio::task::yield_now().await;
        let others: Vec<_> = (0..999).map(|_| ask()).collect();
        tokio::task::yield_now().await;
        first.abort();
        tokio::task::yield_now().await;
        go.notify_one();
        for other in others {
            other.await.unwrap().unwrap();
        }
        assert_eq!(begun.load(Ordering::Relaxed), 1);
        assert!(lock(&flights.under_way).is_empty());
    }

    /// I-9: work begun before a denial is not joined after it, and its end does not end the newer one's.
    #[tokio::test]
    async fn work_from_before_a_denial_is_not_joined() {
        let flights = Arc::new(Flights::default());
        let (slow, quick) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
        let old = tokio::spawn({
            let (flights, slow) = (flights.clone(), slow.clone());
            async move {
                flights
                    .join(
                        flight(),
                        0,
                        || false,
                        || async move {
                            slow.notified().await;
                            Ok(())
                        },
                    )
                    .await
            }
        });
        tokio::task::yield_now().await;
        let again = quick.clone();
        let work = || async move {
            again.fetch_add(1, Ordering::Relaxed);
            Ok(())
        };
        flights.join(flight(), 1, || false, work).await.unwrap();
        assert_eq!(quick.load(Ordering::Relaxed), 1);
        slow.notify_one();
        old.await.unwrap().unwrap();
    }

    /// A panic in the work is a refusal for who waits, and the next one begins anew.
    #[tokio::test]
    async fn a_panic_ends_the_waiting_and_nothing_else() {
        let flights = Arc::new(Flights::default());
        let crash = || async { panic!("a fault put in by this test") };
        assert!(matches!(flights.join(flight(), 0, || false, crash).await, Err(Failure::Crashed)));
        flights.join(flight(), 0, || false, || async { Ok(()) }).await.unwrap();
    }
}
