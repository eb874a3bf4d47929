//! A refusal says why, who can fix it and what to do next, and tells a stranger nothing else.

use std::collections::HashMap;
use std::time::Duration;

use api::byok::v1 as pb;
use api::byok::v1::encryption_client::EncryptionClient;
use api::byok::v1::workspaces_client::WorkspacesClient;
use domain::Reason;
use store::{Outage, StoreError};
use tonic::{Code, Status};
use tonic_types::StatusExt;
use vault::memory::{Fault, Operation};
use vault::{KeyUnavailable, Trace};

use crate::site::{APP, KEY, Site, TENANT, decrypt, encrypt};

/// Checks a refusal's shape and that nothing in it is anybody's business.
fn check(status: &Status, code: Code, reason: Reason) {
    assert_eq!(status.code(), code, "{reason}: {status:?}");
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("{reason} has no ErrorInfo: {status:?}"));
    assert_eq!((info.reason.as_str(), info.domain.as_str()), (reason.as_str(), "byokd"), "{status:?}");
    assert_eq!(info.metadata["owner"], reason.owner().as_str());
    assert_eq!(info.metadata["remedy"], reason.remedy());
    assert_eq!(info.metadata["request_id"].len(), 26, "a ULID");
    let retry = status.get_details_retry_info();
    assert_eq!(retry.is_some(), matches!(code, Code::Unavailable | Code::ResourceExhausted), "{reason}");
    let seen = format!("{} {:?}", status.message(), info).to_lowercase();
    for secret in ["contoso", "azure.net/", TENANT, ".db", ".sock", "/tmp", "sqlite", ".rs", "panicked"] {
        assert!(!seen.contains(secret), "{reason} tells {secret:?}: {seen}");
    }
}

/// Each way a call can be wrong has its own reason, and its code follows the owner.
#[tokio::test]
async fn every_refusal_says_why_who_and_what_next() {
    let site = Site::start().await;
    site.acme().await;
    let mut data = site.encryption().await;
    let mut keys = site.keys().await;
    let mut workspaces = WorkspacesClient::new(site.client().await);
    let good = data.encrypt(encrypt("order 42")).await.unwrap().into_inner().ciphertext;

    let mut nobody = EncryptionClient::new(site.channel().await);
    check(&nobody.encrypt(encrypt("x")).await.unwrap_err(), Code::Unauthenticated, Reason::Unauthenticated);
    let mut stranger = EncryptionClient::new(site.with_token("token-guessed").await);
    check(&stranger.encrypt(encrypt("x")).await.unwrap_err(), Code::Unauthenticated, Reason::Unauthenticated);

    for bad in ["", "acme", "workspaces/acme/apps/Bot", "workspaces/acme/apps/a\nb", &"x".repeat(300)] {
        let request = pb::EncryptRequest { app: bad.into(), ..Default::default() };
        check(&data.encrypt(request).await.unwrap_err(), Code::InvalidArgument, Reason::NameInvalid);
    }
    let elsewhere = pb::EncryptRequest { app: "workspaces/acme/apps/nobody".into(), ..Default::default() };
    check(&data.encrypt(elsewhere).await.unwrap_err(), Code::NotFound, Reason::NotFound);
    let nowhere = pb::EncryptRequest { app: "workspaces/nobody/apps/nobody".into(), ..Default::default() };
    check(&data.encrypt(nowhere).await.unwrap_err(), Code::NotFound, Reason::NotFound);

    let context = HashMap::from([(String::new(), "v".to_owned())]);
    let empty_key = pb::EncryptRequest { context, ..encrypt("x") };
    check(&data.encrypt(empty_key).await.unwrap_err(), Code::InvalidArgument, Reason::ContextInvalid);
    let context = (0..17).map(|i| (format!("k{i}"), String::new())).collect();
    let too_many = pb::EncryptRequest { context, ..encrypt("x") };
    check(&data.encrypt(too_many).await.unwrap_err(), Code::InvalidArgument, Reason::ContextInvalid);

    let empty = pb::BatchEncryptRequest { app: APP.into(), items: vec![] };
    check(&data.batch_encrypt(empty).await.unwrap_err(), Code::InvalidArgument, Reason::RequestInvalid);
    let items = vec![pb::BatchEncryptItem::default(); 1_001];
    let many = pb::BatchEncryptRequest { app: APP.into(), items };
    check(&data.batch_encrypt(many).await.unwrap_err(), Code::InvalidArgument, Reason::BatchTooLarge);

    check(&data.decrypt(decrypt("short")).await.unwrap_err(), Code::InvalidArgument, Reason::CiphertextMalformed);
    let mut future = good.to_vec();
    future[4] = 2;
    let refused = data.decrypt(decrypt(future)).await.unwrap_err();
    check(&refused, Code::InvalidArgument, Reason::CiphertextVersionUnsupported);

    let again = pb::CreateWorkspaceRequest { workspace_id: "acme".into(), display_name: "Acme".into() };
    check(&workspaces.create_workspace(again).await.unwrap_err(), Code::AlreadyExists, Reason::AlreadyExists);
    let unnamed = pb::CreateWorkspaceRequest { workspace_id: "other".into(), display_name: "a\u{7}".into() };
    check(&workspaces.create_workspace(unnamed).await.unwrap_err(), Code::InvalidArgument, Reason::RequestInvalid);
    let page = pb::ListWorkspacesRequest { page_size: 1_001, ..Default::default() };
    check(&workspaces.list_workspaces(page).await.unwrap_err(), Code::InvalidArgument, Reason::RequestInvalid);
    let kind = pb::UpsertAppRequest { name: APP.into(), kind: 7, display_name: "x".into() };
    check(&workspaces.upsert_app(kind).await.unwrap_err(), Code::InvalidArgument, Reason::RequestInvalid);

    let get = pb::GetKeyRequest { name: "workspaces/acme/key".into() };
    check(&keys.get_key(get).await.unwrap_err(), Code::FailedPrecondition, Reason::KeyNotConfigured);
    let identifier = "https://contoso-kv.vault.azure.net.evil.example/keys/k".to_owned();
    let elsewhere = pb::ConfigureKeyRequest { key_identifier: identifier, ..Site::configure() };
    check(&keys.configure_key(elsewhere).await.unwrap_err(), Code::InvalidArgument, Reason::KeyIdentifierInvalid);
    let tenant = pb::ConfigureKeyRequest { tenant_id: "contoso".into(), ..Site::configure() };
    check(&keys.configure_key(tenant).await.unwrap_err(), Code::InvalidArgument, Reason::TenantInvalid);
    check(&keys.configure_key(Site::configure()).await.unwrap_err(), Code::FailedPrecondition, Reason::KeyNotFound);
}

/// The customer's denial is no outage, an outage is no denial, and each says what to do.
#[tokio::test]
async fn a_denial_is_told_apart_from_an_outage() {
    let site = Site::start().await;
    site.acme().await;
    let version = site.under_customer_key().await;
    let mut data = site.encryption().await;

    let throttled =
        KeyUnavailable::Throttled { retry_after: Some(Duration::from_secs(17)), trace: Trace::of_vault(Some("v-1")) };
    site.vault.fail(Operation::Wrap, Fault::Refuse(throttled));
    let refused = data.encrypt(encrypt("x")).await.unwrap_err();
    check(&refused, Code::Unavailable, Reason::VaultThrottled);
    let delay = refused.get_details_retry_info().unwrap().retry_delay.unwrap();
    assert_eq!(delay, Duration::from_secs(17), "the vault's own delay is passed on");
    assert_eq!(refused.get_details_error_info().unwrap().metadata["vault_request_id"], "v-1");
    site.vault.heal();
    assert!(data.encrypt(encrypt("x")).await.is_ok());

    site.vault.disable(&Site::key(), version);
    let other = pb::EncryptRequest { app: "workspaces/acme/apps/other-app".into(), ..Default::default() };
    check(&data.encrypt(other).await.unwrap_err(), Code::FailedPrecondition, Reason::KeyDisabled);
    check(&data.encrypt(encrypt("x")).await.unwrap_err(), Code::FailedPrecondition, Reason::KeyDisabled);
    let mut keys = site.keys().await;
    let key = keys.get_key(pb::GetKeyRequest { name: "workspaces/acme/key".into() }).await.unwrap().into_inner();
    assert_eq!((key.denied_reason(), &*key.denied_owner), (pb::Reason::KeyDisabled, "customer"));
    assert!(key.denied_since.is_some() && key.last_probe_time.is_some() && key.denied_remedy.contains("re-enable"));
}

/// I-16: a changed byte, another app, another context and an unknown key are one and the same refusal.
#[tokio::test]
async fn a_ciphertext_that_does_not_open_never_says_why() {
    let site = Site::start().await;
    site.acme().await;
    let mut data = site.encryption().await;
    let good = data.encrypt(encrypt("order 42")).await.unwrap().into_inner().ciphertext;
    let other_app = "workspaces/acme/apps/other-app".to_owned();
    data.encrypt(pb::EncryptRequest { app: other_app.clone(), ..Default::default() }).await.unwrap();
    let changed = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        decrypt(bytes)
    };
    let context = HashMap::from([("tenant".to_owned(), "7".to_owned())]);
    let cases = [
        changed(good.len() - 1), // the tag
        changed(85),             // the payload
        changed(50),             // the commitment
        changed(30),             // the nonce
        changed(10),             // the data key's id
        pb::DecryptRequest { app: other_app, ..decrypt(good.clone()) },
        pb::DecryptRequest { context, ..decrypt(good.clone()) },
    ];
    let mut told = Vec::new();
    for case in cases {
        let status = data.decrypt(case).await.unwrap_err();
        check(&status, Code::InvalidArgument, Reason::DecryptionFailed);
        let mut info = status.get_details_error_info().unwrap();
        info.metadata.remove("request_id");
        told.push((status.message().to_owned(), info.reason, info.domain, info.metadata));
    }
    assert!(told.windows(2).all(|pair| pair[0] == pair[1]), "{told:#?}");
}

/// A database that fails is the service's fault and says so, without its name.
#[tokio::test]
async fn a_failing_database_is_our_fault() {
    let site = Site::start().await;
    site.acme().await;
    let mut data = site.encryption().await;
    site.store.fail_reads(Some(StoreError::Unavailable(Outage::DiskFull)));
    check(&data.encrypt(encrypt("x")).await.unwrap_err(), Code::Unavailable, Reason::StoreUnavailable);
}

/// One bad item of a batch fails alone, with its own reason.
#[tokio::test]
async fn one_bad_item_fails_alone() {
    use pb::batch_decrypt_result::Outcome as Opened;
    use pb::batch_encrypt_result::Outcome as Sealed;
    let site = Site::start().await;
    site.acme().await;
    let mut data = site.encryption().await;
    let bad = HashMap::from([(String::new(), "v".to_owned())]);
    let items = vec![
        pb::BatchEncryptItem { plaintext: "one".into(), ..Default::default() },
        pb::BatchEncryptItem { plaintext: "two".into(), context: bad },
        pb::BatchEncryptItem { plaintext: "three".into(), ..Default::default() },
    ];
    let sealed = data.batch_encrypt(pb::BatchEncryptRequest { app: APP.into(), items }).await.unwrap().into_inner();
    let [Some(Sealed::Ciphertext(one)), Some(Sealed::Error(two)), Some(Sealed::Ciphertext(three))] =
        [0, 1, 2].map(|i| sealed.results[i].outcome.clone())
    else {
        panic!("{:?}", sealed.results)
    };
    assert_eq!(two.reason(), pb::Reason::ContextInvalid);
    assert!(sealed.data_key.starts_with(&format!("{APP}/dataKeys/")));

    let items = [one, "nonsense".into(), three]
        .map(|ciphertext| pb::BatchDecryptItem { ciphertext, ..Default::default() })
        .to_vec();
    let opened = data.batch_decrypt(pb::BatchDecryptRequest { app: APP.into(), items }).await.unwrap().into_inner();
    let outcomes: Vec<_> = opened.results.into_iter().map(|result| result.outcome.unwrap()).collect();
    assert_eq!(outcomes[0], Opened::Plaintext("one".into()));
    assert!(matches!(&outcomes[1], Opened::Error(error) if error.reason() == pb::Reason::CiphertextMalformed));
    assert_eq!(outcomes[2], Opened::Plaintext("three".into()));
}

/// What a vault's own URL is, is for who configures it; Encrypt's answer names the version only.
#[tokio::test]
async fn an_answer_names_the_key_and_not_the_vault() {
    let site = Site::start().await;
    site.acme().await;
    let version = site.under_customer_key().await;
    let sealed = site.encryption().await.encrypt(encrypt("x")).await.unwrap().into_inner();
    assert_eq!(sealed.protection(), pb::Protection::CustomerKey);
    assert_eq!(sealed.key_version, format!("workspaces/acme/key/versions/{version}"));
    let get = pb::GetKeyRequest { name: "workspaces/acme/key".into() };
    assert_eq!(site.keys().await.get_key(get).await.unwrap().into_inner().key_identifier, KEY);
}
