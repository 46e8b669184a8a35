//! `GET /metrics`: what the shards have counted, as Prometheus reads it (text format 0.0.4). The
//! names, with their units, are a contract with dashboards: docs/operating/metrics.md lists them.

mod table;

use std::time::Duration;

use prometheus::TextEncoder;
use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram as HistogramValue, LabelPair, Metric, MetricFamily,
    MetricType,
};

use self::table::{PER_SHARD, PerShard, Reading};
use super::Response;
use crate::types::{Histogram, ShardId, ShardStats};

/// Bounds of the histogram's buckets: from 16 µs to 131 ms, each twice the one before.
const BUCKET_POWERS: std::ops::RangeInclusive<u32> = 4..=17;

/// What the kernel knows of the process.
#[derive(Debug, Clone, Copy)]
pub struct Process {
    /// CPU time of all threads.
    pub cpu: Duration,
    /// Bytes in memory.
    pub resident_bytes: u64,
    /// Descriptors that are open.
    pub open_descriptors: u64,
    /// Descriptors that may be open.
    pub descriptors_max: u64,
    /// When the server started, in seconds since 1970.
    pub started: u64,
    /// What has become of events for the webhook.
    pub webhook: Webhook,
}

/// Events for the webhook.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Webhook {
    /// Not told yet.
    pub waiting: u64,
    /// Told.
    pub delivered: u64,
    /// Never told: there were too many, or nobody listened for too long.
    pub lost: u64,
    /// Requests that were not taken.
    pub failures: u64,
}

/// The page of the shards that answered, a piece for each metric: making it takes long with many
/// shards, and between two pieces others may run.
pub fn pieces<'a>(
    shards: &'a [(ShardId, ShardStats)],
    process: &Process,
) -> impl Iterator<Item = String> + use<'a> {
    let (webhook, process) = (webhook_families(&process.webhook), process_families(process));
    let shards = PER_SHARD.iter().map(move |metric| per_shard(metric, shards));
    process.into_iter().chain(shards).chain(webhook).map(|family| {
        // Fails for families without a metric only: no shard has answered.
        TextEncoder::new().encode_to_string(&[family]).unwrap_or_default()
    })
}

/// The answer that carries the page.
pub fn response(page: String) -> Response {
    Response::new(200, prometheus::TEXT_FORMAT, page).header("Cache-Control", "no-store")
}

/// Under the names that all exporters give them.
fn process_families(process: &Process) -> Vec<MetricFamily> {
    let gauge =
        |name, help, value| family(name, help, MetricType::GAUGE, vec![gauge(vec![], value)]);
    let cpu = counter(vec![], process.cpu.as_secs_f64());
    let version = vec![label("version", env!("CARGO_PKG_VERSION"))];
    vec![
        family(
            "corinth_build_info",
            "1, with the version as its label.",
            MetricType::GAUGE,
            vec![self::gauge(version, 1.0)],
        ),
        family(
            "process_cpu_seconds_total",
            "CPU time of the process.",
            MetricType::COUNTER,
            vec![cpu],
        ),
        gauge(
            "process_resident_memory_bytes",
            "Memory in use by the process.",
            process.resident_bytes as f64,
        ),
        gauge("process_open_fds", "Descriptors that are open.", process.open_descriptors as f64),
        gauge("process_max_fds", "Descriptors that may be open.", process.descriptors_max as f64),
        gauge(
            "process_start_time_seconds",
            "When the server started, in seconds since 1970.",
            process.started as f64,
        ),
    ]
}

fn webhook_families(webhook: &Webhook) -> [MetricFamily; 3] {
    let events = |result, count| counter(vec![label("result", result)], count as f64);
    [
        family(
            "corinth_webhook_waiting",
            "Events that the webhook has not been told yet.",
            MetricType::GAUGE,
            vec![gauge(vec![], webhook.waiting as f64)],
        ),
        family(
            "corinth_webhook_events_total",
            "Events by whether the webhook was told.",
            MetricType::COUNTER,
            vec![events("delivered", webhook.delivered), events("lost", webhook.lost)],
        ),
        family(
            "corinth_webhook_failures_total",
            "Requests to the webhook that it did not take; they are repeated.",
            MetricType::COUNTER,
            vec![counter(vec![], webhook.failures as f64)],
        ),
    ]
}

fn per_shard((name, help, reading): &PerShard, shards: &[(ShardId, ShardStats)]) -> MetricFamily {
    let mut metrics = Vec::new();
    for (id, stats) in shards {
        let shard = || label("shard", &id.0.to_string());
        match reading {
            Reading::Counter(read) => metrics.push(counter(vec![shard()], read(stats) as f64)),
            Reading::Gauge(read) => metrics.push(gauge(vec![shard()], read(stats))),
            Reading::Seconds(read) => metrics.push(seconds(vec![shard()], read(stats))),
            Reading::CounterBy(by, read) => metrics.extend(
                read(stats)
                    .into_iter()
                    .map(|(value, count)| counter(vec![shard(), label(by, value)], count as f64)),
            ),
        }
    }
    let kind = match reading {
        Reading::Counter(_) | Reading::CounterBy(..) => MetricType::COUNTER,
        Reading::Gauge(_) => MetricType::GAUGE,
        Reading::Seconds(_) => MetricType::HISTOGRAM,
    };
    family(name, help, kind, metrics)
}

fn family(name: &str, help: &str, kind: MetricType, metrics: Vec<Metric>) -> MetricFamily {
    let mut family = MetricFamily::default();
    family.set_name(name.to_owned());
    family.set_help(help.to_owned());
    family.set_field_type(kind);
    family.set_metric(metrics);
    family
}

fn label(name: &str, value: &str) -> LabelPair {
    let mut label = LabelPair::default();
    label.set_name(name.to_owned());
    label.set_value(value.to_owned());
    label
}

fn counter(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut counter = Counter::default();
    counter.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_counter(counter);
    metric
}

fn gauge(labels: Vec<LabelPair>, value: f64) -> Metric {
    let mut gauge = Gauge::default();
    gauge.set_value(value);
    let mut metric = Metric::from_label(labels);
    metric.set_gauge(gauge);
    metric
}

fn seconds(labels: Vec<LabelPair>, times: &Histogram) -> Metric {
    let buckets = BUCKET_POWERS.map(|power| {
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(Duration::from_micros(1 << power).as_secs_f64());
        bucket.set_cumulative_count(times.count_below_power(power));
        bucket
    });
    let mut histogram = HistogramValue::default();
    histogram.set_bucket(buckets.collect());
    histogram.set_sample_count(times.count());
    histogram.set_sample_sum(times.sum().as_secs_f64());
    let mut metric = Metric::from_label(labels);
    metric.set_histogram(histogram);
    metric
}

#[cfg(test)]
mod tests;
