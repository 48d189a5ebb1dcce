//! Round trips of whole pages, and what damage does to them.

use proptest::prelude::*;

use super::*;
use crate::Effort;

fn origin(i: usize) -> Origin {
    Origin { series: 100 + i as u32 / 2, times: 7 * (i as u32 % 3), ..Origin::default() }
}

fn write_values(columns: &[Vec<f64>]) -> Vec<u8> {
    let mut writer = PageWriter::new(Kind::Values, Effort::Small).unwrap();
    columns.iter().enumerate().for_each(|(i, column)| writer.push_values(origin(i), column));
    let mut bytes = Vec::new();
    writer.finish(&mut bytes).unwrap();
    bytes
}

fn read_values(bytes: &[u8]) -> Result<Vec<Vec<u64>>, crate::Damage> {
    let mut scratch = Scratch::new();
    let page = Page::open(Kind::Values, bytes.to_vec(), &mut scratch)?;
    let read = |i| {
        let mut out = Vec::new();
        page.values(i, &mut scratch, &mut out)?;
        Ok(out.into_iter().map(f64::to_bits).collect())
    };
    (0..page.columns()).map(read).collect()
}

fn bits(columns: &[Vec<f64>]) -> Vec<Vec<u64>> {
    columns.iter().map(|column| column.iter().map(|value| value.to_bits()).collect()).collect()
}

fn check(columns: &[Vec<f64>]) {
    assert_eq!(read_values(&write_values(columns)).unwrap(), bits(columns));
}

/// Columns of every kind the encoder knows.
fn assorted() -> Vec<Vec<f64>> {
    let stale = f64::from_bits(0x7ff0_0000_0000_0002);
    let column = |value: &dyn Fn(i32) -> f64| (0..60).map(value).collect::<Vec<f64>>();
    let mut ended = column(&|i| f64::from(i) * 0.5);
    ended.push(stale);
    vec![
        vec![1.0; 60],
        column(&|i| f64::from(i * 3)),
        column(&|i| f64::from((i * 7919) % 101)),
        column(&|i| f64::from((i * 7919) % 101) + 5.0),
        column(&|i| f64::from(i * i) / 8.0),
        column(&|i| (f64::from(i) * 0.1).sin()),
        column(&|i| f64::from(i) * 0.1 + f64::from(i) * 0.003),
        ended,
        vec![f64::NAN; 3],
        vec![stale],
        vec![-0.0, 0.0, f64::INFINITY, f64::NEG_INFINITY, f64::from_bits(0xfff8_dead_beef_0001), 1e-310],
    ]
}

#[test]
fn pages_come_back() {
    check(&assorted());
    check(&[]);
    check(&[vec![4.0]]);
}

#[test]
fn a_writer_can_be_used_again() {
    let mut writer = PageWriter::new(Kind::Values, Effort::Small).unwrap();
    let mut bytes = Vec::new();
    for _ in 0..2 {
        bytes.clear();
        assorted().iter().enumerate().for_each(|(i, column)| writer.push_values(origin(i), column));
        writer.finish(&mut bytes).unwrap();
    }
    assert_eq!(read_values(&bytes).unwrap(), bits(&assorted()));
}

#[test]
fn constants_and_copies_take_no_stream() {
    let noisy: Vec<f64> = (0..1000).map(|i| f64::from((i * 7919) % 257)).collect();
    let once = write_values(std::slice::from_ref(&noisy)).len();
    let twice = write_values(&[noisy.clone(), noisy.iter().map(|value| value + 1000.0).collect()]).len();
    let constants = write_values(&vec![vec![4096.5; 1000]; 50]).len();
    assert!(twice < once + 12, "{once} bytes once, {twice} twice");
    assert!(constants < 100, "{constants} bytes for constants");
}

#[test]
fn columns_know_their_series_and_times() {
    let bytes = write_values(&assorted());
    let page = Page::open(Kind::Values, bytes.clone(), &mut Scratch::new()).unwrap();
    for i in 0..page.columns() {
        assert_eq!(page.origin(i), Some(origin(i)));
    }
    assert_eq!(page.columns_of(101), 2..4);
    assert_eq!(page.columns_of(99), 0..0);
    assert_eq!(page.columns_of(900), 11..11);
}

#[test]
fn times_come_back() {
    let grid: Vec<i64> = (0..500).map(|i| 1_700_000_000_000 + i * 15_000).collect();
    let jitter: Vec<i64> = grid.iter().enumerate().map(|(i, t)| t + (i as i64 * 7919) % 5).collect();
    let columns = [grid, jitter, vec![i64::MIN, 0, i64::MAX]];
    let mut writer = PageWriter::new(Kind::Times, Effort::Small).unwrap();
    columns.iter().for_each(|column| writer.push_numbers(column));
    let mut bytes = Vec::new();
    writer.finish(&mut bytes).unwrap();
    let mut scratch = Scratch::new();
    let page = Page::open(Kind::Times, bytes.clone(), &mut scratch).unwrap();
    for (i, column) in columns.iter().enumerate() {
        let mut out = Vec::new();
        page.numbers(i, &mut scratch, &mut out).unwrap();
        assert_eq!((&out, page.count(i)), (column, Some(column.len())));
    }
    assert!(Page::open(Kind::Values, bytes.clone(), &mut scratch).is_err());
}

#[test]
fn every_flipped_byte_is_named_damage() {
    let bytes = write_values(&assorted());
    for at in 0..bytes.len() {
        let mut broken = bytes.clone();
        broken[at] ^= 0x55;
        let damage = read_values(&broken).expect_err("a flipped byte was not noticed");
        assert_eq!(damage.part, "page", "byte {at}: {damage}");
    }
    for len in 0..bytes.len() {
        assert!(read_values(&bytes[..len]).is_err(), "cut at {len}");
    }
}

/// Behind a checksum that fits, whatever was written is damage or numbers, never a panic.
#[test]
fn forged_pages_do_not_panic() {
    let bytes = write_values(&assorted());
    for at in 4..bytes.len() {
        for flip in [0x01, 0x80, 0xff] {
            let mut forged = bytes.clone();
            forged[at] ^= flip;
            crate::damage::seal(&mut forged, 0);
            _ = read_values(&forged);
        }
    }
}

fn any_column() -> impl Strategy<Value = Vec<f64>> {
    let value = prop_oneof![
        any::<u64>().prop_map(f64::from_bits),
        (-1000i32..1000).prop_map(f64::from),
        (-100_000i32..100_000, 0i32..16).prop_map(|(m, e)| f64::from(m) / 10f64.powi(e)),
        Just(-0.0),
        Just(f64::from_bits(0x7ff0_0000_0000_0002)),
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::MAX),
        Just(5e-324),
    ];
    prop_oneof![
        prop::collection::vec(value, 1..80),
        (any::<u64>(), 1usize..80).prop_map(|(bits, n)| vec![f64::from_bits(bits); n]),
        (0u32..9, 1usize..80, -50.0f64..50.0)
            .prop_map(|(step, n, start)| { (0..n).map(|i| start + f64::from(step) * i as f64).collect() }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn any_columns_come_back(columns in prop::collection::vec(any_column(), 0..12)) {
        check(&columns);
    }
}
