//! A stream carries a payload of any size, and is whole or refused.

use api::byok::v1 as pb;
use bytes::Bytes;
use pb::decrypt_stream_request::Message as ToOpen;
use pb::encrypt_stream_request::Message as ToSeal;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::site::{APP, Site};

fn header() -> pb::StreamHeader {
    pb::StreamHeader { app: APP.into(), ..Default::default() }
}

async fn seal(site: &Site, messages: Vec<ToSeal>) -> Result<Vec<u8>, Status> {
    let requests = messages.into_iter().map(|message| pb::EncryptStreamRequest { message: Some(message) });
    let mut answers = site.encryption().await.encrypt_stream(tokio_stream::iter(requests)).await?.into_inner();
    let mut out = Vec::new();
    while let Some(answer) = answers.message().await? {
        assert_eq!(answer.data_key.is_empty(), !out.is_empty(), "the first message names the key, and only that one");
        out.extend_from_slice(&answer.ciphertext);
    }
    Ok(out)
}

async fn open(site: &Site, messages: Vec<ToOpen>) -> Result<Vec<u8>, Status> {
    let requests = messages.into_iter().map(|message| pb::DecryptStreamRequest { message: Some(message) });
    let mut answers = site.encryption().await.decrypt_stream(tokio_stream::iter(requests)).await?.into_inner();
    let mut out = Vec::new();
    while let Some(answer) = answers.message().await? {
        out.extend_from_slice(&answer.plaintext);
    }
    Ok(out)
}

fn in_pieces(bytes: &[u8], size: usize) -> impl Iterator<Item = Bytes> {
    bytes.chunks(size).map(Bytes::copy_from_slice)
}

fn reason(status: &Status) -> String {
    status.get_details_error_info().unwrap().reason
}

/// Payloads of every size around a segment's survive, however they are cut into messages.
#[tokio::test]
async fn what_goes_in_comes_out() {
    let site = Site::start().await;
    site.acme().await;
    let payload: Vec<u8> = (0..700_001u32).map(|i| ((i * 7) >> 3) as u8).collect();
    for (length, size) in [(0, 1), (1, 1), (65_535, 1_000), (65_536, 65_536), (65_537, 999_999), (700_001, 100_003)] {
        let payload = &payload[..length];
        let messages = std::iter::once(ToSeal::Header(header())).chain(in_pieces(payload, size).map(ToSeal::Plaintext));
        let sealed = seal(&site, messages.collect()).await.unwrap();
        let messages =
            std::iter::once(ToOpen::Header(header())).chain(in_pieces(&sealed, size).map(ToOpen::Ciphertext));
        assert!(open(&site, messages.collect()).await.unwrap() == payload, "{length} bytes in pieces of {size}");
    }
}

/// A stream that was cut short, changed or meant for another context ends with a refusal, never with OK.
#[tokio::test]
async fn a_damaged_stream_never_ends_well() {
    let site = Site::start().await;
    site.acme().await;
    let sealed = seal(&site, vec![ToSeal::Header(header()), ToSeal::Plaintext(vec![7; 200_000].into())]).await.unwrap();
    let open_all = async |bytes: &[u8], header| {
        let pieces = in_pieces(bytes, 50_000).map(ToOpen::Ciphertext);
        open(&site, std::iter::once(ToOpen::Header(header)).chain(pieces).collect()).await
    };
    assert!(open_all(&sealed, header()).await.is_ok());
    for cut in [1, 60_000, sealed.len() - 97] {
        let refused = open_all(&sealed[..sealed.len() - cut], header()).await.unwrap_err();
        assert_eq!(
            (refused.code(), reason(&refused).as_str()),
            (Code::InvalidArgument, "DECRYPTION_FAILED"),
            "cut {cut}"
        );
    }
    for at in [97, 70_000, sealed.len() - 1] {
        let mut changed = sealed.clone();
        changed[at] ^= 1;
        assert_eq!(reason(&open_all(&changed, header()).await.unwrap_err()), "DECRYPTION_FAILED", "byte {at}");
    }
    assert_eq!(reason(&open_all(&sealed[..50], header()).await.unwrap_err()), "CIPHERTEXT_MALFORMED");
    let mut other = header();
    other.context.insert("tenant".into(), "7".into());
    assert_eq!(reason(&open_all(&sealed, other).await.unwrap_err()), "DECRYPTION_FAILED");
}

/// Messages out of order are refused with what the order is.
#[tokio::test]
async fn messages_out_of_order_are_refused() {
    let site = Site::start().await;
    site.acme().await;
    let piece = || ToSeal::Plaintext("x".into());
    for wrong in [vec![], vec![piece()], vec![ToSeal::Header(header()), piece(), ToSeal::Header(header())]] {
        assert_eq!(reason(&seal(&site, wrong).await.unwrap_err()), "STREAM_INVALID");
    }
    let nowhere = pb::StreamHeader { app: "workspaces/acme/apps/nobody".into(), ..Default::default() };
    assert_eq!(reason(&seal(&site, vec![ToSeal::Header(nowhere)]).await.unwrap_err()), "NOT_FOUND");
    let large = ToSeal::Plaintext(vec![0; 5 << 20].into());
    assert_eq!(reason(&seal(&site, vec![ToSeal::Header(header()), large]).await.unwrap_err()), "PLAINTEXT_TOO_LARGE");
}

/// A message is not a stream and a stream is not a message, and the refusal says which call to use.
#[tokio::test]
async fn the_two_kinds_are_not_mixed_up() {
    let site = Site::start().await;
    site.acme().await;
    let sealed = seal(&site, vec![ToSeal::Header(header()), ToSeal::Plaintext("x".into())]).await.unwrap();
    let refused = site.encryption().await.decrypt(crate::site::decrypt(sealed)).await.unwrap_err();
    assert!(refused.message().contains("DecryptStream"), "{}", refused.message());
    let message = site.encryption().await.encrypt(crate::site::encrypt("x")).await.unwrap().into_inner().ciphertext;
    let refused = open(&site, vec![ToOpen::Header(header()), ToOpen::Ciphertext(message)]).await.unwrap_err();
    assert!(refused.message().contains("use Decrypt"), "{}", refused.message());
}

/// The export streams every wrapped key of the workspace, and names what a reader needs.
#[tokio::test]
async fn wrapped_keys_can_be_taken_away() {
    let site = Site::start().await;
    site.acme().await;
    let version = site.under_customer_key().await;
    let sealed = site.encryption().await.encrypt(crate::site::encrypt("x")).await.unwrap().into_inner();
    let export = pb::ExportWrappedKeysRequest { name: "workspaces/acme/key".into() };
    let mut pages = site.keys().await.export_wrapped_keys(export).await.unwrap().into_inner();
    let mut keys = Vec::new();
    while let Some(page) = pages.message().await.unwrap() {
        keys.extend(page.wrapped_keys);
    }
    let [key] = &keys[..] else { panic!("{} keys", keys.len()) };
    assert!(sealed.data_key.ends_with(&key.data_key_id));
    assert_eq!((key.workspace_id.as_str(), key.app_id.as_str()), ("acme", "support-bot"));
    assert!(key.kid.ends_with(&version.to_string()) && key.algorithm == "RSA-OAEP-256" && key.blob.len() == 256);
}
