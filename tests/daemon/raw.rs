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
    let stream = UnixStream::connect(site.socket()).await.unwrap();
    let (send, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    Raw { send, ended: tokio::spawn(connection) }
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
