//! Following a log while it is written, and commits of many callers at once.

use std::path::Path;
use std::sync::Arc;

use nave_base::disk::{LocalDisk, MemoryDisk, SharedDisk};
use nave_wal::{Error, GroupCommit, Log, Next, Options, Position, Reader, Record};
use proptest::prelude::*;

const DIR: &str = "/wal";

fn log_on(disk: &SharedDisk, segment_bytes: u64) -> Log {
    Log::open(disk.clone(), Path::new(DIR), Options { segment_bytes }).unwrap().log
}

#[derive(Debug, Clone)]
enum Step {
    Append(u8, usize),
    Torn(usize),
    Cut,
    Read(usize),
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..5u8, 0..60usize).prop_map(|(kind, len)| Step::Append(kind, len)),
        1 => (0..40usize).prop_map(Step::Torn),
        1 => Just(Step::Cut),
        3 => (0..6usize).prop_map(Step::Read),
        1 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Whatever is written, torn and cut between its steps, a tail gives every record once, in order.
    #[test]
    fn a_tail_gives_every_record_once(steps in proptest::collection::vec(step(), 1..60)) {
        let memory = MemoryDisk::default();
        let disk: SharedDisk = Arc::new(memory.clone());
        let mut log = log_on(&disk, 150);
        let mut reader = Reader::at(disk.clone(), Path::new(DIR), Position::START);
        let (mut written, mut read, mut record) = (Vec::new(), Vec::new(), Record::default());
        for step in steps.into_iter().chain([Step::Read(usize::MAX)]) {
            match step {
                Step::Append(kind, len) => {
                    let payload = vec![u8::try_from(written.len() % 251).unwrap(); len];
                    let position = log.append(kind, &payload).unwrap();
                    written.push((position, kind, payload));
                }
                Step::Torn(room) => {
                    let used: u64 = disk.list(Path::new(DIR)).unwrap().iter().map(|entry| entry.len).sum();
                    memory.set_limit(Some(usize::try_from(used).unwrap() + room));
                    let result = log.append(1, &[0; 60]);
                    memory.set_limit(None);
                    // What an earlier partial write took is given back first, so it may fit.
                    written.extend(result.ok().map(|position| (position, 1, vec![0; 60])));
                }
                Step::Cut => _ = log.cut().unwrap(),
                Step::Read(count) => {
                    for _ in 0..count {
                        match reader.next(&mut record).unwrap() {
                            Next::Record => read.push((record.position, record.kind, record.payload.clone())),
                            Next::End => break,
                            Next::Damaged(damage) => prop_assert!(false, "{damage}"),
                        }
                    }
                }
                Step::Reopen => {
                    log = log_on(&disk, 150);
                    reader = Reader::at(disk.clone(), Path::new(DIR), reader.position());
                }
            }
        }
        prop_assert_eq!(read, written);
    }
}

/// Bytes that rot while the log is open: a tail waits for the next record, names the damage and goes on behind it.
#[test]
fn a_tail_steps_over_damage_in_the_segment_that_is_written() {
    let disk: SharedDisk = Arc::new(MemoryDisk::default());
    let mut log = log_on(&disk, 1 << 20);
    log.append(1, b"whole").unwrap();
    let damaged = log.append(2, b"damaged").unwrap();
    let file = disk.append(&Path::new(DIR).join("00000001.wal")).unwrap();
    let mut bytes = file.read_from(damaged.offset).unwrap();
    bytes[0] ^= 3;
    file.truncate(damaged.offset).unwrap();
    file.append(&bytes).unwrap();
    let mut reader = Reader::at(disk, Path::new(DIR), Position::START);
    let mut record = Record::default();
    assert_eq!(reader.next(&mut record).unwrap(), Next::Record);
    assert_eq!(reader.next(&mut record).unwrap(), Next::End);
    let behind = log.append(3, b"behind").unwrap();
    let Next::Damaged(damage) = reader.next(&mut record).unwrap() else { panic!("the damage is not named") };
    assert_eq!((damage.position, damage.resume, damage.lost_bytes), (damaged, behind, 20));
    assert_eq!(reader.next(&mut record).unwrap(), Next::Record);
    assert_eq!((record.kind, record.position), (3, behind));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_commits_share_syncs_and_a_tail_sees_them_all() {
    let dir = tempfile::tempdir().unwrap();
    let disk = LocalDisk::shared();
    let log = Log::open(disk.clone(), dir.path(), Options { segment_bytes: 4000 }).unwrap().log;
    let commits = Arc::new(GroupCommit::start(log, "test-wal").unwrap());
    let mut durable = commits.subscribe();
    let tasks: Vec<_> = (0..8u8)
        .map(|task| {
            let commits = commits.clone();
            tokio::spawn(async move {
                let mut positions = Vec::new();
                for i in 0..50u8 {
                    let records = vec![(task, vec![i; 20]), (task, vec![i; 3])];
                    positions.push((commits.commit(records).await.unwrap(), task, i));
                }
                positions
            })
        })
        .collect();
    let mut reader = Reader::at(disk, dir.path(), Position::START);
    let (mut record, mut read) = (Record::default(), Vec::new());
    while read.len() < 800 {
        match reader.next(&mut record).unwrap() {
            Next::Record => read.push((record.position, record.kind, record.payload[0])),
            Next::End => durable.changed().await.unwrap(),
            Next::Damaged(damage) => panic!("{damage}"),
        }
    }
    for task in tasks {
        for (position, kind, i) in task.await.unwrap() {
            let at = read.iter().position(|(p, ..)| *p == position).expect("the position is one of a record");
            assert_eq!((read[at].1, read[at].2, read[at + 1].1, read[at + 1].2), (kind, i, kind, i));
        }
    }
    assert!(commits.with(|log| log.segments().len()).await.unwrap() > 3);
}

#[tokio::test]
async fn a_failed_group_answers_all_and_the_next_one_works() {
    let memory = MemoryDisk::default();
    let disk: SharedDisk = Arc::new(memory.clone());
    let commits = GroupCommit::start(log_on(&disk, 1 << 20), "test-wal").unwrap();
    memory.set_limit(Some(30));
    assert!(matches!(commits.commit(vec![(1, vec![0; 50])]).await, Err(Error::Full { .. })));
    let large = vec![0; nave_wal::RECORD_BYTES_MAX + 1];
    assert!(matches!(commits.commit(vec![(1, large)]).await, Err(Error::TooLarge { .. })));
    memory.set_limit(None);
    let position = commits.commit(vec![(2, vec![1; 5])]).await.unwrap();
    assert_eq!(position, Position::start_of(1));
    assert_eq!(*commits.subscribe().borrow(), Position { segment: 1, offset: 24 + 18 });
    let after = memory.after_power_cut(0);
    drop(commits);
    let mut reader = Reader::at(Arc::new(after), Path::new(DIR), Position::START);
    let mut record = Record::default();
    assert_eq!(reader.next(&mut record).unwrap(), Next::Record);
    assert_eq!((record.kind, &record.payload[..]), (2, &[1; 5][..]));
    assert_eq!(reader.next(&mut record).unwrap(), Next::End);
}
