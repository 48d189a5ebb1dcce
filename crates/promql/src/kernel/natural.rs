//! The order of `sort_by_label`: runs of digits compare as numbers.

use std::cmp::Ordering;

/// Compares chunk by chunk; a prefix comes first.
pub(crate) fn compare(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a, b);
    loop {
        match (a.is_empty(), b.is_empty()) {
            (true, true) => return Ordering::Equal,
            (true, false) => return Ordering::Less,
            (false, true) => return Ordering::Greater,
            (false, false) => {}
        }
        let (chunk_a, rest_a) = chunk(a);
        let (chunk_b, rest_b) = chunk(b);
        let order = match (chunk_a.parse::<i64>(), chunk_b.parse::<i64>()) {
            (Ok(number_a), Ok(number_b)) => number_a.cmp(&number_b),
            _ => chunk_a.cmp(chunk_b),
        };
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (rest_a, rest_b);
    }
}

fn chunk(text: &str) -> (&str, &str) {
    let digits = text.starts_with(|c: char| c.is_ascii_digit());
    let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
    text.split_at(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_inside_text() {
        let mut names = ["node10", "node2", "node", "node1a", "node01", "2", "10"];
        names.sort_by(|a, b| compare(a, b));
        assert_eq!(names, ["2", "10", "node", "node01", "node1a", "node2", "node10"]);
    }
}
