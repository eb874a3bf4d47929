//! What the keeper of tokens promises.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use domain::Timestamp;
use tokio::sync::Semaphore;

use super::*;

#[derive(Default)]
struct HandClock(AtomicI64);

impl HandClock {
    fn advance(&self, seconds: i64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }
}

impl Clock for HandClock {
    fn now(&self) -> Moment {
        let seconds = self.0.load(Ordering::Relaxed);
        Moment {
            wall: Timestamp::from_micros(seconds * 1_000_000),
            boot: Duration::from_secs(u64::try_from(seconds).unwrap()),
        }
    }
}

/// A directory that gives `token-1`, `token-2`, … for an hour each, when it is let.
struct Directory {
    asked: AtomicU64,
    down: Mutex<Option<KeyUnavailable>>,
    answers: Semaphore,
}

impl Directory {
    fn new() -> Arc<Self> {
        let answers = Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Self { asked: AtomicU64::new(0), down: Mutex::new(None), answers })
    }

    fn asked(&self) -> u64 {
        self.asked.load(Ordering::Relaxed)
    }

    fn set_down(&self, why: Option<KeyUnavailable>) {
        *self.down.lock().unwrap() = why;
    }
}

struct Door(Arc<Directory>);

impl Fetch for Door {
    fn fetch(&self) -> BoxFuture<'static, Result<Fetched, KeyUnavailable>> {
        let directory = Arc::clone(&self.0);
        async move {
            let n = directory.asked.fetch_add(1, Ordering::Relaxed) + 1;
            let _let_through = directory.answers.acquire().await.unwrap();
            if let Some(why) = directory.down.lock().unwrap().clone() {
                return Err(why);
            }
            Ok(Fetched { token: Secret::new(format!("token-{n}")), lifetime: Duration::from_secs(3_600) })
        }
        .boxed()
    }
}

fn source() -> (Arc<TokenSource>, Arc<Directory>, Arc<HandClock>) {
    let directory = Directory::new();
    let clock = Arc::new(HandClock::default());
    let source = TokenSource::new(Box::new(Door(Arc::clone(&directory))), Arc::clone(&clock) as Arc<dyn Clock>);
    (source, directory, clock)
}

async fn token(source: &TokenSource) -> String {
    source.token().await.unwrap().secret().to_owned()
}

/// Lets tasks that are ready run.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

/// A thousand callers without a token ask the directory once, and one who gives up does not spoil it for the others.
#[tokio::test]
async fn a_herd_asks_once() {
    let (source, directory, _) = source();
    directory.answers.forget_permits(Semaphore::MAX_PERMITS);
    let mut impatient = Box::pin(source.token());
    assert!(futures::poll!(&mut impatient).is_pending());
    let herd: Vec<_> = (0..1_000)
        .map(|_| {
            tokio::spawn({
                let source = Arc::clone(&source);
                async move { token(&source).await }
            })
        })
        .collect();
    settle().await;
    drop(impatient);
    directory.answers.add_permits(1);
    for one in herd {
        assert_eq!(one.await.unwrap(), "token-1");
    }
    assert_eq!(directory.asked(), 1);
}

/// A failure is shared by those who wait, and remembered by nobody: the next call asks again.
#[tokio::test]
async fn a_failure_is_shared_and_not_kept() {
    let (source, directory, _) = source();
    directory.set_down(Some(KeyUnavailable::DirectoryUnreachable));
    let (a, b) = tokio::join!(source.token(), source.token());
    assert_eq!(a.unwrap_err(), KeyUnavailable::DirectoryUnreachable);
    assert_eq!(b.unwrap_err(), KeyUnavailable::DirectoryUnreachable);
    assert_eq!(directory.asked(), 1);
    directory.set_down(None);
    assert_eq!(token(&source).await, "token-2");
}

/// A rejected token is never handed out again; throwing an older one away does not cost the newer one.
#[tokio::test]
async fn a_rejected_token_is_gone() {
    let (source, _, _) = source();
    assert_eq!(token(&source).await, "token-1");
    source.invalidate("token-1");
    assert_eq!(token(&source).await, "token-2");
    source.invalidate("token-1");
    assert_eq!(token(&source).await, "token-2");
}

/// While a token holds, an outage of the directory costs nobody anything, and is not hammered.
#[tokio::test]
async fn an_outage_is_bridged_while_the_token_holds() {
    let (source, directory, clock) = source();
    assert_eq!(token(&source).await, "token-1");
    directory.set_down(Some(KeyUnavailable::DirectoryUnreachable));
    clock.advance(3_600 - 200);
    for _ in 0..50 {
        assert_eq!(token(&source).await, "token-1", "no caller waits for the renewal");
        settle().await;
    }
    assert_eq!(directory.asked(), 2, "one renewal was tried, and then a pause");
    clock.advance(RENEW_PAUSE.as_secs() as i64);
    token(&source).await;
    settle().await;
    assert_eq!(directory.asked(), 3);
    clock.advance(190);
    assert_eq!(source.token().await.unwrap_err(), KeyUnavailable::DirectoryUnreachable, "it is over when the token is");
}

/// A renewed token takes the old one's place before that ends.
#[tokio::test]
async fn a_token_is_renewed_before_it_ends() {
    let (source, _, clock) = source();
    assert_eq!(token(&source).await, "token-1");
    clock.advance(3_299);
    assert_eq!(token(&source).await, "token-1");
    settle().await;
    assert_eq!(token(&source).await, "token-1", "five minutes and a second are enough");
    clock.advance(2);
    assert_eq!(token(&source).await, "token-1");
    settle().await;
    assert_eq!(token(&source).await, "token-2");
}

/// A directory that never answers is given up after its own deadline, whoever still waits.
#[tokio::test(start_paused = true)]
async fn a_silent_directory_is_given_up() {
    let (source, directory, _) = source();
    directory.answers.forget_permits(Semaphore::MAX_PERMITS);
    assert_eq!(source.token().await.unwrap_err(), KeyUnavailable::DirectoryUnreachable);
}

/// Neither the source nor what it gives to the SDK prints the token.
#[tokio::test]
async fn a_token_is_not_printed() {
    let (source, _, _) = source();
    let given = source.get_token(&["x"], None).await.unwrap();
    assert!(!format!("{source:?} {given:?}").contains("token-1"));
}
