//! One entry more in the text of a clusters file, everything else as it was.

/// `text` with the cluster `name` as the first entry below `clusters:`.
///
/// The caller parses the result: layouts that this does not know give a text that says something else.
pub(super) fn insert(text: &str, name: &str, hash: &str) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let is_section = |line: &&str| line.split('#').next().unwrap_or("").trim_end().starts_with("clusters:");
    let Some(at) = lines.iter().position(is_section) else {
        let gap = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
        return format!("{text}{gap}clusters:\n{}", entry("  ", name, hash));
    };
    let indent = indent_below(&lines[at + 1..]);
    let mut out = String::with_capacity(text.len() + 200);
    for (number, line) in lines.iter().enumerate() {
        let line =
            if number == at { line.replacen("clusters: {}", "clusters:", 1) } else { (*line).to_owned() };
        out.push_str(&line);
        out.push('\n');
        if number == at {
            out.push_str(&entry(indent, name, hash));
        }
    }
    out
}

/// A name may look like a number or a truth value, so it is quoted.
fn entry(indent: &str, name: &str, hash: &str) -> String {
    format!("{indent}\"{name}\":\n{indent}  token_sha256: [\"{hash}\"]\n")
}

/// How the entries there are indented.
fn indent_below<'a>(lines: &[&'a str]) -> &'a str {
    let meaningful = |line: &&&str| !line.trim_start().is_empty() && !line.trim_start().starts_with('#');
    let Some(line) = lines.iter().find(meaningful) else { return "  " };
    let indent = &line[..line.len() - line.trim_start().len()];
    if indent.is_empty() { "  " } else { indent }
}
