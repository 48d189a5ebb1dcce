//! Where the corpora are.

use std::path::PathBuf;

/// The corpora's folder, or `None` with a loud note; in CI its absence fails.
pub(crate) fn corpora() -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let path = std::env::var_os("NAVE_CORPORA").map_or_else(|| PathBuf::from(default), PathBuf::from);
    if path.join("promql").is_dir() {
        return Some(path);
    }
    assert!(std::env::var_os("CI").is_none(), "corpora not found at {}", path.display());
    note(&format!("SKIPPED: corpora not found at {}", path.display()));
    None
}

/// Writes to stderr past the test harness' capture.
pub(crate) fn note(text: &str) {
    use std::io::Write as _;
    _ = writeln!(std::io::stderr(), "{text}");
}

/// The expressions of real dashboards and rules, with plain texts in place of variables.
#[allow(dead_code, reason = "each test binary includes this module and uses a part of it")]
pub(crate) fn dashboard_queries() -> Option<Vec<String>> {
    let path = corpora()?.join("dashboards/promql-expressions.json");
    let corpus: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let substituted = |case: &serde_json::Value| {
        let query = case["expr"].as_str().unwrap();
        if case["kind"] == "rule" { query.to_owned() } else { substitute(query) }
    };
    Some(corpus["expressions"].as_array().unwrap().iter().map(substituted).collect())
}

/// `$__interval` and its like become `5m`; `$name`, `${name:format}` and `[[name]]` become `.*`.
fn substitute(query: &str) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut out = String::new();
    let mut rest = query;
    while let Some(at) = rest.find(['$', '[']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let (name, after) = if let Some(tail) = rest.strip_prefix("${") {
            tail.split_once('}').unwrap_or((tail, ""))
        } else if let Some(tail) = rest.strip_prefix("[[") {
            tail.split_once("]]").unwrap_or((tail, ""))
        } else if rest.starts_with('$')
            && rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        {
            let end = rest[1..].find(|c| !is_word(c)).map_or(rest.len(), |end| end + 1);
            (&rest[1..end], &rest[end..])
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
            continue;
        };
        out.push_str(if name.starts_with("__") { "5m" } else { ".*" });
        rest = after;
    }
    out + rest
}
