//! The planner by tables: files in, merges out.

use super::*;
use crate::catalog::WINDOW_MS;

const H: i64 = HOUR_MS;

/// `part w0 3 10`: a part of the two hours from hour 0, flush 3, 10 bytes. Also `block`, `day`; `1-3` for flushes;
/// `*` in front marks it as stale, `@5` behind as made at hour 5.
fn file(at: usize, text: &str) -> FileView {
    let stale = text.starts_with('*');
    let words: Vec<_> = text.trim_start_matches('*').split(' ').collect();
    let start = words[1][1..].parse::<i64>().unwrap() * H;
    let length = if words[0] == "day" { DAY_MS } else { WINDOW_MS };
    let (lo, hi) = words[2].split_once('-').unwrap_or((words[2], words[2]));
    let made =
        words.get(4).filter(|word| **word != "hot").map_or(0, |made| made[1..].parse::<i64>().unwrap() * H);
    FileView {
        id: BlockId(at as u128),
        tenant: String::new(),
        kind: if words[0] == "part" { FileKind::Part } else { FileKind::Block },
        window: Window::aligned(start, length),
        seq: SeqRange { lo: lo.parse().unwrap(), hi: hi.parse().unwrap() },
        bytes: words[3].parse().unwrap(),
        made_ms: made,
        hot: text.ends_with("hot"),
        stale,
    }
}

/// A job as `Closed w0 block 0 1 2`.
fn show(job: &Job) -> String {
    let start = job.window.start_ms / H;
    let day = if job.window.length_ms() == DAY_MS { "d" } else { "w" };
    let kind = if job.kind == FileKind::Part { "part" } else { "block" };
    let inputs: Vec<_> = job.inputs.iter().map(|id| id.0.to_string()).collect();
    format!("{:?} {day}{start} {kind} {}", job.why, inputs.join(" "))
}

fn jobs(files: &[&str], now_hours: f64, policy: &Policy) -> Vec<String> {
    let files: Vec<_> = files.iter().enumerate().map(|(at, text)| file(at, text)).collect();
    plan(&files, (now_hours * H as f64) as i64, policy).iter().map(show).collect()
}

fn check(files: &[&str], now_hours: f64, want: &[&str]) {
    assert_eq!(jobs(files, now_hours, &Policy::default()), want, "{files:?} at {now_hours} h");
}

#[test]
fn windows() {
    check(&[], 9.0, &[]);
    // Open until a quarter of an hour behind its end.
    check(&["part w0 1 10", "part w0 2 10"], 2.2, &[]);
    check(&["part w0 1 10", "part w0 2 10"], 2.25, &["Closed w0 block 0 1"]);
    check(&["part w0 1 10"], 2.25, &["Closed w0 block 0"]);
    check(&["block w0 1-9 10"], 9.0, &[]);
    // The oldest window first.
    check(&["part w2 1 10", "part w0 2 10"], 9.0, &["Closed w0 block 1", "Closed w2 block 0"]);
    let unflushed = Policy { unflushed_min_ms: 2 * H - 1, ..Policy::default() };
    assert!(jobs(&["part w0 1 10"], 3.0, &unflushed).is_empty(), "samples of the window are in memory only");
}

#[test]
fn open_windows() {
    let parts = |count: usize| (0..count).map(|seq| format!("part w0 {seq} 10")).collect::<Vec<_>>();
    let run = |files: &[String]| {
        jobs(&files.iter().map(String::as_str).collect::<Vec<_>>(), 1.0, &Policy::default())
    };
    assert!(run(&parts(16)).is_empty());
    let all: Vec<_> = (0..17).map(|at| at.to_string()).collect();
    assert_eq!(run(&parts(17)), [format!("ManyParts w0 part {}", all.join(" "))]);
    // What was merged before is left alone while it is much larger.
    let mut files = parts(17);
    files[0] = "part w0 0 1000".to_owned();
    assert_eq!(run(&files), [format!("ManyParts w0 part {}", all[1..].join(" "))]);
    // A block that somebody made by hand stays out of it.
    files[0] = "block w0 0 10".to_owned();
    assert!(run(&files).is_empty());
}

#[test]
fn what_memory_has_is_left_alone() {
    check(&["part w0 1 10", "part w0 2 10 hot"], 9.0, &[]);
    let mut files: Vec<_> = (0..17).map(|seq| format!("part w0 {seq} 10")).collect();
    let run = |files: &[String]| {
        jobs(&files.iter().map(String::as_str).collect::<Vec<_>>(), 1.0, &Policy::default()).len()
    };
    files[16].push_str(" hot");
    assert_eq!(run(&files), 0);
    files.insert(0, "part w0 0 10".to_owned());
    assert_eq!(run(&files), 1);
}

#[test]
fn late_parts() {
    let late = |count: usize, block: &str| {
        let mut files = vec![format!("block w0 1-9 {block}")];
        files.extend((0..count).map(|at| format!("part w0 {} 10 @20", 10 + at)));
        jobs(&files.iter().map(String::as_str).collect::<Vec<_>>(), 21.0, &Policy::default())
    };
    assert!(late(7, "1000").is_empty(), "they wait for more");
    assert_eq!(late(8, "1000"), ["Late w0 block 1 2 3 4 5 6 7 8"]);
    assert_eq!(late(8, "160"), ["Late w0 block 0 1 2 3 4 5 6 7 8"], "the block is not much larger");
    // One that is old gives its numbers free.
    check(&["block w0 1 1000", "part w0 2 10 @19"], 20.9, &[]);
    check(&["block w0 1 1000", "part w0 2 10 @19"], 21.0, &["Late w0 block 1"]);
    check(&["block w0 1 1000", "block w0 2 15", "part w0 3 10"], 21.0, &["Late w0 block 1 2"]);
}

#[test]
fn many_files() {
    let blocks: Vec<_> = (0..9).map(|at| format!("block w0 {at} {}", 4_u64.pow(12 - at))).collect();
    let blocks: Vec<_> = blocks.iter().map(String::as_str).collect();
    check(&blocks[..8], 9.0, &[]);
    check(&blocks, 9.0, &["ManyFiles w0 block 4 5 6 7 8"]);
}

#[test]
fn days() {
    let two = ["block w0 1-9 10", "block w2 5-12 10"];
    check(&two, 29.9, &[]);
    check(&two, 30.0, &["Day d0 block 0 1"]);
    check(&["block w0 1-9 10", "block w24 5-12 10"], 40.0, &[]);
    check(&["block w0 1-9 10"], 40.0, &[]);
    // Everything of the day, in order of flushes; late parts too.
    check(&["block w2 5-12 10", "part w2 13 10 @30", "block w0 1-9 10"], 30.0, &["Day d0 block 2 0 1"]);
    // A day with a file of its own takes in what came before the flushes knew of it.
    check(&["day w0 1-12 100", "part w2 13 10 @1"], 30.0, &["Late d0 block 1"]);
    check(&["day w0 1-12 100", "part w2 13 60 @1"], 30.0, &["Late d0 block 0 1"]);
    let never = Policy { day_after_ms: None, ..Policy::default() };
    assert!(jobs(&two, 99.0, &never).is_empty());
    let small = Policy { input_bytes_max: 19, ..Policy::default() };
    assert!(jobs(&two, 99.0, &small).is_empty());
}

#[test]
fn stale_files() {
    check(&["*block w0 1 10"], 9.0, &["Stale w0 block 0"]);
    check(&["*part w0 1 10"], 1.0, &["Stale w0 part 0"]);
    // A merge that is due anyway does it.
    check(&["*part w0 1 10"], 9.0, &["Closed w0 block 0"]);
    check(&["*block w0 1 10", "*block w2 2 10"], 9.0, &["Stale w0 block 0", "Stale w2 block 1"]);
}

#[test]
fn by_hand() {
    let policy = Policy { everything: true, ..Policy::default() };
    let files = ["block w0 1 10", "part w0 2 10", "part w2 2 10", "block w4 3 10"];
    assert_eq!(jobs(&files, 1.0, &policy), ["Closed w0 block 0 1", "Closed w2 block 2"]);
    assert_eq!(jobs(&files, 48.0, &policy), ["Day d0 block 0 1 2 3"]);
}

/// A fleet of which a fifth comes up to a day late: each sample is written again a few times only, and the number of
/// files stays small.
#[test]
fn late_data_is_not_rewritten_all_the_time() {
    let (mut files, mut next, mut merged): (Vec<FileView>, u128, u64) = (Vec::new(), 0, 0);
    let (mut flushed, mut most) = (0_u64, 0);
    let policy = Policy { day_after_ms: None, ..Policy::default() };
    let minute = H / 60;
    for seq in 0..(48 * 12) {
        let now = seq as i64 * 5 * minute;
        for (back, bytes) in [(0, 800)].into_iter().chain((1..=12).map(|back| (back * 2 * H, 17))) {
            let window = Window::aligned(now - back, WINDOW_MS);
            let seq = SeqRange { lo: seq, hi: seq };
            let (kind, stale, hot, tenant) = (FileKind::Part, false, false, String::new());
            files.push(FileView {
                id: BlockId(next),
                tenant,
                kind,
                window,
                seq,
                bytes,
                made_ms: now,
                hot,
                stale,
            });
            next += 1;
            flushed += bytes;
        }
        while let Some(job) = plan(&files, now, &policy).into_iter().next() {
            let (inputs, rest): (Vec<_>, Vec<_>) =
                files.into_iter().partition(|file| job.inputs.contains(&file.id));
            files = rest;
            let bytes = inputs.iter().map(|file| file.bytes).sum();
            merged += bytes;
            let lo = inputs.iter().map(|file| file.seq.lo).min().unwrap();
            let hi = inputs.iter().map(|file| file.seq.hi).max().unwrap();
            let (kind, window, seq) = (job.kind, job.window, SeqRange { lo, hi });
            let (id, made_ms, hot, stale) = (BlockId(next), now, false, false);
            files.push(FileView { id, tenant: String::new(), kind, window, seq, bytes, made_ms, hot, stale });
            next += 1;
        }
        let longest =
            files.iter().map(|file| files.iter().filter(|other| other.window == file.window).count());
        most = most.max(longest.max().unwrap_or(0));
    }
    let amplification = merged as f64 / flushed as f64;
    assert!(amplification < 4.0, "{amplification}");
    assert!(most <= 17, "{most} files in a window");
}
