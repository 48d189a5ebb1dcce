//! Unpacks the text archives node_exporter keeps its fake `/sys` in.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// Unpacks `archive` below `folder`.
pub(crate) fn unpack(archive: &str, folder: &Path) {
    let mut lines = archive.lines();
    let mut path = folder.to_path_buf();
    while let Some(line) = lines.next() {
        let Some((key, value)) = line.split_once(": ") else { continue };
        match key {
            "Directory" => fs::create_dir_all(folder.join(value)).unwrap(),
            "Path" => {
                path = folder.join(value);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
            }
            "SymlinkTo" => symlink(value, &path).unwrap(),
            "Lines" => {
                let count = value.parse().unwrap();
                fs::write(&path, content(&mut lines, count)).unwrap();
            }
            _ => {}
        }
    }
}

/// `count` lines; an `EOF` that is not escaped says that no newline follows.
fn content<'a>(lines: &mut impl Iterator<Item = &'a str>, count: usize) -> String {
    let mut text = String::new();
    for line in lines.take(count) {
        match line.strip_suffix("EOF") {
            Some(last) if !last.ends_with('\\') => text.push_str(last),
            _ => {
                text.push_str(&line.replace("\\EOF", "EOF"));
                text.push('\n');
            }
        }
    }
    text.replace("\\NULLBYTE", "\u{1}").replace("NULLBYTE", "\0").replace('\u{1}', "NULLBYTE")
}
