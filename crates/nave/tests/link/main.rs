//! The link over a network that fails in every way, with both ends killed: the ledger of what was appended at the spoke
//! and what the hub has must match.
//!
//! A seed is a script: `NAVE_LINK_SEED=X` runs one, `NAVE_LINK_SEEDS=N` the first N. Sender, receiver, queue and store
//! are the real ones over loopback; disks are simulated, so that a kill leaves what a kill leaves.
#![allow(clippy::print_stderr, reason = "a seed that fails is named")]

mod hub;
mod ledger;
mod proxy;
mod spoke;

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use nave_base::clock::{SharedClock, SystemClock};
use tokio::task::JoinSet;

use self::hub::Hub;
use self::ledger::Ledger;
use self::proxy::{Mood, Proxy};
use self::spoke::Spoke;

/// Seeds of a usual run.
const SEEDS: u64 = 100;
/// Seeds at the same time; most of their time is waiting.
const ABREAST: usize = 8;
const STEPS: usize = 24;
/// How long the last samples may take once nothing fails any more.
const PATIENCE: Duration = Duration::from_secs(60);

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}: expected a number, got {text:?}")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_ledger_matches_whatever_the_network_does() {
    let seeds = match number("NAVE_LINK_SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("NAVE_LINK_SEEDS").unwrap_or(SEEDS),
    };
    let (mut running, mut failures) = (JoinSet::new(), Vec::new());
    let mut note = |done: Result<(u64, Result<(), String>), _>| {
        let (seed, outcome) = done.expect("a seed does not panic");
        if let Err(what) = outcome {
            eprintln!("seed {seed}: {what}");
            failures.push(seed);
        }
    };
    for seed in seeds {
        if running.len() == ABREAST {
            running.join_next().await.into_iter().for_each(&mut note);
        }
        running.spawn(async move { (seed, run(seed).await) });
    }
    while let Some(done) = running.join_next().await {
        note(done);
    }
    assert!(failures.is_empty(), "seeds that fail, to be seen with NAVE_LINK_SEED: {failures:?}");
}

/// What happens between two looks at the ledger.
struct World {
    dice: Rng,
    clock: SharedClock,
    ledger: Arc<Ledger>,
    hub: Hub,
    proxy: Proxy,
    spoke: Spoke,
}

async fn run(seed: u64) -> Result<(), String> {
    let mut dice = Rng::with_seed(seed);
    let (clock, ledger) = (SystemClock::shared(), Arc::new(Ledger::default()));
    let hub = Hub::start(seed, &clock).await;
    let proxy = Proxy::start(seed, hub.address(), ledger.clone()).await;
    let spoke = Spoke::start(seed, proxy.address(), dice.bool(), &clock);
    let mut world = World { dice, clock, ledger, hub, proxy, spoke };
    for _ in 0..STEPS {
        world.step().await;
    }
    world.settle().await?;
    world.ledger.compare(&world.hub.restart().await.content().await, world.spoke.failed_total())
}

impl World {
    async fn step(&mut self) {
        match self.dice.u8(0..12) {
            0 => self.spoke.kill(),
            1 => {
                self.hub = self.hub.restart().await;
                self.proxy.lead_to(self.hub.address());
            }
            2 => self.proxy.set_mood(Mood::Good),
            3 => self.proxy.set_mood(Mood::Away),
            4 | 5 => self.proxy.set_mood(Mood::Bad),
            6 => self.clock.sleep(Duration::from_millis(self.dice.u64(5..60))).await,
            _ => {
                let samples = self.ledger.draw(&mut self.dice);
                self.spoke.append(&samples).await;
                // Acknowledged: from here on it may not be lost.
                self.ledger.acknowledged(&samples);
            }
        }
    }

    /// Nothing fails any more: everything gets through.
    async fn settle(&mut self) -> Result<(), String> {
        self.proxy.set_mood(Mood::Good);
        let begin = self.clock.monotonic();
        while !self.spoke.is_drained() {
            if self.clock.monotonic() - begin > PATIENCE {
                return Err(format!("not drained within {PATIENCE:?}: {}", self.spoke.describe()));
            }
            self.clock.sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}
