//! Somebody else writes into the database: who is refused, from when on, and who is told.

use std::path::Path;
use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::workspaces_client::WorkspacesClient;
use byokd::telemetry::{self, Format};
use store::conformance::meddling::meddle;
use store::{Store, StoreError};
use tonic_types::StatusExt;

use crate::figures::{place, read, told};
use crate::secrets::Log;
use crate::site::{APP, Site, Unstarted, database, encrypt};

/// The app whose row is put back.
const DELETED: &str = "workspaces/acme/apps/other-app";
/// An app of another workspace.
const BELL: &str = "workspaces/bell/apps/bot";

/// A site with two workspaces, an app of one of which was deleted after its rows were copied.
async fn with_copied_rows(site: &Site) {
    site.acme().await;
    let mut workspaces = WorkspacesClient::new(site.client().await);
    let create = pb::CreateWorkspaceRequest { workspace_id: "bell".into(), display_name: "Bell".into() };
    workspaces.create_workspace(create).await.unwrap();
    let upsert = pb::UpsertAppRequest { name: BELL.into(), kind: pb::AppKind::Bot.into(), display_name: "B".into() };
    workspaces.upsert_app(upsert).await.unwrap();
    let sql = "CREATE TABLE kept.apps AS SELECT * FROM apps; CREATE TABLE kept.sets AS SELECT * FROM sets";
    with_kept(&site.database(), sql);
    workspaces.delete_app(pb::DeleteAppRequest { name: DELETED.into() }).await.unwrap();
    assert_eq!((call(site, APP).await, call(site, BELL).await), (Ok(()), Ok(())));
}

/// Runs statements on the database and the copied rows beside it.
fn with_kept(database: &Path, sql: &str) {
    meddle(database, &format!("ATTACH '{}' AS kept; {sql}", database.with_extension("kept").display()));
}

fn put_the_app_back(database: &Path) {
    with_kept(database, "REPLACE INTO apps SELECT * FROM kept.apps WHERE app = 'other-app'");
}

/// How an Encrypt for an app ends: with which reason, if it is refused.
async fn call(site: &Site, app: &str) -> Result<(), String> {
    let request = pb::EncryptRequest { app: app.into(), ..encrypt("order 42") };
    let answered = site.encryption().await.encrypt(request).await;
    answered.map(drop).map_err(|status| status.get_details_error_info().unwrap().reason)
}

fn refused(reason: &str) -> Result<(), String> {
    Err(reason.to_owned())
}

/// A row that was put back while nobody served is found before anybody is answered: its workspace is refused from the first call on,
/// and no other.
#[tokio::test]
async fn a_row_put_back_while_nobody_served_is_refused_from_the_first_call_on() {
    // The test beside this one reads the log: a line first met by a thread that keeps none would be left out of every log.
    let subscriber = telemetry::subscriber(Format::Json, tracing::Level::INFO, Log::default());
    let _logging = tracing::subscriber::set_default(subscriber);
    let site = Site::start().await;
    with_copied_rows(&site).await;
    let dir = site.left().await;
    put_the_app_back(&database(&dir));

    let Unstarted { store, assembly, .. } = Unstarted::on(&dir);
    let acme = "acme".parse().unwrap();
    assert!(store.workspace(&acme).await.is_ok(), "each row is authentic by itself");
    let daemon = assembly.start().await.unwrap();
    let forged = StoreError::SetForged { workspace: Some(acme.clone()) };
    assert_eq!(store.workspace(&acme).await.map(drop), Err(forged), "found, and nobody listens yet");
    drop((daemon, store));

    let site = Site::on(dir).await;
    assert_eq!((call(&site, APP).await, call(&site, BELL).await), (refused("ROW_FORGED"), Ok(())));
}

/// A row that somebody puts back beside the running daemon is refused within seconds, with an alarm in the log and in the figures; and
/// so is everything where it cannot be told whose rows are older. The quarter of an hour of the look that comes by itself does not pass.
#[tokio::test]
async fn a_row_put_back_in_a_running_database_is_refused_with_an_alarm() {
    let log = Log::default();
    let subscriber = telemetry::subscriber(Format::Json, tracing::Level::INFO, log.clone());
    let _logging = tracing::subscriber::set_default(subscriber);
    let recorder = byokd::figures::recorder();
    let counted = recorder.handle();
    let _counting = metrics::set_default_local_recorder(&recorder);
    let (listener, address) = place();
    let site = Site::dressed(Vec::new(), |_| (), |daemon| daemon.with_metrics(listener, counted)).await;
    with_copied_rows(&site).await;
    pass(Duration::from_secs(5)).await;
    site.clock.advance(Duration::from_secs(3));
    let text = read(&address).await;
    for figure in ["byokd_workspaces_distrusted", "byokd_database_wrongs", "byokd_database_rolled_back"] {
        assert_eq!(told(&text, figure), Some(0.0), "{text}");
    }
    assert_eq!(told(&text, "byokd_database_good_age_seconds"), Some(3.0), "{text}");
    assert_eq!((call(&site, APP).await, call(&site, BELL).await), (Ok(()), Ok(())));
    assert!(!log.text().contains("ROW_FORGED"), "{}", log.text());

    put_the_app_back(&site.database());
    until_refused(&site, APP, "ROW_FORGED").await;
    assert_eq!(call(&site, BELL).await, Ok(()));
    let text = read(&address).await;
    assert_eq!(told(&text, "byokd_workspaces_distrusted"), Some(1.0), "{text}");
    assert_eq!(told(&text, "byokd_database_wrongs"), Some(1.0), "{text}");
    assert!(
        told(&text, "byokd_requests_refused_total{reason=\"ROW_FORGED\"}").is_some_and(|count| count > 0.0),
        "{text}"
    );
    let lines = log.text();
    let alarm = lines.lines().find(|line| line.contains("somebody else wrote into the database\"")).expect(&lines);
    assert!(alarm.contains("\"ERROR\"") && alarm.contains("ROW_FORGED") && alarm.contains("acme"), "{alarm}");

    with_kept(&site.database(), "REPLACE INTO sets SELECT * FROM kept.sets WHERE workspace = 'bell'");
    until_refused(&site, BELL, "DATABASE_ROLLED_BACK").await;
    assert_eq!(told(&read(&address).await, "byokd_database_rolled_back"), Some(1.0));
}

/// Calls again after each of a few seconds of timers, and then as often as it takes to read the database: timers do not wait for that.
async fn until_refused(site: &Site, app: &str, reason: &str) {
    for calls in 0..1_000 {
        match call(site, app).await {
            Ok(()) if calls < 20 => pass(Duration::from_secs(1)).await,
            Ok(()) => {}
            Err(told) => return assert_eq!(told, reason),
        }
    }
    panic!("{app} is still served");
}

/// Lets timers come due as soon as nothing else is to be done, for so much of their time.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::sleep(time).await;
    tokio::time::resume();
}
