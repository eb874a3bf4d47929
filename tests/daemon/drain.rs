//! Told to stop, the daemon takes no more and finishes what it has.

use std::time::Duration;

use tokio::net::UnixStream;
use vault::memory::Operation;

use crate::site::Site;

/// A call under way when the order to stop comes is answered; a new connection is not taken.
#[tokio::test]
async fn calls_under_way_finish() {
    let mut site = Site::start().await;
    site.acme().await;
    site.vault.create_key(&Site::key());
    let held = site.vault.hold(Operation::Describe);
    let mut keys = site.keys().await;
    let call = tokio::spawn(async move { keys.configure_key(Site::configure()).await });
    until(|| site.vault.calls().describe == 1).await;
    site.stop();
    until(|| !site.socket().exists()).await;
    assert!(UnixStream::connect(site.socket()).await.is_err(), "a new connection was taken");
    assert!(!call.is_finished());
    held.release();
    assert!(call.await.unwrap().is_ok(), "the call under way was lost");
    assert_eq!(site.stopped().await.cut, 0);
}

/// A call that does not end is cut at the limit: the daemon does not stay for ever.
#[tokio::test]
async fn the_drain_has_a_limit() {
    let site = Site::limited(|limits| limits.drain = Duration::from_millis(50)).await;
    site.acme().await;
    site.vault.create_key(&Site::key());
    let _held = site.vault.hold(Operation::Describe);
    let mut keys = site.keys().await;
    let call = tokio::spawn(async move { keys.configure_key(Site::configure()).await });
    until(|| site.vault.calls().describe == 1).await;
    let drained = tokio::time::timeout(Duration::from_secs(2), site.stopped()).await.unwrap();
    assert_eq!(drained.cut, 1);
    assert!(call.await.unwrap().is_err());
}

/// Connections without calls do not delay the end.
#[tokio::test]
async fn idle_connections_do_not_delay_the_end() {
    let site = Site::start().await;
    site.acme().await;
    let _idle = (site.client().await, site.client().await, site.encryption().await);
    let drained = tokio::time::timeout(Duration::from_secs(2), site.stopped()).await.unwrap();
    assert_eq!(drained.cut, 0);
}

/// Lets the others run until it is so.
async fn until(is_so: impl Fn() -> bool) {
    let wait = async {
        while !is_so() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(5), wait).await.expect("it never came to be");
}
