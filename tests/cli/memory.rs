//! What the daemon's memory costs a payload that is larger than it.
#![cfg(feature = "dev")]

use std::fs::File;
use std::process::Stdio;

use azure_emulator::{Emulator, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy, repeat, sink};

use crate::program::Dev;

const GIBIBYTE: u64 = 1 << 30;
/// The bound on the daemon's peak of resident memory, in KiB.
const PEAK_KIB: u64 = 64 * 1024;

/// 1 GiB goes through one stream, and back through one of another daemon, and neither daemon ever holds more than 64 MiB: it keeps segments and
/// never payloads.
#[tokio::test(flavor = "multi_thread")]
async fn a_payload_of_a_gibibyte_needs_no_more_than_64_mebibytes() {
    // The emulated vault is in this process, and no walk has called the daemon from inside: what is measured is the daemon.
    let emulator = Emulator::start(Options::default()).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let ca = dir.path().join("ca.pem");
    std::fs::write(&ca, emulator.ca_pem()).unwrap();
    let addr = emulator.addr().to_string();
    let more = ["--no-walk", "--emulator", &addr, "--emulator-ca", ca.to_str().unwrap()];
    let daemon = Dev::start(&dir.path().join("data"), &more).await;
    daemon.byokctl().run(&["workspace", "create", "acme"]).await.good();
    daemon.byokctl().run(&["app", "upsert", "acme/orders"]).await.good();
    let sealed = dir.path().join("sealed");

    let mut encrypt = daemon.byokctl().command(&["data", "encrypt", "--app", "acme/orders"]);
    let mut encrypt = encrypt.stdout(File::create(&sealed).unwrap()).stderr(Stdio::inherit()).spawn().unwrap();
    let mut stdin = encrypt.stdin.take().unwrap();
    assert_eq!(copy(&mut repeat(0x5a).take(GIBIBYTE), &mut stdin).await.unwrap(), GIBIBYTE);
    stdin.shutdown().await.unwrap();
    drop(stdin);
    assert!(encrypt.wait().await.unwrap().success());
    let peak = daemon.peak_kib();
    assert!(peak <= PEAK_KIB, "encrypting took the daemon to {peak} KiB");
    assert_eq!(daemon.interrupt().await, Some(0));
    let daemon = Dev::start(&dir.path().join("data"), &more).await;

    let mut decrypt = daemon.byokctl().command(&["data", "decrypt", "--app", "acme/orders"]);
    let mut decrypt = decrypt.stdin(File::open(&sealed).unwrap()).stderr(Stdio::inherit()).spawn().unwrap();
    let opened = copy(&mut decrypt.stdout.take().unwrap(), &mut sink()).await.unwrap();
    assert!(decrypt.wait().await.unwrap().success());
    assert_eq!(opened, GIBIBYTE);
    eprintln!("peak of resident memory: {peak} KiB encrypting, {} KiB decrypting", daemon.peak_kib());
    assert!(daemon.peak_kib() <= PEAK_KIB, "decrypting took the daemon to {} KiB", daemon.peak_kib());
}
