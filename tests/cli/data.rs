//! Files and pipes through a real daemon: whole or not there at all.

use std::path::Path;

use rustix::process::Signal;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::program::{Byokctl, ended, names, signal};
use crate::site::Site;

const APP: [&str; 4] = ["--app", "acme/support-bot", "--context", "order=42"];

struct Rig {
    _site: Site,
    ctl: Byokctl,
    dir: tempfile::TempDir,
}

impl Rig {
    async fn start() -> Self {
        let site = Site::start().await;
        site.acme().await;
        site.under_customer_key().await;
        Self { ctl: Byokctl::of(&site), _site: site, dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.dir.path().join(name)).unwrap()
    }

    fn write(&self, name: &str, bytes: &[u8]) -> String {
        std::fs::write(self.dir.path().join(name), bytes).unwrap();
        self.path(name)
    }

    async fn data(&self, verb: &str, more: &[&str]) -> crate::program::Ended {
        self.ctl.run(&[&["data", verb][..], &APP, more].concat()).await
    }
}

fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8).collect()
}

/// Files of every awkward size come back, as streams and, up to 4 MiB, as messages.
#[tokio::test(flavor = "multi_thread")]
async fn files_of_every_size_come_back() {
    let rig = Rig::start().await;
    for length in [0, 1, 65_535, 65_536, 65_537, 3_000_000] {
        let plain = rig.write("plain", &payload(length));
        for form in [&[][..], &["--message"]] {
            let (sealed, opened) = (rig.path("sealed"), rig.path("opened"));
            let more = [&[plain.as_str(), "-o", &sealed, "--force", "--output", "json"][..], form].concat();
            let told = rig.data("encrypt", &more).await.good().json();
            assert_eq!((&told["bytes_in"], &told["protection"]), (&json!(length), &json!("CUSTOMER_KEY")));
            assert_eq!(told["bytes_out"], rig.read("sealed").len());
            let shown = rig.ctl.run(&["data", "inspect", &sealed, "--output", "json"]).await.good().json();
            assert_eq!(shown["plaintext_size"], length);
            assert_eq!(shown["kind"], if form.is_empty() { "stream" } else { "message" });
            rig.data("decrypt", &[&sealed, "-o", &opened, "--force"]).await.good();
            assert_eq!(rig.read("opened"), payload(length), "{length} bytes, {form:?}");
        }
    }
    // One byte more than a message holds is said before anything is sent.
    let large = rig.write("large", &vec![0; 4 * 1024 * 1024 + 1]);
    rig.data("encrypt", &[&large, "--message", "-o", &rig.path("too-large")]).await.bad(2);
    assert!(!Path::new(&rig.path("too-large")).exists());
}

/// Pipes carry data and nothing else, in both directions.
#[tokio::test(flavor = "multi_thread")]
async fn pipes_carry_data_and_nothing_else() {
    let rig = Rig::start().await;
    let plain = payload(20 << 20);
    let sealed = rig.ctl.feed(&[&["data", "encrypt"][..], &APP].concat(), &plain).await.good();
    assert_eq!(sealed.stderr, "");
    let opened = rig.ctl.feed(&[&["data", "decrypt"][..], &APP].concat(), &sealed.stdout).await.good();
    assert_eq!(opened.stdout, plain);
    assert_eq!(opened.stderr, "");
}

/// A ciphertext that was changed, cut off, continued, or is given to another app or context leaves no file, and leaves a
/// file that is there as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_decrypt_leaves_nothing() {
    let rig = Rig::start().await;
    let plain = rig.write("plain", &payload(200_000));
    rig.data("encrypt", &[&plain, "-o", &rig.path("sealed")]).await.good();
    let sealed = rig.read("sealed");
    let mut changed = sealed.clone();
    changed[150_000] ^= 1;
    let damaged =
        [changed, sealed[..sealed.len() - 1].to_vec(), [sealed.as_slice(), b"x"].concat(), sealed[..100].to_vec()];
    rig.write("precious", b"precious");
    for ciphertext in damaged {
        let bad = rig.write("bad", &ciphertext);
        let refused = rig.data("decrypt", &[&bad, "-o", &rig.path("opened")]).await.bad(2);
        assert!(!refused.stderr.contains("discard"), "there is nothing to discard: {}", refused.stderr);
        rig.data("decrypt", &[&bad, "-o", &rig.path("precious"), "--force"]).await.bad(2);
        assert_eq!(rig.read("precious"), b"precious");
    }
    let good = rig.path("sealed");
    let other = |more: &[&str]| [&["data", "decrypt", &good, "-o", &rig.path("opened")][..], more].concat().join(" ");
    for more in [&["--app", "acme/other-app", "--context", "order=42"][..], &["--app", "acme/support-bot"]] {
        let line = other(more);
        rig.ctl.run(&line.split(' ').collect::<Vec<_>>()).await.bad(2);
    }
    assert_eq!(names(rig.dir.path()), ["bad", "plain", "precious", "sealed"]);
}

/// Into a pipe the plaintext flows as it comes: when the end is not authentic that is said, and the exit code is not 0.
#[tokio::test(flavor = "multi_thread")]
async fn a_pipe_is_told_that_the_end_is_not_authentic() {
    let rig = Rig::start().await;
    let plain = rig.write("plain", &payload(2_000_000));
    rig.data("encrypt", &[&plain, "-o", &rig.path("sealed")]).await.good();
    let sealed = rig.read("sealed");
    let decrypt = [&["data", "decrypt"][..], &APP].concat();
    let refused = rig.ctl.feed(&decrypt, &sealed[..sealed.len() - 1]).await.bad(2);
    assert!(refused.stderr.contains("discard everything"), "{}", refused.stderr);
    assert!(payload(2_000_000).starts_with(&refused.stdout) && !refused.stdout.is_empty());
    // A message is opened whole: nothing comes out of a changed one.
    let mut message =
        rig.ctl.feed(&[&["data", "encrypt", "--message"][..], &APP].concat(), b"order 42").await.good().stdout;
    message[90] ^= 1;
    assert!(rig.ctl.feed(&decrypt, &message).await.bad(2).stdout.is_empty());
}

/// A file that exists is never overwritten unasked, and is replaced in one step when asked.
#[tokio::test(flavor = "multi_thread")]
async fn what_exists_stays_unless_forced() {
    let rig = Rig::start().await;
    let plain = rig.write("plain", b"order 42");
    let out = rig.write("out", b"precious");
    rig.data("encrypt", &[&plain, "-o", &out]).await.bad(2);
    assert_eq!(rig.read("out"), b"precious");
    rig.data("encrypt", &[&plain, "-o", &out, "--force"]).await.good();
    // In place: read from the old file, which the new one replaces at the end.
    rig.data("decrypt", &[&out, "-o", &out, "--force"]).await.good();
    assert_eq!(rig.read("out"), b"order 42");
}

/// Ctrl-C, a polite kill and a hard one in the middle: no file, and after the first two not even a temporary one.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_interrupted_does_not_appear() {
    let rig = Rig::start().await;
    let out = rig.path("out");
    for how in [Signal::INT, Signal::TERM, Signal::KILL] {
        let args = [&["data", "encrypt"][..], &APP, &["-o", &out]].concat();
        let mut child = rig.ctl.spawn(&args);
        let mut stdin = child.stdin.take().unwrap();
        // More than pipes and queues hold: when it is written, it is being worked on.
        stdin.write_all(&payload(16 << 20)).await.unwrap();
        signal(&child, how);
        let ended = ended(child).await;
        drop(stdin);
        assert!(!Path::new(&out).exists(), "after {how:?} half a file appeared");
        if how == Signal::KILL {
            assert_eq!(ended.code, None);
        } else {
            assert_eq!(ended.code, Some(130), "{}", ended.stderr);
            assert!(names(rig.dir.path()).is_empty(), "{:?}", names(rig.dir.path()));
        }
    }
}

/// A reader that goes away ends it quietly, and not with success.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_pipe_is_quiet() {
    let rig = Rig::start().await;
    let plain = rig.write("plain", &payload(8 << 20));
    let sealed = rig.path("sealed");
    rig.data("encrypt", &[&plain, "-o", &sealed]).await.good();
    let mut child = rig.ctl.spawn(&[&["data", "decrypt"][..], &APP, &[&sealed]].concat());
    let mut stdout = child.stdout.take().unwrap();
    stdout.read_exact(&mut [0; 10]).await.unwrap();
    drop(stdout);
    let ended = ended(child).await;
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(141), ""));
}

/// Re-encrypting changes the context; a stream whose end is missing gives no new ciphertext of what was there.
#[tokio::test(flavor = "multi_thread")]
async fn re_encrypting_is_whole_or_not_at_all() {
    let rig = Rig::start().await;
    let plain = rig.write("plain", &payload(1_000_000));
    let (sealed, moved) = (rig.path("sealed"), rig.path("moved"));
    for form in [&[][..], &["--message"]] {
        rig.data("encrypt", &[&[plain.as_str(), "-o", &sealed, "--force"][..], form].concat()).await.good();
        rig.data("reencrypt", &[&sealed, "-o", &moved, "--force", "--new-context", "order=43"]).await.good();
        rig.data("decrypt", &[&moved]).await.bad(2);
        let opened =
            rig.ctl.run(&["data", "decrypt", "--app", "acme/support-bot", "--context", "order=43", &moved]).await;
        assert_eq!(opened.good().stdout, payload(1_000_000));
    }
    rig.data("encrypt", &[&plain, "-o", &sealed, "--force"]).await.good();
    let whole = rig.read("sealed");
    let cut = rig.write("cut", &whole[..whole.len() - 1]);
    std::fs::remove_file(&moved).unwrap();
    rig.data("reencrypt", &[&cut, "-o", &moved]).await.bad(2);
    assert_eq!(names(rig.dir.path()), ["cut", "plain", "sealed"]);
}
