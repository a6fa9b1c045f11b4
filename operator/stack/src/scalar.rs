//! How plain YAML scalars become values, and values text: the rules of go-yaml v3 and of Go's `fmt`.

use std::sync::LazyLock;

use regex::Regex;

/// A scalar after resolution.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    /// Between `i64::MIN` and `u64::MAX`.
    Int(i128),
    Float(f64),
    /// An unquoted date, as Go prints it.
    Time(String),
    Text(String),
}

static FLOAT: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?$"));
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^(\d{4})-(\d{1,2})-(\d{1,2})(?:(?:[Tt](\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,](\d+))?(Z|[-+]\d\d:\d\d))|(?: (\d{1,2}):(\d{1,2}):(\d{1,2})(?:[.,](\d+))?))?$",
    )
});

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a constant pattern")
}

/// Resolves a plain (unquoted, untagged) scalar.
pub(crate) fn resolve(text: &str) -> Scalar {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Scalar::Null,
        "true" | "True" | "TRUE" => return Scalar::Bool(true),
        "false" | "False" | "FALSE" => return Scalar::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Scalar::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Scalar::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match text.as_bytes()[0] {
        b'.' => float(text).unwrap_or_else(|| Scalar::Text(text.to_owned())),
        b'0'..=b'9' | b'+' | b'-' => number(text).unwrap_or_else(|| Scalar::Text(text.to_owned())),
        _ => Scalar::Text(text.to_owned()),
    }
}

fn number(text: &str) -> Option<Scalar> {
    if let Some(time) = time(text) {
        return Some(Scalar::Time(time));
    }
    let plain = text.replace('_', "");
    integer(&plain).map(Scalar::Int).or_else(|| float(&plain))
}

fn float(text: &str) -> Option<Scalar> {
    if !FLOAT.is_match(text) {
        return None;
    }
    text.parse::<f64>()
        .ok()
        .filter(|value| value.is_finite())
        .map(Scalar::Float)
}

/// Octal is `0o17` and `017`; a number too large for 64 bits is no integer and becomes a float.
fn integer(text: &str) -> Option<i128> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    let lower = digits.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let value = i128::from_str_radix(digits, radix).ok()?;
    let value = if negative { -value } else { value };
    // An unsigned number carries no sign at all, so `+18446744073709551615` is not one.
    let signed = text.starts_with(['-', '+']);
    let most = if signed {
        i128::from(i64::MAX)
    } else {
        i128::from(u64::MAX)
    };
    (i128::from(i64::MIN)..=most)
        .contains(&value)
        .then_some(value)
}

fn time(text: &str) -> Option<String> {
    let parts = TIME.captures(text)?;
    let field = |index: usize| parts.get(index).map(|part| part.as_str());
    let value = |index: usize| field(index).map_or(Ok(0), str::parse::<u32>).ok();
    let (year, month, day) = (value(1)?, value(2)?, value(3)?);
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    let first = if field(4).is_some() { 4 } else { 9 };
    let (hour, minute, second) = (value(first)?, value(first + 1)?, value(first + 2)?);
    if day == 0 || day > days || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let fraction = field(7).or(field(12)).unwrap_or_default();
    let fraction = fraction.get(..9).unwrap_or(fraction).trim_end_matches('0');
    let fraction = if fraction.is_empty() {
        String::new()
    } else {
        format!(".{fraction}")
    };
    let zone = match field(8) {
        None | Some("Z" | "+00:00" | "-00:00") => "+0000 UTC".to_owned(),
        Some(zone) => {
            let zone = zone.replace(':', "");
            format!("{zone} {zone}")
        }
    };
    Some(format!(
        "{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}{fraction} {zone}"
    ))
}

/// A float as Go's `fmt.Sprint` writes it: the shortest digits that come back the same, with an exponent when it is
/// under -4 or over 5.
pub(crate) fn print_float(value: f64) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let shortest = format!("{value:e}");
    let Some((digits, exponent)) = shortest.split_once('e') else {
        return shortest;
    };
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}e{sign}{:02}", exponent.abs())
        }
        _ => format!("{value}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn printed(text: &str) -> String {
        match resolve(text) {
            Scalar::Null => "null".to_owned(),
            Scalar::Bool(value) => format!("bool {value}"),
            Scalar::Int(value) => format!("int {value}"),
            Scalar::Float(value) => format!("float {}", print_float(value)),
            Scalar::Time(value) => format!("time {value}"),
            Scalar::Text(value) => format!("text {value}"),
        }
    }

    #[test]
    fn plain_scalars_should_resolve_as_go_yaml_does() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("yes", "text yes"),
            ("on", "text on"),
            ("True", "bool true"),
            ("0440", "int 288"),
            ("0o440", "int 288"),
            ("08", "float 8"),
            ("0xFF", "int 255"),
            ("0b11", "int 3"),
            ("-0b11", "int -3"),
            ("1_000", "int 1000"),
            ("+5", "int 5"),
            ("-7", "int -7"),
            ("12345678901234567890", "int 12345678901234567890"),
            ("99999999999999999999", "float 1e+20"),
            ("22:22", "text 22:22"),
            ("0x1p-2", "text 0x1p-2"),
            ("1.2.3", "text 1.2.3"),
            ("-", "text -"),
            ("2001-01-01", "time 2001-01-01 00:00:00 +0000 UTC"),
            ("2001-13-01", "text 2001-13-01"),
            (
                "2001-12-14T21:59:43.10+02:00",
                "time 2001-12-14 21:59:43.1 +0200 +0200",
            ),
            ("2001-12-14 1:5:3", "time 2001-12-14 01:05:03 +0000 UTC"),
        ] {
            assert_eq!(printed(text), expected, "{text}");
        }
    }

    #[test]
    fn floats_should_print_as_go_prints_them() {
        for (value, expected) in [
            (123_456.0, "123456"),
            (100_000.5, "100000.5"),
            (1_000_000.0, "1e+06"),
            (1_234_567.5, "1.2345675e+06"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.50, "1.5"),
            (-0.0, "-0"),
            (1000.0, "1000"),
            (123_456_789.123_456_79, "1.2345678912345679e+08"),
        ] {
            assert_eq!(print_float(value), expected);
        }
    }
}
