//! A client without manners: gRPC by hand over HTTP/2, with none of the checks and deadlines a proper client has.

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use tokio::net::UnixStream;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::site::{Site, TOKEN};

/// A connection; `ended` completes when either side closes it.
pub(crate) struct Raw {
    pub(crate) send: SendRequest<Full<Bytes>>,
    pub(crate) ended: JoinHandle<Result<(), hyper::Error>>,
}

pub(crate) async fn connect(site: &Site) -> Raw {
    try_connect(site).await.unwrap()
}

/// A connection, if the daemon does not close it at once.
pub(crate) async fn try_connect(site: &Site) -> Result<Raw, hyper::Error> {
    let stream = UnixStream::connect(site.socket()).await.unwrap();
    let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    Ok(Raw { send, ended: tokio::spawn(connection) })
}

/// A request with one message as gRPC frames it.
pub(crate) fn request(path: &str, message: &impl Message, headers: &[(&str, &str)]) -> http::Request<Full<Bytes>> {
    let encoded = message.encode_to_vec();
    let mut body = BytesMut::with_capacity(5 + encoded.len());
    body.put_u8(0);
    body.put_u32(encoded.len().try_into().unwrap());
    body.extend_from_slice(&encoded);
    let mut request = http::Request::post(format!("http://byokd{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {TOKEN}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(body.freeze())).unwrap()
}

/// Sends it and reads the answer's status, from its headers or its trailers.
pub(crate) async fn call(raw: &mut Raw, request: http::Request<Full<Bytes>>) -> Result<Status, hyper::Error> {
    raw.send.ready().await?;
    let answer = raw.send.send_request(request).await?;
    let (head, body) = answer.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        return Ok(status);
    }
    let trailers = body.collect().await?.trailers().cloned().unwrap_or_default();
    Ok(Status::from_header_map(&trailers).unwrap_or_else(|| Status::unknown(head.status.as_str().to_owned())))
}

// Frame types, a flag and error codes of RFC 9113 sections 6 and 7.
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const GOAWAY: u8 = 7;
pub(crate) const END_HEADERS: u8 = 4;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// One frame (RFC 9113 section 4.1).
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(9 + payload.len());
    frame.put_uint(payload.len() as u64, 3);
    frame.put_slice(&[kind, flags]);
    frame.put_u32(stream);
    frame.put_slice(payload);
    frame
}

/// The error code of the GOAWAY among these frames.
pub(crate) fn goaway(mut frames: &[u8]) -> Option<u32> {
    while let Some((head, rest)) = frames.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let (payload, rest) = rest.split_at_checked(length)?;
        if head[3] == GOAWAY {
            return Some(u32::from_be_bytes(payload.get(4..8)?.try_into().ok()?));
        }
        frames = rest;
    }
    None
}
