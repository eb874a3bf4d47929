//! The way to a vault in memory: every stretch of it is there, and each can fail.

use std::{net::IpAddr, time::Duration};

use domain::{Cloud, TenantId};

use super::{MemoryKeys, Operation, trace};
use crate::{Approach, KeyRef, KeyUnavailable, Reached, RegisteredApp};

/// Our application in every directory.
const APPLICATION: &str = "6b1f4b0e-3f5c-4f0d-8b8e-2d9f5a7c1e60";

#[async_trait::async_trait]
impl Approach for MemoryKeys {
    fn application(&self) -> &str {
        APPLICATION
    }

    async fn resolve(&self, at: &KeyRef, deadline: Duration) -> Result<Vec<IpAddr>, KeyUnavailable> {
        self.answer(Operation::Resolve, deadline, |_| {
            self.tenant_of(at).ok_or(KeyUnavailable::NameUnknown).map(|_| vec![IpAddr::from([203, 0, 113, 7])])
        })
        .await
    }

    async fn reach(&self, at: &KeyRef, deadline: Duration) -> Result<Reached, KeyUnavailable> {
        self.answer(Operation::Reach, deadline, |_| {
            let seen_as = Some(IpAddr::from([198, 51, 100, 4]));
            self.tenant_of(at).ok_or(KeyUnavailable::Unreachable).map(|_| Reached { seen_as, private: false })
        })
        .await
    }

    async fn challenge(&self, at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.answer(Operation::Challenge, deadline, |_| match self.tenant_of(at) {
            None => Err(KeyUnavailable::Unreachable),
            Some(tenant) if tenant != at.tenant => Err(KeyUnavailable::TenantMismatch(trace())),
            Some(_) => Ok(()),
        })
        .await
    }

    async fn sign_in(&self, _at: &KeyRef, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.answer(Operation::SignIn, deadline, |_| Ok(())).await
    }

    async fn show(&self, app: &RegisteredApp, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.note(app.registration().client_id.as_str(), None);
        self.answer(Operation::SignIn, deadline, |_| Ok(())).await
    }

    async fn admitted(&self, _: &TenantId, _: Cloud, deadline: Duration) -> Result<(), KeyUnavailable> {
        self.note(APPLICATION, None);
        self.answer(Operation::SignIn, deadline, |_| Ok(())).await
    }
}
