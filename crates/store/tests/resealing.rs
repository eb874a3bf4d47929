//! A platform root goes over to another key, and nothing is left under the old one.

mod fixture;
#[path = "fixture/place.rs"]
mod place;

use std::fs;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::Arc;

use domain::credential::{Credential, Integration};
use domain::row_seal::{RowMac, RowSeal};
use domain::{DataKey, PlatformKeyId, WorkspaceId, Wrapping, WrappingKey};
use store::conformance::TestSeal;
use store::conformance::integrations::registration_of;
use store::conformance::sample::{at, customer_key, data_key_id, event, furnish, platform_key, workspace_id};
use store::sqlite::{Acceptance, MoveSealed, NotMoved, Offline, OpenRefused, SqliteOptions, SqliteStore};
use store::{Outside, Store as _};

use self::fixture::ROOT_CHECK;
use self::place::{Place, names};

/// Two keys of a platform root: the second makes codes, both check them.
struct TwoKeys(TestSeal, TestSeal);

impl RowSeal for TwoKeys {
    fn seal(&self, row: &[u8]) -> RowMac {
        self.1.seal(row)
    }
    fn verify(&self, row: &[u8], mac: &RowMac) -> bool {
        self.0.verify(row, mac) || self.1.verify(row, mac)
    }
}

/// The ids of both.
const OLD: PlatformKeyId = PlatformKeyId::from_bytes([0xa1; 16]);
const NEW: PlatformKeyId = PlatformKeyId::from_bytes([0xa2; 16]);
/// The check value of the second.
const NEW_CHECK: [u8; 16] = [0x42; 16];

/// Seals by naming a key, and fails after so many.
struct Naming(std::cell::Cell<u64>);

impl Naming {
    fn renamed(&self, sealed: &[u8]) -> Result<Vec<u8>, String> {
        let left = self.0.get().checked_sub(1).ok_or("interrupted")?;
        self.0.set(left);
        Ok(sealed_under(NEW, &sealed[17..].iter().map(|byte| byte ^ 0xff).collect::<Vec<_>>()))
    }
}

impl MoveSealed for Naming {
    fn move_wrapping(&self, _: &DataKey, wrapping: &Wrapping) -> Result<Wrapping, String> {
        let mut moved = Wrapping { sealed_blob: self.renamed(&wrapping.sealed_blob)?, ..wrapping.clone() };
        if let WrappingKey::Platform(_) = moved.wrapped_by {
            moved.wrapped_by = WrappingKey::Platform(NEW);
        }
        Ok(moved)
    }

    fn move_credential(&self, _: &WorkspaceId, credential: &Credential) -> Result<Vec<u8>, String> {
        self.renamed(&credential.sealed)
    }
}

/// A sealed part as it begins everywhere: its version and its key.
fn sealed_under(key: PlatformKeyId, rest: &[u8]) -> Vec<u8> {
    [&[1], key.as_bytes().as_slice(), rest].concat()
}

impl Place {
    /// How one that knows the key of this number alone opens it.
    fn alone(&self, number: u8, check: [u8; 16]) -> (SqliteOptions, Outside) {
        let seal = || Arc::new(TestSeal::number(number));
        let options = SqliteOptions { row_seal: seal(), root_check: check, ..self.file.options() };
        (options, Outside { seal: seal(), root_checks: vec![check], ..self.outside() })
    }

    /// How one that knows both opens it; the new one is the primary.
    fn both(&self) -> (SqliteOptions, Outside) {
        let both = || Arc::new(TwoKeys(TestSeal::number(0xa1), TestSeal::number(0xa2)));
        let options = SqliteOptions { row_seal: both(), ..self.file.options() };
        (options, Outside { seal: both(), root_checks: vec![ROOT_CHECK, NEW_CHECK], ..self.outside() })
    }

    fn offline(&self) -> Offline {
        let (options, outside) = self.both();
        Offline::open(&options, &outside).unwrap()
    }

    /// Wrappings of both kinds, credentials and events, all under the old key.
    async fn under_the_old_key() -> Self {
        let place = Self::new();
        let (options, outside) = place.alone(0xa1, ROOT_CHECK);
        let store = SqliteStore::create_or_open_anchored(options, &outside).unwrap();
        furnish(&store, &["acme"], &["bot"]).await;
        for n in 0..5 {
            let (key, mut wrapping) =
                if n % 2 == 0 { customer_key("acme", "bot", n) } else { platform_key("acme", "bot", n) };
            if let WrappingKey::Platform(_) = wrapping.wrapped_by {
                wrapping.wrapped_by = WrappingKey::Platform(OLD);
            }
            wrapping.sealed_blob = sealed_under(OLD, &wrapping.sealed_blob);
            store.insert_data_key(key, wrapping).await.unwrap();
        }
        for step in registration() {
            put(&store, &step).await;
        }
        store.record(event(Some("acme"), 1)).await.unwrap();
        store.record(event(None, 1)).await.unwrap();
        place
    }

    /// Nothing names the old key, and it opens under the new one alone.
    async fn is_under_the_new_key(&self) {
        assert_eq!(self.offline().left_under(OLD).unwrap(), []);
        let (options, outside) = self.alone(0xa2, NEW_CHECK);
        SqliteStore::open_anchored(options, &outside).unwrap().verify().await.unwrap();
    }
}

/// A registration whose secret parts are under the old key.
fn registration() -> Vec<Integration> {
    let mut steps = registration_of("acme");
    for credential in steps.iter_mut().flat_map(|step| &mut step.credentials) {
        credential.sealed = sealed_under(OLD, &credential.sealed);
    }
    steps
}

async fn put(store: &SqliteStore, step: &Integration) {
    let mut tx = store.begin("registration").await.unwrap();
    tx.put_integration(step).await.unwrap();
    tx.commit().await.unwrap();
}

fn reseal(database: &mut Offline, moves: u64) -> Result<u64, NotMoved> {
    database.reseal(NEW, NEW_CHECK, &Naming(moves.into()), at(9), &mut |_| {})
}

/// A root goes over to another key: interrupted anywhere it goes on where it stopped, both keys open in between, and at the end
/// nothing names the old one: the database opens under the new key alone.
#[tokio::test]
async fn everything_goes_over_to_another_platform_key() {
    let place = Place::under_the_old_key().await;
    let (options, outside) = place.both();
    let mut database = place.offline();
    assert!(!database.left_under(OLD).unwrap().is_empty());
    let interrupted = reseal(&mut database, 3);
    assert!(matches!(interrupted, Err(NotMoved::Sealed { .. })), "{interrupted:?}");
    drop(database);
    SqliteStore::open_anchored(options, &outside).unwrap().verify().await.unwrap();

    let mut database = place.offline();
    let mut told = Vec::new();
    let rows = database.reseal(NEW, NEW_CHECK, &Naming(7.into()), at(9), &mut |so_far| told.push(so_far)).unwrap();
    assert!(rows > 10 && told.last().unwrap().done == rows && told[0].of == rows, "{told:?}");
    assert_eq!(reseal(&mut database, 0).unwrap(), 0);
    drop(database);

    place.is_under_the_new_key().await;
    let (options, outside) = place.alone(0xa2, NEW_CHECK);
    let store = SqliteStore::open_anchored(options, &outside).unwrap();
    let moved = store.wrapping(&workspace_id("acme"), data_key_id(1)).await.unwrap().unwrap();
    assert_eq!(moved.wrapped_by, WrappingKey::Platform(NEW));
    assert_eq!(in_use(&store).await, 1);
    drop(store);
    // Not even in a page that nothing points to any more.
    place.raw().execute_batch("VACUUM").unwrap();
    assert!(!holds(&place.file.path(), OLD.as_bytes()) && !holds(&place.head(), OLD.as_bytes()));
}

/// How often the platform's chain says that a key is in use.
async fn in_use(store: &SqliteStore) -> usize {
    let events = store.audit(None, 0, 10).await.unwrap();
    events.iter().filter(|event| event.name == "platform_key.in_use").count()
}

/// A service under both keys makes codes under the new one and leaves the sealed parts of what it writes: what it wrote is sealed
/// anew all the same.
#[tokio::test]
async fn what_was_written_after_the_promotion_goes_over_as_well() {
    let place = Place::under_the_old_key().await;
    let (options, outside) = place.both();
    let store = SqliteStore::open_anchored(options, &outside).unwrap();
    let found = store.integration(&workspace_id("acme")).await.unwrap().unwrap();
    let mut noticed = Integration { change: found.change + 1, ..found };
    noticed.credentials.iter_mut().for_each(|credential| credential.noticed = Some(30));
    put(&store, &noticed).await;
    drop(store);
    // Half of it: the codes are the new key's, and what is sealed the old one's.
    let halves = "SELECT count(*) FROM registration_credentials WHERE mac_key = ?1 AND instr(sealed, ?2) > 0";
    let halves: i64 = place.raw().query_row(halves, [NEW.as_bytes(), OLD.as_bytes()], |row| row.get(0)).unwrap();
    assert_eq!(halves, 2);
    reseal(&mut place.offline(), 7).unwrap();
    place.is_under_the_new_key().await;
}

/// So is a database that two people accepted in between, all of whose rows have new codes and their old sealed parts.
#[tokio::test]
async fn what_was_accepted_after_the_promotion_goes_over_as_well() {
    let place = Place::under_the_old_key().await;
    let (options, outside) = place.both();
    fs::remove_file(place.head()).unwrap();
    Acceptance::look(&options, &outside).unwrap().accept(names(), at(9)).unwrap();
    // I-4: a sealed part changes hands only towards the key of its row's code, with its length, and by itself.
    for forged in [
        "sealed_blob = zeroblob(length(sealed_blob))",
        "sealed_blob = CAST(x'01' || mac_key || x'00' AS BLOB)",
        "sealed_blob = CAST(x'01' || mac_key || substr(sealed_blob, 18) AS BLOB), created_at = created_at + 1",
        "wrapping_key = mac_key",
        "sealed_blob = CAST(x'01' || mac_key || substr(sealed_blob, 18) AS BLOB), wrapping_key = zeroblob(16)",
    ] {
        let told = place.raw().execute(&format!("UPDATE wrappings SET {forged}"), []).unwrap_err();
        assert!(told.to_string().contains("never overwritten"), "{forged}: {told}");
    }
    let mut database = place.offline();
    let interrupted = reseal(&mut database, 3);
    assert!(matches!(interrupted, Err(NotMoved::Sealed { .. })), "{interrupted:?}");
    assert_eq!(reseal(&mut database, 7).unwrap(), 7);
    drop(database);
    place.is_under_the_new_key().await;
    // Once there, it is not overwritten again.
    let again =
        "UPDATE wrappings SET sealed_blob = CAST(x'01' || mac_key || zeroblob(length(sealed_blob) - 17) AS BLOB)";
    assert!(place.raw().execute(again, []).unwrap_err().to_string().contains("never overwritten"));
}

/// What comes back under another key than the primary is not stored: it would be taken over for ever.
#[tokio::test]
async fn what_does_not_come_back_under_the_primary_is_told() {
    struct Idle;
    impl MoveSealed for Idle {
        fn move_wrapping(&self, _: &DataKey, wrapping: &Wrapping) -> Result<Wrapping, String> {
            Ok(wrapping.clone())
        }
        fn move_credential(&self, _: &WorkspaceId, credential: &Credential) -> Result<Vec<u8>, String> {
            Ok(credential.sealed.clone())
        }
    }
    let place = Place::under_the_old_key().await;
    let told = place.offline().reseal(NEW, NEW_CHECK, &Idle, at(9), &mut |_| {}).unwrap_err();
    assert!(matches!(told, NotMoved::Sealed { .. }), "{told}");
}

/// Ended after its last rows and before it is written down which key recognises the database, it goes on from there.
#[tokio::test]
async fn a_reseal_that_ended_before_its_last_commit_is_gone_on_with() {
    let place = Place::under_the_old_key().await;
    let mut database = place.offline();
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let mut end = |so_far: store::sqlite::Resealed| assert!(so_far.done < so_far.of, "ended here");
        database.reseal(NEW, NEW_CHECK, &Naming(7.into()), at(9), &mut end)
    }));
    assert!(ended.is_err());
    drop(database);
    let (options, outside) = place.alone(0xa2, NEW_CHECK);
    assert!(matches!(
        Offline::open(&options, &outside).map(drop),
        Err(OpenRefused::Head(_) | OpenRefused::OtherRoot { .. })
    ));
    let mut database = place.offline();
    assert_eq!(database.root_check().unwrap(), ROOT_CHECK);
    assert_eq!(reseal(&mut database, 0).unwrap(), 0, "no row is left");
    assert_eq!(database.root_check().unwrap(), NEW_CHECK);
    drop(database);
    place.is_under_the_new_key().await;
    assert_eq!(reseal(&mut place.offline(), 0).unwrap(), 0);
    let (options, outside) = place.alone(0xa2, NEW_CHECK);
    assert_eq!(in_use(&SqliteStore::open_anchored(options, &outside).unwrap()).await, 1, "said once");
}

/// The older half of a head may still be under the old key; renewed, nothing in it is.
#[tokio::test]
async fn a_renewed_head_is_under_the_primary_alone() {
    let place = Place::under_the_old_key().await;
    let mut database = place.offline();
    assert!(holds(&place.head(), OLD.as_bytes()));
    database.renew_head().unwrap();
    assert!(!holds(&place.head(), OLD.as_bytes()));
    // And it is the one that is written from now on.
    reseal(&mut database, 7).unwrap();
    drop(database);
    place.is_under_the_new_key().await;
}

fn holds(path: &Path, id: &[u8; 16]) -> bool {
    let file = fs::File::open(path).unwrap();
    let mut bytes = vec![0; usize::try_from(file.metadata().unwrap().len()).unwrap()];
    file.read_exact_at(&mut bytes, 0).unwrap();
    bytes.windows(16).any(|window| window == id)
}
