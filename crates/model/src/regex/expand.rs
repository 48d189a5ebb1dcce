//! Templates of replacements: `$1`, `${name}`, `$$`, with the meaning of Go's `Regexp.Expand`.

/// Writes `template` to `out`; `group` gives the text of a group by number or by name.
pub(super) fn expand<'t>(
    template: &str,
    out: &mut String,
    by_number: impl Fn(usize) -> Option<&'t str>,
    by_name: impl Fn(&str) -> Option<&'t str>,
) {
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        rest = after;
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some((name, after)) = reference(rest) {
            let text = match number(name) {
                Some(number) => by_number(number),
                None => by_name(name),
            };
            out.push_str(text.unwrap_or_default());
            rest = after;
        } else {
            // Not a reference: the dollar is itself.
            out.push('$');
        }
    }
    out.push_str(rest);
}

/// The name at the start of `text`, as long as it goes or in braces, and what follows.
fn reference(text: &str) -> Option<(&str, &str)> {
    let body = text.strip_prefix('{').unwrap_or(text);
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let (name, rest) = body.split_at(body.find(|c| !is_name(c)).unwrap_or(body.len()));
    let rest = if body.len() == text.len() { rest } else { rest.strip_prefix('}')? };
    (!name.is_empty()).then_some((name, rest))
}

/// A group number; Go takes leading zeros for a name.
fn number(name: &str) -> Option<usize> {
    let leading_zero = name.len() > 1 && name.starts_with('0');
    let plain = name.len() <= 9 && name.bytes().all(|byte| byte.is_ascii_digit());
    (plain && !leading_zero).then(|| name.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_expands() {
        let check = |template: &str, want: &str| {
            let mut out = String::new();
            let by_number = |n| ["whole", "one"].get(n).copied();
            expand(template, &mut out, by_number, |name| (name == "n\u{e9}").then_some("named"));
            assert_eq!(out, want, "{template}");
        };
        check("a$1b", "a");
        check("a${1}b$0", "aonebwhole");
        check("$1-$2-${n\u{e9}}$", "one--named$");
        check("$$1 ${1 $ {1} ${} $01", "$1 ${1 $ {1} ${} ");
    }
}
