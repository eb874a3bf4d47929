//! What is kept in a state directory survives the process, readable by its owner only.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use azure_emulator::{Emulator, NotKept, Options, StartError};
use common::World;

fn kept_in(dir: &Path) -> Options {
    Options { state_dir: Some(dir.to_owned()), ..Options::default() }
}

fn files(dir: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

#[tokio::test]
async fn keys_tokens_secrets_and_the_authority_survive_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::with(kept_in(dir.path())).await;
    let blob = world.wrap("", "c2VjcmV0").await.body["value"].as_str().unwrap().to_owned();
    let (token, old_ca) = (world.token().await, world.emulator.ca_pem().to_owned());
    let (kid, secret, tenant) = (world.key.kid.clone(), world.secret.clone(), world.contoso.id().to_owned());
    for file in files(dir.path()) {
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    drop(world);

    let again = World::with(kept_in(dir.path())).await;
    assert_eq!((again.key.kid.as_str(), again.contoso.id()), (kid.as_str(), tenant.as_str()));
    assert_eq!(again.unwrap("", &blob).await.body["value"], "c2VjcmV0");
    let with_old_token = again.call("GET", "/keys/k1/", &token, serde_json::Value::Null).await.unwrap();
    assert_eq!(with_old_token.status, 200);
    assert_eq!(again.token_reply(&tenant, &again.by_secret(&secret)).await.status, 200);
    // A client that trusts the certificate from before the restart still connects.
    let old = reqwest::Certificate::from_pem(old_ca.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only([old]).no_proxy();
    let client = client.resolve(again.vault.host(), again.emulator.addr()).build().unwrap();
    assert_eq!(client.get(again.url("/healthstatus")).send().await.unwrap().status(), 200);
}

/// A seed that started over would give a new key the version, and so the file, of an old one.
#[tokio::test]
async fn a_seeded_emulator_never_gives_an_identifier_twice() {
    let dir = tempfile::tempdir().unwrap();
    let options = || Options { seed: Some(7), ..kept_in(dir.path()) };
    let world = World::with(options()).await;
    let before = (world.key.version.clone(), world.contoso.id().to_owned());
    drop(world);
    let again = World::with(options()).await;
    let rotated = again.vault.rotate_key("k1").await.unwrap();
    assert_eq!((again.key.version.as_str(), again.contoso.id()), (before.0.as_str(), before.1.as_str()));
    assert_ne!(rotated.version, before.0);
    assert_eq!(again.vault.versions("k1").unwrap().len(), 2);
}

#[tokio::test]
async fn a_purged_key_leaves_no_file_behind() {
    let dir = tempfile::tempdir().unwrap();
    let world = World::with(kept_in(dir.path())).await;
    let file = dir.path().join("keys").join(format!("{}.p8", world.key.version));
    assert!(file.exists());
    world.vault.delete_key("k1").unwrap();
    assert!(file.exists(), "a deleted key can be recovered");
    world.vault.purge_key("k1").unwrap();
    assert!(!file.exists());
}

#[tokio::test]
async fn a_damaged_state_directory_is_named_and_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(World::with(kept_in(dir.path())).await);
    let path = dir.path().join("state.json");
    std::fs::write(&path, b"{").unwrap();
    let refused = Emulator::start(kept_in(dir.path())).await.err().unwrap();
    assert!(matches!(&refused, StartError::State(NotKept::Damaged { path: p, .. }) if *p == path), "{refused:?}");
    assert_eq!(std::fs::read(&path).unwrap(), b"{");
}

#[tokio::test]
async fn a_dropped_emulator_frees_its_address() {
    let world = World::start().await;
    let addr = world.emulator.addr();
    let taken = Emulator::start(Options { listen: addr, ..Options::default() }).await.err().unwrap();
    assert!(matches!(taken, StartError::Listen { addr: a, .. } if a == addr), "{taken:?}");
    drop(world);
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(Emulator::start(Options { listen: addr, ..Options::default() }).await.is_ok());
}
