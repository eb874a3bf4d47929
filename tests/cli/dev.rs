//! `byokd dev`: what a person sees who types one command.
#![cfg(feature = "dev")]

use std::process::Stdio;

use azure_emulator::{Emulator, Options};
use tokio::process::Command;

use crate::program::{Dev, ended};

/// The steps, in order.
const STEPS: [&str; 33] = [
    "A workspace",
    "An app and a bot",
    "The customer's directory is looked up",
    "Consent and sign-in: the directory is the customer's",
    "The customer's vault and key",
    "The role",
    "The key is configured",
    "Wrap and unwrap",
    "The configuration is tested, step by step",
    "Until its date the platform's key protects",
    "The apps and bots are chosen, and watched",
    "The date is set",
    "Another customer does the same",
    "The date comes",
    "Encrypt",
    "Decrypt",
    "A batch",
    "A stream",
    "A ciphertext moved to another app is refused",
    "Validation: a stored credential comes back",
    "The customer switches the key off",
    "The customer switches the key on again",
    "The platform's own switch",
    "A new version of the key",
    "The key is rotated",
    "Usage: what was sealed and opened",
    "Coverage: which data keys hold what",
    "Inspect: what a stored ciphertext says of itself",
    "Re-encrypt: old data comes over",
    "The ledger: what was done, provably",
    "Replacement: a key in another vault",
    "Leaving: back to the platform's key",
    "Destruction: a data key is gone for good",
];

/// What a person sees of the steps that say it in a word of their own.
const SEEN: [&str; 12] = [
    "KEY_DISABLED",
    "Remedy: re-enable",
    "byokctl key watch",
    "as whoever watches was told",
    "Basic authentication successful.",
    "byokctl data inspect",
    "is under the customer's key now",
    "KEY_REPLACEMENT_UNTESTED",
    "APPROVAL_OWN_REQUEST",
    "it waited 2 s",
    "New data is under the platform's key",
    "DECRYPTION_FAILED",
];

fn steps(printed: &str) -> Vec<&str> {
    printed.lines().filter(|line| line.starts_with('✓') || line.starts_with('✗')).collect()
}

#[track_caller]
fn assert_walked(printed: &str) {
    let steps = steps(printed);
    assert_eq!(steps.len(), STEPS.len(), "{printed}");
    for (step, title) in steps.iter().zip(STEPS) {
        assert!(step.starts_with(&format!("✓ {title}")), "{step}");
    }
    let wide = printed.lines().take_while(|line| !line.starts_with("Serving")).find(|line| line.chars().count() > 80);
    assert_eq!(wide, None, "wider than a terminal");
    assert!(!printed.contains('\u{1b}'), "colour where there is no terminal");
}

fn once() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_byokd"));
    command
        .args(["dev", "--once", "--grpc", "127.0.0.1:0", "--http", "127.0.0.1:0", "--pages", "127.0.0.1:0"])
        .kill_on_drop(true);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// One command walks through the main job, shows each step and ends with 0; what it made is gone with it.
#[tokio::test(flavor = "multi_thread")]
async fn one_command_shows_the_main_job() {
    let temporary = tempfile::tempdir().unwrap();
    let ended = ended(once().env("TMPDIR", temporary.path()).spawn().unwrap()).await.good();
    let printed = String::from_utf8(ended.stdout).unwrap();
    assert_walked(&printed);
    // Lines are broken anywhere.
    let said = printed.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in SEEN {
        assert!(said.contains(words), "{words:?} is not in\n{printed}");
    }
    assert_eq!(ended.stderr, "");
    assert!(crate::program::names(temporary.path()).is_empty(), "{:?}", crate::program::names(temporary.path()));
}

/// The walk is killed the hard way and begun again on the same data, with a vault that survived: what was encrypted before
/// opens. Then it serves until Ctrl-C.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_goes_on_with_the_same_data() {
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, emulator.ca_pem()).unwrap();
    let addr = emulator.addr().to_string();
    let more = ["--emulator", &addr, "--emulator-ca", ca.to_str().unwrap()];
    let data = dir.path().join("data");

    let first = Dev::start(&data, &more).await;
    assert_walked(&first.printed);
    assert!(first.printed.contains("until the customer's admin"), "{}", first.printed);
    let sealed = first.byokctl().feed(&["data", "encrypt", "--app", "acme/orders"], b"order 42").await.good().stdout;
    first.kill().await;

    let second = Dev::start(&data, &more).await;
    assert_walked(&second.printed);
    assert!(second.printed.contains("from an earlier start"), "{}", second.printed);
    assert!(second.printed.contains("the first ciphertext of an earlier start"), "{}", second.printed);
    let opened = second.byokctl().feed(&["data", "decrypt", "--app", "acme/orders"], &sealed).await.good();
    assert_eq!(opened.stdout, b"order 42");
    assert_eq!(second.interrupt().await, Some(0));
}

/// With everything in one process the emulated vault's keys are kept as well.
#[tokio::test(flavor = "multi_thread")]
async fn the_vaults_keys_are_kept_with_the_data() {
    let dir = tempfile::tempdir().unwrap();
    for expected in ["was created", "is there from an earlier start"] {
        let ended = ended(once().arg("--data").arg(dir.path()).spawn().unwrap()).await.good();
        let printed = String::from_utf8(ended.stdout).unwrap();
        assert_walked(&printed);
        assert!(printed.contains(expected), "{printed}");
    }
}

/// A step that does not show what it should fails the walk: here the vault in use has lost the customer's key.
#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_fails_the_walk() {
    let dir = tempfile::tempdir().unwrap();
    ended(once().arg("--data").arg(dir.path()).spawn().unwrap()).await.good();
    std::fs::remove_dir_all(dir.path().join("emulator")).unwrap();
    let ended = ended(once().arg("--data").arg(dir.path()).spawn().unwrap()).await;
    let printed = String::from_utf8(ended.stdout).unwrap();
    assert_eq!(ended.code, Some(1), "{printed}");
    let steps = steps(&printed);
    assert!(steps.last().is_some_and(|step| step.starts_with('✗')) && steps.len() < STEPS.len(), "{printed}");
    assert!(printed.contains("hint: ") && printed.contains("A step failed"), "{printed}");
}

/// What keeps it from starting is said in one error with its hint, and nothing is made.
#[tokio::test(flavor = "multi_thread")]
async fn what_keeps_it_from_starting_is_said() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let dir = tempfile::tempdir().unwrap();
    let dev = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_byokd"));
        command
            .args(["dev", "--once", "--http", "127.0.0.1:0", "--pages", "127.0.0.1:0"])
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        ended(command.spawn().unwrap())
    };
    let data = dir.path().join("data").to_str().unwrap().to_owned();
    let busy = taken.local_addr().unwrap().to_string();
    let refused = dev(&["--grpc", &busy, "--data", &data]).await.bad(1);
    assert!(refused.stderr.contains("in use"), "{}", refused.stderr);
    assert!(crate::program::names(dir.path()).is_empty());
    dev(&["--grpc", "192.0.2.1:7443"]).await.bad(1);

    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, "no certificate").unwrap();
    let ca = ca.to_str().unwrap();
    dev(&["--grpc", "127.0.0.1:0", "--emulator", &busy, "--emulator-ca", ca]).await.bad(1);
    std::fs::write(dir.path().join("file"), "").unwrap();
    dev(&["--grpc", "127.0.0.1:0", "--data", dir.path().join("file").to_str().unwrap()]).await.bad(1);
}
