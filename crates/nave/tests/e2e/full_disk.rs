//! A full disk is an ordinary day: on a small file system of its own a hub runs out of room again and again. Reads go
//! on, writes answer 503, and it goes on by itself when there is room.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use nave_base::clock::SystemClock;
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_wire::write_v1::Encoder;

use crate::harness::{NAVE, Server};

const ROUNDS: usize = 5;
const SERIES: usize = 50;
/// More than the hub always leaves free.
const DISK_MIB: usize = 160;
/// What is left for the hub when the disk is filled.
const ROOM_BYTES: u64 = 128 << 10;
/// Writes until the disk must be full.
const WRITES_MAX: i64 = 5000;

/// A file system in memory, mounted for the life of this.
struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    /// `None` where nothing may be mounted.
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let size = format!("size={DISK_MIB}m");
        let mount =
            Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(dir.path()).output();
        if mount.is_ok_and(|output| output.status.success()) {
            return Some(Self(dir));
        }
        assert!(
            std::env::var_os("CI").is_none(),
            "CI is set, and nothing may be skipped there: cannot mount a tmpfs"
        );
        eprintln!(
            "SKIPPED: a full disk needs a small file system, and mount was refused: run the test as root"
        );
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves [`ROOM_BYTES`].
    fn fill(&self) {
        let path = self.path().join("filler");
        let mut file = fs::File::create(&path).unwrap();
        while file.write_all(&[0; 256 << 10]).is_ok() {}
        let len = file.metadata().unwrap().len();
        file.set_len(len.saturating_sub(ROOM_BYTES)).unwrap();
    }

    fn empty(&self) {
        fs::remove_file(self.path().join("filler")).unwrap();
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a process that is just ending may still have a file open.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

fn request(at: i64) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for series in 0..SERIES {
        let labels = Labels::from_pairs([("__name__", "squeezed"), ("series", &series.to_string())]);
        encoder.series(&labels.unwrap(), &[(Timestamp(at), value(at, series))]);
    }
    encoder.finish()
}

/// Different digits each time, so that the log grows.
fn value(at: i64, series: usize) -> f64 {
    (at as f64 * 0.7 + series as f64).sin()
}

/// What was answered, and what was not taken.
#[derive(Default)]
struct Ledger {
    next: i64,
    acknowledged: BTreeSet<i64>,
    refused: BTreeSet<i64>,
}

impl Ledger {
    /// Writes one step; whether it was taken. Anything but 2xx and 503 is an error.
    async fn write(&mut self, hub: &Server) -> bool {
        let at = self.next;
        self.next += 1;
        let (status, body) = hub.write(request(at)).await.expect("the hub answers");
        let taken = (200..300).contains(&status);
        assert!(taken || status == 503, "a write was answered {status}: {body}");
        if taken {
            self.acknowledged.insert(at)
        } else {
            self.refused.insert(at)
        };
        taken
    }

    async fn check(&self, hub: &Server, base: i64) {
        let time = format!("{}", (base + 600_000) as f64 / 1000.0);
        let answer = hub.api("/api/v1/query", &[("query", "squeezed[700s]"), ("time", &time)]).await;
        let rows = answer["data"]["result"].as_array().unwrap_or_else(|| panic!("{answer}"));
        assert_eq!(rows.len(), SERIES, "every series is there");
        for row in rows {
            let series: usize = row["metric"]["series"].as_str().unwrap().parse().unwrap();
            let mut found = BTreeSet::new();
            for pair in row["values"].as_array().unwrap() {
                let at = (pair[0].as_f64().unwrap() * 1000.0).round() as i64;
                let read: f64 = pair[1].as_str().unwrap().parse().unwrap();
                assert_eq!(read.to_bits(), value(at, series).to_bits(), "a wrong value at {at}");
                found.insert(at);
            }
            assert!(self.acknowledged.is_subset(&found), "acknowledged samples are missing");
            assert!(found.iter().all(|at| self.acknowledged.contains(at) || self.refused.contains(at)));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_survived_five_times_in_a_row() {
    let Some(disk) = SmallDisk::mount() else { return };
    let clock = SystemClock::shared();
    let base = clock.now_ms() - 600_000;
    let data = format!("--storage.tsdb.path={}", disk.path().join("data").display());
    let args = [
        "--config.file=prometheus.yml",
        &data,
        "--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ];
    let mut hub = Server::start(NAVE, &args, &[("prometheus.yml", "global: {}\n")], "/-/ready").await;
    let mut ledger = Ledger { next: base, ..Ledger::default() };
    for round in 0..ROUNDS {
        assert!(ledger.write(&hub).await, "round {round}: there is room at first");
        disk.fill();
        let mut writes = 0;
        while ledger.write(&hub).await {
            writes += 1;
            assert!(writes < WRITES_MAX, "round {round}: the disk never filled up");
        }
        ledger.check(&hub, base).await;
        assert!(!ledger.write(&hub).await || !ledger.write(&hub).await, "round {round}: still full");
        disk.empty();
        let mut tries = 0;
        while !ledger.write(&hub).await {
            tries += 1;
            assert!(tries < 100, "round {round}: writes are refused though there is room");
            clock.sleep(Duration::from_millis(100)).await;
        }
    }
    hub.kill();
    hub.launch();
    hub.wait_ready().await;
    ledger.check(&hub, base).await;
    assert!(ledger.write(&hub).await);
    let (taken, refused) = (ledger.acknowledged.len(), ledger.refused.len());
    eprintln!("{ROUNDS} full disks: {taken} writes taken and there, {refused} refused");
}
