//! The script runner itself: scripts that must pass and scripts that must not.

mod common;

use nave_base::clock::SystemClock;
use nave_base::metric::Registry;
use nave_promql::testscript::{Command, Description, Modes, Script, run};
use nave_promql::{Engine, EngineOptions, ParseOptions};
use serde_json::Value;

fn load(file: &str) -> Option<Value> {
    let path = common::corpora()?.join("promql").join(file);
    Some(serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap())
}

async fn outcome(text: &str) -> Result<(), String> {
    let options = EngineOptions {
        parse: ParseOptions::ALL,
        delayed_name_removal: true,
        use_start_timestamps: true,
        ..EngineOptions::default()
    };
    let engine = Engine::new(options, SystemClock::shared(), &Registry::default());
    let script = Script::parse(text).map_err(|error| error.to_string())?;
    let verdicts = run(&script, &engine, Modes::All).await.map_err(|error| error.to_string())?;
    match verdicts.into_iter().find_map(|verdict| verdict.failure) {
        Some(failure) => Err(failure),
        None => Ok(()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn scripts() {
    let Some(corpus) = load("runner-cases.json") else { return };
    let cases = corpus["scripts"].as_array().unwrap();
    assert_eq!(cases.len(), 98);
    let mut wrong = Vec::new();
    for case in cases {
        let got = outcome(case["script"].as_str().unwrap()).await;
        if got.is_ok() != case["error"].is_null() {
            wrong.push(format!("{}\n    want {}\n    got  {got:?}", case["name"], case["error"]));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn start_timestamps() {
    let Some(corpus) = load("runner-cases.json") else { return };
    for case in corpus["st_sequences"].as_array().unwrap() {
        let items = case["input"].as_str().unwrap();
        let want: Vec<Option<i64>> =
            case["offsets_ms"].as_array().into_iter().flatten().map(Value::as_i64).collect();
        // Values for as many positions as are expected; all at time zero plus index ms.
        let values = vec!["1"; want.len()].join(" ");
        let parsed = Script::parse(&format!("load 1ms\n  a@st {items}\n  a {values}\n"));
        match (parsed, case.get("error").is_some()) {
            (Err(_), true) => {}
            (Ok(script), false) => {
                let [Command::Load(load)] = &script.commands[..] else { panic!("one load") };
                let at = |index: usize| i64::try_from(index).unwrap();
                let got: Vec<Option<i64>> = load.series[0]
                    .starts
                    .iter()
                    .enumerate()
                    .map(|(index, start)| start.map(|start| start.0 - at(index)))
                    .collect();
                assert_eq!(got, want, "{items}");
            }
            (parsed, _) => panic!("{items}: {parsed:?}"),
        }
    }
    for case in corpus["st_load_errors"].as_array().unwrap() {
        assert!(Script::parse(case["script"].as_str().unwrap()).is_err(), "{}", case["name"]);
    }
}

#[test]
fn series_errors() {
    /// Upstream shows the number of a token of its generated parser.
    const NUMBERED: &str = "{} {{ schema:1}}";
    let Some(corpus) = load("parse-cases.json") else { return };
    let cases = [&corpus["series_errors"], &corpus["histogram_errors"]];
    for case in cases.iter().flat_map(|cases| cases.as_array().unwrap()) {
        let (input, want) = (case["input"].as_str().unwrap(), case["error"].as_str().unwrap());
        let got = Description::parse(input).unwrap_err().to_string();
        let same = if input == NUMBERED {
            got.starts_with("1:7: parse error: unexpected")
        } else {
            got.ends_with(want)
        };
        assert!(same, "{input}\n    want {want}\n    got  {got}");
    }
}
