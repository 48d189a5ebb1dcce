//! Sizes as upstream writes them: `10MB`, `1.5GiB`, always with a unit.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A number of bytes. 0 is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

const UNITS: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];

impl FromStr for ByteSize {
    type Err = String;

    /// `MB` and `MiB` are both powers of 1024.
    fn from_str(text: &str) -> Result<Self, String> {
        if text == "0" {
            return Ok(Self(0));
        }
        let split = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
        let (number, unit) = text.split_at(split);
        let value: f64 = number.parse().map_err(|_| format!("units: invalid {text}"))?;
        let letter = unit.strip_suffix("iB").or_else(|| unit.strip_suffix('B'));
        let power = letter.and_then(|letter| UNITS.iter().position(|known| *known == letter));
        match power {
            Some(power) if unit != "iB" => Ok(Self((value * 1024f64.powi(power as i32)) as u64)),
            _ => Err(format!("units: unknown unit {unit} in {text}")),
        }
    }
}

/// The biggest unit that divides it.
impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut value, mut power) = (self.0, 0);
        while value != 0 && value.is_multiple_of(1024) && power + 1 < UNITS.len() {
            value /= 1024;
            power += 1;
        }
        match power {
            0 => write!(f, "{value}B"),
            _ => write!(f, "{value}{}iB", UNITS[power]),
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_and_prints() {
        let check = |text: &str, bytes: u64, printed: &str| {
            let size: ByteSize = text.parse().unwrap();
            assert_eq!((size.0, size.to_string().as_str()), (bytes, printed), "{text}");
        };
        check("0", 0, "0B");
        check("15MB", 15 << 20, "15MiB");
        check("1.5KiB", 1536, "1536B");
        check("2GiB", 2 << 30, "2GiB");
        let refused = |text: &str| text.parse::<ByteSize>().unwrap_err();
        assert_eq!(refused("100"), "units: unknown unit  in 100");
        assert_eq!(refused("1iB"), "units: unknown unit iB in 1iB");
        assert_eq!(refused("MB"), "units: invalid MB");
    }
}
