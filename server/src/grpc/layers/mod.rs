//! What every call passes, from the outside in. The order:
//!
//! 1. CORS answers preflights, which carry no key. (Public listener only.)
//! 2. gRPC-Web becomes gRPC, so that nothing further in knows of it. (Public listener only.)
//! 3. `trace` opens the span, so that everything below is logged in it.
//! 4. `metrics` counts the call with the code that the layers below give it.
//! 5. `shed` refuses calls above the limit before they cost a query.
//! 6. `deadline` bounds what follows, authentication included.
//! 7. `auth` decides who calls and whether they may.
//! 8. The generated servers bound the size of a message, then comes the adapter.

pub mod deadline;
pub mod metrics;
pub mod shed;
pub mod trace;

use axum::middleware::{from_fn, from_fn_with_state};
use http::{HeaderName, HeaderValue, Method};
use tonic::service::Routes;
use tower_http::cors::{AllowOrigin, CorsLayer};

use super::auth::{self, WorkerTokens};
use crate::app::App;

/// Layers 3 to 7 of the public listener. The last one added is the outermost.
pub(super) fn public(app: &App, routes: Routes) -> Routes {
    let router = routes.into_axum_router();
    let router = router
        .layer(from_fn_with_state(app.clone(), auth::public))
        .layer(from_fn_with_state(deadline::Limit(app.config.request_timeout), deadline::bounded))
        .layer(from_fn_with_state(
            shed::Slots::new(app.config.limits.max_concurrent_calls),
            shed::shed,
        ))
        .layer(from_fn(metrics::count))
        .layer(from_fn(trace::span));
    Routes::from(router)
}

/// Layers 3 to 7 of the workers' listener. A commit may take as long as its hold.
pub(super) fn workers(app: &App, tokens: WorkerTokens, routes: Routes) -> Routes {
    let limit = app.config.request_timeout + app.config.commit_ttl;
    let router = routes.into_axum_router();
    let router = router
        .layer(from_fn_with_state(tokens, auth::worker))
        .layer(from_fn_with_state(deadline::Limit(limit), deadline::bounded))
        .layer(from_fn_with_state(
            shed::Slots::new(app.config.limits.max_concurrent_calls),
            shed::shed,
        ))
        .layer(from_fn(metrics::count))
        .layer(from_fn(trace::span));
    Routes::from(router)
}

/// Which web pages may call; without origins none.
pub(super) fn cors(origins: &[String]) -> CorsLayer {
    let allowed = if origins.iter().any(|origin| origin == "*") {
        AllowOrigin::any()
    } else {
        AllowOrigin::list(origins.iter().filter_map(|origin| HeaderValue::from_str(origin).ok()))
    };
    let request_headers = [
        "authorization",
        "content-type",
        "grpc-timeout",
        "grpc-accept-encoding",
        "traceparent",
        "x-grpc-web",
        "x-user-agent",
    ];
    let answer_headers = ["grpc-status", "grpc-message", "grpc-status-details-bin", "grpc-encoding"];
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::POST])
        .allow_headers(request_headers.map(HeaderName::from_static))
        .expose_headers(answer_headers.map(HeaderName::from_static))
        .max_age(std::time::Duration::from_secs(3600))
}
