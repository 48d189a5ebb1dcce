//! Target files: formats, and changes while discovery runs on a fake clock.

use std::fs;
use std::sync::Arc;

use nave_base::clock::FakeClock;
use nave_base::metric::{Format, Registry};

use super::*;
use crate::{Discovery, Groups};

/// Where the corpora are, or `None` with a loud word.
#[allow(clippy::print_stderr)] // a test that was skipped must be seen
fn corpora(folder: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let root = std::env::var("NAVE_CORPORA").unwrap_or_else(|_| default.to_owned());
    let path = Path::new(&root).join(folder);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "corpora not found at {}", path.display());
    eprintln!("SKIPPED: corpora not found at {}", path.display());
    None
}

#[test]
fn upstreams_files() {
    let Some(dir) = corpora("config/file_sd") else { return };
    let check = |file: &str, groups: Option<usize>| {
        let read = read(&dir.join(file));
        assert_eq!(read.as_ref().ok().map(Vec::len), groups, "{file}: {read:?}");
    };
    check("valid.json", Some(2));
    check("valid.yml", Some(2));
    check("valid2.yml", Some(3));
    check("valid3.yml", Some(2));
    check("invalid_nil.json", None);
    check("invalid_nil.yml", None);
}

#[test]
fn refuses_what_is_no_group() {
    let check = |file: &str, text: &str, want: &str| {
        let error = parse(Path::new(file), text).expect_err(text);
        assert!(error.contains(want), "{text}: {error}");
    };
    check("a.json", "[{\"targets\": [\"a\"]}, null]", "nil target group item found (index 1)");
    check("a.json", "[{\"target\": [\"a\"]}]", "unknown field `target`");
    check("a.yml", "- targets: [a]\n  lables: {}\n", "lables");
    check("a.yml", "targets: [a]\n", "sequence");
    assert_eq!(parse(Path::new("a.yml"), "").map(|groups| groups.len()), Ok(0));
    let numbers = parse(Path::new("a.yml"), "- targets: ['a:1']\n  labels: {shard: 1, on: true}\n").unwrap();
    assert!(numbers[0].labels.contains(&("shard".to_owned(), "1".to_owned())), "{numbers:?}");
}

#[test]
fn settings() {
    let check = |yaml: &str, want: &str| {
        let error = serde_saphyr::from_str::<FileSdConfig>(yaml).expect_err(yaml).to_string();
        assert!(error.contains(want), "{yaml}: {error}");
    };
    check("{files: []}", "file service discovery config must contain at least one path name");
    check("{files: [a.txt]}", "path name \"a.txt\" is not valid for file discovery");
    check("{files: ['*/a.yml']}", "is not valid for file discovery");
    check("{file: [a.yml]}", "file");
    let config: FileSdConfig = serde_saphyr::from_str("{files: ['t/*.yml']}").unwrap();
    assert_eq!(config.refresh_interval, PromDuration::from_secs(300));
}

struct Running {
    clock: Arc<FakeClock>,
    registry: Registry,
    groups: tokio::sync::watch::Receiver<Option<Groups>>,
    _discovery: Discovery,
}

impl Running {
    fn start(pattern: &Path) -> Self {
        let clock = FakeClock::at(0);
        let registry = Registry::default();
        let metrics = Metrics::new(&registry, "scrape");
        let files = vec![pattern.to_string_lossy().into_owned()];
        let config = FileSdConfig { files, refresh_interval: five_minutes() };
        let shared: SharedClock = clock.clone();
        let discovery = Discovery::start("job", &[], &[config], &shared, &metrics);
        Self { clock, registry, groups: discovery.groups(), _discovery: discovery }
    }

    /// The addresses once discovery has slept and looked again.
    async fn after_look(&mut self) -> Vec<String> {
        while self.clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        self.clock.advance(LOOK_EVERY);
        while self.clock.sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        let groups = self.groups.borrow_and_update().clone().expect("published");
        groups.iter().flat_map(|group| group.targets.iter().map(|labels| labels[0].1.clone())).collect()
    }
}

#[tokio::test]
async fn follows_changes_and_keeps_the_last_good_groups() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.json");
    let mut running = Running::start(&dir.path().join("*.json"));
    assert_eq!(running.after_look().await, Vec::<String>::new());
    fs::write(&file, r#"[{"targets": ["one:1"]}]"#).unwrap();
    assert_eq!(running.after_look().await, ["one:1"]);
    fs::write(&file, r#"[{"targets": ["one:1"#).unwrap();
    assert_eq!(running.after_look().await, ["one:1"], "a broken file keeps what it said");
    fs::write(&file, r#"[{"targets": ["one:1", "two:2"]}]"#).unwrap();
    assert_eq!(running.after_look().await, ["one:1", "two:2"]);
    fs::remove_file(&file).unwrap();
    assert_eq!(running.after_look().await, Vec::<String>::new());
    let page = running.registry.page(Format::Text);
    assert!(page.contains("prometheus_sd_file_read_errors_total 1\n"), "{page}");
    assert!(
        page.contains("prometheus_sd_refresh_failures_total{mechanism=\"file\",config=\"job\"} 1\n"),
        "{page}"
    );
}

#[tokio::test]
async fn sees_the_symlink_swap_of_a_config_map() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for (version, target) in [("v1", "old:1"), ("v2", "new:1")] {
        fs::create_dir(at(version)).unwrap();
        fs::write(at(version).join("t.yml"), format!("- targets: ['{target}']\n")).unwrap();
    }
    std::os::unix::fs::symlink("v1", at("..data")).unwrap();
    std::os::unix::fs::symlink("..data/t.yml", at("t.yml")).unwrap();
    let mut running = Running::start(&at("t.yml"));
    assert_eq!(running.after_look().await, ["old:1"]);
    std::os::unix::fs::symlink("v2", at("..tmp")).unwrap();
    fs::rename(at("..tmp"), at("..data")).unwrap();
    assert_eq!(running.after_look().await, ["new:1"]);
    let groups = running.groups.borrow().clone().unwrap();
    assert!(groups[0].labels.iter().any(|(name, value)| name == FILEPATH_LABEL && value.ends_with("t.yml")));
}
