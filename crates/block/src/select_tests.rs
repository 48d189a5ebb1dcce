//! Selecting against a plain filter over all labels.

use nave_base::Shutdown;
use nave_model::label::Labels;
use nave_model::matcher::{MatchOp, Matcher};
use proptest::prelude::*;

use crate::block::series_order;
use crate::index::{Index, IndexWriter};
use crate::page::Scratch;
use crate::{Error, select};

fn open(series: &[Labels]) -> Index {
    let mut writer = IndexWriter::new();
    for labels in series {
        writer.push(labels).unwrap();
    }
    Index::open(writer.finish().unwrap(), &mut Scratch::new()).unwrap()
}

fn fleet() -> Vec<Labels> {
    let mut series = Vec::new();
    for pod in 0..400 {
        for metric in ["up", "requests_total", "seconds_bucket"] {
            let (name, shard) = (format!("pod-{pod:03}"), format!("{}", pod % 7));
            let mut pairs = vec![("__name__", metric), ("pod", &name), ("shard", &shard)];
            if metric == "up" {
                pairs.push(("job", if pod % 2 == 0 { "node" } else { "api" }));
            }
            series.push(Labels::from_pairs(pairs).unwrap());
        }
    }
    series.sort_by(series_order);
    series
}

fn check(index: &Index, series: &[Labels], matchers: &[Matcher]) -> usize {
    let found = select(index, &matchers.iter().collect::<Vec<_>>(), &Shutdown::new()).unwrap();
    let fits = |labels: &Labels| Matcher::all_match(matchers, labels);
    let expected: Vec<u32> =
        series.iter().zip(0..).filter(|(labels, _)| fits(labels)).map(|(_, i)| i).collect();
    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{matchers:?}");
    expected.len()
}

#[test]
fn matchers_of_every_kind() {
    let series = fleet();
    let index = open(&series);
    let check = |matchers: &[(&str, MatchOp, &str)], expected: usize| {
        let matchers = matchers.iter().map(|(name, op, value)| Matcher::new(*op, name, value).unwrap());
        assert_eq!(check(&index, &series, &matchers.collect::<Vec<_>>()), expected);
    };
    use MatchOp::{Equal, NotEqual, NotRegex, Regex};
    check(&[], 1200);
    check(&[("__name__", Equal, "up")], 400);
    check(&[("__name__", Equal, "up"), ("pod", Regex, "pod-00[1-3]|pod-399")], 4);
    check(&[("__name__", Equal, "up"), ("pod", Regex, "pod-0.*")], 100);
    check(&[("pod", Regex, ".*7"), ("job", NotEqual, "")], 40);
    check(&[("pod", Equal, "pod-007"), ("job", Equal, "")], 2);
    check(&[("job", NotEqual, "node")], 1000);
    check(&[("job", Regex, "node|")], 1000);
    check(&[("job", NotRegex, "node|api")], 800);
    check(&[("job", Regex, ".+")], 400);
    check(&[("job", Regex, ".*")], 1200);
    check(&[("job", NotRegex, ".*")], 0);
    check(&[("job", NotRegex, ".+")], 800);
    check(&[("pod", NotRegex, "pod-.*"), ("nothing", Equal, "")], 0);
    check(&[("nothing", Equal, "")], 1200);
    check(&[("nothing", Regex, "x.*")], 0);
    check(&[("nothing", NotRegex, "x.*|y")], 1200);
    // Few series, many values: their labels are looked at.
    check(&[("pod", Equal, "pod-007"), ("pod", Regex, ".*7")], 3);
    check(&[("pod", Equal, "pod-007"), ("__name__", Equal, "up"), ("pod", NotRegex, ".*8")], 1);
    check(&[("pod", Equal, "pod-007"), ("__name__", Equal, "up"), ("pod", NotRegex, ".*7")], 0);
    check(&[("pod", Equal, "pod-00"), ("pod", Regex, "pod-00.*")], 0);
    let several = ["__name__", "pod", "shard"].map(|name| (name, Regex, ".*[a-f1-3].*"));
    check(
        &several,
        series
            .iter()
            .filter(|labels| {
                several.iter().all(|(name, ..)| {
                    labels.get(name).contains(|c: char| ('a'..='f').contains(&c) || ('1'..='3').contains(&c))
                })
            })
            .count(),
    );
}

#[test]
fn cancelling_ends_it() {
    let cancel = Shutdown::new();
    cancel.cancel();
    let matcher = Matcher::new(MatchOp::Regex, "pod", ".*7").unwrap();
    assert!(matches!(select(&open(&fleet()), &[&matcher], &cancel), Err(Error::Cancelled)));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]
    #[test]
    fn any_matchers(
        sets in prop::collection::vec(prop::collection::btree_map("[ab]", "[xyz]{1,2}", 0..3), 0..40),
        matchers in prop::collection::vec(("[abc]", 0usize..4, "x|y|[xyz]{0,2}|x\\.\\*|\\.\\*y|xy?|\\.\\+|\\.\\*|z\\|"), 0..4),
    ) {
        let mut series: Vec<Labels> = sets.iter().map(|set| Labels::from_pairs(set).unwrap()).collect();
        series.sort_by(series_order);
        series.dedup();
        let op = [MatchOp::Equal, MatchOp::NotEqual, MatchOp::Regex, MatchOp::NotRegex];
        let matchers = matchers.iter().map(|(name, kind, value)| Matcher::new(op[*kind], name, value).unwrap());
        check(&open(&series), &series, &matchers.collect::<Vec<_>>());
    }
}
