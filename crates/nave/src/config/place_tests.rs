//! Where errors point: file, line, column and field.

use std::fs;

use super::Config;
use crate::flag::Mode;

/// The error of `text`, without the folder.
fn error(text: &str, others: &[(&str, &str)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in others {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let path = dir.path().join("p.yml");
    fs::write(&path, text).unwrap();
    let error = Config::load(&path, Mode::Hub).expect_err(text);
    format!("{error:#}").replace(&format!("{}/", dir.path().display()), "")
}

#[test]
fn errors_name_file_line_column_and_field() {
    let check = |text: &str, want: &str| assert_eq!(error(text, &[]), want, "{text}");
    check(
        "global:\n  scrape_intervall: 5s\n",
        "p.yml:2:3: global: field scrape_intervall not found; did you mean scrape_interval?",
    );
    check(
        "global:\n  scrape_interval: 5 seconds\n",
        "p.yml:2:20: global.scrape_interval: unknown unit \" seconds\" in duration \"5 seconds\"",
    );
    check(
        "scrape_configs:\n  - job_name: a\n    honor_labels: [yes]\n",
        "p.yml:3:19: scrape_configs[0].honor_labels: expected one value, came a list or a map",
    );
    check(
        "scrape_configs:\n  - job_name: a\n    sample_limit: many\n",
        "p.yml:3:19: scrape_configs[0].sample_limit: expected a whole number, not negative, came another text",
    );
    check(
        "scrape_configs:\n  - job_name: a\n    honor_labels: maybe\n",
        "p.yml:3:19: scrape_configs[0].honor_labels: expected true or false, came another text",
    );
    check(
        "scrape_configs:\n  - job_name: a\n  - job_name: b\n    scrape_interval: 5x\n",
        "p.yml:4:22: scrape_configs[1].scrape_interval: unknown unit \"x\" in duration \"5x\"",
    );
    check(
        "scrape_configs:\n  - job_name: a\n    relabel_configs:\n      - source_labels: [b]\n        regex: 'a(b'\n",
        "p.yml:5:16: scrape_configs[0].relabel_configs[0].regex: error parsing regexp: missing closing ): `a(b`",
    );
    check(
        "scrape_configs:\n  - job_name: a\n  - job_name: a\n",
        "p.yml:3:15: scrape_configs[1].job_name: found multiple scrape configs with job name \"a\"",
    );
    check(
        "scrape_configs:\n  - job_name: a\n  -\n",
        "p.yml:3:4: scrape_configs[1]: empty or null scrape config section",
    );
    check(
        "global:\n  scrape_interval: 1m\nscrape_configs:\n  - job_name: a\n    scrape_timeout: 2m\n",
        "p.yml:4:5: scrape_configs[0]: scrape timeout greater than scrape interval for scrape config with job name \"a\"",
    );
    check(
        "rule_files: [a.yml, 'a*/b.yml']\n",
        "p.yml:1:21: rule_files[1]: invalid rule file path \"a*/b.yml\"",
    );
    check(
        "global:\n  metric_name_validation_scheme: legacy\n  external_labels:\n    a-b: c\n",
        "p.yml:4:10: global.external_labels.a-b: \"a-b\" is not a valid label name",
    );
    check("scrape_configs: []\nscrape_configs: []\n", "p.yml:2:1: field scrape_configs already set");
    check(
        "remote_write:\n  - url: http://a/\n    name: x\n  - url: http://b/\n    name: x\n",
        "p.yml:4:5: remote_write[1]: found multiple remote write configs with job name \"x\"",
    );
}

#[test]
fn errors_in_included_files_name_them() {
    let main = "scrape_config_files: ['more*.yml']\nscrape_configs:\n  - job_name: a\n";
    let check = |included: &str, want: &str| {
        assert_eq!(error(main, &[("more1.yml", included)]), want, "{included}");
    };
    check(
        "scrape_configs:\n  - job_name: b\n  - job_name: a\n",
        "more1.yml:3:15: scrape_configs[1].job_name: found multiple scrape configs with job name \"a\"",
    );
    check(
        "scrape_configs:\n  - job_name: b\n    metrics_paht: /x\n",
        "more1.yml:3:5: scrape_configs[0]: field metrics_paht not found; did you mean metrics_path?",
    );
}

/// Labels of one endpoint, as two documents of the field show them, do not exist (RW-16, RW-17); keys of
/// the Kubernetes operator's objects are spelled otherwise here (RW-15).
#[test]
fn misplaced_keys_are_told_their_place() {
    let check = |key: &str, at: &str, want: &str| {
        let text = format!("remote_write:\n  - url: http://hub/api/v1/write\n{key}\n");
        let error = error(&text, &[]);
        assert!(error.starts_with(at) && error.matches(want).count() == 1, "{error}");
    };
    let place = "write external_labels under global";
    check("    external_labels: {cluster: a}", "p.yml:3:5: remote_write[0]: ", place);
    check("    externalLabels:\n      cluster: a", "p.yml:3:5: remote_write[0]: ", place);
    check("    queueConfig: {maxShards: 200}", "p.yml:3:5: remote_write[0]: ", "it is written queue_config");
    check(
        "    queue_config:\n      maxShards: 200",
        "p.yml:4:7: remote_write[0].queue_config: ",
        "it is written max_shards",
    );
}

/// A whole object of the operator is no configuration, and is told about its labels too.
#[test]
fn labels_in_an_object_of_the_operator_are_told_their_place() {
    let text = "prometheus:\n  prometheusSpec:\n    remoteWrite:\n      - url: http://hub/\n        \
                externalLabels:\n          cluster: a\n";
    let error = error(text, &[]);
    assert!(error.starts_with("p.yml:1:1: field prometheus not found"), "{error}");
    let note = "prometheus.prometheusSpec.remoteWrite[0].externalLabels is not used there: \
                write external_labels under global";
    assert!(error.ends_with(note), "{error}");
}

/// The three relabel rules of the field's GPU job and bare booleans as regex (GPU-02, SD-12, SD-13), with
/// targets from a file; its discovery in Kubernetes is refused by name.
#[test]
fn relabel_rules_as_the_field_writes_them() {
    let rules = "
    relabel_configs:
      - source_labels: [__meta_kubernetes_service_name]
        regex: dcgm-exporter
        action: keep
      - source_labels: [__meta_kubernetes_endpoint_port_name]
        action: keep
        regex: metrics
      - source_labels: [__meta_kubernetes_pod_node_name]
        target_label: node
      - source_labels: [__meta_kubernetes_pod_annotation_prometheus_io_scrape]
        action: keep
        regex: true
      - target_label: cluster
        replacement: production
";
    let job = "scrape_configs:\n  - job_name: dcgm-exporter\n";
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yml");
    fs::write(&path, format!("{job}    file_sd_configs: [{{files: [a.yml]}}]{rules}")).unwrap();
    let config = Config::load(&path, Mode::Hub).unwrap();
    let rules_read = &config.scrape_configs[0].relabel_configs;
    let mut labels = nave_model::label::Builder::default();
    for (name, value) in [
        ("__meta_kubernetes_service_name", "dcgm-exporter"),
        ("__meta_kubernetes_endpoint_port_name", "metrics"),
        ("__meta_kubernetes_pod_node_name", "n1"),
        ("__meta_kubernetes_pod_annotation_prometheus_io_scrape", "true"),
    ] {
        labels.set(name, value);
    }
    let verdict = nave_model::relabel::process(&mut labels, rules_read);
    assert_eq!(verdict, nave_model::relabel::Verdict::Keep);
    assert_eq!((labels.get("node"), labels.get("cluster")), ("n1", "production"));
    labels.set("__meta_kubernetes_service_name", "dcgm-exporter-2");
    assert_eq!(
        nave_model::relabel::process(&mut labels, rules_read),
        nave_model::relabel::Verdict::Drop,
        "a regex matches the whole value"
    );
    let error = error(&format!("{job}    kubernetes_sd_configs: [{{role: endpoints}}]{rules}"), &[]);
    let want = "p.yml:3:28: scrape_configs[0].kubernetes_sd_configs: kubernetes_sd_configs is not supported";
    assert!(error.starts_with(want), "{error}");
}

/// Templates leave keys without values; they are as keys that are not there.
#[test]
fn keys_without_values_have_their_defaults() {
    let job = serde_json::to_value(&Config::default_hub("a:1").unwrap().scrape_configs[0]).unwrap();
    let keys = |of: &serde_json::Value| {
        let keys = of.as_object().unwrap().keys().filter(|key| *key != "job_name" && *key != "url");
        keys.map(|key| format!("    {key}:\n")).collect::<String>()
    };
    let written = "scrape_interval scrape_timeout sample_limit label_limit scrape_failure_log_file proxy_url \
                   no_proxy proxy_from_environment basic_auth tls_config params scrape_protocols \
                   relabel_configs dns_sd_configs file_sd_configs http_headers";
    let more: String = written.split_whitespace().map(|key| format!("    {key}:\n")).collect();
    let job_keys: String =
        keys(&job).lines().filter(|line| !more.contains(*line)).map(|line| format!("{line}\n")).collect();
    let global = serde_json::to_value(super::Global::default()).unwrap();
    let write = serde_json::to_value(nave_remote::RemoteWriteConfig::new("http://a/")).unwrap();
    let text = format!(
        "global:\n{}scrape_configs:\n  - job_name: nave\n{job_keys}{more}remote_write:\n  - url: http://a/\n{}\
         alerting:\nremote_read:\nrule_files:\nstorage:\nruntime:\ntracing:\notlp:\n",
        keys(&global),
        keys(&write),
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yml");
    fs::write(&path, &text).unwrap();
    let config = Config::load(&path, Mode::Hub).unwrap_or_else(|error| panic!("{error:#}\n{text}"));
    let mut loaded = serde_json::to_value(&config.scrape_configs[0]).unwrap();
    loaded["static_configs"] = job["static_configs"].clone();
    assert_eq!(loaded, job);
    assert_eq!(config.remote_write, [nave_remote::RemoteWriteConfig::new("http://a/")]);
}

#[test]
fn sections_of_a_hub_are_refused_in_an_agent() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yml");
    fs::write(&path, "rule_files: [a.yml]\n").unwrap();
    let error = Config::load(&path, Mode::Agent).unwrap_err().to_string();
    assert!(
        error.ends_with("p.yml:1:13: rule_files: field rule_files is not allowed in agent mode"),
        "{error}"
    );
}

#[test]
fn a_hub_without_a_file_scrapes_itself() {
    let config = Config::default_hub("0.0.0.0:9090").unwrap();
    assert_eq!(config.scrape_configs[0].job_name, "nave");
    assert!(!config.scrape_configs[0].scrape_interval.is_zero());
}
