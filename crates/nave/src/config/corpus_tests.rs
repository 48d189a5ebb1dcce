//! Upstream's own configuration files, all of them: what it refuses is refused with its text, what it loads
//! is loaded. Where this differs, a table says why.

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::Config;
use crate::flag::Mode;

/// Upstream's words name types of its program or its YAML library, which ours cannot: file and our words.
const OTHER_WORDS: [(&str, &str); 6] = [
    ("labelname.bad.yml", ":3:14: !!binary value is not UTF-8"),
    ("labelvalue.bad.yml", ":3:20: !!binary value is not UTF-8"),
    (
        "scrape_config_files_fallback_scrape_protocol2.bad.yml",
        ":3:31: scrape_configs[0].fallback_scrape_protocol: expected one value, came a list or a map",
    ),
    ("section_key_dup.bad.yml", ":4:1: field scrape_configs already set"),
    (
        "unknown_attr.bad.yml",
        ":19:5: scrape_configs[0]: field consult_sd_configs not found; did you mean consul_sd_configs?",
    ),
    ("unknown_global_attr.bad.yml", ":2:3: global: field nonexistent_field not found"),
];

/// What upstream loads and this version refuses, besides discovery mechanisms: file, our words, reason.
const REFUSED: [(&str, &str, &str); 1] =
    [("first.rules", ":1:1: field groups not found", "a rule file, listed for another test of upstream")];

#[allow(clippy::print_stderr)] // a test that was skipped must be seen
fn corpus() -> Option<(PathBuf, Value)> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let root = std::env::var("NAVE_CORPORA").unwrap_or_else(|_| default.to_owned());
    let dir = Path::new(&root).join("config");
    let cases = dir.join("config-cases.json");
    if !cases.exists() {
        assert!(std::env::var_os("CI").is_none(), "corpora not found at {}", dir.display());
        eprintln!("SKIPPED: corpora not found at {}", dir.display());
        return None;
    }
    let cases = serde_json::from_str(&std::fs::read_to_string(cases).unwrap()).unwrap();
    Some((dir.join("testdata"), cases))
}

fn load(dir: &Path, file: &str, mode: Mode) -> Result<Config, String> {
    Config::load(&dir.join(file), mode).map_err(|error| format!("{error:#}"))
}

/// Whether an outcome is upstream's: its text is part of ours, without the file name it begins with.
fn agrees(outcome: &Result<Config, String>, want: Option<&str>) -> bool {
    match (outcome, want) {
        (Ok(_), None) => true,
        (Err(error), Some(want)) => error.contains(want.rsplit_once(".yml: ").map_or(want, |(_, want)| want)),
        _ => false,
    }
}

/// Whether an outcome is a refusal of a discovery mechanism that stands in the file which the error names.
fn refuses_mechanism(outcome: &Result<Config, String>) -> bool {
    let Err(error) = outcome else { return false };
    let Some((before, _)) = error.split_once("_sd_configs is not supported by this version") else {
        return false;
    };
    let mechanism = before.rsplit(' ').next().unwrap_or_default();
    let (file, _) = error.split_once(":").unwrap_or_default();
    std::fs::read_to_string(file).unwrap().contains(&format!(" {mechanism}_sd_configs:"))
}

#[test]
fn upstreams_files() {
    let Some((dir, cases)) = corpus() else { return };
    let refused = REFUSED.map(|(file, ours, _)| (file, ours));
    let tables: Vec<_> = OTHER_WORDS.iter().chain(&refused).collect();
    let (mut agree, mut mechanisms, mut tabled, mut wrong) = (0, 0, 0, Vec::new());
    for case in cases["files"].as_array().unwrap() {
        let file = case["file"].as_str().unwrap();
        // Upstream reads included files later than the main file; here both are one step.
        let want = case["load_error"].as_str().or(case["scrape_config_files_error"].as_str());
        let outcome = load(&dir, file, Mode::Hub);
        if let Some((_, ours)) = tables.iter().find(|(name, _)| *name == file) {
            let error = outcome.expect_err(file);
            assert!(error.contains(ours), "{file}: {error}");
            tabled += 1;
        } else if refuses_mechanism(&outcome) {
            mechanisms += 1;
        } else if agrees(&outcome, want) {
            agree += 1;
        } else {
            wrong.push(format!("{file}: {:?}\n    upstream: {want:?}", outcome.map(|_| ())));
        }
        if let Some(want) = case["agent_mode_load_error"].as_str() {
            let outcome = load(&dir, file, Mode::Agent);
            assert!(agrees(&outcome, Some(want)), "{file} in agent mode: {outcome:?}");
        }
    }
    assert!(wrong.is_empty(), "{} rows differ:\n{}", wrong.len(), wrong.join("\n"));
    assert_eq!((agree, mechanisms, tabled), (136, 69, 7));
}

/// Upstream's good files load without the mechanisms they are refused for, and show no secret.
#[test]
fn good_files_without_mechanisms() {
    let Some((dir, cases)) = corpus() else { return };
    let mut loaded = 0;
    for case in cases["files"].as_array().unwrap() {
        let file = case["file"].as_str().unwrap();
        let refused = case["load_error"].is_null() && load(&dir, file, Mode::Hub).is_err();
        if !refused || !file.ends_with(".good.yml") {
            continue;
        }
        let text = std::fs::read_to_string(dir.join(file)).unwrap();
        let mut whole: Value = serde_saphyr::from_str(&text).unwrap();
        for job in whole["scrape_configs"].as_array_mut().into_iter().flatten() {
            job.as_object_mut()
                .unwrap()
                .retain(|key, _| !key.ends_with("_sd_configs") || key.starts_with("file"));
        }
        for write in whole["remote_write"].as_array_mut().into_iter().flatten() {
            write.as_object_mut().unwrap().remove("protobuf_message");
        }
        if whole["scrape_config_files"].is_array() {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(file), whole.to_string()).unwrap();
        let config = load(folder.path(), file, Mode::Hub).unwrap();
        assert!(!config.show().contains("mysecret"), "{file}");
        loaded += 1;
    }
    assert_eq!(loaded, 10);
}

#[test]
fn included_scrape_configs() {
    let Some((dir, cases)) = corpus() else { return };
    let rows = cases["included"].as_array().unwrap();
    assert_eq!(rows.len(), 24);
    for row in rows {
        let file = row["file"].as_str().unwrap();
        let outcome = load(&dir, file, Mode::Hub);
        if let Some(want) = row["error"].as_str() {
            assert!(agrees(&outcome, Some(want)), "{file}: {outcome:?}");
            continue;
        }
        if refuses_mechanism(&outcome) {
            continue;
        }
        let config = outcome.expect(file);
        let wanted = row["scrape_configs"].as_array().unwrap();
        assert_eq!(config.scrape_configs.len(), wanted.len(), "{file}");
        for (job, want) in config.scrape_configs.iter().zip(wanted) {
            assert_eq!(job.job_name, want["job_name"].as_str().unwrap(), "{file}");
            let interval = want["scrape_interval"].as_str().unwrap().parse();
            assert_eq!(Ok(job.scrape_interval), interval, "{file}");
            if let Some(timeout) = want["scrape_timeout"].as_str() {
                assert_eq!(Ok(job.scrape_timeout), timeout.parse(), "{file}");
            }
        }
    }
}

#[test]
fn naming_schemes() {
    let Some((dir, cases)) = corpus() else { return };
    for row in cases["name_settings"].as_array().unwrap() {
        let file = row["file"].as_str().unwrap();
        let config = load(&dir, file, Mode::Hub).expect(file);
        let job = serde_json::to_value(&config.scrape_configs[0]).unwrap();
        assert_eq!(job["metric_name_validation_scheme"], row["validation"], "{file}");
        assert_eq!(job["metric_name_escaping_scheme"], row["escaping"], "{file}");
    }
}

#[test]
fn facts() {
    let Some((dir, _)) = corpus() else { return };
    let remotes = |file| load(&dir, file, Mode::Agent).unwrap().remote_write;
    assert!(remotes("agent_mode.without_remote_writes.yml").is_empty());
    assert_eq!(remotes("agent_mode.good.yml")[0].url, "http://remote1/push");
    let group = std::fs::read_to_string(dir.join("static_config.bad.yml")).unwrap();
    assert!(serde_saphyr::from_str::<nave_discovery::StaticConfig>(&group).is_err());
}

/// Targets that are URLs load where rules follow, and nowhere else.
#[test]
fn targets_that_are_urls() {
    let Some((dir, _)) = corpus() else { return };
    let dir = dir.with_file_name("promtool");
    for file in [
        "url_in_scrape_targetgroup_with_relabel_config.good.yml",
        "url_in_alert_targetgroup_with_relabel_config.good.yml",
    ] {
        load(&dir, file, Mode::Hub).expect(file);
    }
}
