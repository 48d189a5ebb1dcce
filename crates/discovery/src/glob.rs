//! File name patterns, in the last part of a path only.

use std::path::{Path, PathBuf};

/// The files that `pattern` names, in order of name. `*`, `?` and `[...]` may stand in its last part; a
/// path without them is returned when the file is there.
#[must_use]
pub fn glob(pattern: &Path) -> Vec<PathBuf> {
    let name = pattern.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    if !name.contains(['*', '?', '[']) {
        return if pattern.exists() { vec![pattern.to_owned()] } else { Vec::new() };
    }
    let dir = pattern.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name());
    let mut found: Vec<PathBuf> = names
        .filter(|entry| matches(&name, &entry.to_string_lossy()))
        .map(|entry| pattern.with_file_name(entry))
        .collect();
    found.sort();
    found
}

/// Whether `name` fits `pattern`; a broken `[` is an ordinary character.
fn matches(pattern: &str, name: &str) -> bool {
    let mut chars = pattern.chars();
    let Some(first) = chars.next() else { return name.is_empty() };
    let rest = chars.as_str();
    let tail = || {
        let mut chars = name.chars();
        chars.next().map(|c| (c, chars.as_str()))
    };
    match first {
        '*' => {
            let mut ends = name.char_indices().map(|(at, _)| at).chain([name.len()]);
            ends.any(|at| matches(rest, &name[at..]))
        }
        '?' => tail().is_some_and(|(_, after)| matches(rest, after)),
        '[' => match rest.split_once(']') {
            Some((set, rest)) => tail().is_some_and(|(c, after)| in_set(set, c) && matches(rest, after)),
            None => name.strip_prefix('[').is_some_and(|after| matches(rest, after)),
        },
        c => name.strip_prefix(c).is_some_and(|after| matches(rest, after)),
    }
}

/// `abc`, `a-z` or `^a-z`.
fn in_set(set: &str, c: char) -> bool {
    let (negative, set) = match set.strip_prefix('^') {
        Some(set) => (true, set),
        None => (false, set),
    };
    let set: Vec<char> = set.chars().collect();
    let mut at = 0;
    let mut found = false;
    while at < set.len() {
        let range = set.len() > at + 2 && set[at + 1] == '-';
        let last = if range { set[at + 2] } else { set[at] };
        found |= (set[at]..=last).contains(&c);
        at += if range { 3 } else { 1 };
    }
    found != negative
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        let check = |pattern, name, want| assert_eq!(matches(pattern, name), want, "{pattern} {name}");
        check("*.json", "a.json", true);
        check("*.json", "a.jsonx", false);
        check("a?c*", "abc", true);
        check("[a-c]1", "b1", true);
        check("[^a-c]1", "b1", false);
        check("[x", "[x", true);
        check("*", "", true);
    }

    #[test]
    fn only_files_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.yml", "a.yml", "c.json"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = glob(&dir.path().join("*.yml"));
        assert_eq!(found, [dir.path().join("a.yml"), dir.path().join("b.yml")]);
        assert_eq!(glob(&dir.path().join("c.json")).len(), 1);
        assert!(glob(&dir.path().join("none.json")).is_empty() && glob(Path::new("/none/*")).is_empty());
    }
}
