//! Names of metrics and labels. The rules and the table of units are upstream's (`otlptranslator`).

use super::{Settings, Strategy};

/// What a metric is, as far as its name says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Gauge,
    Counter,
    Other,
}

const UNITS: [(&str, &str); 26] = [
    ("d", "days"),
    ("h", "hours"),
    ("min", "minutes"),
    ("s", "seconds"),
    ("ms", "milliseconds"),
    ("us", "microseconds"),
    ("ns", "nanoseconds"),
    ("By", "bytes"),
    ("KiBy", "kibibytes"),
    ("MiBy", "mebibytes"),
    ("GiBy", "gibibytes"),
    ("TiBy", "tibibytes"),
    ("KBy", "kilobytes"),
    ("MBy", "megabytes"),
    ("GBy", "gigabytes"),
    ("TBy", "terabytes"),
    ("m", "meters"),
    ("V", "volts"),
    ("A", "amperes"),
    ("J", "joules"),
    ("W", "watts"),
    ("g", "grams"),
    ("Cel", "celsius"),
    ("Hz", "hertz"),
    ("1", ""),
    ("%", "percent"),
];

const PER_UNITS: [(&str, &str); 7] = [
    ("s", "second"),
    ("m", "minute"),
    ("h", "hour"),
    ("d", "day"),
    ("w", "week"),
    ("mo", "month"),
    ("y", "year"),
];

fn look_up<'a>(table: &[(&str, &'a str)], unit: &'a str) -> &'a str {
    table.iter().find(|(short, _)| *short == unit).map_or(unit, |(_, long)| long)
}

/// The unit as a word, and what it is per, with `per_` before it; braces mean no unit.
fn unit_words(unit: &str) -> (String, String) {
    let (main, per) = unit.split_once('/').unwrap_or((unit, ""));
    let plain = |text: &str| !text.is_empty() && !text.contains(['{', '}']);
    let (main, per) = (main.trim(), per.trim());
    let main = if plain(main) { look_up(&UNITS, main).to_owned() } else { String::new() };
    let per = if plain(per) { format!("per_{}", look_up(&PER_UNITS, per)) } else { String::new() };
    (main, per)
}

/// The name of a metric, or nothing where none is left of it.
pub(super) fn metric(name: &str, unit: &str, kind: Kind, strategy: Strategy) -> Option<String> {
    let built = match strategy {
        Strategy { escape: true, suffixes: true } => escaped_with_suffixes(name, unit, kind),
        Strategy { escape: true, suffixes: false } => {
            let keeps = |c: char| c.is_ascii_alphanumeric() || matches!(c, ':' | '_');
            let parts: Vec<&str> = name.split(|c| !keeps(c)).filter(|part| !part.is_empty()).collect();
            no_digit_first(parts.join("_"))
        }
        Strategy { escape: false, suffixes: true } => with_suffixes(name, unit, kind),
        Strategy { escape: false, suffixes: false } => name.to_owned(),
    };
    let only_underscores = strategy.escape && built != name && built.chars().all(|c| c == '_');
    (!built.is_empty() && !only_underscores).then_some(built)
}

fn no_digit_first(name: String) -> String {
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == ':'
}

fn escaped_with_suffixes(name: &str, unit: &str, kind: Kind) -> String {
    let mut words: Vec<String> =
        name.split(|c| !is_word(c)).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let (main, per) = unit_words(unit);
    let (mut main, per) = (tidy(&main), tidy(&per));
    if words.contains(&main) {
        main.clear();
    }
    let mut per = if per == "per_" { String::new() } else { per.trim_end_matches('_').to_owned() };
    if words.contains(&per) {
        per.clear();
    }
    if !per.is_empty() && main.ends_with('_') {
        main.pop();
    }
    words.extend([main, per].into_iter().filter(|word| !word.is_empty()));
    let mut last = |word: &str| {
        words.retain(|other| other != word);
        words.push(word.to_owned());
    };
    if kind == Kind::Counter {
        last("total");
    }
    if unit == "1" && kind == Kind::Gauge {
        last("ratio");
    }
    no_digit_first(words.join("_"))
}

/// A unit in the old alphabet, without an underscore at its start and with single ones within.
fn tidy(unit: &str) -> String {
    let mut out = String::new();
    for c in unit.chars().map(|c| if is_word(c) { c } else { '_' }) {
        if c != '_' || !(out.is_empty() || out.ends_with('_')) {
            out.push(c);
        }
    }
    out
}

fn with_suffixes(name: &str, unit: &str, kind: Kind) -> String {
    let mut name = name.to_owned();
    let mut behind = Vec::new();
    let (main, per) = unit_words(unit);
    let ratio = unit == "1" && kind == Kind::Gauge;
    let ends = [(ratio, "ratio"), (kind == Kind::Counter, "total"), (!per.is_empty(), per.as_str())];
    for (_, end) in ends.into_iter().filter(|(wanted, _)| *wanted) {
        // Taken off with its delimiter, to be put on as the last.
        if let Some(before) = name.strip_suffix(end)
            && before.len() > 1
        {
            let cut = before.char_indices().next_back().map_or(0, |(at, _)| at);
            name.truncate(cut);
        }
        behind.push(end);
    }
    if !main.is_empty() && !name.ends_with(&main) {
        name = format!("{name}_{main}");
    }
    behind.into_iter().rev().for_each(|end| {
        name.push('_');
        name.push_str(end);
    });
    name
}

/// The name of a label, or nothing where none is left of it.
pub(super) fn label(name: &str, settings: &Settings) -> Option<String> {
    if !settings.strategy.escape {
        return (!name.is_empty()).then(|| name.to_owned());
    }
    let mut built = String::with_capacity(name.len());
    for c in name.chars() {
        let c = if c.is_ascii_alphanumeric() { c } else { '_' };
        if c != '_' || settings.keep_underscores || !built.ends_with('_') {
            built.push(c);
        }
    }
    if built.starts_with(|c: char| c.is_ascii_digit()) {
        built.insert_str(0, "key_");
    } else if settings.prefix_underscore && built.starts_with('_') && !built.starts_with("__") {
        built.insert_str(0, "key");
    }
    let only_underscores = built != name && built.chars().all(|c| c == '_');
    (!built.is_empty() && !only_underscores).then_some(built)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics() {
        let check = |name: &str, unit: &str, kind: Kind, wants: [&str; 4]| {
            let strategies = [(true, true), (true, false), (false, true), (false, false)];
            for ((escape, suffixes), want) in strategies.into_iter().zip(wants) {
                let got = metric(name, unit, kind, Strategy { escape, suffixes }).unwrap_or_default();
                assert_eq!(got, want, "{name} {unit} {escape} {suffixes}");
            }
        };
        let (gauge, counter, other) = (Kind::Gauge, Kind::Counter, Kind::Other);
        check(
            "system.io",
            "By",
            counter,
            ["system_io_bytes_total", "system_io", "system.io_bytes_total", "system.io"],
        );
        check(
            "http.server.duration",
            "s",
            other,
            [
                "http_server_duration_seconds",
                "http_server_duration",
                "http.server.duration_seconds",
                "http.server.duration",
            ],
        );
        check("a_total_b", "1", counter, ["a_b_total", "a_total_b", "a_total_b_total", "a_total_b"]);
        check("used", "1", gauge, ["used_ratio", "used", "used_ratio", "used"]);
        check(
            "speed",
            "m/s",
            gauge,
            ["speed_meters_per_second", "speed", "speed_meters_per_second", "speed"],
        );
        check("x", "{thing}/s", counter, ["x_per_second_total", "x", "x_per_second_total", "x"]);
        check("2xx", "{requests}", counter, ["_2xx_total", "_2xx", "2xx_total", "2xx"]);
        check("a.bytes", "By", gauge, ["a_bytes", "a_bytes", "a.bytes", "a.bytes"]);
        check("..", "", gauge, ["", "", "..", ".."]);
        check("n", "weird unit!", gauge, ["n_weird_unit_", "n", "n_weird unit!", "n"]);
    }

    #[test]
    fn labels() {
        let check = |name: &str, keep: bool, want: &str| {
            let settings = Settings { keep_underscores: keep, ..Settings::default() };
            assert_eq!(label(name, &settings).unwrap_or_default(), want);
        };
        check("http.method", true, "http_method");
        check("a..b", true, "a__b");
        check("a..b", false, "a_b");
        check("1st", true, "key_1st");
        check("_x", true, "key_x");
        check("__x", true, "__x");
        check("h\u{f6}lle", true, "h_lle");
        check("\u{f6}", true, "key_");
        check("", true, "");
    }
}
