//! What the settings take, what they refuse and with which words.

use super::*;

#[derive(Debug, PartialEq, Deserialize)]
struct File {
    remote_write: Vec<RemoteWriteConfig>,
}

/// One entry, where it stands in a file.
fn parse(yaml: &str) -> Result<RemoteWriteConfig, String> {
    let text = format!("remote_write:\n  - {}\n", yaml.trim().replace('\n', "\n    "));
    let file: File = serde_saphyr::from_str(&text).map_err(|error| error.to_string())?;
    Ok(file.remote_write.into_iter().next().unwrap())
}

#[test]
fn defaults_are_upstreams() {
    let config = parse("url: http://hub/api/v1/write").unwrap();
    assert_eq!(config, RemoteWriteConfig::new("http://hub/api/v1/write"));
    assert_eq!(config.remote_timeout, PromDuration::from_secs(30));
    let queue = &config.queue_config;
    assert_eq!((queue.capacity, queue.max_shards, queue.min_shards), (10_000, 50, 1));
    assert_eq!((queue.max_samples_per_send, queue.retry_on_http_429), (2_000, false));
    assert_eq!(queue.batch_send_deadline, PromDuration::from_secs(5));
    assert_eq!(
        (queue.min_backoff, queue.max_backoff),
        (PromDuration::from_ms(30), PromDuration::from_secs(5))
    );
    assert!(config.metadata_config.send);
    let empty = "url: http://hub/api/v1/write\nname:\nheaders:\nqueue_config:\nmetadata_config:\nwrite_relabel_configs:\nsigv4:";
    assert_eq!(parse(empty).unwrap(), config, "a key without a value is its default");
}

#[test]
fn all_fields_are_read_and_shown() {
    let yaml = "
name: hub
url: https://hub.example/api/v1/write
remote_timeout: 10s
headers: {X-Scope-OrgID: team}
protobuf_message: prometheus.WriteRequest
send_exemplars: true
send_native_histograms: true
round_robin_dns: true
queue_config: {capacity: 10000, max_shards: 200, max_samples_per_send: 5000, retry_on_http_429: true, sample_age_limit: 1h}
metadata_config: {send: false, send_interval: 2m, max_samples_per_send: 10}
write_relabel_configs:
  - source_labels: [__name__]
    regex: expensive.*
    action: drop
basic_auth: {username: me, password: secret}
tls_config: {insecure_skip_verify: true}
";
    let config = parse(yaml).unwrap();
    assert_eq!((config.remote_name().as_str(), config.queue_config.max_shards), ("hub", 200));
    let shown = serde_saphyr::to_string(&config).unwrap();
    assert!(shown.contains("retry_on_http_429: true") && !shown.contains("password: secret"), "{shown}");
    assert!(!shown.contains("sigv4") && !shown.contains("queueConfig"), "{shown}");
}

#[test]
fn refuses_with_a_word_about_what_to_do() {
    let check = |yaml: &str, want: &str| {
        let error = parse(yaml).unwrap_err();
        assert!(error.contains(want), "{yaml}\n got: {error}\nwant: {want}");
        assert!(error.contains("line"), "no place in: {error}");
    };
    check("name: x", "url for remote_write is empty");
    check("url: ''", "url for remote_write is empty");
    check("url: '::'", "cannot be parsed");
    check(
        "url: http://h\nheaders: {Authorization: x}",
        "authorization header must be changed via the basic_auth",
    );
    check(
        "url: http://h\nheaders: {x-prometheus-remote-write-version: x}",
        "x-prometheus-remote-write-version is a reserved header. It must not be changed",
    );
    check("url: http://h\nqueue_config: {capacity: 0}", "remote write queue capacity must be positive");
    check("url: http://h\nqueue_config: {max_shards: 0}", "remote write queue max_shards must be positive");
    check("url: http://h\nqueue_config: {min_shards: 0}", "remote write queue min_shards must be positive");
    check(
        "url: http://h\nqueue_config: {min_shards: 3, max_shards: 2}",
        "remote write queue min_shards must not be greater than max_shards",
    );
    check(
        "url: http://h\nqueue_config: {min_backoff: 1s, max_backoff: 30ms}",
        "remote write queue max_backoff must not be less than min_backoff",
    );
    check("url: http://h\nqueue_config: {max_samples_per_send: 0}", "max_samples_per_send must be positive");
    check(
        "url: http://h\nwrite_relabel_configs: [null]",
        "empty or null relabeling rule in remote write config",
    );
    check("url: http://h\nprotobuf_message: typo", "unknown type for remote write protobuf message typo");
    check("url: http://h\nsigv4: {region: x}", "sigv4 is not built");
    check("url: http://h\nazuread: {cloud: x}", "azuread is not built");
    check("url: http://h\ngoogle_iam: {credentials_file: x}", "google_iam is not built");
    check("url: http://h\nexternal_labels: {cluster: x}", "write external_labels under global");
    check("url: http://h\nexternalLabels: {cluster: x}", "write external_labels under global");
    check(
        "url: http://h\nqueueConfig: {capacity: 1}",
        "line 3 column 5: queueConfig is spelled as in the Kubernetes operator's objects: in this file it is written queue_config",
    );
    check("url: http://h\nremoteTimeout: 30s", "remote_timeout");
    check("url: http://h\nqueue_config: {maxShards: 200}", "max_shards");
    check("url: http://h\nmetadata_config: {sendInterval: 1m}", "send_interval");
    check("url: http://h\nurls: [http://h]", "unknown field `urls`, expected one of url, name,");
}

#[test]
fn names_are_unique_and_stable() {
    let named =
        |name: &str, url: &str| RemoteWriteConfig { name: name.into(), ..RemoteWriteConfig::new(url) };
    let check = |configs: &[RemoteWriteConfig], want: Option<&str>| {
        assert_eq!(check_names(configs).err().map(|error| error.to_string()).as_deref(), want);
    };
    check(&[named("", "http://a"), named("", "http://b")], None);
    check(
        &[named("queue1", "http://a"), named("queue1", "http://b")],
        Some("found multiple remote write configs with job name \"queue1\""),
    );
    check(
        &[named("", "http://a"), named("", "http://a")],
        Some(
            "duplicate remote write configs are not allowed, found duplicate for URL: http://a; give each of them \
             a name",
        ),
    );
    // Position files are found by this name: it must never change for the same settings.
    let mut config = RemoteWriteConfig::new("http://hub/api/v1/write");
    let name = config.remote_name();
    config.queue_config.max_shards = 7;
    assert_eq!((config.remote_name(), name.len()), (name, 6));
}

/// Upstream's own files, with upstream's own errors.
#[test]
fn upstream_files() {
    let root = std::env::var("NAVE_CORPORA")
        .unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora").to_owned());
    let Ok(cases) = std::fs::read_to_string(format!("{root}/config/config-cases.json")) else {
        assert!(std::env::var("CI").is_err(), "corpora not found at {root}");
        let _ = std::io::Write::write_all(
            &mut std::io::stderr(),
            format!("SKIPPED: corpora not found at {root}\n").as_bytes(),
        );
        return;
    };
    let cases: serde_json::Value = serde_json::from_str(&cases).unwrap();
    let mut ran = 0;
    for case in cases["files"].as_array().unwrap() {
        let name = case["file"].as_str().unwrap();
        if !name.starts_with("remote_write_") {
            continue;
        }
        let text = std::fs::read_to_string(format!("{root}/config/testdata/{name}")).unwrap();
        let got = serde_saphyr::from_str::<File>(&text).map_err(|error| error.to_string());
        let got = got.and_then(|file| check_names(&file.remote_write).map_err(|error| error.to_string()));
        match case["load_error"].as_str() {
            None => assert_eq!(got, Ok(()), "{name}"),
            Some(want) => {
                let error = got.unwrap_err();
                assert!(error.contains(want), "{name}\n got: {error}\nwant: {want}");
            }
        }
        ran += 1;
    }
    assert!(ran >= 12, "only {ran} files ran");
}
