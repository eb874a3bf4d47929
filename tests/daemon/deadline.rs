//! A call is over when its caller said it would be (I-25).

use std::time::Duration;

use api::byok::v1 as pb;
use tonic::Code;
use tonic_types::StatusExt;
use vault::memory::Operation;

use crate::raw;
use crate::site::{APP, Site, encrypt};

/// How late an answer may be.
const LATE: Duration = Duration::from_millis(100);

/// A vault that hangs does not hold a call beyond its deadline; the work behind it goes on for those who wait longer.
#[tokio::test]
async fn a_call_ends_at_its_deadline() {
    let site = Site::start().await;
    site.acme().await;
    site.under_customer_key().await;
    let held = site.vault.hold(Operation::Wrap);
    let mut raw = raw::connect(&site).await;
    // The client at hand has no clock of its own: what ends the call is the daemon.
    let request = raw::request("/byok.v1.Encryption/Encrypt", &encrypt("x"), &[("grpc-timeout", "50m")]);
    let answered = tokio::time::timeout(Duration::from_millis(50) + LATE, raw::call(&mut raw, request)).await;
    let status = answered.expect("the answer came too late").unwrap();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert_eq!(status.get_details_error_info().unwrap().reason, "DEADLINE_EXCEEDED");

    let patient = tokio::spawn({
        let mut data = site.encryption().await;
        async move { data.encrypt(encrypt("x")).await }
    });
    held.release();
    assert!(patient.await.unwrap().is_ok());
    assert_eq!(
        site.vault.calls().wrap,
        2,
        "the first call's wrap was not thrown away: one for the key's proof, one here"
    );
}

/// Without a deadline of its own a call has the daemon's.
#[tokio::test]
async fn nobody_waits_longer_than_the_longest_call() {
    let site = Site::limited(|limits| limits.longest_call = Duration::from_millis(50)).await;
    site.acme().await;
    site.vault.create_key(&Site::key());
    let _held = site.vault.hold(Operation::Describe);
    let mut keys = site.keys().await;
    let answered = tokio::time::timeout(Duration::from_secs(2), keys.configure_key(Site::configure())).await;
    assert_eq!(answered.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
}

/// A stream that stands still is ended, so that forgotten ones do not pile up.
#[tokio::test]
async fn a_stream_that_stands_still_is_ended() {
    let site = Site::limited(|limits| limits.longest_call = Duration::from_millis(50)).await;
    site.acme().await;
    let header = pb::StreamHeader { app: APP.into(), ..Default::default() };
    let first = pb::EncryptStreamRequest { message: Some(pb::encrypt_stream_request::Message::Header(header)) };
    let (sender, requests) = tokio::sync::mpsc::channel(1);
    sender.send(first).await.unwrap();
    let requests = tokio_stream::wrappers::ReceiverStream::new(requests);
    let mut answers = site.encryption().await.encrypt_stream(requests).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().ciphertext.len(), 96);
    let ended = tokio::time::timeout(Duration::from_secs(2), answers.message()).await.unwrap();
    assert_eq!(ended.unwrap_err().code(), Code::DeadlineExceeded);
    drop(sender);
}
