//! Promises about callers: they are the platform's, their names are given out once, and nobody edits them behind our back.

use domain::caller::{StoredCaller, StoredToken};

use super::Database;
use super::sample::{at, event};
use crate::{CallerSet, Conflict, Store, StoreError};

/// A caller with a certificate and a token, which may do two things.
pub fn stored_caller(name: &str, n: u8) -> StoredCaller {
    let token = StoredToken { sha256: [n; 32], issued_by: "ann".into(), issued_at: at(3), expires: Some(at(900)) };
    StoredCaller {
        id: name.parse().expect("samples have well-formed ids"),
        certificate: Some(format!("{name}.platform.example").parse().expect("a certificate's name")),
        tokens: [None, Some(token)],
        grants: ["platform-service@*/support-*", "auditor@acme"].map(|grant| grant.parse().expect("a grant")).to_vec(),
        expires: Some(at(1_000)),
        disabled: false,
        created_by: "root".into(),
        created_at: at(1),
        changed_by: "root".into(),
        changed_at: at(1),
        deleted_at: None,
        hands: vec!["root".into(), "ann".into()],
    }
}

async fn put(store: &dyn Store, callers: &[StoredCaller]) {
    let mut tx = store.begin("callers").await.unwrap();
    for caller in callers {
        tx.put_caller(caller).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// A caller is read back as it was written and changed, by its name, in pages, and with all others.
pub async fn a_caller_is_read_back(db: &dyn Database) {
    let store = db.open().await;
    assert_eq!(store.callers_changed(None).await.unwrap(), Some(CallerSet::default()));
    let (one, two) = (stored_caller("billing", 1), stored_caller("search", 2));
    put(&*store, &[one.clone(), two.clone()]).await;
    let bare =
        StoredCaller { certificate: None, tokens: [None, None], grants: Vec::new(), expires: None, ..one.clone() };
    let changed = StoredCaller { disabled: true, ..bare }.changed("bob", at(5));
    assert_eq!(changed.hands, ["root", "ann", "bob"]);
    put(&*store, std::slice::from_ref(&changed)).await;
    drop(store);
    let store = db.open().await;
    assert_eq!(store.caller(&one.id).await.unwrap(), Some(changed.clone()));
    assert_eq!(store.caller(&"nobody".parse().unwrap()).await.unwrap(), None);
    assert_eq!(store.callers(None, 1).await.unwrap(), std::slice::from_ref(&changed));
    assert_eq!(store.callers(Some(&one.id), 10).await.unwrap(), std::slice::from_ref(&two));
    let all = CallerSet { callers: vec![changed.clone(), two.clone()], forged: 0 };
    assert_eq!(store.callers_changed(None).await.unwrap(), Some(all));
    let mut tx = store.begin("read").await.unwrap();
    assert_eq!(tx.live_callers().await.unwrap(), [changed, two]);
    drop(tx);
    store.verify().await.unwrap();
}

/// All of them are told after a change of any, and none after anything else.
pub async fn a_change_of_callers_is_told_by_revision(db: &dyn Database) {
    let store = db.open().await;
    put(&*store, &[stored_caller("billing", 1)]).await;
    let seen = store.revision().await.unwrap();
    store.record(event(None, 1)).await.unwrap();
    assert_eq!(store.callers_changed(Some(seen)).await.unwrap(), None);
    put(&*store, &[stored_caller("search", 2)]).await;
    let told = store.callers_changed(Some(seen)).await.unwrap().unwrap();
    assert_eq!(told.callers.len(), 2);
    let seen = store.revision().await.unwrap();
    assert_eq!(store.callers_changed(Some(seen)).await.unwrap(), None);
}

/// A name is given out once, a birth is one caller's, and so is a certificate.
pub async fn a_callers_name_is_given_out_once(db: &dyn Database) {
    let store = db.open().await;
    let one = stored_caller("billing", 1);
    put(&*store, std::slice::from_ref(&one)).await;
    let mut tx = store.begin("clashes").await.unwrap();
    let second = StoredCaller { created_at: at(2), ..one.clone() };
    assert_eq!(tx.put_caller(&second).await, Err(Conflict::Exists.into()));
    let same = StoredCaller { certificate: one.certificate.clone(), ..stored_caller("search", 2) };
    assert_eq!(tx.put_caller(&same).await, Err(Conflict::CertificateTaken.into()));
    let gone = one.clone().delete("root", at(9));
    tx.put_caller(&gone).await.unwrap();
    tx.put_caller(&same).await.unwrap();
    assert_eq!(tx.put_caller(&one).await, Err(Conflict::Tombstone.into()));
    tx.commit().await.unwrap();
    assert_eq!(store.caller(&one.id).await.unwrap(), Some(gone));
    assert_eq!(store.callers(None, 10).await.unwrap(), [same]);
    store.verify().await.unwrap();
}

/// A caller that was edited is not there, and the others are; one that was deleted or put back makes all of them refused.
pub async fn forged_callers_are_refused(db: &dyn Database) {
    let store = db.open().await;
    let (one, two) = (stored_caller("billing", 1), stored_caller("search", 2));
    put(&*store, &[one.clone(), two.clone()]).await;
    drop(store);
    db.tamper("CREATE TABLE kept AS SELECT * FROM callers").await;
    for edit in [
        "grants = '*'",
        "token_b_expires = NULL",
        "disabled = 1",
        "certificate = NULL",
        "changed_by = 'eve'",
        "hands = 'root'",
        "hands = NULL",
    ] {
        db.tamper(&format!("UPDATE callers SET {edit} WHERE caller = 'billing'")).await;
        let store = db.open().await;
        assert_eq!(store.caller(&one.id).await, Err(StoreError::RowForged { table: "callers" }), "{edit}");
        let left = CallerSet { callers: vec![two.clone()], forged: 1 };
        assert_eq!(store.callers_changed(None).await.unwrap(), Some(left), "{edit}");
        assert!(store.verify().await.is_err());
        drop(store);
        db.tamper("DELETE FROM callers").await;
        db.tamper("INSERT INTO callers SELECT * FROM kept").await;
    }
    let store = db.open().await;
    store.verify().await.unwrap();
    put(&*store, &[StoredCaller { disabled: true, changed_at: at(5), ..one.clone() }]).await;
    drop(store);
    for tampering in [
        "DELETE FROM callers WHERE caller = 'billing'",
        // The row from before it was disabled: authentic, and not what was written last.
        "INSERT OR REPLACE INTO callers SELECT * FROM kept WHERE caller = 'billing'",
    ] {
        db.tamper(tampering).await;
        let store = db.open().await;
        let refused = store.callers_changed(None).await;
        assert_eq!(refused, Err(StoreError::SetForged { workspace: None }), "{tampering}");
        assert_eq!(store.verify().await, Err(StoreError::SetForged { workspace: None }), "{tampering}");
    }
}
