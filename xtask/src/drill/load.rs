//! The load on the daemon while it dies: many clients that seal, across old apps and new ones.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use client::{Client, pb};

use super::journal::{Acknowledged, Journal, hash};
use super::seed::Seed;

/// How many calls are in flight.
const CLIENTS: u64 = 8;

/// Runs until the connection dies under it. Errors are expected: the daemon is killed on purpose; only an answer with OK counts.
pub(crate) async fn run(
    client: Client,
    workspaces: Arc<[String]>,
    journal: Arc<Journal>,
    apps: Arc<AtomicU64>,
    round: u32,
    mut seed: Seed,
) {
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..CLIENTS {
        let (client, journal, workspaces, apps) = (client.clone(), journal.clone(), workspaces.clone(), apps.clone());
        let mut seed = seed.split();
        tasks.spawn(async move { while one(&client, &workspaces, &journal, &apps, round, &mut seed).await {} });
    }
    while tasks.join_next().await.is_some() {}
}

/// One Encrypt, of a new app every eighth time, so that data keys are being made at the moment of death. False once the
/// daemon is gone.
async fn one(
    client: &Client,
    workspaces: &[String],
    journal: &Journal,
    apps: &AtomicU64,
    round: u32,
    seed: &mut Seed,
) -> bool {
    let workspace = &workspaces[seed.below(workspaces.len() as u64) as usize];
    let known = apps.load(Ordering::Relaxed);
    let app = if known == 0 || seed.below(8) == 0 {
        let number = apps.fetch_add(1, Ordering::Relaxed);
        let name = format!("{workspace}/apps/app-{number}");
        let request =
            pb::UpsertAppRequest { name: name.clone(), kind: pb::AppKind::App.into(), display_name: "drill".into() };
        match client.upsert_app(request).await {
            Ok(_) => name,
            Err(error) => return answered(&error),
        }
    } else {
        format!("{workspace}/apps/app-{}", seed.below(known))
    };
    let mut plaintext = vec![0; seed.below(200) as usize];
    plaintext.fill_with(|| seed.next() as u8);
    let context = vec![("round".to_owned(), round.to_string())];
    match client.encrypt(&app, context.iter().cloned().collect(), plaintext.clone().into()).await {
        Ok(answer) => {
            journal.acknowledge(Acknowledged {
                app,
                context,
                ciphertext: answer.ciphertext.to_vec(),
                plaintext_hash: hash(&plaintext),
                round,
            });
            true
        }
        Err(error) => answered(&error),
    }
}

/// Whether the daemon said this, rather than having died: an app that exists in another workspace only, for example.
fn answered(error: &client::Error) -> bool {
    matches!(error, client::Error::Refused(refused) if refused.reason != "SHUTTING_DOWN")
}
