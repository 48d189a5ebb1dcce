//! The store in a simulation: random work, faults of the disk, crashes and time, all from one seed, against a map.
//!
//! Every acknowledged sample must be readable exactly once with its value, nothing may be invented, and what is
//! missing after bits were flipped must be explained by damage that the store names. `docs/decisions/072-simulation.md`
//! says what is checked and why a seed does the same again.
//!
//! `NAVE_SIM_SEEDS=N` runs seeds `0..N` (default 1,000), `NAVE_SIM_FROM=N` begins later, `NAVE_SIM_SEED=X` runs one. Before a
//! release: `NAVE_SIM_SEEDS=100000 cargo test --release -p nave-tsdb --test simulation -- --nocapture`.
#![allow(unreachable_pub, clippy::print_stderr)]

mod check;
mod content;
mod model;
mod rot;
mod script;
mod shrink;
mod world;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use script::Script;
use tokio::runtime::Runtime;
use world::Counts;

const SEEDS: u64 = 1000;
const THREADS: usize = 2;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")))
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made")
}

/// Runs a script; a panic is a failure too.
fn run(runtime: &Runtime, script: &Script) -> Result<Counts, String> {
    let result = catch_unwind(AssertUnwindSafe(|| runtime.block_on(world::run(script))));
    result.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        Err(format!("panicked: {}", text.unwrap_or("without a message")))
    })
}

fn fail(script: &Script, error: &str) -> ! {
    let seed = script.seed;
    eprintln!("seed {seed} failed and is made smaller: {error}");
    let (small, last) = shrink::shrink(script, error, |script| run(&runtime(), script));
    let steps: Vec<_> = small.steps.iter().map(|(number, step)| format!("  {number} {step:?}")).collect();
    panic!(
        "seed {seed} failed: {error}\n\nsmaller, {} of {} steps, {:?}:\n{}\nfails with: {last}\n\nagain: \
         NAVE_SIM_SEED={seed} cargo test -p nave-tsdb --test simulation",
        small.steps.len(),
        script.steps.len(),
        small.setting,
        steps.join("\n")
    );
}

#[test]
fn every_acknowledged_sample_is_readable_once() {
    if let Some(seed) = number("NAVE_SIM_SEED") {
        let script = Script::of(seed);
        let counts = run(&runtime(), &script).unwrap_or_else(|error| fail(&script, &error));
        eprintln!("seed {seed}: {counts:?}");
        return;
    }
    let from = number("NAVE_SIM_FROM").unwrap_or(0);
    let seeds = number("NAVE_SIM_SEEDS").unwrap_or(SEEDS);
    let (next, failed) = (AtomicU64::new(from), AtomicBool::new(false));
    let (total, failures) = (Mutex::new(Counts::default()), Mutex::new(Vec::new()));
    let worker = || {
        let runtime = runtime();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= from + seeds || failed.load(Ordering::Relaxed) {
                return;
            }
            let script = Script::of(seed);
            match run(&runtime, &script) {
                Ok(counts) => total.lock().unwrap_or_else(PoisonError::into_inner).add(&counts),
                Err(error) => {
                    failed.store(true, Ordering::Relaxed);
                    failures.lock().unwrap_or_else(PoisonError::into_inner).push((script, error));
                }
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(worker);
        }
    });
    let failures = failures.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some((script, error)) = failures.first() {
        fail(script, error);
    }
    eprintln!("{seeds} seeds from {from}: {:?}", total.into_inner().unwrap_or_else(PoisonError::into_inner));
}

/// What makes a failing seed useful: it does the same again.
#[test]
fn a_seed_does_the_same_again() {
    let runtime = runtime();
    for seed in 0..20 {
        let script = Script::of(seed);
        assert_eq!(run(&runtime, &script), run(&runtime, &script), "seed {seed}");
    }
}
