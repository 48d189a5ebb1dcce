//! Scrape configs: upstream's files, defaults, texts of refusals.

use nave_model::duration::PromDuration;
use serde_json::Value;

use super::*;
use crate::testing::corpora;

fn config(yaml: &str) -> Result<ScrapeConfig, String> {
    let mut config: ScrapeConfig = serde_saphyr::from_str(yaml).map_err(|error| error.to_string())?;
    config.apply_defaults(&Defaults::default()).map_err(|error| error.to_string())?;
    Ok(config)
}

#[test]
fn refuses_with_upstreams_texts() {
    let check = |yaml: &str, want: &str| {
        let error = config(yaml).expect_err(yaml);
        assert!(error.contains(want), "{yaml}: {error}");
    };
    check("{job_name: ''}", "job_name is empty");
    check(
        "{job_name: a, scrape_interval: 5s, scrape_timeout: 6s}",
        "scrape timeout greater than scrape interval for scrape config with job name \"a\"",
    );
    check("{job_name: a, body_size_limit: 100}", "units: unknown unit  in 100");
    check("{job_name: a, static_configs: [~]}", "empty or null section in static_configs");
    check(
        "{job_name: a, static_configs: [{targets: ['http://bad']}]}",
        "\"http://bad\" is not a valid hostname",
    );
    check("{job_name: a, relabel_configs: [~]}", "empty or null target relabeling rule");
    check("{job_name: a, metric_relabel_configs: [~]}", "empty or null metric relabeling rule");
    check("{job_name: a, scrape_interval: 5}", "not a valid duration string: \"5\"");
    check("{job_name: a, metric_name_validation_scheme: x}", "unrecognized ValidationScheme: \"x\"");
    check(
        "{job_name: a, metric_name_validation_scheme: legacy, metric_name_escaping_scheme: allow-utf-8}",
        "utf8 metric names requested but validation scheme is not set to UTF8",
    );
    check(
        "{job_name: node, scrape_protocols: [prometheusproto]}",
        "scrape_protocols: unknown scrape protocol prometheusproto, supported: [OpenMetricsText0.0.1 OpenMetricsText1.0.0 PrometheusProto PrometheusText0.0.4 PrometheusText1.0.0] for scrape config with job name \"node\"",
    );
    check(
        "{job_name: node, scrape_protocols: [PrometheusProto, PrometheusProto]}",
        "duplicated protocol in scrape_protocols, got [PrometheusProto PrometheusProto] for scrape config with job name \"node\"",
    );
    check(
        "{job_name: node, fallback_scrape_protocol: x}",
        "invalid fallback_scrape_protocol for scrape config with job name \"node\": unknown scrape protocol x",
    );
    check(
        "{job_name: a, bearer_token: a, bearer_token_file: b}",
        "at most one of bearer_token & bearer_token_file must be configured",
    );
    check("{job_name: a, scrape_intervall: 5s}", "scrape_intervall");
}

/// What a prober is told stands where addresses stand, and rules move it.
#[test]
fn targets_are_anything_when_rules_follow() {
    let probe = "{job_name: a, static_configs: [{targets: ['https://example.com/']}], \
                 relabel_configs: [{source_labels: [__address__], target_label: __param_target}, \
                 {target_label: __address__, replacement: 'prober:9115'}]}";
    assert!(config(probe).is_ok());
}

#[test]
fn defaults_and_printing() {
    let loaded = config(
        "{job_name: a, scrape_interval: 5s, static_configs: [{targets: ['b:1']}], bearer_token: hunter2}",
    )
    .unwrap();
    assert_eq!(loaded.scrape_timeout, PromDuration::from_secs(5));
    assert_eq!(loaded.protocols(), Protocol::DEFAULT);
    assert_eq!(loaded.metric_name_escaping_scheme, Some(Escaping::AllowUtf8));
    let legacy = config("{job_name: a, metric_name_validation_scheme: legacy}").unwrap();
    assert_eq!(legacy.metric_name_escaping_scheme, Some(Escaping::Underscores));
    let printed = serde_saphyr::to_string(&loaded).unwrap();
    assert!(!printed.contains("hunter2") && !printed.contains("azure"), "{printed}");
    let again: ScrapeConfig = serde_saphyr::from_str(&printed).expect(&printed);
    assert_eq!(again.scrape_timeout, loaded.scrape_timeout);
}

/// Upstream's files as far as they are about scrape configs: what it refuses is refused with its text, and
/// what it loads is loaded unless it names a mechanism that is refused by name.
#[test]
fn upstreams_files() {
    let Some(dir) = corpora("config") else { return };
    let cases: Value =
        serde_json::from_str(&std::fs::read_to_string(dir.join("config-cases.json")).unwrap()).unwrap();
    let (mut loaded, mut refused) = (0, 0);
    for case in cases["files"].as_array().unwrap() {
        let file = case["file"].as_str().unwrap();
        let Ok(text) = std::fs::read_to_string(dir.join("testdata").join(file)) else { continue };
        let Ok(whole) = serde_saphyr::from_str::<Value>(&text) else { continue };
        let jobs = whole["scrape_configs"].as_array().cloned().unwrap_or_default();
        let results: Vec<_> =
            jobs.iter().filter(|job| !job.is_null()).map(|job| config(&job.to_string())).collect();
        for error in results.iter().filter_map(|result| result.as_ref().err()) {
            if error.contains("is not supported by this version") {
                continue;
            }
            let want = case["load_error"].as_str().unwrap_or_default();
            let want = want.rsplit_once(".yml: ").map_or(want, |(_, want)| want);
            let same = !want.is_empty()
                && (error.contains(want)
                    || ["not found in type", "unmarshal errors"].iter().any(|text| want.contains(text))
                    || want.contains("scrape timeout"));
            assert!(same || want.contains("found multiple"), "{file}: {error}\nupstream: {want:?}");
            refused += 1;
        }
        loaded += results.iter().filter(|result| result.is_ok()).count();
    }
    assert!(loaded > 30 && refused > 30, "loaded {loaded}, refused {refused}");
}
