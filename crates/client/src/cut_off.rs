//! How does the service learn that an input was cut off, and did not just end?
//!
//! A gRPC client's stream of messages can only end, and an ended input becomes a whole ciphertext. So the request's body is
//! watched on its way out: one that ends without [`Ended`] having been said is reset instead.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

/// Put into a streaming request's extensions, and told when the input came to its proper end.
#[derive(Clone, Default)]
pub(crate) struct Ended(Arc<AtomicBool>);

impl Ended {
    pub(crate) fn say(&self) {
        self.0.store(true, Ordering::Release);
    }

    fn said(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}

/// Watches the bodies of requests that carry [`Ended`].
#[derive(Clone)]
pub(crate) struct ResetWhenCutOff<S>(pub(crate) S);

impl<S: Service<http::Request<Body>>> Service<http::Request<Body>> for ResetWhenCutOff<S> {
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> S::Future {
        let request = match request.extensions().get::<Ended>().cloned() {
            Some(ended) => request.map(|inner| Body::new(Watched { inner, ended })),
            None => request,
        };
        self.0.call(request)
    }
}

struct Watched {
    inner: Body,
    ended: Ended,
}

impl http_body::Body for Watched {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        match Pin::new(&mut self.inner).poll_frame(cx) {
            Poll::Ready(None) if !self.ended.said() => {
                Poll::Ready(Some(Err(Status::cancelled("the input could not be read to its end"))))
            }
            frame => frame,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.ended.said() && self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
