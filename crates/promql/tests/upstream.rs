//! Upstream's own suite of scripts, on this engine.
//!
//! `testdata/upstream-passing.txt` says how many evaluations of each file pass: as written, and in all
//! modes (as a step of a range, pinned by `@`). Fewer fail the test; `UPDATE=1` writes new counts.
//! `SHOW=<file>` prints what fails in a file.

mod common;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use nave_base::clock::SystemClock;
use nave_base::metric::Registry;
use nave_promql::testscript::{Modes, Script, Verdict, run};
use nave_promql::{Engine, EngineOptions, ParseOptions};

const EVALS: usize = 2214;

fn engine() -> Engine {
    let options = EngineOptions {
        max_samples: 10_000,
        parse: ParseOptions::ALL,
        delayed_name_removal: true,
        use_start_timestamps: true,
        ..EngineOptions::default()
    };
    Engine::new(options, SystemClock::shared(), &Registry::default())
}

fn files(corpora: &Path) -> Vec<PathBuf> {
    let folder = std::fs::read_dir(corpora.join("promql")).unwrap();
    let mut files: Vec<PathBuf> = folder
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "test"))
        .collect();
    files.sort();
    files
}

async fn verdicts(path: &Path, modes: Modes) -> Vec<Verdict> {
    let text = std::fs::read_to_string(path).unwrap();
    let script = Script::parse(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    run(&script, &engine(), modes).await.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn passing(verdicts: &[Verdict]) -> usize {
    verdicts.iter().filter(|verdict| verdict.failure.is_none()).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_scripts() {
    let Some(corpora) = common::corpora() else { return };
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/upstream-passing.txt");
    let show = std::env::var("SHOW").unwrap_or_default();
    let mut lines = String::from("# file, evaluations, passing as written, passing in all modes\n");
    let mut sums = [0; 3];
    for path in files(&corpora) {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let written = verdicts(&path, Modes::Written).await;
        let all = verdicts(&path, Modes::All).await;
        let counts = [written.len(), passing(&written), passing(&all)];
        _ = writeln!(lines, "{name} {} {} {}", counts[0], counts[1], counts[2]);
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        if name.starts_with(&show) && !show.is_empty() {
            print_failures(&name, &all);
        }
    }
    _ = writeln!(lines, "total {} {} {}", sums[0], sums[1], sums[2]);
    common::note(&lines);
    assert_eq!(sums[0], EVALS);
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&table, &lines).unwrap();
    }
    let known = std::fs::read_to_string(&table).unwrap();
    not_fewer(&known, &lines);
}

fn print_failures(name: &str, verdicts: &[Verdict]) {
    for verdict in verdicts {
        if let Some(failure) = &verdict.failure {
            common::note(&format!("{name}:{}: {}\n    {failure}", verdict.line, verdict.query));
        }
    }
}

fn not_fewer(known: &str, got: &str) {
    let rows = |text: &str| -> Vec<(String, Vec<usize>)> {
        let row = |line: &str| {
            let mut words = line.split(' ');
            let name = words.next().unwrap_or_default().to_owned();
            (name, words.map(|word| word.parse().unwrap()).collect())
        };
        text.lines().filter(|line| !line.starts_with('#')).map(row).collect()
    };
    for ((name, want), (_, got)) in rows(known).iter().zip(rows(got)) {
        let fewer = want.iter().zip(&got).any(|(want, got)| got < want);
        assert!(!fewer, "{name}: passing {got:?}, before {want:?}; SHOW={name} says which");
    }
}
