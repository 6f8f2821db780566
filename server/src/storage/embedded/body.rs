//! Bodies that go out with a length.

use std::io;

use s3s::dto::StreamingBlob;

/// A body whose length is known, so that it goes out with Content-Length and not in chunks.
pub fn sized(body: impl futures::Stream<Item = io::Result<bytes::Bytes>> + Send + Sync + 'static, length: u64) -> StreamingBlob {
    StreamingBlob::new(Sized {
        body: Box::pin(body),
        left: usize::try_from(length).unwrap_or(usize::MAX),
    })
}

struct Sized<S> {
    body: std::pin::Pin<Box<S>>,
    left: usize,
}

impl<S: futures::Stream<Item = io::Result<bytes::Bytes>>> futures::Stream for Sized<S> {
    type Item = Result<bytes::Bytes, Box<dyn std::error::Error + Send + Sync>>;

    fn poll_next(mut self: std::pin::Pin<&mut Self>, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<Self::Item>> {
        let next = std::task::ready!(self.body.as_mut().poll_next(context));
        if let Some(Ok(bytes)) = &next {
            self.left = self.left.saturating_sub(bytes.len());
        }
        std::task::Poll::Ready(next.map(|bytes| bytes.map_err(Into::into)))
    }
}

impl<S: futures::Stream<Item = io::Result<bytes::Bytes>>> s3s::stream::ByteStream for Sized<S> {
    fn remaining_length(&self) -> s3s::stream::RemainingLength {
        s3s::stream::RemainingLength::new_exact(self.left)
    }
}
