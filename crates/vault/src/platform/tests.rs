//! What the platform root promises.

use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use domain::{Clock, Entropy, KeyLocation, Moment, Timestamp};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

use super::*;
use crate::{
    KeyRef, KeyUnavailable,
    memory::{Fault, MemoryKeys, Operation},
};

/// Replayable bytes: SHA-256 of a counter.
struct Counted(AtomicU64);

impl Counted {
    fn from(start: u64) -> Self {
        Self(AtomicU64::new(start))
    }
}

impl Entropy for Counted {
    fn fill(&self, out: &mut [u8]) {
        for chunk in out.chunks_mut(32) {
            let digest = Sha256::digest(self.0.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            chunk.copy_from_slice(&digest[..chunk.len()]);
        }
    }
}

struct Noon;

impl Clock for Noon {
    fn now(&self) -> Moment {
        Moment { wall: Timestamp::from_micros(1_800_000_000_000_000), boot: Duration::from_secs(1) }
    }
}

fn place() -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("platform.key");
    (directory, path)
}

fn secret(byte: u8) -> Secret<PAYLOAD_LEN> {
    Secret::fill(|out| out.fill(byte)).unwrap()
}

fn refusal<T>(result: Result<T, RootRefused>) -> RootRefused {
    match result {
        Ok(_) => panic!("it was accepted"),
        Err(refused) => refused,
    }
}

/// A root opens as it was made, for its owner only, and leaves nothing beside it.
#[test]
fn a_root_is_the_same_after_a_restart_and_readable_by_its_owner_only() {
    let (directory, path) = place();
    let made = PlatformRoot::init_file(&path, &Counted::from(1)).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "the file aside is gone");
    let opened = PlatformRoot::open_file(&path).unwrap();
    assert_eq!(opened.cluster_id(), made.cluster_id());
    assert_eq!(opened.check_value(), made.check_value());
    let sealed = made.seal_blob(b"blob", b"row", &Counted::from(2));
    assert_eq!(sealed.len(), 4 + SEALED_OVERHEAD);
    assert_eq!(opened.open_blob(&sealed, b"row").unwrap(), b"blob");
}

/// An existing root is never overwritten: everything sealed with it would be lost.
#[test]
fn init_never_touches_an_existing_file() {
    let (_directory, path) = place();
    PlatformRoot::init_file(&path, &Counted::from(1)).unwrap();
    let before = fs::read(&path).unwrap();
    assert!(matches!(refusal(PlatformRoot::init_file(&path, &Counted::from(9))), RootRefused::Exists));
    assert_eq!(fs::read(&path).unwrap(), before);
}

/// A root that others could have read, or that is not plainly the file named, is refused before a byte of it counts.
#[test]
fn a_root_that_is_not_ours_alone_is_refused() {
    let (directory, path) = place();
    PlatformRoot::init_file(&path, &Counted::from(1)).unwrap();
    for mode in [0o640, 0o604, 0o644, 0o660, 0o700, 0o4600] {
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        let refused = refusal(PlatformRoot::open_file(&path));
        assert!(matches!(refused, RootRefused::TooOpen { mode: said } if said == mode), "{mode:o}: {refused}");
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(0o400)).unwrap();
    assert!(PlatformRoot::open_file(&path).is_ok(), "narrower than 0600 is fine");
    let link = directory.path().join("link");
    symlink(&path, &link).unwrap();
    assert!(matches!(refusal(PlatformRoot::open_file(&link)), RootRefused::NotAPlainFile));
    assert!(matches!(refusal(PlatformRoot::open_file(directory.path())), RootRefused::NotAPlainFile));
    assert!(matches!(refusal(PlatformRoot::open_file(&directory.path().join("none"))), RootRefused::NotThere));
}

/// A file of another user is refused even where we could read it (shown where the tests run as root).
#[test]
fn a_root_of_another_user_is_refused() {
    let (_directory, path) = place();
    PlatformRoot::init_file(&path, &Counted::from(1)).unwrap();
    if std::os::unix::fs::chown(&path, Some(65534), None).is_err() {
        // Only root may give files away; the check itself is the same.
        return;
    }
    assert!(matches!(refusal(PlatformRoot::open_file(&path)), RootRefused::NotOurs { owner: 65534, .. }));
}

/// Every truncation and every flipped bit of the file is noticed, and told apart from a foreign or a newer file.
#[test]
fn no_damage_to_the_file_goes_unnoticed() {
    let (_directory, path) = place();
    PlatformRoot::init_file(&path, &Counted::from(1)).unwrap();
    let good = fs::read(&path).unwrap();
    let open = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        PlatformRoot::open_file(&path)
    };
    for len in 0..good.len() {
        assert!(matches!(refusal(open(&good[..len])), RootRefused::Truncated), "cut to {len}");
    }
    for bit in 0..good.len() * 8 {
        let mut bad = good.clone();
        bad[bit / 8] ^= 1 << (bit % 8);
        let refused = refusal(open(&bad));
        let fits = match bit / 8 {
            0..8 => matches!(refused, RootRefused::NotARoot),
            8 => matches!(refused, RootRefused::VersionUnknown { .. }),
            // The form and the number of keys move where the checksum is looked for.
            9..12 => matches!(refused, RootRefused::Damaged | RootRefused::Truncated),
            _ => matches!(refused, RootRefused::Damaged),
        };
        assert!(fits, "bit {bit}: {refused}");
    }
    assert!(matches!(refusal(open(&[&good[..], &[0]].concat())), RootRefused::Damaged));
    assert!(matches!(refusal(open(b"-----BEGIN PRIVATE KEY-----")), RootRefused::NotARoot));
    assert!(open(&good).is_ok());
}

/// Another root is told apart before anything is opened with it, and opens nothing.
#[test]
fn another_root_has_another_check_value_and_opens_nothing() {
    let (_a, path_a) = place();
    let (_b, path_b) = place();
    let a = PlatformRoot::init_file(&path_a, &Counted::from(1)).unwrap();
    let b = PlatformRoot::init_file(&path_b, &Counted::from(100)).unwrap();
    assert_ne!(a.check_value(), b.check_value());
    assert_ne!(a.cluster_id(), b.cluster_id());
    let sealed = a.seal_blob(b"blob", b"", &Counted::from(2));
    assert_eq!(b.open_blob(&sealed, b""), Err(NotOpened::KeyUnknown));
    let (id, wrapped) = a.wrap(&secret(7), b"", &Counted::from(3));
    assert!(matches!(b.unwrap(id, &wrapped, b""), Err(NotOpened::KeyUnknown)));
    assert!(!b.row_seal().verify(b"row", &a.row_seal().seal(b"row")));
}

/// The same key in another cluster derives other keys: a copied root file with an edited cluster id opens nothing.
#[test]
fn keys_are_bound_to_their_cluster_and_to_their_id() {
    let root = || Secret::fill(|out: &mut [u8; ROOT_KEY_LEN]| out.fill(9)).unwrap();
    let id = |byte| PlatformKeyId::from_bytes([byte; 16]);
    let derive = |cluster: u8, key: u8| PlatformRoot::derive([cluster; 16], id(key), &[(id(key), root())]).unwrap();
    let checks = [derive(1, 1), derive(2, 1), derive(1, 2)].map(|root| root.check_value());
    assert_ne!(checks[0], checks[1]);
    assert_ne!(checks[0], checks[2]);
}

/// I-15: a wrapped data key opens for the row it was made for, whole and unaltered, and for no other.
#[test]
fn a_wrapped_data_key_opens_only_in_its_own_row() {
    let (_directory, path) = place();
    let root = PlatformRoot::init_file(&path, &Counted::from(1)).unwrap();
    let (id, wrapped) = root.wrap(&secret(7), b"row", &Counted::from(2));
    let opened = root.unwrap(id, &wrapped, b"row").unwrap();
    assert!(opened.expose(|bytes| bytes.iter().all(|byte| *byte == 7)));
    assert!(matches!(root.unwrap(id, &wrapped, b"other"), Err(NotOpened::NotAuthentic)));
    for byte in 0..wrapped.len() {
        let mut bad = wrapped.clone();
        bad[byte] ^= 1;
        assert!(matches!(root.unwrap(id, &bad, b"row"), Err(NotOpened::NotAuthentic)), "byte {byte}");
        assert!(matches!(root.unwrap(id, &wrapped[..byte], b"row"), Err(NotOpened::NotAuthentic)));
    }
    let sealed = root.seal_blob(&wrapped, b"row", &Counted::from(3));
    for byte in 0..sealed.len() {
        let mut bad = sealed.clone();
        bad[byte] ^= 1;
        assert!(root.open_blob(&bad, b"row").is_err(), "byte {byte}");
        assert!(root.open_blob(&sealed[..byte], b"row").is_err());
    }
    assert_eq!(root.open_blob(&sealed, b"other"), Err(NotOpened::NotAuthentic));
    // What was made for one purpose is not taken for the other, though the bytes have the same shape.
    let as_wrap = &root.seal_blob(&[7; PAYLOAD_LEN], b"row", &Counted::from(4))[17..];
    assert!(matches!(root.unwrap(id, as_wrap, b"row"), Err(NotOpened::NotAuthentic)));
}

/// I-17: the same payload sealed twice gives two nonces and two ciphertexts.
#[test]
fn sealing_twice_never_gives_the_same_bytes() {
    let (_directory, path) = place();
    let root = PlatformRoot::init_file(&path, &Counted::from(1)).unwrap();
    let entropy = Counted::from(2);
    let (first, second) = (root.wrap(&secret(7), b"", &entropy).1, root.wrap(&secret(7), b"", &entropy).1);
    assert_ne!(first[..12], second[..12]);
    assert_ne!(first[12..], second[12..]);
}

/// While a root rotates, what the old key made still opens, and the database still knows the root.
#[test]
fn a_second_key_does_not_orphan_what_the_first_made() {
    let key = |byte: u8| {
        let secret: Secret<ROOT_KEY_LEN> = Secret::fill(|out: &mut [u8; ROOT_KEY_LEN]| out.fill(byte)).unwrap();
        (PlatformKeyId::from_bytes([byte; 16]), secret)
    };
    let old = PlatformRoot::derive([1; 16], key(1).0, &[key(1)]).unwrap();
    let both = PlatformRoot::derive([1; 16], key(2).0, &[key(1), key(2)]).unwrap();
    let sealed = old.seal_blob(b"blob", b"", &Counted::from(1));
    assert_eq!(both.open_blob(&sealed, b"").unwrap(), b"blob");
    assert!(both.row_seal().verify(b"row", &old.row_seal().seal(b"row")));
    assert_eq!(both.row_seal().seal(b"row").key, key(2).0, "the primary makes the new ones");
    assert_eq!(both.check_value(), old.check_value());
}

/// A row's code holds for exactly its bytes.
#[test]
fn an_altered_row_fails_its_code() {
    let (_directory, path) = place();
    let seal = PlatformRoot::init_file(&path, &Counted::from(1)).unwrap().row_seal();
    let mac = seal.seal(b"row");
    assert!(seal.verify(b"row", &mac));
    assert!(!seal.verify(b"rou", &mac));
    let mut other = mac;
    other.code[31] ^= 1;
    assert!(!seal.verify(b"row", &other));
    other = mac;
    other.key = PlatformKeyId::from_bytes([9; 16]);
    assert!(!seal.verify(b"row", &other));
}

const DEADLINE: Duration = Duration::from_secs(5);

fn vault() -> (Arc<MemoryKeys>, KeyRef) {
    let location = KeyLocation::from_vault_uri("https://platform.vault.azure.net", "root").unwrap();
    let at = KeyRef::of_platform("8a3c0e5b-0d4e-4c0e-9a1f-2b6d7c8e9f01".parse().unwrap(), location);
    let keys = MemoryKeys::new(Arc::new(Noon));
    keys.create_key(&at);
    (keys, at)
}

/// A wrapped root opens with the vault's help, by the version that wrapped it, and not without.
#[tokio::test]
async fn a_wrapped_root_opens_only_with_its_vault() {
    let (_directory, path) = place();
    let (keys, at) = vault();
    let made = PlatformRoot::init_wrapped(&path, &*keys, &at, &Counted::from(1), DEADLINE).await.unwrap();
    keys.create_key(&at);
    let opened = PlatformRoot::open_wrapped(&path, &*keys, &at, DEADLINE).await.unwrap();
    assert_eq!(opened.check_value(), made.check_value());
    assert!(matches!(refusal(PlatformRoot::open_file(&path)), RootRefused::Wrapped));
    let other = KeyRef {
        location: KeyLocation::from_vault_uri("https://platform.vault.azure.net", "x").unwrap(),
        ..at.clone()
    };
    let refused = refusal(PlatformRoot::open_wrapped(&path, &*keys, &other, DEADLINE).await);
    assert!(matches!(refused, RootRefused::WrappedByAnother));
    keys.refuse_all(&KeyUnavailable::Disabled(crate::Trace::default()));
    let refused = refusal(PlatformRoot::open_wrapped(&path, &*keys, &at, DEADLINE).await);
    assert!(matches!(refused, RootRefused::VaultRefused(KeyUnavailable::Disabled(_))));
    keys.heal();
    keys.fail_next(Operation::Unwrap, Fault::WrongPlaintext);
    // The key inside differs and its envelope does not: the check value tells the database.
    let wrong = PlatformRoot::open_wrapped(&path, &*keys, &at, DEADLINE).await.unwrap();
    assert_ne!(wrong.check_value(), made.check_value());
}

/// Who holds the public half can wrap a root of their own; it is bound to another cluster and refused.
#[tokio::test]
async fn a_wrapped_root_put_in_from_elsewhere_is_refused() {
    let (_a, path_a) = place();
    let (_b, path_b) = place();
    let (keys, at) = vault();
    PlatformRoot::init_wrapped(&path_a, &*keys, &at, &Counted::from(1), DEADLINE).await.unwrap();
    PlatformRoot::init_wrapped(&path_b, &*keys, &at, &Counted::from(100), DEADLINE).await.unwrap();
    let mut mixed = super::file::read(&path_a).unwrap();
    let foreign = super::file::read(&path_b).unwrap();
    mixed.entries = foreign.entries;
    mixed.primary = foreign.primary;
    let (_c, path_c) = place();
    super::file::create(&path_c, &mixed, &Counted::from(5)).unwrap();
    let refused = refusal(PlatformRoot::open_wrapped(&path_c, &*keys, &at, DEADLINE).await);
    assert!(matches!(refused, RootRefused::NotThisKey));
}

/// No root is written that the vault does not give back.
#[tokio::test]
async fn a_root_the_vault_does_not_give_back_is_not_written() {
    let (directory, path) = place();
    let (keys, at) = vault();
    keys.fail(Operation::Unwrap, Fault::WrongPlaintext);
    let refused = refusal(PlatformRoot::init_wrapped(&path, &*keys, &at, &Counted::from(1), DEADLINE).await);
    assert!(matches!(refused, RootRefused::NotThisKey));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

/// A root goes over to another key: what either sealed opens, new things are under the new one, and what the old one signed or showed
/// owners still counts, until it is removed.
#[test]
fn a_root_goes_over_to_another_key() {
    let (_directory, path) = place();
    let entropy = Counted::from(0);
    let before = PlatformRoot::init_file(&path, &entropy).unwrap();
    let old = before.primary();
    let (wrapped_by, wrapped) = before.wrap(&secret(7), b"aad", &entropy);
    let blob = before.seal_blob(b"blob", b"aad", &entropy);
    let row = before.row_seal().seal(b"row");
    let (nonce, checkpoints) = (before.ownership_nonces(b"acme"), before.checkpoint_key());

    let new = PlatformRoot::add_key(&path, &entropy).unwrap();
    let added = PlatformRoot::open_file(&path).unwrap();
    assert_eq!(
        (added.primary(), added.cluster_id(), added.check_value()),
        (old, before.cluster_id(), before.check_value())
    );
    PlatformRoot::promote(&path, new, &entropy).unwrap();
    let after = PlatformRoot::open_file(&path).unwrap();
    assert_eq!(
        (after.primary(), after.check_value()),
        (new, before.check_value()),
        "its database is recognised as before"
    );
    assert_eq!(after.check_values(), [before.check_value(), after.primary_check_value()]);
    assert!(after.unwrap(wrapped_by, &wrapped, b"aad").is_ok());
    assert_eq!(after.open_blob(&blob, b"aad").unwrap(), b"blob");
    assert!(after.row_seal().verify(b"row", &row));
    assert_eq!(after.row_seal().seal(b"row").key, new);
    assert_eq!(after.ownership_nonces(b"acme")[1..], nonce, "what owners were shown still counts");
    assert_ne!(after.checkpoint_key(), checkpoints);
    let keys = after.keys();
    assert_eq!(keys, [(old, checkpoints), (new, after.checkpoint_key())], "both public halves are told");
    // A head is no row, and a row no head.
    assert!(!after.head_seal().verify(b"row", &row));
    let head = after.head_seal().seal(b"row");
    assert!(after.head_seal().verify(b"row", &head) && !after.row_seal().verify(b"row", &head));

    let nobody = PlatformKeyId::from_bytes([9; 16]);
    assert!(matches!(PlatformRoot::promote(&path, nobody, &entropy), Err(RootRefused::NoSuchKey(_))));
    assert!(matches!(PlatformRoot::remove_key(&path, nobody, &entropy), Err(RootRefused::NoSuchKey(_))));
    assert!(matches!(PlatformRoot::remove_key(&path, new, &entropy), Err(RootRefused::IsPrimary(_))));
    PlatformRoot::remove_key(&path, old, &entropy).unwrap();
    let alone = PlatformRoot::open_file(&path).unwrap();
    assert_eq!(alone.check_value(), after.primary_check_value());
    let shown = after.ownership_nonces(b"acme");
    assert_eq!(alone.ownership_nonces(b"acme"), shown[..1], "what followed from the removed key is not known any more");
    assert!(matches!(alone.open_blob(&blob, b"aad"), Err(NotOpened::KeyUnknown)));
    assert!(!alone.row_seal().verify(b"row", &row));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    while PlatformRoot::open_file(&path).unwrap().keys().len() < 16 {
        PlatformRoot::add_key(&path, &entropy).unwrap();
    }
    assert!(matches!(PlatformRoot::add_key(&path, &entropy), Err(RootRefused::Full)));
}

/// A root that a vault wraps goes over in the same way: the vault wraps the new key, and unwraps both.
#[tokio::test]
async fn a_wrapped_root_goes_over_to_another_key() {
    let (_directory, path) = place();
    let entropy = Counted::from(0);
    let ((vault, at), deadline) = (vault(), DEADLINE);
    let before = PlatformRoot::init_wrapped(&path, &*vault, &at, &entropy, deadline).await.unwrap();
    let blob = before.seal_blob(b"blob", b"aad", &entropy);
    let new = PlatformRoot::add_key_wrapped(&path, &*vault, &at, &entropy, deadline).await.unwrap();
    PlatformRoot::promote(&path, new, &entropy).unwrap();
    let after = PlatformRoot::open_wrapped(&path, &*vault, &at, deadline).await.unwrap();
    assert_eq!((after.primary(), after.open_blob(&blob, b"aad").unwrap()), (new, b"blob".to_vec()));
    PlatformRoot::remove_key(&path, before.primary(), &entropy).unwrap();
    let alone = PlatformRoot::open_wrapped(&path, &*vault, &at, deadline).await.unwrap();
    assert!(alone.open_blob(&blob, b"aad").is_err());
}
