//! `nave demo`: a hub and two agents as real processes with real host metrics on this machine.
//!
//! Everything it writes is in one folder, and it ends what it started: on Ctrl-C, when one of the
//! three fails, and (through the kernel) when it is killed itself.

use std::collections::BTreeMap;
use std::fs;
use std::io::{IsTerminal, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nave_base::clock::{SharedClock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};

use crate::flag;

/// Set for the processes of the demo: they end when their parent does.
pub(crate) const DIE_WITH_PARENT: &str = "NAVE_DIE_WITH_PARENT";

const READY_WITHIN: Duration = Duration::from_secs(30);
const DATA_WITHIN: Duration = Duration::from_secs(60);
const STOP_WITHIN: Duration = Duration::from_secs(10);

const QUERIES: [&str; 5] = [
    "up",
    "node_cpu_seconds_total{cluster=\"spoke1\"}",
    "100 - avg by (cluster) (rate(node_cpu_seconds_total{mode=\"idle\"}[1m])) * 100",
    "1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes",
    "count({__name__=~\".+\"}) by (cluster)",
];

/// One of the three processes.
struct Process {
    name: &'static str,
    port: u16,
    child: Child,
    log: PathBuf,
}

/// Runs until Ctrl-C or a failure.
pub(crate) async fn run(flags: flag::Demo) -> Result<()> {
    let clock = SystemClock::shared();
    let ports = [flags.port, flags.port.saturating_add(1), flags.port.saturating_add(2)];
    check_ports(&ports)?;
    let dir = make_dir(flags.dir)?;
    say(&format!("Files of this demo: {}", dir.display()))?;
    let mut processes = Vec::new();
    let interval = flags.interval.to_string();
    let outcome = tokio::select! {
        outcome = show(&clock, &dir, ports, &interval, &mut processes) => outcome,
        signal = crate::signal::interrupted() => signal.map(drop),
    };
    say("\nStopping.")?;
    stop(&clock, &mut processes).await;
    outcome
}

async fn show(
    clock: &SharedClock,
    dir: &Path,
    ports: [u16; 3],
    interval: &str,
    processes: &mut Vec<Process>,
) -> Result<()> {
    start(dir, ports, interval, processes)?;
    let started = Instant::now();
    for process in &mut *processes {
        wait_ready(clock, process).await?;
    }
    introduce(processes)?;
    let hub = Hub { client: reqwest::Client::new(), port: ports[0] };
    while hub.clusters().await.unwrap_or_default().len() < 2 {
        if started.elapsed() > DATA_WITHIN {
            bail!(
                "no samples of both clusters at the hub after {DATA_WITHIN:?}; the logs are in {}",
                dir.display()
            );
        }
        clock.sleep(Duration::from_millis(200)).await;
    }
    say(&format!(
        "Both clusters' samples are at the hub, {:.1} s after start.\n",
        started.elapsed().as_secs_f64()
    ))?;
    follow(clock, &hub, processes).await
}

fn check_ports(ports: &[u16]) -> Result<()> {
    for port in ports {
        TcpListener::bind(("0.0.0.0", *port)).with_context(|| {
            format!(
                "port {port} is taken by another program; stop it, or choose three free ports with --port"
            )
        })?;
    }
    Ok(())
}

fn make_dir(asked: Option<PathBuf>) -> Result<PathBuf> {
    let dir = asked.unwrap_or_else(|| std::env::temp_dir().join(format!("nave-demo-{}", std::process::id())));
    fs::create_dir_all(&dir).with_context(|| format!("cannot make the folder {}", dir.display()))?;
    dir.canonicalize().with_context(|| format!("cannot resolve {}", dir.display()))
}

fn start(dir: &Path, ports: [u16; 3], interval: &str, processes: &mut Vec<Process>) -> Result<()> {
    let [hub, spoke1, spoke2] = ports;
    let config = hub_config(hub, interval);
    let flags = ["hub", "--web.enable-remote-write-receiver", "--storage.tsdb.path=data"];
    processes.push(spawn(dir, "hub", hub, &config, &flags)?);
    for (name, port) in [("spoke1", spoke1), ("spoke2", spoke2)] {
        let config = agent_config(name, port, hub, interval);
        let flags = ["agent", "--exporter.node", "--storage.agent.path=data-agent"];
        processes.push(spawn(dir, name, port, &config, &flags)?);
    }
    Ok(())
}

fn hub_config(port: u16, interval: &str) -> String {
    format!(
        "global:\n  scrape_interval: {interval}\n  scrape_timeout: {interval}\n\
         scrape_configs:\n  - job_name: hub\n    static_configs:\n      - targets: ['127.0.0.1:{port}']\n"
    )
}

fn agent_config(cluster: &str, port: u16, hub: u16, interval: &str) -> String {
    format!(
        "global:\n  scrape_interval: {interval}\n  scrape_timeout: {interval}\n  external_labels:\n    cluster: {cluster}\n\
         scrape_configs:\n  - job_name: agent\n    static_configs:\n      - targets: ['127.0.0.1:{port}']\n\
         remote_write:\n  - url: http://127.0.0.1:{hub}/api/v1/write\n    queue_config:\n      batch_send_deadline: 1s\n"
    )
}

fn spawn(dir: &Path, name: &'static str, port: u16, config: &str, flags: &[&str]) -> Result<Process> {
    let home = dir.join(name);
    fs::create_dir_all(&home).with_context(|| format!("cannot make the folder {}", home.display()))?;
    fs::write(home.join("prometheus.yml"), config)?;
    let log = home.join("log");
    let output = fs::File::create(&log)?;
    let child = std::process::Command::new(std::env::current_exe()?)
        .args(flags)
        .arg("--config.file=prometheus.yml")
        .arg(format!("--web.listen-address=0.0.0.0:{port}"))
        .current_dir(&home)
        .env(DIE_WITH_PARENT, "1")
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(output)
        .spawn()
        .with_context(|| format!("cannot start {name}"))?;
    Ok(Process { name, port, child, log })
}

async fn wait_ready(clock: &SharedClock, process: &mut Process) -> Result<()> {
    let url = format!("http://127.0.0.1:{}/-/ready", process.port);
    let client = reqwest::Client::new();
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        process.check()?;
        let answer = client.get(&url).send().await;
        if answer.is_ok_and(|answer| answer.status().is_success()) {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "{} is not ready after {READY_WITHIN:?}; its log is {}",
                process.name,
                process.log.display()
            );
        }
        clock.sleep(Duration::from_millis(50)).await;
    }
}

impl Process {
    /// An error with the end of its log when it is gone.
    fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait()? else { return Ok(()) };
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(5).collect();
        let tail: Vec<_> = lines.into_iter().rev().collect();
        bail!(
            "{} ended with {status}; its log {} ends with\n{}",
            self.name,
            self.log.display(),
            tail.join("\n")
        )
    }
}

fn introduce(processes: &[Process]) -> Result<()> {
    say("")?;
    for Process { name, port, log, .. } in processes {
        say(&format!("  {name:<7} http://localhost:{port}   log {}", log.display()))?;
    }
    let hub = processes.first().map_or(0, |hub| hub.port);
    say("\nTry at the hub:")?;
    for query in QUERIES {
        say(&format!("  curl -s localhost:{hub}/api/v1/query --data-urlencode 'query={query}'"))?;
    }
    say("\nCtrl-C stops all three.\n")
}

impl Process {
    fn terminate(&self) {
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            // One that has ended already is still ours to wait for, so the id is not somebody else's.
            let _ = kill_process(pid, Signal::TERM);
        }
    }

    async fn wait(&mut self, clock: &SharedClock) {
        let deadline = Instant::now() + STOP_WITHIN;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            clock.sleep(Duration::from_millis(20)).await;
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Asks the hub about its clusters.
struct Hub {
    client: reqwest::Client,
    port: u16,
}

impl Hub {
    /// Clusters whose host metrics have arrived.
    async fn clusters(&self) -> Result<BTreeMap<String, f64>> {
        self.by_cluster("count by (cluster) (node_cpu_seconds_total{cluster=~\"spoke.+\"})").await
    }

    /// Samples per second that each cluster's agent has delivered between its last two scrapes of itself.
    async fn rates(&self) -> Result<BTreeMap<String, f64>> {
        let delivered = "prometheus_remote_storage_samples_total{cluster=~\"spoke.+\"}";
        self.by_cluster(&format!("sum by (cluster) (irate({delivered}[5m]))")).await
    }

    async fn by_cluster(&self, query: &str) -> Result<BTreeMap<String, f64>> {
        let url = format!("http://127.0.0.1:{}/api/v1/query", self.port);
        let mut url = reqwest::Url::parse(&url)?;
        url.query_pairs_mut().append_pair("query", query);
        let body = self.client.get(url).send().await?.bytes().await?;
        let answer: serde_json::Value = serde_json::from_slice(&body)?;
        let result = answer["data"]["result"].as_array().context("no result")?;
        let rate = |row: &serde_json::Value| {
            let cluster = row["metric"]["cluster"].as_str()?.to_owned();
            Some((cluster, row["value"][1].as_str()?.parse().ok()?))
        };
        Ok(result.iter().filter_map(rate).collect())
    }
}

async fn follow(clock: &SharedClock, hub: &Hub, processes: &mut [Process]) -> Result<()> {
    let terminal = std::io::stdout().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 10 });
    loop {
        for process in &mut *processes {
            process.check()?;
        }
        let line = match hub.rates().await {
            Ok(rates) if rates.is_empty() => "waiting for the second scrape".to_owned(),
            Ok(rates) => {
                let parts: Vec<_> =
                    rates.iter().map(|(cluster, rate)| format!("{cluster} {rate:.0} samples/s")).collect();
                parts.join("   ")
            }
            Err(error) => format!("hub does not answer: {error}"),
        };
        if terminal {
            let mut out = std::io::stdout().lock();
            write!(out, "\r\x1b[K{line}")?;
            out.flush()?;
        } else {
            say(&line)?;
        }
        clock.sleep(every).await;
    }
}

/// The agents first, so that they can deliver what they hold, then the hub: SIGTERM, and SIGKILL to who
/// does not end in time. By process id, never by name.
async fn stop(clock: &SharedClock, processes: &mut [Process]) {
    let Some((hub, agents)) = processes.split_first_mut() else { return };
    for agent in agents.iter() {
        agent.terminate();
    }
    for agent in agents {
        agent.wait(clock).await;
    }
    hub.terminate();
    hub.wait(clock).await;
}

fn say(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("cannot write to standard output")
}
