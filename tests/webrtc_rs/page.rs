//! `/metrics` as Prometheus reads it, and the list of what must be there.

use std::collections::BTreeMap;
use std::process::Stdio;

use anyhow::{Context as _, ensure};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// What the operator's page says; it has a table of all metrics.
const DOCUMENT: &str = include_str!("../../docs/operating/metrics.md");

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

impl Kind {
    fn named(name: &str) -> Option<Self> {
        match name {
            "counter" => Some(Self::Counter),
            "gauge" => Some(Self::Gauge),
            "histogram" => Some(Self::Histogram),
            _ => None,
        }
    }
}

/// Every metric of the document, out of rows `| name | type | unit | what |`.
pub(crate) fn documented() -> Vec<(String, Kind)> {
    let rows = DOCUMENT.lines().map(|line| line.split('|').map(str::trim).collect::<Vec<_>>());
    let rows = rows.filter(|cells| cells.len() == 6);
    rows.filter_map(|cells| Some((cells[1].trim_matches('`').to_owned(), Kind::named(cells[2])?)))
        .collect()
}

/// One reading of all metrics.
#[derive(Debug)]
pub(crate) struct Page {
    text: String,
    /// By name and labels, as written.
    samples: BTreeMap<String, f64>,
}

impl Page {
    /// Reads a page. What is not understood is an error: nothing is passed over.
    pub(crate) fn parse(text: String) -> anyhow::Result<Self> {
        let mut samples = BTreeMap::new();
        for line in text.lines().filter(|line| !line.starts_with("# ")) {
            let (name, value) = line.rsplit_once(' ').with_context(|| format!("{line:?}"))?;
            let value = value.parse().with_context(|| format!("{line:?}"))?;
            ensure!(samples.insert(name.to_owned(), value).is_none(), "{name} is there twice");
        }
        Ok(Self { text, samples })
    }

    /// The samples of this very name, with their labels.
    pub(crate) fn samples(&self, name: &str) -> impl Iterator<Item = (&str, f64)> {
        let own = move |sample: &str| sample.split('{').next() == Some(name);
        let samples = self.samples.iter().filter(move |(sample, _)| own(sample));
        samples.map(|(sample, value)| (sample.as_str(), *value))
    }

    /// All samples of this name together: all shards, whatever else the labels say.
    pub(crate) fn sum(&self, name: &str) -> f64 {
        self.samples(name).map(|(_, value)| value).sum()
    }

    /// Whether Prometheus's own tool has something to say about it.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        let mut promtool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("promtool, of Debian's package prometheus")?;
        let mut stdin = promtool.stdin.take().context("no stdin")?;
        stdin.write_all(self.text.as_bytes()).await?;
        drop(stdin);
        let output = promtool.wait_with_output().await?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        ensure!(output.status.success() && said.is_empty(), "{said}\n{}", self.text);
        Ok(())
    }
}
