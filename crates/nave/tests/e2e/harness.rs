//! Real processes on loopback ports: start, wait until ready, ask, kill by process id.
//!
//! Every wait polls a condition with a deadline. Dropping a [`Server`] ends its process.

use std::fs;
use std::future::Future;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nave_base::clock::{SharedClock, SystemClock};
use serde_json::Value;
use tempfile::TempDir;

/// The binary under test.
pub(crate) const NAVE: &str = env!("CARGO_BIN_EXE_nave");

/// How long anything may take before a test fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running program with a folder of its own.
pub(crate) struct Server {
    pub(crate) port: u16,
    pub(crate) home: PathBuf,
    program: PathBuf,
    args: Vec<String>,
    child: Option<Child>,
    client: reqwest::Client,
    clock: SharedClock,
    ready_path: &'static str,
    _dir: Option<TempDir>,
}

/// A port that was free a moment ago.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A client of its own; the TLS provider is installed once per test process.
pub(crate) fn client() -> reqwest::Client {
    // Another test of this process may have installed it already.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    reqwest::Client::new()
}

impl Server {
    /// Starts `program` with `args` in a folder that holds `files`, and waits until `ready_path` answers
    /// 200. `{port}` and `{home}` are replaced in arguments and files.
    pub(crate) async fn start(
        program: impl AsRef<Path>,
        args: &[&str],
        files: &[(&str, &str)],
        ready_path: &'static str,
    ) -> Self {
        let mut server = Self::prepare(program, args, files, ready_path);
        server.launch();
        server.wait_ready().await;
        server
    }

    /// As [`Server::start`], without starting.
    pub(crate) fn prepare(
        program: impl AsRef<Path>,
        args: &[&str],
        files: &[(&str, &str)],
        ready_path: &'static str,
    ) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().to_owned();
        let port = free_port();
        let fill = |text: &str| {
            text.replace("{port}", &port.to_string()).replace("{home}", &home.display().to_string())
        };
        for (name, text) in files {
            fs::write(home.join(name), fill(text)).unwrap();
        }
        Self {
            port,
            program: program.as_ref().to_owned(),
            args: args.iter().map(|arg| fill(arg)).collect(),
            home,
            child: None,
            client: client(),
            clock: SystemClock::shared(),
            ready_path,
            _dir: Some(dir),
        }
    }

    /// A hub with the receiver on; `more` are further arguments.
    pub(crate) async fn hub(config: &str, more: &[&str]) -> Self {
        Self::prometheus(NAVE, config, more).await
    }

    /// A Prometheus, or what stands in for it, with the receiver on; `more` are further arguments.
    pub(crate) async fn prometheus(program: impl AsRef<Path>, config: &str, more: &[&str]) -> Self {
        let mut args = vec![
            "--config.file=prometheus.yml",
            "--storage.tsdb.path=data",
            "--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
        ];
        args.extend(more);
        Self::start(program, &args, &[("prometheus.yml", config)], "/-/ready").await
    }

    /// An agent; `more` are further arguments.
    pub(crate) async fn agent(config: &str, more: &[&str]) -> Self {
        let mut args = vec![
            "--agent",
            "--config.file=prometheus.yml",
            "--storage.agent.path=data-agent",
            "--web.listen-address=127.0.0.1:{port}",
        ];
        args.extend(more);
        Self::start(NAVE, &args, &[("prometheus.yml", config)], "/-/ready").await
    }

    /// Starts the process; its output is appended to `log` in its folder.
    pub(crate) fn launch(&mut self) {
        assert!(self.child.is_none(), "already running");
        let log = fs::OpenOptions::new().create(true).append(true).open(self.home.join("log")).unwrap();
        let child = Command::new(&self.program)
            .args(&self.args)
            .current_dir(&self.home)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        self.child = Some(child);
    }

    /// Waits until the ready path answers 200.
    pub(crate) async fn wait_ready(&mut self) {
        let url = self.url(self.ready_path);
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.as_mut().and_then(|child| child.try_wait().unwrap()) {
                panic!("{} ended with {status}:\n{}", self.program.display(), self.log());
            }
            if self.client.get(&url).send().await.is_ok_and(|answer| answer.status() == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "{} is not ready:\n{}", self.program.display(), self.log());
            self.clock.sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().expect("running");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGKILL while others still use the server; [`Server::reap`] must follow.
    pub(crate) fn kill_in_use(&self) {
        self.signal(rustix::process::Signal::KILL);
    }

    /// Waits for the end of a killed process.
    pub(crate) fn reap(&mut self) {
        self.child.take().expect("running").wait().unwrap();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let id = self.child.as_ref().expect("running").id();
        let pid = rustix::process::Pid::from_raw(i32::try_from(id).unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) async fn stop(&mut self) -> std::process::ExitStatus {
        self.signal(rustix::process::Signal::TERM);
        let mut child = self.child.take().expect("running");
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "did not stop:\n{}", self.log());
            self.clock.sleep(Duration::from_millis(20)).await;
        }
    }

    /// SIGHUP.
    pub(crate) fn hang_up(&self) {
        self.signal(rustix::process::Signal::HUP);
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.home.join("log")).unwrap_or_default()
    }

    /// An address below this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// Status and body of a GET.
    pub(crate) async fn get(&self, path: &str) -> (u16, String) {
        let answer = self.client.get(self.url(path)).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Status and body of a remote-write POST.
    pub(crate) async fn write(&self, body: Vec<u8>) -> Result<(u16, String), reqwest::Error> {
        let request = self
            .client
            .post(self.url("/api/v1/write"))
            .header("Content-Type", "application/x-protobuf")
            .header("Content-Encoding", "snappy")
            .header("X-Prometheus-Remote-Write-Version", "0.1.0")
            .body(body);
        let answer = request.send().await?;
        Ok((answer.status().as_u16(), answer.text().await?))
    }

    /// The answer of an API path with parameters.
    pub(crate) async fn api(&self, path: &str, params: &[(&str, &str)]) -> Value {
        let mut url = reqwest::Url::parse(&self.url(path)).unwrap();
        url.query_pairs_mut().extend_pairs(params);
        let body = self.client.get(url).send().await.unwrap().bytes().await.unwrap();
        serde_json::from_slice(&body)
            .unwrap_or_else(|error| panic!("{path}: {error}: {}", String::from_utf8_lossy(&body)))
    }

    /// The result rows of an instant query now.
    pub(crate) async fn query(&self, query: &str) -> Vec<Value> {
        let answer = self.api("/api/v1/query", &[("query", query)]).await;
        assert_eq!(answer["status"], "success", "{query}: {answer}");
        answer["data"]["result"].as_array().cloned().unwrap_or_default()
    }

    /// The single number of an instant query, if it has exactly one row.
    pub(crate) async fn number(&self, query: &str) -> Option<f64> {
        let rows = self.query(query).await;
        let [row] = rows.as_slice() else { return None };
        row["value"][1].as_str()?.parse().ok()
    }

    /// Polls until `condition` gives something.
    pub(crate) async fn until<T, F>(&self, what: &str, mut condition: impl FnMut() -> F) -> T
    where
        F: Future<Output = Option<T>>,
    {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            assert!(Instant::now() < deadline, "{what}: not within {PATIENCE:?}; log:\n{}", self.log());
            self.clock.sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A program of `scripts/peers`, or `None` after saying loudly that the test is skipped.
pub(crate) fn peer(name: &str) -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let peers = std::env::var_os("NAVE_PEERS").map_or_else(|| root.join(".cache/peers"), PathBuf::from);
    let program = peers.join("usr/bin").join(name);
    if program.exists() {
        return Some(program);
    }
    assert!(std::env::var_os("CI").is_none(), "{} is missing: run scripts/peers", program.display());
    eprintln!("SKIPPED: {} is missing; run scripts/peers", program.display());
    None
}

/// A file of the corpora, or `None` after saying loudly that the test is skipped.
pub(crate) fn corpus(path: &str) -> Option<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let corpora =
        std::env::var_os("NAVE_CORPORA").map_or_else(|| root.join("../shared/corpora"), PathBuf::from);
    let file = corpora.join(path);
    match fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "{}: {error}; set NAVE_CORPORA", file.display());
            eprintln!("SKIPPED: corpora not found at {}: {error}", file.display());
            None
        }
    }
}
