//! `nave test promql`, `nave query explain` and `nave explain`, as programs.

use std::process::{Command, Output};

const SCRIPT: &str =
    "load 1m\n  a 1 2 3\n\neval instant at 2m a\n  a 4\n\neval instant at 2m sum(a)\n  {} 3\n";

fn nave(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_nave")).args(args).output().expect("nave can be started")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn scripts_say_what_fails() {
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("a.test");
    std::fs::write(&script, SCRIPT).unwrap();
    let output = nave(&["test", "promql", &script.display().to_string()]);
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{printed}");
    assert!(printed.contains("a.test:4: a\n"), "{printed}");
    assert!(printed.ends_with("1 passed, 1 failed\n"), "{printed}");
}

#[test]
fn unknown_features_and_missing_files_are_errors() {
    let output = nave(&["test", "promql", "--enable-feature=x", "nowhere.test"]);
    assert!(text(&output.stderr).contains("unknown feature \"x\""), "{output:?}");
    let output = nave(&["test", "promql", "nowhere.test"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("cannot read nowhere.test"), "{output:?}");
}

#[test]
fn plans_are_printed() {
    let output = nave(&["query", "explain", "sum by (job) (rate(a[5m]))", "--start", "600"]);
    let printed = text(&output.stdout);
    assert!(printed.starts_with("sum by (job)\n  rate "), "{printed} {}", text(&output.stderr));
}

/// A kubectl that knows one monitor and nothing else; it has no Prometheus resources.
const KUBECTL: &str = r#"#!/bin/sh
case "$2" in
  servicemonitors*) echo '{"kind":"List","items":[{"kind":"ServiceMonitor","metadata":{"name":"myapp","namespace":"shop"},"spec":{"selector":{}}}]}' ;;
  prometheus*) echo "error: the server doesn't have a resource type" >&2; exit 1 ;;
  *) echo '{"kind":"List","items":[]}' ;;
esac
"#;

#[cfg(unix)]
#[test]
fn a_monitor_without_targets_has_one_reason() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let kubectl = dir.path().join("kubectl");
    std::fs::write(&kubectl, KUBECTL).unwrap();
    std::fs::set_permissions(&kubectl, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = nave(&["explain", "servicemonitor", "myapp", "--kubectl", &kubectl.display().to_string()]);
    assert_eq!(
        text(&output.stdout),
        "servicemonitor shop/myapp gives no target: in namespace shop there is no Service at all\n"
    );
    assert_eq!(output.status.code(), Some(1));
    let output = nave(&["explain", "servicemonitor", "myapp", "--kubectl", "/nowhere/kubectl"]);
    let printed = text(&output.stderr);
    assert!(printed.contains("cannot get servicemonitors") && printed.contains("--objects"), "{printed}");
}
