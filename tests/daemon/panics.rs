//! One request's panic is that request's alone.

use std::sync::Arc;

use api::byok::v1 as pb;
use tonic::Code;
use tonic_types::StatusExt;

use crate::site::{Panicking, Site, encrypt};

/// A handler that panics answers INTERNAL with a request id and without the panic's words; its connection and the daemon live.
#[tokio::test]
async fn a_panic_answers_internal_and_the_daemon_lives() {
    let site = Site::with(|assembly| {
        let inner = vault::memory::MemoryKeys::new(assembly.clock.clone());
        assembly.customer_keys = Arc::new(Panicking(inner, "order 42".into()));
    })
    .await;
    site.acme().await;
    let mut keys = site.keys().await;
    for _ in 0..3 {
        let status = keys.configure_key(Site::configure()).await.unwrap_err();
        assert_eq!(status.code(), Code::Internal);
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, "INTERNAL");
        assert_eq!(info.metadata["request_id"].len(), 26);
        assert!(!format!("{status:?}").contains("order"), "{status:?}");
    }
    let get = pb::GetKeyRequest { name: "workspaces/acme/key".into() };
    assert_eq!(keys.get_key(get).await.unwrap_err().code(), Code::FailedPrecondition, "the same connection goes on");
    assert!(site.encryption().await.encrypt(encrypt("x")).await.is_ok());
}
