//! The house: which crate may use which. A new crate or a new edge is a decision page (docs/decisions)
//! and a change of this table; ARCHITECTURE.md shows the same picture.
//!
//! Every row names only rows above it, so the table has no cycle, and what conforms to it has none.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

/// Crate, and what it may use. Edges of tests count too: a room is tested with what it stands on.
const HOUSE: &[(&str, &[&str])] = &[
    ("nave-base", &[]),
    ("nave-model", &["nave-base"]),
    ("nave-http", &["nave-base"]),
    ("nave-wire", &["nave-base", "nave-model"]),
    ("nave-wal", &["nave-base", "nave-model"]),
    ("nave-block", &["nave-base", "nave-model"]),
    ("nave-prometheus-block", &["nave-base", "nave-model", "nave-block"]),
    ("nave-promql", &["nave-base", "nave-model"]),
    ("nave-discovery", &["nave-base", "nave-model", "nave-http"]),
    ("nave-exporter", &["nave-base", "nave-model", "nave-wire"]),
    ("nave-scrape", &["nave-base", "nave-model", "nave-http", "nave-wire", "nave-discovery"]),
    ("nave-remote", &["nave-base", "nave-model", "nave-http", "nave-wire", "nave-wal"]),
    ("nave-tsdb", &["nave-base", "nave-model", "nave-wal", "nave-block"]),
    ("nave-api", &["nave-base", "nave-model", "nave-http", "nave-wire", "nave-promql"]),
    (
        "nave",
        &[
            "nave-base",
            "nave-model",
            "nave-http",
            "nave-wire",
            "nave-wal",
            "nave-block",
            "nave-prometheus-block",
            "nave-promql",
            "nave-discovery",
            "nave-exporter",
            "nave-scrape",
            "nave-remote",
            "nave-tsdb",
            "nave-api",
        ],
    ),
];

/// Which workspace crates each workspace crate depends on.
type Edges = BTreeMap<String, BTreeSet<String>>;

/// What `cargo metadata` says of this workspace; needs no network.
fn read_workspace() -> Edges {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&output.stderr));
    edges(&serde_json::from_slice(&output.stdout).expect("cargo metadata prints JSON"))
}

fn edges(metadata: &Value) -> Edges {
    let name = |value: &Value| value["name"].as_str().expect("a package has a name").to_owned();
    let packages = metadata["packages"].as_array().expect("metadata has packages");
    let members: BTreeSet<String> = packages.iter().map(name).collect();
    packages
        .iter()
        .map(|package| {
            let dependencies = package["dependencies"].as_array().expect("a package has dependencies");
            (name(package), dependencies.iter().map(name).filter(|used| members.contains(used)).collect())
        })
        .collect()
}

/// Everything in which the edges and the table disagree.
fn violations(house: &[(&str, &[&str])], edges: &Edges) -> Vec<String> {
    let rows: BTreeMap<&str, &[&str]> = house.iter().copied().collect();
    let mut found = Vec::new();
    for (name, used) in edges {
        match rows.get(name.as_str()) {
            None => found.push(format!("{name} is not in the table: write a decision page and add it")),
            Some(allowed) => found.extend(
                used.iter()
                    .filter(|used| !allowed.contains(&used.as_str()))
                    .map(|used| format!("{name} uses {used}, which the table does not allow")),
            ),
        }
    }
    for (i, (name, allowed)) in house.iter().enumerate() {
        if !edges.contains_key(*name) {
            found.push(format!("{name} is in the table, but no such crate exists"));
        }
        let above: BTreeSet<&str> = house[..i].iter().map(|row| row.0).collect();
        let upward = allowed.iter().filter(|used| !above.contains(*used));
        found.extend(upward.map(|used| format!("{name} may use {used}, which does not stand above it")));
    }
    found
}

#[test]
fn arrows_point_down_only() {
    let found = violations(HOUSE, &read_workspace());
    assert!(found.is_empty(), "the house is not as drawn:\n{}", found.join("\n"));
}

#[test]
fn what_is_found() {
    let check = |house: &[(&str, &[&str])], metadata: &str, expect: &[&str]| {
        let edges = edges(&serde_json::from_str(metadata).unwrap());
        assert_eq!(violations(house, &edges), expect, "{metadata}");
    };
    let metadata = r#"{"packages": [
        {"name": "a", "dependencies": [{"name": "serde"}]},
        {"name": "b", "dependencies": [{"name": "a"}, {"name": "serde"}]}]}"#;
    check(&[("a", &[]), ("b", &["a"])], metadata, &[]);
    check(&[("a", &[]), ("b", &[])], metadata, &["b uses a, which the table does not allow"]);
    check(
        &[("b", &["a"])],
        metadata,
        &[
            "a is not in the table: write a decision page and add it",
            "b may use a, which does not stand above it",
        ],
    );
    check(&[("a", &["b"]), ("b", &["a"])], metadata, &["a may use b, which does not stand above it"]);
    check(
        &[("a", &[]), ("b", &["a"]), ("c", &[])],
        metadata,
        &["c is in the table, but no such crate exists"],
    );
}
