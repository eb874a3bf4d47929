//! Workspaces, apps and bots, and the way out.

use domain::{AppKind, Reason};
use envelope::payload::{self, Identity};
use testkit::World;
use vault::CustomerKeys;

/// An id is given out once: neither a live nor a deleted workspace's or app's comes back, because ciphertexts bind it.
#[tokio::test]
async fn an_id_is_given_out_once() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let create = testkit::permit_create_workspace("acme");
    assert_eq!(world.service.create_workspace(&create, "Again").await.unwrap_err().reason(), Reason::AlreadyExists);
    world.service.delete_app(&bot.may_change()).await.unwrap();
    let again = world.service.upsert_app(&bot.may_change(), AppKind::App, "Again").await;
    assert_eq!(again.unwrap_err().reason(), Reason::AlreadyExists);
    world.service.delete_workspace(&acme.may_delete()).await.unwrap();
    assert_eq!(world.service.create_workspace(&create, "Again").await.unwrap_err().reason(), Reason::AlreadyExists);
    assert_eq!(
        world.audit_names(&acme.id).await,
        ["workspace.created", "app.upserted", "app.deleted", "workspace.deleted"]
    );
}

/// What is deleted neither encrypts nor decrypts from the moment the deletion is answered, warm or cold, and is wiped.
#[tokio::test]
async fn what_is_deleted_is_not_there_and_not_in_memory() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    acme.connect_key().await;
    let (bot, other) = (acme.app("bot").await, acme.app("other").await);
    let (sealed, others) = (bot.encrypt(b"x").await.unwrap(), other.encrypt(b"x").await.unwrap());
    world.service.delete_app(&bot.may_change()).await.unwrap();
    assert_eq!(world.service.open_data_keys(), 1);
    for service in [&world.service, &world.another_service()] {
        let bot = bot.through(service);
        assert_eq!(bot.encrypt(b"x").await.unwrap_err().reason(), Reason::NotFound);
        assert_eq!(bot.decrypt(&sealed).await.unwrap_err().reason(), Reason::NotFound);
    }
    assert_eq!(other.decrypt(&others).await.unwrap(), b"x");
    world.service.delete_workspace(&acme.may_delete()).await.unwrap();
    assert_eq!(world.service.open_data_keys(), 0);
    assert_eq!(other.decrypt(&others).await.unwrap_err().reason(), Reason::NotFound);
    assert_eq!(other.encrypt(b"x").await.unwrap_err().reason(), Reason::NotFound);
    for gone in [
        world.service.read_workspace(&acme.may_read()).await.unwrap_err(),
        world.service.list_apps(&acme.may_read_apps(), None, None).await.unwrap_err(),
        world.service.read_key(&acme.may_read_key()).await.unwrap_err(),
        world.service.delete_workspace(&acme.may_delete()).await.unwrap_err(),
        world.service.delete_app(&other.may_change()).await.unwrap_err(),
        world.service.upsert_app(&other.may_change(), AppKind::App, "x").await.unwrap_err(),
        acme.configure(acme.request()).await.unwrap_err(),
    ] {
        assert_eq!(gone.reason(), Reason::NotFound);
    }
}

/// What does not exist is told like what is not yours, and a stranger's names stay out of memory.
#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let sealed = acme.app("bot").await.encrypt(b"x").await.unwrap();
    let nobody = acme.app_of_name("nobody");
    assert_eq!(nobody.encrypt(b"x").await.unwrap_err().reason(), Reason::NotFound);
    assert_eq!(nobody.decrypt(&sealed).await.unwrap_err().reason(), Reason::NotFound);
    let nowhere = World::start().workspace("nowhere").await.app_of_name("bot").through(&world.service);
    assert_eq!(nowhere.encrypt(b"x").await.unwrap_err().reason(), Reason::NotFound);
    assert_eq!(nowhere.decrypt(&sealed).await.unwrap_err().reason(), Reason::NotFound);
}

/// An app can be renamed; its kind stays; names that could forge a log line are refused; the same again changes nothing.
#[tokio::test]
async fn an_app_can_be_renamed_and_nothing_else() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    let upsert = async |kind, name: &str| world.service.upsert_app(&bot.may_change(), kind, name).await;
    assert_eq!(upsert(AppKind::App, "Renamed").await.unwrap().display_name, "Renamed");
    assert_eq!(upsert(AppKind::App, "Renamed").await.unwrap().display_name, "Renamed");
    assert_eq!(upsert(AppKind::Bot, "Renamed").await.unwrap_err().reason(), Reason::RequestInvalid);
    for bad in ["", "a\nb", &"x".repeat(201)] {
        assert_eq!(upsert(AppKind::App, bad).await.unwrap_err().reason(), Reason::RequestInvalid);
    }
    assert_eq!(world.audit_names(&acme.id).await, ["workspace.created", "app.upserted", "app.upserted"]);
}

/// Lists come in pages by id, without what was deleted.
#[tokio::test]
async fn lists_come_in_pages() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    for i in 0..5 {
        acme.app(&format!("app-{i}")).await;
        world.workspace(&format!("ws-{i}")).await;
    }
    world.service.delete_app(&acme.app_of_name("app-2").may_change()).await.unwrap();
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let page = world.service.list_apps(&acme.may_read_apps(), after.as_ref(), Some(2)).await.unwrap();
        assert!(page.apps.len() <= 2);
        seen.extend(page.apps.into_iter().map(|app| app.id.to_string()));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["app-0", "app-1", "app-3", "app-4"]);
    let first = world.service.list_workspaces(&acme.may_read(), None, Some(4)).await.unwrap();
    let rest = world.service.list_workspaces(&acme.may_read(), first.next.as_ref(), None).await.unwrap();
    let ids: Vec<_> = first.workspaces.iter().chain(&rest.workspaces).map(|w| w.id.to_string()).collect();
    assert_eq!(ids, ["acme", "ws-0", "ws-1", "ws-2", "ws-3", "ws-4"]);
    assert_eq!(rest.next, None);
}

/// Leaving is possible: with an export and the customer's vault alone a ciphertext opens, by code that shares nothing with the
/// service; what is under the platform's key is not in it, and what left is on record.
#[tokio::test]
async fn an_export_and_the_customers_vault_open_the_data() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    acme.app("bot").await.encrypt(b"under the platform's key").await.unwrap();
    acme.connect_key().await;
    let bot = acme.app("bot").await;
    let mut sealed = Vec::new();
    for i in 0..7 {
        let app = acme.app(&format!("app-{i}")).await;
        sealed.push((app.clone(), app.encrypt(b"order 42").await.unwrap()));
    }
    sealed.push((bot.clone(), bot.encrypt(b"order 42").await.unwrap()));

    let mut pages = world.service.export_wrapped_keys(&acme.may_export()).await.unwrap();
    let mut exported = Vec::new();
    while let Some(page) = pages.next().await.unwrap() {
        exported.extend(page);
    }
    assert_eq!(exported.len(), 8);
    for (app, ciphertext) in &sealed {
        let id = World::data_key_of(ciphertext);
        let wrapped = exported.iter().find(|wrapped| wrapped.data_key == id).unwrap();
        assert_eq!((&wrapped.app, &wrapped.workspace), (&app.id, &acme.id));
        assert_eq!(wrapped.kid.key(), &acme.key().location);
        let deadline = std::time::Duration::from_secs(5);
        let opened = world.vault.unwrap(&acme.key(), wrapped.kid.version(), &wrapped.blob, deadline).await;
        let payload = opened.unwrap().payload;
        let protection = wrapped.protection.byte();
        let (workspace, app) = (acme.id.as_str(), app.id.as_str());
        let identity = Identity { workspace, app, data_key_id: id.as_bytes(), protection };
        let mut key = [0; 32];
        payload.expose(|payload| payload::read(payload, &identity, &mut key)).unwrap();
        let context = envelope::Context::empty();
        let binding = envelope::Binding { workspace, app, protection, context: &context };
        let mut plain = Vec::new();
        envelope::open(&key, &binding, ciphertext, &mut plain).unwrap();
        assert_eq!(plain, b"order 42");
    }
    let mut audit = world.audit(&acme.id).await;
    assert_eq!(audit.pop().unwrap().name, "key.export_finished", "only now is it whole");
    let page = audit.pop().unwrap();
    assert_eq!((page.name.as_str(), page.details), ("key.exported", vec![("count".to_owned(), "8".to_owned())]));

    let empty = world.workspace("contoso").await;
    let refused = world.service.export_wrapped_keys(&empty.may_export()).await.err().unwrap();
    assert_eq!(refused.reason(), Reason::KeyNotConfigured);
    empty.connect_key().await;
    let mut pages = world.service.export_wrapped_keys(&empty.may_export()).await.unwrap();
    assert_eq!(pages.next().await.unwrap(), None);
    assert!(
        world.audit_names(&empty.id).await.ends_with(&["key.exported".to_owned(), "key.export_finished".to_owned()])
    );
}

/// A caller who goes away in the middle of a change changes nothing about it: it is whole, and the memory knows of it.
#[tokio::test]
async fn a_change_runs_to_its_end_without_its_caller() {
    let world = World::start();
    let acme = world.workspace("acme").await;
    let bot = acme.app("bot").await;
    bot.encrypt(b"x").await.unwrap();
    world.vault.create_key(&acme.key());
    let held = world.vault.hold(vault::memory::Operation::Unwrap);
    let asking = tokio::spawn({
        let acme = acme.clone();
        async move { acme.configure(acme.request()).await }
    });
    held.arrived(1).await;
    asking.abort();
    assert!(asking.await.unwrap_err().is_cancelled());
    held.release();
    while world.store.inner().key_config(&acme.id).await.unwrap().is_none() {
        tokio::task::yield_now().await;
    }
    // The memory is told by the change alone: what stands below is written past it.
    acme.put_in_force().await;
    let (mut out, context) = (Vec::new(), envelope::Context::empty());
    let mut protection = domain::Protection::PlatformKey;
    for _ in 0..1_000 {
        protection = world.service.encrypt(&bot.may_encrypt(), &context, b"x", &mut out).await.unwrap().protection;
        if protection == domain::Protection::CustomerKey {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(protection, domain::Protection::CustomerKey);
}
