//! The way of a sample from a spoke to its hub: name, connection, TLS, credentials, clock, size, write, read back.
//! Each step rests on the one before, so the first that fails is the broken link.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use nave_base::clock::{SharedClock, SystemClock};
use nave_base::random::Random;
use nave_http::client::header::{
    CONTENT_ENCODING, CONTENT_TYPE, DATE, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER,
};
use nave_http::client::{Client, Error, Request, Response, StatusCode, Url};
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_remote::RemoteWriteConfig;
use nave_wire::remote_write::{self, Message, VERSION_HEADER};
use nave_wire::write_v1::Encoder;
use serde_json::Value;

use super::report::{Mark, Report};
use crate::server::hostname;

/// The series that is written and read back; one sample a run.
const PROBE: &str = "nave_doctor_probe";
/// For a connection, and for one exchange over it.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often, and after which pauses, the sample is looked for at the hub.
const LOOKS: u32 = 5;
const PAUSE: Duration = Duration::from_millis(300);
/// What a sample takes on the wire with its labels, measured over fleets of exporters.
const SAMPLE_BYTES: usize = 42;
/// How far the clocks may be apart. The hub's is read to the second.
const SKEW_SECONDS_MAX: i64 = 5;
/// How much of an error's text is shown.
const EXCERPT_BYTES: usize = 300;

/// Why the walk ends: the step, what was seen, what to do.
struct Broken {
    step: &'static str,
    seen: String,
    advice: String,
}

impl Broken {
    fn new(step: &'static str, seen: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { step, seen: seen.into(), advice: advice.into() }
    }
}

/// What a step saw, or why the walk ends there.
type Seen<T> = Result<T, Broken>;

struct Link<'a> {
    endpoint: &'a RemoteWriteConfig,
    url: Url,
    client: Client,
    clock: SharedClock,
}

/// Walks the way to `endpoint` with a sample that has `labels`.
pub(super) async fn walk(
    endpoint: &RemoteWriteConfig,
    labels: &[(String, String)],
    report: &mut Report,
) -> Result<()> {
    let url = Url::parse(&endpoint.url).context("remote_write: url")?;
    report.about(&format!("{} ({})", without_secrets(&url), endpoint.remote_name()))?;
    let client = match Client::new(&endpoint.http(), "remote_write") {
        Ok(client) => client,
        Err(error) => {
            return report.step(
                Mark::Bad,
                "config",
                &error.to_string(),
                "nothing was sent: mend the settings of the endpoint",
            );
        }
    };
    let link = Link { endpoint, url, client, clock: SystemClock::shared() };
    match link.steps(labels, report).await? {
        Ok(()) => Ok(()),
        Err(broken) => report.step(Mark::Bad, broken.step, &broken.seen, &broken.advice),
    }
}

/// A URL without its user and password.
fn without_secrets(url: &Url) -> Url {
    let mut url = url.clone();
    // Fails for URLs that cannot have any.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url
}

/// Ends the steps with what is broken.
macro_rules! or_stop {
    ($seen:expr) => {
        match $seen {
            Ok(seen) => seen,
            Err(broken) => return Ok(Err(broken)),
        }
    };
}

impl Link<'_> {
    async fn steps(&self, labels: &[(String, String)], report: &mut Report) -> Result<Seen<()>> {
        let proxy = self.endpoint.http().proxy();
        if proxy.url.is_empty() && !proxy.from_environment {
            let addresses = or_stop!(self.resolve().await);
            report.step(Mark::Good, "dns", &format!("{} is {}", self.host(), list(&addresses)), "")?;
            let (address, took) = or_stop!(connect(&addresses).await);
            report.step(Mark::Good, "tcp", &format!("{address} answers in {took:.1?}"), "")?;
        } else {
            report.step(
                Mark::Note,
                "dns",
                "a proxy is asked, so name and connection are the proxy's to find",
                "",
            )?;
        }
        let empty = or_stop!(self.post(Encoder::new().finish(), "tls").await);
        if self.url.scheme() == "https" {
            report.step(Mark::Good, "tls", "certificate and protocol are accepted by both ends", "")?;
        } else {
            report.step(Mark::Note, "tls", "not used: credentials and samples travel in clear text", "")?;
        }
        let date = empty.headers().get(DATE).and_then(|date| date.to_str().ok()).map(ToOwned::to_owned);
        or_stop!(judge(empty, "auth").await);
        report.step(Mark::Good, "auth", &format!("accepted with {}", self.credentials()), "")?;
        or_stop!(self.clock(date.as_deref(), report)?);
        or_stop!(self.size(report).await?);
        let (series, at) = or_stop!(self.write(labels, report).await?);
        self.read_back(&series, at, report).await?;
        Ok(Ok(()))
    }

    fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    async fn resolve(&self) -> Seen<Vec<SocketAddr>> {
        // The brackets of an IPv6 address are the URL's.
        let host = self.host().trim_matches(['[', ']']);
        let port = self.url.port_or_known_default().unwrap_or_default();
        let advice =
            "the name is wrong, or this host's resolver does not know it: compare with `getent hosts`";
        match tokio::time::timeout(PATIENCE, tokio::net::lookup_host((host, port))).await {
            Ok(Ok(found)) => {
                let found: Vec<_> = found.collect();
                if found.is_empty() {
                    Err(Broken::new("dns", format!("{host} has no address"), advice))
                } else {
                    Ok(found)
                }
            }
            Ok(Err(error)) => Err(Broken::new("dns", format!("{host}: {error}"), advice)),
            Err(_) => Err(Broken::new(
                "dns",
                format!("{host}: no answer within {PATIENCE:?}"),
                "the resolver does not answer: see /etc/resolv.conf",
            )),
        }
    }

    /// What is sent to say who this is, without saying it.
    fn credentials(&self) -> String {
        let http = self.endpoint.http();
        if let Some(basic) = &http.basic_auth {
            return format!("basic auth of user {:?}", basic.username);
        }
        if http.oauth2.is_some() {
            return "an OAuth2 token".to_owned();
        }
        let has_token =
            http.authorization.is_some() || http.bearer_token.is_some() || http.bearer_token_file.is_some();
        if has_token { "a token".to_owned() } else { "no credentials".to_owned() }
    }

    /// Posts a body of remote write 1.0, which every receiver takes. No answer at all is `step`'s failure unless the error
    /// tells a better one.
    async fn post(&self, body: Vec<u8>, step: &'static str) -> Seen<Response> {
        let mut request = Request::post(self.url.clone(), body.into(), PATIENCE);
        let settings = |why: String| Broken::new("config", why, "mend `headers` of the endpoint");
        for (name, value) in &self.endpoint.headers {
            let name =
                HeaderName::from_bytes(name.as_bytes()).map_err(|error| settings(error.to_string()))?;
            request
                .headers
                .insert(name, HeaderValue::from_str(value).map_err(|error| settings(error.to_string()))?);
        }
        add_format(&mut request.headers);
        self.client.send(request).await.map_err(|error| broken_exchange(&error, step))
    }

    fn clock(&self, date: Option<&str>, report: &mut Report) -> Result<Seen<()>> {
        let Some(hub) = date.and_then(|date| jiff::fmt::rfc2822::parse(date).ok()) else {
            report.step(Mark::Note, "clock", "the hub does not say what time it has", "")?;
            return Ok(Ok(()));
        };
        let apart = self.clock.now_ms() / 1000 - hub.timestamp().as_second();
        if apart.abs() > SKEW_SECONDS_MAX {
            let side = if apart > 0 { "ahead of" } else { "behind" };
            let seen = format!("this host is {} s {side} the hub", apart.abs());
            return Ok(Err(Broken::new(
                "clock",
                seen,
                "set both clocks by NTP: samples would lie at wrong times, or be refused as too new",
            )));
        }
        report.step(Mark::Good, "clock", &format!("within {SKEW_SECONDS_MAX} s of the hub's"), "")?;
        Ok(Ok(()))
    }

    /// Sends as many bytes as a full batch has, none of which is a sample.
    async fn size(&self, report: &mut Report) -> Result<Seen<()>> {
        let samples = self.endpoint.queue_config.max_samples_per_send;
        let bytes = samples.saturating_mul(SAMPLE_BYTES).min(16 << 20);
        let random = Random::from_system();
        let noise: Vec<u8> = (0..bytes / 8).flat_map(|_| random.u64().to_le_bytes()).collect();
        let mut encoder = Encoder::new();
        encoder.padding(&noise);
        let answer = or_stop!(self.post(encoder.finish(), "size").await);
        or_stop!(judge(answer, "size").await);
        report.step(
            Mark::Good,
            "size",
            &format!("{} kB are taken, as a batch of {samples} samples has", bytes / 1000),
            "",
        )?;
        Ok(Ok(()))
    }

    /// Writes one sample; the labels that find it again, and its time.
    async fn write(
        &self,
        labels: &[(String, String)],
        report: &mut Report,
    ) -> Result<Seen<(Labels, Timestamp)>> {
        let own = [("__name__".to_owned(), PROBE.to_owned()), ("instance".to_owned(), hostname())];
        let others = labels.iter().filter(|(name, _)| name != "instance").cloned();
        let series = Labels::from_pairs(own.into_iter().chain(others))
            .map_err(|error| anyhow!("external_labels: {error}"))?;
        let at = Timestamp(self.clock.now_ms());
        let mut encoder = Encoder::new();
        encoder.series(&series, &[(at, 1.0)]);
        let answer = or_stop!(self.post(encoder.finish(), "write").await);
        or_stop!(judge(answer, "write").await);
        report.step(Mark::Good, "write", &format!("one sample of {PROBE} is acknowledged"), "")?;
        Ok(Ok((series, at)))
    }

    async fn read_back(&self, series: &Labels, at: Timestamp, report: &mut Report) -> Result<()> {
        let instance = series.get("instance");
        let query = format!("max(timestamp({PROBE}{{instance={instance:?}}}))");
        let mut url = super::base(self.endpoint)?.join("api/v1/query")?;
        url.query_pairs_mut().append_pair("query", &query).append_pair("nocache", "1");
        for _ in 0..LOOKS {
            match self.newest(&url).await {
                Ok(Some(newest)) if newest >= at.0 => {
                    return report.step(Mark::Good, "read", "the sample is in the hub's answer", "");
                }
                Ok(_) => SystemClock::shared().sleep(PAUSE).await,
                Err(why) => {
                    let seen = format!("not looked at: {why}");
                    return report.step(
                        Mark::Note,
                        "read",
                        &seen,
                        "a credential that may only write cannot read; look at the hub itself",
                    );
                }
            }
        }
        let advice = "the endpoint acknowledges but does not store, or it is not where queries are answered: check that the URL is the hub's";
        report.step(
            Mark::Bad,
            "read",
            &format!("no answer has the sample within {:?}", PAUSE * LOOKS),
            advice,
        )
    }

    /// The time of the newest sample that the hub has of the probe, in ms.
    async fn newest(&self, url: &Url) -> Result<Option<i64>, String> {
        let answer =
            self.client.send(Request::get(url.clone(), PATIENCE)).await.map_err(|error| error.to_string())?;
        let status = answer.status();
        if !status.is_success() {
            return Err(format!("a query is answered with {status}"));
        }
        let text = answer.text_prefix(64 << 10).await;
        let answer: Value =
            serde_json::from_str(&text).map_err(|_| "the answer to a query is no JSON".to_owned())?;
        let seconds =
            answer["data"]["result"][0]["value"][1].as_str().and_then(|text| text.parse::<f64>().ok());
        Ok(seconds.map(|seconds| (seconds * 1000.0).round() as i64))
    }
}

fn add_format(headers: &mut HeaderMap) {
    headers.insert(CONTENT_ENCODING, HeaderValue::from_static(remote_write::CONTENT_ENCODING));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(Message::V1.content_type()));
    if let Ok(version) = HeaderName::try_from(VERSION_HEADER) {
        headers.insert(version, HeaderValue::from_static(Message::V1.version()));
    }
}

async fn connect(addresses: &[SocketAddr]) -> Seen<(SocketAddr, Duration)> {
    let clock = SystemClock::shared();
    let mut failures = Vec::new();
    for address in addresses {
        let begin = clock.monotonic();
        match tokio::time::timeout(PATIENCE, tokio::net::TcpStream::connect(address)).await {
            Ok(Ok(_)) => return Ok((*address, clock.monotonic().saturating_sub(begin))),
            Ok(Err(error)) => failures
                .push((format!("{address}: {error}"), error.kind() == std::io::ErrorKind::ConnectionRefused)),
            Err(_) => failures.push((format!("{address}: no answer within {PATIENCE:?}"), false)),
        }
    }
    let advice = if failures.iter().any(|(_, refused)| *refused) {
        "nothing listens there: is the hub running, and is the port right (--web.listen-address)?"
    } else {
        "packets are lost on the way: look at firewalls, security groups, network policies and routes"
    };
    let seen: Vec<_> = failures.into_iter().map(|(seen, _)| seen).collect();
    Err(Broken::new("tcp", seen.join("; "), advice))
}

fn broken_exchange(error: &Error, step: &'static str) -> Broken {
    let (step, advice) = match error {
        Error::Dns { .. } => {
            ("dns", "the name of the hub or of the proxy is not known to this host's resolver")
        }
        Error::Refused { .. } => ("tcp", "nothing listens there: is the hub, or the proxy, running?"),
        Error::Unreachable { .. } => ("tcp", "look at firewalls, network policies and routes"),
        Error::Tls(_) => (
            "tls",
            "tls_config of the endpoint: ca_file for a CA of your own, server_name for another name, cert_file and key_file where the hub wants a certificate",
        ),
        Error::CredentialFile { .. } | Error::Token(_) => ("auth", "the credentials cannot be read here"),
        Error::Settings(_) => ("config", "mend the settings of the endpoint"),
        Error::Timeout(_) => (
            step,
            "the connection stands, but no answer comes: look at the hub's load, and at what stands between",
        ),
        Error::Reset(_) if step == "tls" => (
            step,
            "the other end hangs up: does it expect TLS (https) or none (http), or a client certificate?",
        ),
        _ => (
            step,
            "something between this host and the hub breaks the exchange off: look at the logs of ingress and hub",
        ),
    };
    Broken::new(step, error.to_string(), advice)
}

/// Looks at the status of an answer to `step`; the cause may be another than the step is about.
async fn judge(answer: Response, step: &'static str) -> Seen<()> {
    let status = answer.status();
    if status.is_success() {
        return Ok(());
    }
    let wait = answer.headers().get(RETRY_AFTER).and_then(|wait| wait.to_str().ok()).map(ToOwned::to_owned);
    let text = answer.text_prefix(EXCERPT_BYTES).await;
    let seen = format!("{status}: {}", text.lines().next().unwrap_or_default().trim());
    let (step, advice) = match status {
        StatusCode::UNAUTHORIZED => (
            "auth",
            "the hub does not know these credentials: make new ones by `nave cluster add NAME` at the hub",
        ),
        StatusCode::FORBIDDEN => ("auth", "the credentials are known but may not write here"),
        StatusCode::PROXY_AUTHENTICATION_REQUIRED => {
            ("auth", "the proxy wants credentials: proxy_connect_header")
        }
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => (
            "write",
            "nothing takes samples at this path: start the hub with --web.enable-remote-write-receiver or --clusters.file, and check path and prefix of the URL",
        ),
        StatusCode::PAYLOAD_TOO_LARGE => (
            "size",
            "raise the limit of the ingress or of --web.remote-write-receiver.max-body-bytes, or lower queue_config.max_samples_per_send",
        ),
        StatusCode::TOO_MANY_REQUESTS => {
            ("rate", "a limit of this cluster is used up: raise it in the hub's clusters file, or send less")
        }
        StatusCode::SERVICE_UNAVAILABLE | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => (
            "hub",
            "the hub is starting, overloaded or away behind its ingress; senders keep their samples and try again",
        ),
        status if status.is_redirection() => {
            ("write", "the URL leads elsewhere: use the one it redirects to")
        }
        _ => (step, "the text is the receiver's; its log may say more"),
    };
    let wait = wait.map_or_else(String::new, |wait| format!(" (Retry-After: {wait})"));
    Err(Broken::new(step, seen + &wait, advice))
}

fn list(addresses: &[SocketAddr]) -> String {
    let mut hosts: Vec<_> = addresses.iter().map(|address| address.ip().to_string()).collect();
    hosts.dedup();
    hosts.join(", ")
}
