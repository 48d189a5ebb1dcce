//! What is shown of a configuration: everything but the secrets.

use std::fs;

use super::Config;
use crate::flag::Mode;

/// `http_config` with every secret it can hold; credentials exclude each other, so there are several.
const HTTP: [&str; 5] = [
    "basic_auth: {username: u, password: S3CRET-1}",
    "authorization: {type: Bearer, credentials: S3CRET-2}",
    "bearer_token: S3CRET-3",
    "oauth2: {client_id: c, client_secret: S3CRET-4, token_url: 'http://u:S3CRET-5@t/', \
     tls_config: {cert: c, key: S3CRET-6}, proxy_url: 'http://u:S3CRET-7@p/', \
     proxy_connect_header: {X: [S3CRET-8]}}",
    "http_headers: {X: {secrets: [S3CRET-9], values: [open]}}, tls_config: {cert: c, key: S3CRET-10}, \
     proxy_url: 'http://u:S3CRET-11@p/', proxy_connect_header: {X: [S3CRET-12]}",
];

#[test]
fn no_secret_is_shown() {
    for http in HTTP {
        let text = format!(
            "
scrape_configs:
  - {{job_name: a, {http}}}
remote_write:
  - {{url: 'http://u:S3CRET-13@a/', {http}}}
remote_read:
  - {{url: 'http://u:S3CRET-14@a/', {http}}}
alerting:
  alertmanagers:
    - {{{http}, consul_sd_configs: [{{token: S3CRET-15}}]}}
    - {{sigv4: {{access_key: a, secret_key: S3CRET-16}}}}
tracing:
  {{endpoint: 'a:1', tls_config: {{cert: c, key: S3CRET-17}}}}
"
        );
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.yml");
        fs::write(&path, &text).unwrap();
        let config = Config::load(&path, Mode::Hub).unwrap();
        let shown = config.show();
        assert!(!shown.contains("S3CRET") && shown.contains("<secret>"), "{shown}");
    }
}

/// Errors quote no value that may be or hold a secret.
#[test]
fn no_error_holds_a_secret() {
    let check = |entry: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("p.yml");
        fs::write(&path, format!("remote_write: [{{{entry}}}]\n")).unwrap();
        let error = format!("{:#}", Config::load(&path, Mode::Hub).expect_err(entry));
        assert!(error.contains("p.yml:1:") && !error.contains("S3CRET"), "{error}");
    };
    check("url: 'http://u:S3CRET@[/'");
    check("url: 'http://a/', proxy_url: 'http://u:S3CRET@[/'");
    check("url: 'http://a/', oauth2: {client_id: a, token_url: 'http://u:S3CRET@[/'}");
    check("url: 'http://a/', bearer_token: [S3CRET]");
    check("url: 'http://a/', basic_auth: S3CRET");
    check("url: 'http://a/', basic_auth: {username: a, password: S3CRET, password_file: b}");
    check("url: 'http://a/', authorization: {type: basic, credentials: S3CRET}");
}

/// What is shown can be loaded again, with `<secret>` in place of secrets.
#[test]
fn what_is_shown_loads() {
    let text = format!(
        "global: {{external_labels: {{a: b}}}}\nrule_files: [r.yml]\nscrape_configs: [{{job_name: a, {http}}}]\n\
         alerting: {{alertmanagers: [{{{http}}}], alert_relabel_configs: [{{action: labeldrop, regex: x}}]}}\n\
         remote_write: [{{url: 'http://a/', {http}}}]\nremote_read: [{{url: 'http://a/', {http}}}]\n\
         storage: {{tsdb: {{retention: {{time: 1d, size: 1GB, percentage: 0.5}}, chunk_encoding: {{floats: xor}}}}}}\n\
         tracing: {{endpoint: 'a:1', client_type: grpc, compression: gzip}}\notlp: {{promote_resource_attributes: [a]}}\n\
         runtime: {{gogc: 42}}\n",
        http = HTTP[0]
    );
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("p.yml");
    fs::write(&path, text).unwrap();
    let shown = Config::load(&path, Mode::Hub).unwrap().show();
    fs::write(&path, &shown).unwrap();
    let again = Config::load(&path, Mode::Hub).unwrap_or_else(|error| panic!("{error:#}\n{shown}"));
    assert_eq!(again.show(), shown);
}
