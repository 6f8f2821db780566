//! GET with redirects followed by hand, so that each target is checked like the first.

use std::{error::Error, ops::Range, path::Path, sync::Arc};

use reqwest::{
    Certificate, Client, ClientBuilder, RequestBuilder, Response,
    header::{ACCEPT_ENCODING, IF_RANGE, LOCATION, RANGE},
    redirect::Policy,
};
use url::Url;

use super::{
    error::FetchError,
    guard::{self, Forbidden, GuardedResolver},
    playlist::Part,
    resume::Identity,
};
use crate::config::FetchConfig;

/// Two clients: one that connects to anything, and one that connects only to public addresses.
#[derive(Clone)]
pub struct Http {
    open: Client,
    guarded: Client,
    max_redirects: u32,
}

/// Where an input is, and how far that is trusted.
#[derive(Debug, Clone)]
pub struct Source {
    pub url: String,
    /// From a user: only http and https.
    pub untrusted: bool,
    /// Private addresses are allowed although the URL is a user's.
    pub allow_private: bool,
}

/// Which bytes of an input are asked for.
#[derive(Debug, Clone)]
pub enum Span {
    /// Everything from here on.
    From(u64),
    Between(Range<u64>),
}

impl Span {
    /// The value of the header; `None`: all is asked for.
    fn header(&self) -> Option<String> {
        match self {
            Self::From(0) => None,
            Self::From(offset) => Some(format!("bytes={offset}-")),
            Self::Between(range) => Some(format!("bytes={}-{}", range.start, range.end.saturating_sub(1))),
        }
    }
}

/// What of a file is wanted next: everything from an offset, of the file or of a part of it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Ask {
    pub offset: u64,
    pub part: Option<Part>,
}

impl Ask {
    /// The first byte within the file.
    pub fn first(self) -> u64 {
        self.part.map_or(0, |part| part.start).saturating_add(self.offset)
    }

    pub fn span(self) -> Span {
        match self.part {
            Some(part) => Span::Between(self.first()..part.start.saturating_add(part.length)),
            None => Span::From(self.offset),
        }
    }
}

impl Http {
    pub fn new(config: &FetchConfig, ca_file: &Path) -> anyhow::Result<Self> {
        let builder = || -> anyhow::Result<ClientBuilder> {
            let builder = Client::builder()
                .no_proxy()
                .redirect(Policy::none())
                .connect_timeout(config.connect_timeout)
                .pool_max_idle_per_host(8)
                .user_agent(concat!("mps-worker/", env!("CARGO_PKG_VERSION")));
            if ca_file.as_os_str().is_empty() {
                return Ok(builder);
            }
            let certificates = Certificate::from_pem_bundle(&std::fs::read(ca_file)?)?;
            Ok(certificates.into_iter().fold(builder, ClientBuilder::add_root_certificate))
        };
        Ok(Self {
            open: builder()?.build()?,
            // Nothing is kept for reuse: a connection serves only the request whose address was checked.
            guarded: builder()?
                .dns_resolver(Arc::new(GuardedResolver))
                .pool_max_idle_per_host(0)
                .build()?,
            max_redirects: config.max_redirects,
        })
    }

    /// The client for presigned URLs of our own server.
    pub fn trusted(&self) -> &Client {
        &self.open
    }

    /// Asks for a part of the input, of the version that is known.
    pub async fn get(&self, source: &Source, span: Span, known: Option<&Identity>) -> Result<Response, FetchError> {
        let mut url = Url::parse(&source.url).map_err(|error| Forbidden(format!("the URL is malformed: {error}")))?;
        let mut source = source.clone();
        for _ in 0..=self.max_redirects {
            let request = self.request(&source, &url, &span, known)?;
            let response = request.send().await.map_err(|error| error_of(&error))?;
            if !response.status().is_redirection() {
                return Ok(response);
            }
            let next = target(&url, &response)?;
            // Where another host sends us nobody vouches for.
            source.untrusted |= next.host_str() != url.host_str();
            url = next;
        }
        Err(FetchError::TooManyRedirects(self.max_redirects))
    }

    fn request(&self, source: &Source, url: &Url, span: &Span, known: Option<&Identity>) -> Result<RequestBuilder, FetchError> {
        if source.untrusted {
            guard::check(url, source.allow_private)?;
        }
        let is_open = !source.untrusted || source.allow_private;
        let client = if is_open { &self.open } else { &self.guarded };
        let mut request = client.get(url.clone()).header(ACCEPT_ENCODING, "identity");
        if let Some(range) = span.header() {
            request = request.header(RANGE, range);
            if let Some(validator) = known.and_then(Identity::if_range) {
                request = request.header(IF_RANGE, validator);
            }
        }
        Ok(request)
    }
}

fn target(url: &Url, response: &Response) -> Result<Url, FetchError> {
    response
        .headers()
        .get(LOCATION)
        .and_then(|location| url.join(location.to_str().ok()?).ok())
        .ok_or(FetchError::Rejected(response.status().as_u16()))
}

/// The innermost cause; the URL may carry a signature and stays out of the message.
pub fn error_of(error: &reqwest::Error) -> FetchError {
    let mut source: Option<&(dyn Error + 'static)> = Some(error);
    let mut last = String::new();
    while let Some(current) = source {
        if let Some(forbidden) = current.downcast_ref::<Forbidden>() {
            return forbidden.clone().into();
        }
        source = current.source();
        if source.is_none() {
            last = current.to_string();
        }
    }
    FetchError::Interrupted(last)
}
