//! What anybody may ask for by GET: the files of the page, how the server stands, and what the
//! shards have counted.

use super::collected::Page;
use super::process;
use super::state::Shard;
use crate::http::{Request, Response, asset, health, metrics, stats};

/// Answers a request that is for nothing else.
pub(super) async fn respond(shard: &Shard, request: &Request) -> Response {
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Response::text(405, "only GET and HEAD").header("Allow", "GET, HEAD");
    }
    let response = match request.path.as_str() {
        "/stats" => counted(shard, Page::Stats).await,
        "/metrics" => counted(shard, Page::Metrics).await,
        "/healthz" => health::health(shard.common.pulse.stuck()),
        "/readyz" => health::readiness(shard.hindrance().as_deref()),
        _ => asset(request).unwrap_or_else(|| Response::text(404, "there is nothing here")),
    };
    match request.method.as_str() {
        "HEAD" => response.without_body(),
        _ => response,
    }
}

async fn counted(shard: &Shard, page: Page) -> Response {
    if let Some(last) = shard.collected.last(shard.now(), page) {
        return last;
    }
    let made = match page {
        Page::Stats => stats::response(&shard.stats_of_all().await),
        Page::Metrics => collect_metrics(shard).await,
    };
    shard.collected.keep(page, made.clone());
    made
}

async fn collect_metrics(shard: &Shard) -> Response {
    let stats = shard.stats_of_all().await;
    let process = {
        let common = &shard.common;
        process::process(common.started, common.descriptors, common.notices.counters().counts())
    };
    let mut page = String::new();
    for piece in metrics::pieces(&stats, &process) {
        page.push_str(&piece);
        glommio::yield_if_needed().await;
    }
    metrics::response(page)
}
