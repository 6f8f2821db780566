//! In front of the store: paths that could leave their bucket or their project's prefix are refused before anything looks at them.

use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response, StatusCode, header};
use hyper::body::Incoming;
use s3s::{Body, HttpError, service::S3Service};
use tower::Service;

/// Refuses bad paths with 400, passes the rest on.
#[derive(Clone)]
pub struct Guard {
    inner: S3Service,
}

impl Guard {
    pub fn new(inner: S3Service) -> Self {
        Self { inner }
    }
}

impl Service<Request<Incoming>> for Guard {
    type Response = Response<Body>;
    type Error = HttpError;
    type Future = BoxFuture<'static, Result<Response<Body>, HttpError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), HttpError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        if let Err(fault) = check_path(request.uri().path()) {
            return Box::pin(std::future::ready(Ok(refusal(fault))));
        }
        let inner = self.inner.clone();
        Box::pin(async move { inner.call(request.map(Body::from)).await })
    }
}

fn refusal(fault: &str) -> Response<Body> {
    let text = format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>InvalidURI</Code><Message>{fault}</Message></Error>");
    let mut response = Response::new(Body::from(Bytes::from(text)));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
        .headers_mut()
        .insert(header::CONTENT_TYPE, http::HeaderValue::from_static("application/xml"));
    response
}

/// Checks the path as it came and as it reads once decoded, which is how the store sees it.
fn check_path(path: &str) -> Result<(), &'static str> {
    let decoded = decode(path).ok_or("the path is not percent-encoded UTF-8")?;
    if decoded.chars().any(char::is_control) {
        return Err("the path has control characters");
    }
    let inside = decoded.strip_prefix('/').ok_or("the path does not begin with a slash")?;
    let inside = inside.strip_suffix('/').unwrap_or(inside);
    let is_bad = |segment: &str| matches!(segment, "" | "." | "..");
    if !inside.is_empty() && inside.split('/').any(is_bad) || decoded == "//" {
        return Err("the path has an empty segment or a dot segment");
    }
    Ok(())
}

fn decode(path: &str) -> Option<String> {
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'%' => out.push(16 * digit(bytes.next()?)? + digit(bytes.next()?)?),
            byte => out.push(byte),
        }
    }
    String::from_utf8(out).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_leave_their_bucket_are_refused_in_every_spelling() {
        for bad in [
            "/mps/../x",
            "/mps/p/../../x",
            "/mps/%2e%2e/x",
            "/mps/%2E./x",
            "/mps/..%2fx",
            "/mps/./x",
            "/mps//x",
            "/mps/a//b",
            "//mps/x",
            "//",
            "/mps/a%00b",
            "/mps/a%0ab",
            "/mps/a%7fb",
            "/mps/%",
            "/mps/%zz",
            "/mps/%ff",
            "/mps/x/..",
            "/../x",
            "*",
            "/mps/x/../",
        ] {
            assert!(check_path(bad).is_err(), "{bad}");
        }
        for good in [
            "/",
            "/mps",
            "/mps/",
            "/mps/a/b.mp4",
            "/mps/a/",
            "/mps/..a/b..",
            "/mps/%E6%97%A5",
            "/mps/a%20b",
            "/mps/%252e%252e/x",
        ] {
            assert!(check_path(good).is_ok(), "{good}");
        }
    }
}
