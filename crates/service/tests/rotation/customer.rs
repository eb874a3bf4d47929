//! A customer whose key is rotated, and what is asked of them afterwards.

use std::time::Duration;

use domain::rotation::Safety;
use domain::{KeyVersionId, WrappingKey};
use service::Service;
use testkit::{TestApp, TestWorkspace, World};

/// What a replica may still act on: C, and the longest piece of work.
pub(crate) const SETTLED: Duration = Duration::from_secs(300 + 10 + 1);

/// A workspace under a customer key, and apps with a ciphertext each.
pub(crate) struct Customer {
    pub(crate) acme: TestWorkspace,
    pub(crate) first: KeyVersionId,
    pub(crate) sealed: Vec<(TestApp, Vec<u8>)>,
}

impl Customer {
    pub(crate) async fn with_apps(world: &World, count: usize) -> Self {
        let acme = world.workspace("acme").await;
        let first = acme.connect_key().await;
        let mut sealed = Vec::new();
        for n in 0..count {
            let app = acme.app(&format!("app-{n}")).await;
            let ciphertext = app.encrypt(format!("secret {n}").as_bytes()).await.unwrap();
            sealed.push((app, ciphertext));
        }
        Self { acme, first, sealed }
    }

    /// I-23: every ciphertext there ever was opens, through this service and through one with nothing in memory.
    pub(crate) async fn everything_opens(&self, world: &World) {
        let fresh = world.another_service();
        for (n, (app, ciphertext)) in self.sealed.iter().enumerate() {
            assert_eq!(app.through(&fresh).decrypt(ciphertext).await.unwrap(), format!("secret {n}").as_bytes());
        }
    }

    pub(crate) async fn under(&self, world: &World) -> Vec<KeyVersionId> {
        let mut found = Vec::new();
        for key in world.data_keys(&self.acme.id).await {
            let wrapping = world.store.inner().wrapping(&self.acme.id, key.id).await.unwrap().unwrap();
            let WrappingKey::Customer(version) = wrapping.wrapped_by else { panic!("not under the customer's key") };
            found.push(version);
        }
        found
    }

    pub(crate) async fn safety(&self, service: &Service, version: KeyVersionId) -> Safety {
        let versions = service.list_key_versions(&self.acme.may_read_key()).await.unwrap();
        versions.into_iter().find(|found| found.version.id == version).unwrap().disable
    }
}

/// A world in which a rotation wraps one data key at a time, so that a crash finds some done and some not.
pub(crate) fn one_after_the_other() -> World {
    let options = service::Options { vault_calls_per_workspace: 1, ..Default::default() };
    World::builder().options(options).start()
}

pub(crate) trait VerifyAll {
    async fn verify_all(&self);
}

impl VerifyAll for testkit::FaultyStore {
    async fn verify_all(&self) {
        self.inner().verify().await.unwrap();
    }
}
