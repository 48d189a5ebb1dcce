//! Makes a failing script smaller by leaving out steps and samples, as long as it still fails.

use crate::script::{Script, Step, Write};

/// Runs until it is small enough.
const RUNS_MAX: usize = 300;

/// A script with as few steps as can be had, and how it fails. Failing in another way counts too.
pub fn shrink<T>(
    script: &Script,
    error: &str,
    mut run: impl FnMut(&Script) -> Result<T, String>,
) -> (Script, String) {
    let (mut best, mut last) = (script.clone(), error.to_owned());
    let mut chunk = best.steps.len().div_ceil(2);
    let mut runs = 0;
    while chunk > 0 {
        let mut at = 0;
        while at < best.steps.len() && runs < RUNS_MAX {
            let mut smaller = best.clone();
            smaller.steps.drain(at..(at + chunk).min(best.steps.len()));
            runs += 1;
            match run(&smaller) {
                Err(error) => (best, last) = (smaller, error),
                Ok(_) => at += chunk,
            }
        }
        chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
    }
    for step in 0..best.steps.len() {
        for write in 0..writes(&mut best.steps[step].1).len() {
            let mut chunk = writes(&mut best.steps[step].1)[write].points.len().div_ceil(2);
            while chunk > 0 {
                let mut at = 0;
                while at < writes(&mut best.steps[step].1)[write].points.len() && runs < RUNS_MAX {
                    let mut smaller = best.clone();
                    let points = &mut writes(&mut smaller.steps[step].1)[write].points;
                    points.drain(at..(at + chunk).min(points.len()));
                    runs += 1;
                    match run(&smaller) {
                        Err(error) => (best, last) = (smaller, error),
                        Ok(_) => at += chunk,
                    }
                }
                chunk = if chunk == 1 { 0 } else { chunk.div_ceil(2) };
            }
        }
    }
    (best, last)
}

fn writes(step: &mut Step) -> &mut [Write] {
    match step {
        Step::Append(write) => std::slice::from_mut(write),
        Step::Concurrent(writes) => writes,
        _ => &mut [],
    }
}
