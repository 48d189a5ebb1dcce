//! Rules one by one, and upstream's cases from the corpora.

use std::path::Path;

use serde_json::Value;

use super::*;
use crate::label::Labels;

fn rule(json: &str) -> Result<RelabelConfig, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

/// The parsed file, or `None` with a loud word where the corpora are not there.
#[allow(clippy::print_stderr)] // a test that was skipped must be seen
fn corpus(file: &str) -> Option<Value> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let root = std::env::var("NAVE_CORPORA").unwrap_or_else(|_| default.to_owned());
    let path = Path::new(&root).join(file);
    match std::fs::read_to_string(&path) {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(error) => {
            assert!(std::env::var_os("CI").is_none(), "corpora not found at {}: {error}", path.display());
            eprintln!("SKIPPED: corpora not found at {}", path.display());
            None
        }
    }
}

fn labels(value: &Value) -> Labels {
    let pairs = value.as_object().unwrap().iter();
    Labels::from_pairs(pairs.map(|(name, value)| (name.as_str(), value.as_str().unwrap()))).unwrap()
}

#[test]
fn upstreams_cases() {
    let Some(corpus) = corpus("config/relabel-cases.json") else { return };
    for case in corpus["cases"].as_array().unwrap() {
        let rules: Vec<RelabelConfig> = serde_json::from_value(case["relabel"].clone()).unwrap();
        let mut builder = labels(&case["input"]).to_builder();
        let verdict = process(&mut builder, &rules);
        assert_eq!(verdict == Verdict::Drop, case["dropped"] == Value::Bool(true), "{case}");
        if verdict == Verdict::Keep {
            assert_eq!(builder.build(), labels(&case["output"]), "{case}");
        }
    }
}

#[test]
fn upstreams_validations() {
    let Some(corpus) = corpus("config/relabel-cases.json") else { return };
    for case in corpus["validate"].as_array().unwrap() {
        let mut config = case["config"].clone();
        let legacy = config["name_validation"] == "legacy";
        config.as_object_mut().unwrap().remove("name_validation");
        // The rows are Go structs: what is absent is empty there, not the default.
        if config.get("action").is_none() {
            config["action"] = Value::String(String::new());
        }
        let scheme = if legacy { NameScheme::Legacy } else { NameScheme::Utf8 };
        let checked = rule(&config.to_string())
            .and_then(|rule| rule.validate(scheme).map_err(|error| error.to_string()));
        match case["error_contains"].as_str() {
            Some(want) => {
                assert!(checked.as_ref().is_err_and(|error| error.contains(want)), "{case}: {checked:?}");
            }
            None => assert_eq!(checked, Ok(()), "{case}"),
        }
    }
    for case in corpus["target_label_legacy"].as_array().unwrap() {
        let template = case["target_label"].as_str().unwrap();
        assert_eq!(allows_template(NameScheme::Legacy, template), case["valid_legacy"] == true, "{template}");
    }
}

#[test]
fn upstreams_round_trips() {
    let Some(corpus) = corpus("config/relabel-cases.json") else { return };
    for case in corpus["roundtrip"].as_array().unwrap() {
        let read: RelabelConfig = serde_saphyr::from_str(case["yaml"].as_str().unwrap()).expect("reads");
        let printed = serde_saphyr::to_string(&read).expect("prints");
        let keys = |text: &str| {
            text.lines().filter_map(|l| Some(l.split_once(':')?.0.to_owned())).collect::<Vec<_>>()
        };
        assert_eq!(keys(&printed), keys(case["yaml"].as_str().unwrap()), "{case}");
        assert_eq!(serde_saphyr::from_str::<RelabelConfig>(&printed).expect("reads again"), read, "{case}");
    }
}

#[test]
fn texts_of_refusals() {
    let check = |json: &str, want: &str| {
        let error = rule(json).expect_err(json);
        assert!(error.contains(want), "{json}: {error}");
    };
    check(r#"{"action":"jump"}"#, r#"unknown relabel action "jump""#);
    check(r#"{"action":"hashmod","target_label":"a"}"#, "hashmod requires non-zero modulus");
    check(
        r#"{"action":"keepequal","target_label":"a","separator":"x"}"#,
        "keepequal action requires only 'source_labels' and `target_label`, and no other fields",
    );
    check(
        r#"{"action":"labeldrop","regex":"a","source_labels":[]}"#,
        "labeldrop action requires only 'regex', and no other fields",
    );
    check(
        r#"{"action":"uppercase","target_label":"a","replacement":"b"}"#,
        "'replacement' can not be set for uppercase action",
    );
    check(r#"{"action":"keep","regex":"("}"#, "error parsing regexp: missing closing )");
    check(r#"{"actoin":"keep"}"#, "unknown field");
}

#[test]
fn yaml_scalars_are_text() {
    let check = |yaml: &str, regex: &str| {
        let rule: RelabelConfig = serde_saphyr::from_str(yaml).expect(yaml);
        assert_eq!(rule.regex.as_str(), regex, "{yaml}");
    };
    check("{source_labels: [a], action: keep, regex: true}", "true");
    check("{source_labels: [a], action: KEEP, regex: 1.0}", "1.0");
    check("{source_labels: [a], action: keep, regex: 0x10}", "0x10");
    check("{source_labels: [a], action: keep, regex: }", "(.*)");
    let rule: RelabelConfig = serde_saphyr::from_str("{target_label: a, replacement: 5}").expect("a number");
    let mut builder = Builder::default();
    let _ = rule.apply(&mut builder);
    assert_eq!(builder.get("a"), "5");
}

#[test]
fn the_empty_source_matches_the_default_regex() {
    let mut builder = Builder::default();
    let rule = rule(r#"{"source_labels":["none"],"target_label":"a","replacement":"x${1}y"}"#).unwrap();
    assert_eq!(rule.apply(&mut builder), Verdict::Keep);
    assert_eq!(builder.get("a"), "xy");
}
