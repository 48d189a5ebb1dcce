//! What a hub knows of its clusters, and what of it is wrong.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use nave_http::client::{Client, Request};
use nave_remote::RemoteWriteConfig;
use serde::Deserialize;

use super::report::{Mark, Report};

const PATIENCE: Duration = Duration::from_secs(10);
/// A thousand clusters have about 1 MB.
const ANSWER_BYTES_MAX: usize = 64 << 20;
/// From here on the newest sample of a cluster is noted as old.
const LAG_SECONDS_MAX: f64 = 120.0;
/// How far a sender's clock may be from the hub's.
const SKEW_SECONDS_MAX: f64 = 5.0;
/// Share of a limit of series from which it is noted.
const SERIES_SHARE_MAX: f64 = 0.9;

#[derive(Debug, Deserialize)]
struct Answer {
    data: Known,
}

#[derive(Debug, Deserialize)]
struct Known {
    clusters: Vec<Cluster>,
}

/// A row of `/api/v1/clusters`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Cluster {
    name: String,
    silent: bool,
    last_contact: Option<String>,
    lag_seconds: Option<f64>,
    samples_per_second: f64,
    active_series: u64,
    rejected_samples: BTreeMap<String, u64>,
    throttled_requests: BTreeMap<String, u64>,
    clock_skew_seconds: Option<f64>,
    limits: BTreeMap<String, u64>,
}

/// Asks the hub of `endpoint` and says what is wrong with each cluster.
pub(super) async fn look(endpoint: &RemoteWriteConfig, report: &mut Report) -> Result<()> {
    let url = super::base(endpoint)?.join("api/v1/clusters")?;
    let client = Client::new(&endpoint.http(), "doctor")?;
    let asked = || format!("cannot ask {url}");
    let answer = client.send(Request::get(url.clone(), PATIENCE)).await.with_context(asked)?;
    let status = answer.status();
    let text = answer.text_prefix(ANSWER_BYTES_MAX).await;
    ensure!(
        status.is_success(),
        "{url} answers {status}: {}; is it a hub, and may this credential read?",
        text.trim()
    );
    let answer: Answer =
        serde_json::from_str(&text).with_context(|| format!("{url} does not answer as a hub does"))?;
    if answer.data.clusters.is_empty() {
        report.about("no cluster is known")?;
        return report.step(
            Mark::Bad,
            "none",
            "nothing has written to this hub, and it has no clusters file",
            "start it with --clusters.file and join a cluster by `nave cluster add NAME`",
        );
    }
    answer.data.clusters.iter().try_for_each(|cluster| tell(cluster, report))
}

fn tell(cluster: &Cluster, report: &mut Report) -> Result<()> {
    report.about(&cluster.name)?;
    let findings = findings(cluster);
    if findings.is_empty() {
        let seen = format!("{:.0} samples/s, {} series", cluster.samples_per_second, cluster.active_series);
        return report.step(Mark::Good, "live", &seen, "");
    }
    findings.into_iter().try_for_each(|(mark, name, seen, advice)| report.step(mark, name, &seen, advice))
}

type Finding = (Mark, &'static str, String, &'static str);

fn findings(cluster: &Cluster) -> Vec<Finding> {
    let mut found: Vec<Finding> = Vec::new();
    match &cluster.last_contact {
        None => found.push((
            Mark::Bad,
            "silent",
            "nothing ever came with its credentials".to_owned(),
            "run `nave doctor` on the spoke",
        )),
        Some(last) if cluster.silent => {
            found.push((
                Mark::Bad,
                "silent",
                format!("last heard of at {last}"),
                "run `nave doctor` on the spoke, and see whether its agent runs",
            ));
        }
        Some(_) => {}
    }
    if let Some(lag) = cluster.lag_seconds.filter(|lag| *lag > LAG_SECONDS_MAX && !cluster.silent) {
        found.push((
            Mark::Bad,
            "lag",
            format!("its newest sample is {lag:.0} s old"),
            "a backlog is being sent, or nothing new is scraped: see the agent's front page",
        ));
    }
    if let Some(skew) = cluster.clock_skew_seconds.filter(|skew| skew.abs() > SKEW_SECONDS_MAX) {
        found.push((
            Mark::Bad,
            "clock",
            format!("its clock is {skew:+.1} s off this hub's"),
            "set both clocks by NTP",
        ));
    }
    for (limit, count) in &cluster.throttled_requests {
        found.push((
            Mark::Note,
            "rate",
            format!("{count} requests were turned away by {limit}"),
            "raise the limit in the clusters file, or send less",
        ));
    }
    for (reason, count) in &cluster.rejected_samples {
        found.push((Mark::Note, "reject", format!("{count} samples were refused: {reason}"), advice(reason)));
    }
    let limit = cluster
        .limits
        .get("series")
        .filter(|limit| cluster.active_series as f64 >= **limit as f64 * SERIES_SHARE_MAX);
    if let Some(limit) = limit {
        let seen = format!("{} of {limit} series are in use", cluster.active_series);
        found.push((
            Mark::Note,
            "series",
            seen,
            "at the limit new series are refused: raise it, or see Storage for what makes so many",
        ));
    }
    found
}

/// What to do about samples that were refused for `reason`.
fn advice(reason: &str) -> &'static str {
    match reason {
        "contradicting_label" => {
            "the sender sets a cluster label of its own: drop it there, or see `contradiction` in docs/clusters.md"
        }
        "conflict" => "two senders write the same series: give each a label of its own",
        "too_old" => "the samples are older than retention",
        "too_new" => "the sender's clock is ahead",
        _ => "the sender's log has the hub's answer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster() -> Cluster {
        serde_json::from_value(serde_json::json!({
            "name": "a", "silent": false, "lastContact": "2026-11-20T00:00:00Z", "lagSeconds": 3.0, "samplesPerSecond": 10.0,
            "activeSeries": 50, "rejectedSamples": {}, "throttledRequests": {}, "clockSkewSeconds": 0.1,
            "limits": {"series": 100}
        }))
        .unwrap()
    }

    #[test]
    fn what_is_wrong_is_named() {
        let check = |change: fn(&mut Cluster), want: &[&str]| {
            let mut cluster = cluster();
            change(&mut cluster);
            let names: Vec<_> = findings(&cluster).iter().map(|(_, name, ..)| *name).collect();
            assert_eq!(names, want, "{cluster:?}");
        };
        check(|_| {}, &[]);
        check(|cluster| cluster.last_contact = None, &["silent"]);
        check(|cluster| (cluster.silent, cluster.lag_seconds) = (true, Some(900.0)), &["silent"]);
        check(|cluster| cluster.lag_seconds = Some(900.0), &["lag"]);
        check(|cluster| cluster.clock_skew_seconds = Some(-60.0), &["clock"]);
        check(|cluster| cluster.active_series = 95, &["series"]);
        check(|cluster| cluster.rejected_samples = [("conflict".to_owned(), 3)].into(), &["reject"]);
        check(
            |cluster| cluster.throttled_requests = [("limits.bytes_per_second".to_owned(), 3)].into(),
            &["rate"],
        );
    }
}
