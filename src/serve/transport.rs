//! What bytes travel over: a TCP connection, TLS on top of one, or a Unix socket.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::server::TlsStream;

use super::peer::Peer;

/// An open connection that counts what was read from it.
pub(super) struct Transport {
    kind: Kind,
    read: Arc<AtomicUsize>,
    peer: Option<Arc<Peer>>,
}

pub(super) enum Kind {
    #[cfg_attr(not(feature = "dev"), expect(dead_code, reason = "plaintext TCP exists for development only"))]
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
    Unix(UnixStream),
}

impl Transport {
    pub(super) fn new(kind: Kind, peer: Option<Arc<Peer>>) -> Self {
        Self { kind, read: Arc::default(), peer }
    }

    /// Whom it belongs to, where that was shown by a certificate.
    pub(super) fn peer(&self) -> Option<&Arc<Peer>> {
        self.peer.as_ref()
    }

    /// The count of bytes read so far, to look at while the connection is in use.
    pub(super) fn read_so_far(&self) -> Arc<AtomicUsize> {
        self.read.clone()
    }
}

macro_rules! each {
    ($kind:expr, $stream:ident => $call:expr) => {
        match $kind {
            Kind::Plain($stream) => $call,
            Kind::Tls($stream) => $call,
            Kind::Unix($stream) => $call,
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = out.filled().len();
        let polled = each!(&mut self.kind, stream => Pin::new(stream).poll_read(cx, out));
        self.read.fetch_add(out.filled().len() - before, Ordering::Relaxed);
        polled
    }
}

impl AsyncWrite for Transport {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        each!(&mut self.kind, stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(&mut self.kind, stream => Pin::new(stream).poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        each!(&self.kind, stream => stream.is_write_vectored())
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.kind, stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(&mut self.kind, stream => Pin::new(stream).poll_shutdown(cx))
    }
}
