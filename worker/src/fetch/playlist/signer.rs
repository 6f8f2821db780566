//! Presigned URLs of members that lie in the input's storage: asked for in groups, shortly before they are used, since they end.

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::future::BoxFuture;
use mps_media::failure;
use mps_proto::{v1::ErrorReason, worker::v1::Failure};
use tokio::sync::Mutex;

/// Gives a URL for each key.
pub type Sign = dyn Fn(Vec<String>) -> BoxFuture<'static, Result<Vec<String>, Failure>> + Send + Sync;

/// Keys of one question.
const AT_ONCE: usize = 64;
/// How long a URL is used; it holds for 15 minutes.
const FRESH: Duration = Duration::from_secs(8 * 60);

/// Knows the URLs of keys.
pub struct Signer {
    sign: Arc<Sign>,
    /// Keys in the order in which they are used, and the place of each.
    order: Vec<String>,
    places: HashMap<String, usize>,
    known: Mutex<HashMap<String, (String, Instant)>>,
}

impl Signer {
    pub fn new(sign: Arc<Sign>) -> Self {
        Self {
            sign,
            order: Vec::new(),
            places: HashMap::new(),
            known: Mutex::default(),
        }
    }

    /// A key that will be used.
    pub fn expect(&mut self, key: &str) {
        if !self.places.contains_key(key) {
            self.places.insert(key.to_owned(), self.order.len());
            self.order.push(key.to_owned());
        }
    }

    /// The URL of a key; `anew` where the last one is not taken any more.
    pub async fn url(&self, key: &str, anew: bool) -> Result<String, Failure> {
        let mut known = self.known.lock().await;
        if let Some((url, since)) = known.get(key).filter(|_| !anew)
            && since.elapsed() < FRESH
        {
            return Ok(url.clone());
        }
        let mut keys = vec![key.to_owned()];
        if let Some(place) = self.places.get(key) {
            keys.extend(self.order.iter().skip(place + 1).take(AT_ONCE - 1).cloned());
        }
        let urls = (self.sign)(keys.clone()).await?;
        let now = Instant::now();
        known.retain(|_, (_, since)| since.elapsed() < FRESH);
        known.extend(keys.into_iter().zip(urls.into_iter().map(|url| (url, now))));
        known.get(key).map(|(url, _)| url.clone()).ok_or_else(|| {
            failure::outside(
                ErrorReason::Internal,
                "the server gave no URL for a member of the playlist",
                "see the server's log",
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn keys_are_signed_in_groups_and_anew_when_asked() {
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = asked.clone();
        let sign = move |keys: Vec<String>| -> BoxFuture<'static, Result<Vec<String>, Failure>> {
            assert!(keys.len() <= AT_ONCE);
            let round = counter.fetch_add(1, Ordering::SeqCst);
            Box::pin(std::future::ready(Ok(keys.iter().map(|key| format!("{key}?{round}")).collect())))
        };
        let mut signer = Signer::new(Arc::new(sign));
        for number in 0..100 {
            signer.expect(&format!("s{number}"));
        }
        for number in 0..100 {
            let round = usize::from(number >= AT_ONCE);
            assert_eq!(
                signer.url(&format!("s{number}"), false).await.unwrap(),
                format!("s{number}?{round}")
            );
        }
        assert_eq!(signer.url("s3", true).await.unwrap(), "s3?2");
        assert_eq!(signer.url("other", false).await.unwrap(), "other?3");
        assert_eq!(asked.load(Ordering::SeqCst), 4);
    }
}
