//! The programs under test: how to start and stop them, and what /proc says about them.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// One `[[target]]` of a targets file.
///
/// In every text, `{data}`, `{dir}` and `{port}` stand for the data directory, the directory of the
/// generated files and the port; `{NAME}` in capitals for an environment variable. Agents also
/// have `{interval}` (such as `10s`), `{sink_url}` and `{sd_file}` (file_sd JSON).
#[derive(Debug, Clone, Deserialize)]
pub struct Def {
    pub name: String,
    /// Port on 127.0.0.1; 0 or left out: one that is free.
    #[serde(default)]
    pub port: u16,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Debian package that the program came in, where its name is another.
    pub package: Option<String>,
    /// Arguments that are added if the program's `--help` names them, for programs of several ages.
    #[serde(default)]
    pub optional: Vec<String>,
    /// Answers 200 once the server can be used.
    pub ready_url: String,
    /// Remote-write receiver (not for agents).
    #[serde(default)]
    pub write_url: String,
    /// Base of the query API, such as `…/api/v1` (not for agents).
    #[serde(default)]
    pub query_url: String,
    /// Arguments added to every query, such as `nocache=1`.
    #[serde(default)]
    pub query_args: BTreeMap<String, String>,
    /// Makes all that was written visible to queries and puts it on disk.
    pub flush_url: Option<String>,
    /// Makes the server write what it holds into `snapshot_dir` as finished blocks (POST).
    pub snapshot_url: Option<String>,
    pub snapshot_dir: Option<String>,
    /// Makes the server compact everything it can, and its method; 404 counts as having none.
    pub compact_url: Option<String>,
    #[serde(default = "post")]
    pub compact_method: String,
    /// The answer comes before the compaction is done.
    #[serde(default)]
    pub compact_background: bool,
    /// What files hold, by parts of their path below the data directory (or the snapshot): `numeric`,
    /// `index`, `log`, or `block` for a Nave block, whose footer says it. The first that fits counts.
    #[serde(default)]
    pub layout: BTreeMap<String, Vec<String>>,
    /// Takes the place of files of the same name when samples come late.
    #[serde(default)]
    pub late_files: BTreeMap<String, String>,
    /// Files to write into `{dir}` before the start, by name.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// The fixed texts of this run, by placeholder.
    #[serde(skip)]
    vars: BTreeMap<String, String>,
}

fn post() -> String {
    "POST".into()
}

#[derive(Deserialize)]
struct TargetsFile {
    target: Vec<Def>,
}

impl Def {
    pub fn fill(&self, text: &str) -> Result<String> {
        let mut out = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('{') {
            let name = after.split_once('}').map_or("", |p| p.0);
            let known = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            out.push_str(before);
            if known {
                let value = self.vars.get(name).cloned().or_else(|| std::env::var(name).ok());
                out.push_str(&value.with_context(|| format!("{}: nothing known for {{{name}}}", self.name))?);
                rest = &after[name.len() + 1..];
            } else {
                out.push('{');
                rest = after;
            }
        }
        out.push_str(rest);
        Ok(out)
    }
    /// The target's own directory: generated files, log, and the data directory `data`.
    pub fn dir(&self) -> PathBuf {
        PathBuf::from(&self.vars["dir"])
    }
    pub fn data(&self) -> PathBuf {
        PathBuf::from(&self.vars["data"])
    }
}

/// Reads a targets file; each target works under `work/<name>`. `only` picks some by name.
pub fn load(file: &Path, work: &Path, only: &[String], vars: &[(&str, String)]) -> Result<Vec<Def>> {
    let text = fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
    let mut defs =
        toml::from_str::<TargetsFile>(&text).with_context(|| format!("{}", file.display()))?.target;
    defs.retain(|d| only.is_empty() || only.contains(&d.name));
    anyhow::ensure!(!defs.is_empty(), "no such target in {}", file.display());
    fs::create_dir_all(work)?;
    let work = work.canonicalize()?;
    for def in &mut defs {
        let dir = work.join(&def.name);
        let show = |p: PathBuf| p.display().to_string();
        if def.port == 0 {
            def.port = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        }
        def.vars = vars.iter().map(|(n, v)| (n.to_string(), v.clone())).collect();
        def.vars.insert("port".into(), def.port.to_string());
        def.vars.insert("data".into(), show(dir.join("data")));
        def.vars.insert("dir".into(), show(dir));
        let d = def.clone();
        for text in [&mut def.ready_url, &mut def.write_url, &mut def.query_url]
            .into_iter()
            .chain(def.flush_url.as_mut())
            .chain(def.snapshot_url.as_mut())
            .chain(def.snapshot_dir.as_mut())
            .chain(def.compact_url.as_mut())
            .chain(&mut def.command)
        {
            *text = d.fill(text)?;
        }
        if !def.optional.is_empty() {
            let help = Command::new(&def.command[0]).arg("--help").stderr(Stdio::null()).output();
            let help = help.map(|o| String::from_utf8_lossy(&o.stdout).into_owned()).unwrap_or_default();
            let known = |a: &&String| help.contains(a.split('=').next().unwrap_or_default());
            def.command.extend(def.optional.iter().filter(known).cloned().collect::<Vec<_>>());
        }
    }
    Ok(defs)
}

/// A started program; killed when dropped.
pub struct Server {
    child: Child,
    pub pid: String,
    /// Seconds from the start of the process until it was ready.
    pub ready_seconds: f64,
    pub started: Instant,
    /// VmHWM before it was last set back, MiB as the bits of a double.
    peak_before: AtomicU64,
}

impl Server {
    /// Starts the target, on an empty data directory if `fresh`, and waits until it is ready.
    pub async fn start(def: &Def, fresh: bool) -> Result<Server> {
        let mut server = Server::spawn(def, fresh)?;
        server.ready(def).await?;
        Ok(server)
    }

    /// Starts the target and waits for nothing.
    pub fn spawn(def: &Def, fresh: bool) -> Result<Server> {
        anyhow::ensure!(
            std::net::TcpStream::connect(("127.0.0.1", def.port)).is_err(),
            "{}: something already listens on port {}",
            def.name,
            def.port
        );
        if fresh && def.dir().exists() {
            fs::remove_dir_all(def.dir())?;
        }
        fs::create_dir_all(def.data())?;
        for (name, text) in &def.files {
            fs::write(def.dir().join(name), def.fill(text)?)?;
        }
        let log = fs::File::options().create(true).append(true).open(def.dir().join("log"))?;
        let started = Instant::now();
        let child = Command::new(&def.command[0])
            .args(&def.command[1..])
            .current_dir(def.dir())
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| def.command[0].clone())?;
        let pid = child.id().to_string();
        Ok(Server { child, pid, ready_seconds: 0.0, started, peak_before: AtomicU64::new(0) })
    }

    /// Waits until the target says that it can be used.
    pub async fn ready(&mut self, def: &Def) -> Result<()> {
        let client = reqwest::Client::builder().timeout(Duration::from_secs(5)).build()?;
        loop {
            if client.get(&def.ready_url).send().await.is_ok_and(|r| r.status().is_success()) {
                self.ready_seconds = self.started.elapsed().as_secs_f64();
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                anyhow::bail!("{} ended ({status}); see {}/log", def.name, def.dir().display());
            }
            anyhow::ensure!(
                self.started.elapsed() < Duration::from_secs(900),
                "{} is not ready after 900 s",
                def.name
            );
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// SIGKILL, as a crash.
    pub fn kill(mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, then up to 60 s for an orderly end.
    pub async fn stop(mut self) -> Result<()> {
        // SAFETY: plain system call; the pid is our own child, not yet waited for.
        unsafe { libc::kill(self.child.id() as i32, libc::SIGTERM) };
        for _ in 0..600 {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        self.kill()
    }

    /// Lets VmHWM begin again at what is resident now; [`Server::usage`] still knows the peak before.
    pub fn restart_peak(&self) -> Result<()> {
        self.peak_before.store(self.usage()?.peak_rss_mib.to_bits(), Relaxed);
        fs::write(format!("/proc/{}/clear_refs", self.pid), "5").context("clear_refs")
    }

    /// VmHWM since the last [`Server::restart_peak`], MiB.
    pub fn peak_mib(&self) -> Result<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
        Ok(line.trim().trim_end_matches(" kB").parse::<f64>()? / 1024.0)
    }

    pub fn usage(&self) -> Result<Usage> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid))?;
        let io = fs::read_to_string(format!("/proc/{}/io", self.pid)).unwrap_or_default();
        let field = |text: &str, name: &str| {
            text.lines()
                .find_map(|l| l.strip_prefix(name)?.split_whitespace().next()?.parse::<f64>().ok())
                .unwrap_or(0.0)
        };
        Ok(Usage {
            cpu_seconds: cpu_seconds(&self.pid)?,
            peak_rss_mib: (field(&status, "VmHWM:") / 1024.0)
                .max(f64::from_bits(self.peak_before.load(Relaxed))),
            rss_mib: field(&status, "VmRSS:") / 1024.0,
            rss_anon_mib: field(&status, "RssAnon:") / 1024.0,
            write_mib: field(&io, "write_bytes:") / 1_048_576.0,
        })
    }

    /// Waits until the server uses < 5 % of a CPU and its directory has kept its size for 3 s; 10 s at
    /// least (some servers leave fresh data in memory for 5 s), `max` at most. Returns for how many seconds it
    /// has been quiet.
    pub async fn settle(&self, def: &Def, max: Duration) -> Result<f64> {
        let begun = Instant::now();
        let (mut quiet, mut last) = (0, (0.0, 0));
        while begun.elapsed() < max && (quiet < 3 || begun.elapsed() < Duration::from_secs(10)) {
            tokio::time::sleep(Duration::from_secs(1)).await;
            let now = (cpu_seconds(&self.pid)?, disk_usage(&def.data()).iter().map(|d| d.1).sum::<u64>());
            quiet = if now.0 - last.0 < 0.05 && now.1 == last.1 { quiet + 1 } else { 0 };
            last = now;
        }
        Ok(f64::from(quiet))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a process has used so far.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Usage {
    /// User and system time of all its threads.
    pub cpu_seconds: f64,
    /// VmHWM and VmRSS; the latter's anonymous part, without mapped files.
    pub peak_rss_mib: f64,
    pub rss_mib: f64,
    pub rss_anon_mib: f64,
    /// Bytes it caused to be written to storage.
    pub write_mib: f64,
}

/// Resident memory of a process, MiB; 0 when it has ended.
pub fn rss_mib(pid: &str) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    let pages: f64 = text.split(' ').nth(1).and_then(|p| p.parse().ok()).unwrap_or(0.0);
    // SAFETY: plain system call.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64 / 1_048_576.0
}

/// Open file descriptors of a process.
pub fn fds(pid: &str) -> usize {
    fs::read_dir(format!("/proc/{pid}/fd")).map_or(0, Iterator::count)
}

/// CPU time of a process (a pid, or `self`) with all its threads, seconds: the clock behind utime and
/// stime in /proc/PID/stat, in nanoseconds rather than ticks of 10 ms.
pub fn cpu_seconds(pid: &str) -> Result<f64> {
    let pid = if pid == "self" { 0 } else { pid.parse()? };
    let (mut clock, mut time) = (0, libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both calls only write to the two locals they are given.
    let ok = unsafe {
        libc::clock_getcpuclockid(pid, &mut clock) == 0 && libc::clock_gettime(clock, &mut time) == 0
    };
    anyhow::ensure!(ok, "no CPU clock of process {pid}");
    Ok(time.tv_sec as f64 + time.tv_nsec as f64 / 1e9)
}

/// Allocated bytes below a directory, MiB.
pub fn disk_mib(dir: &Path) -> f64 {
    disk_usage(dir).iter().map(|d| d.1).sum::<u64>() as f64 / 1_048_576.0
}

/// Allocated bytes under each entry of a directory, and under each directory one level below, largest
/// first; hard links count once.
pub fn disk_usage(dir: &Path) -> Vec<(String, u64)> {
    fn list(dir: &Path) -> Vec<PathBuf> {
        fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.path()).collect()
    }
    fn walk(path: &Path, seen: &mut HashSet<u64>) -> u64 {
        let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
        let own = if seen.insert(meta.ino()) { meta.blocks() * 512 } else { 0 };
        own + if meta.is_dir() { list(path).iter().map(|p| walk(p, seen)).sum() } else { 0 }
    }
    let mut seen = HashSet::new();
    let mut out = Vec::new();
    let entries = list(dir);
    let below = entries.iter().flat_map(|e| list(e)).filter(|p| p.is_dir());
    for path in below.chain(entries.iter().cloned()) {
        let name = path.strip_prefix(dir).unwrap_or(&path).display().to_string();
        out.push((name, walk(&path, &mut seen)));
    }
    out.sort_by_key(|e| std::cmp::Reverse(e.1));
    out
}
