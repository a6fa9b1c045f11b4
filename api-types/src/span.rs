//! A length of time as a person writes it in a manifest: `15m`, `10s`, `1h30m`.

use std::borrow::Cow;
use std::fmt::{self, Write as _};
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The units, largest first, with their length in milliseconds.
const UNITS: [(&str, u64); 5] = [
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// A length of time between [`Span::MIN`] (1 ms) and [`Span::MAX`] (30 days), in whole milliseconds.
///
/// Written as whole numbers with units, the largest unit first and each at most once: `d`, `h`, `m`, `s`, `ms`.
/// It is written back in its shortest form: `90m` reads as `1h30m`. Zero is refused: no interval, time limit or
/// deadline of ours means anything at zero, and "off" is said by leaving a field out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// Why a text or a duration is not a [`Span`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    /// Nothing was written.
    #[error("a length of time is missing; write one such as `10s`, `15m` or `1h30m`")]
    Empty,
    /// A number without a unit.
    #[error("`{0}` has no unit; write `{1}s` for seconds or `{1}m` for minutes")]
    NoUnit(String, String),
    /// Something that is not a whole number stands where a number belongs.
    #[error(
        "`{0}` is not a length of time; write whole numbers with units, such as `10s`, `15m` or `1h30m`"
    )]
    NotANumber(String),
    /// A unit that is none of ours.
    #[error("`{unit}` in `{text}` is not a unit of time; the units are d, h, m, s and ms")]
    UnknownUnit {
        /// The whole text.
        text: String,
        /// The unknown unit.
        unit: String,
    },
    /// Units in rising order, or one of them twice.
    #[error("the units of `{0}` must go from large to small, each at most once, such as `1h30m`")]
    Order(String),
    /// Outside of the limits.
    #[error("`{0}` is out of range; a length of time is at least 1ms and at most 30d")]
    OutOfRange(String),
}

impl Span {
    /// The shortest span: 1 ms.
    pub const MIN: Self = Self(Duration::from_millis(1));
    /// The longest span: 30 days.
    pub const MAX: Self = Self(Duration::from_hours(30 * 24));

    /// A span of whole seconds. For defaults in code: a value outside the limits is pulled to the nearer one.
    pub const fn from_secs(secs: u64) -> Self {
        match secs {
            0 => Self::MIN,
            1..=2_592_000 => Self(Duration::from_secs(secs)),
            _ => Self::MAX,
        }
    }

    /// A span of whole minutes, with the limits of [`Span::from_secs`].
    pub const fn from_mins(mins: u64) -> Self {
        Self::from_secs(mins.saturating_mul(60))
    }

    /// The span as the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl TryFrom<Duration> for Span {
    type Error = SpanError;

    /// Cuts what is finer than a millisecond.
    fn try_from(duration: Duration) -> Result<Self, SpanError> {
        let out_of_range = || SpanError::OutOfRange(format!("{duration:?}"));
        let millis = u64::try_from(duration.as_millis()).map_err(|_| out_of_range())?;
        let span = Self(Duration::from_millis(millis));
        if (Self::MIN..=Self::MAX).contains(&span) {
            Ok(span)
        } else {
            Err(out_of_range())
        }
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(SpanError::Empty);
        }
        let out_of_range = || SpanError::OutOfRange(text.to_owned());
        let mut total = 0_u64;
        let mut allowed = &UNITS[..];
        while !rest.is_empty() {
            let digits = rest
                .find(|c: char| !c.is_ascii_digit())
                .unwrap_or(rest.len());
            let (number, after) = rest.split_at(digits);
            if number.is_empty() {
                return Err(SpanError::NotANumber(text.to_owned()));
            }
            let letters = after
                .find(|c: char| !c.is_alphabetic())
                .unwrap_or(after.len());
            let (unit, after) = after.split_at(letters);
            if unit.is_empty() {
                // `1.5h` stops at the point too, and "no unit" would not help there.
                return Err(if after.is_empty() {
                    SpanError::NoUnit(text.to_owned(), text.trim().to_owned())
                } else {
                    SpanError::NotANumber(text.to_owned())
                });
            }
            let Some(known) = UNITS.iter().find(|(name, _)| *name == unit) else {
                return Err(SpanError::UnknownUnit {
                    text: text.to_owned(),
                    unit: unit.to_owned(),
                });
            };
            let Some(place) = allowed.iter().position(|one| one == known) else {
                return Err(SpanError::Order(text.to_owned()));
            };
            allowed = &allowed[place + 1..];
            let number: u64 = number.parse().map_err(|_| out_of_range())?;
            total = number
                .checked_mul(known.1)
                .and_then(|millis| total.checked_add(millis))
                .ok_or_else(out_of_range)?;
            rest = after;
        }
        Self::try_from(Duration::from_millis(total)).map_err(|_| out_of_range())
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        let mut text = String::new();
        for (unit, length) in UNITS {
            let count = millis / length;
            if count > 0 {
                write!(text, "{count}{unit}")?;
                millis %= length;
            }
        }
        f.pad(&text)
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl de::Visitor<'_> for Visitor {
            type Value = Span;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a length of time such as `10s`, `15m` or `1h30m`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Span, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Span, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Span, E> {
                self.visit_str(&number.to_string())
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Span, E> {
                self.visit_str(&number.to_string())
            }
        }
        // Not `deserialize_str`: with that, YAML's `10` ends before our advice about units.
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> Cow<'static, str> {
        "Span".into()
    }

    fn schema_id() -> Cow<'static, str> {
        concat!(module_path!(), "::Span").into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "description": "A length of time between 1ms and 30d: whole numbers with units (d, h, m, s, ms), the largest first, such as `10s`, `15m` or `1h30m`.",
            "pattern": "^([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?([0-9]+ms)?$",
            "minLength": 2,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn error(text: &str) -> String {
        text.parse::<Span>().unwrap_err().to_string()
    }

    #[test]
    fn reads_what_people_write() {
        for (text, millis) in [
            ("15m", 900_000),
            ("10s", 10_000),
            ("1h30m", 5_400_000),
            ("90m", 5_400_000),
            ("1ms", 1),
            ("1d", 86_400_000),
            ("2s500ms", 2_500),
            ("30d", 2_592_000_000),
            (" 5s ", 5_000),
        ] {
            assert_eq!(
                text.parse::<Span>().unwrap().duration(),
                Duration::from_millis(millis),
                "{text}"
            );
        }
    }

    #[test]
    fn refusals_say_what_to_write() {
        assert_eq!(
            error("10"),
            "`10` has no unit; write `10s` for seconds or `10m` for minutes"
        );
        assert_eq!(
            error("5 min"),
            "`5 min` is not a length of time; write whole numbers with units, such as `10s`, `15m` or `1h30m`"
        );
        assert_eq!(
            error("5min"),
            "`min` in `5min` is not a unit of time; the units are d, h, m, s and ms"
        );
        for (text, kind) in [
            ("", "missing"),
            ("1.5h", "whole numbers"),
            ("-5s", "whole numbers"),
            ("soon", "whole numbers"),
            ("30m1h", "from large to small"),
            ("1m1m", "from large to small"),
            ("0s", "out of range"),
            ("31d", "out of range"),
            ("30d1ms", "out of range"),
            ("99999999999999999999s", "out of range"),
            ("18446744073709551615d", "out of range"),
            ("5µs", "not a unit"),
        ] {
            assert!(error(text).contains(kind), "{text}: {}", error(text));
        }
    }

    #[test]
    fn is_a_string_in_yaml_and_json() {
        let span: Span = serde_json::from_str("\"90m\"").unwrap();
        assert_eq!(serde_json::to_string(&span).unwrap(), "\"1h30m\"");
        let span: Span = serde_saphyr::from_str("15m").unwrap();
        assert_eq!(span, Span::from_mins(15));
        let error = serde_saphyr::from_str::<Span>("10")
            .unwrap_err()
            .to_string();
        assert!(error.contains("`10` has no unit"), "{error}");
        let error = serde_json::from_str::<Span>("10").unwrap_err().to_string();
        assert!(error.contains("`10` has no unit"), "{error}");
    }

    #[test]
    fn schema_accepts_what_the_parser_accepts() {
        let schema = serde_json::to_value(schemars::schema_for!(Span)).unwrap();
        assert_eq!(schema["type"], "string");
        let pattern = regex::Regex::new(schema["pattern"].as_str().unwrap()).unwrap();
        for text in ["15m", "1h30m", "2s500ms", "1ms", "1d"] {
            assert!(pattern.is_match(text), "{text}");
        }
        for text in ["10", "1.5h", "5min", "30m1h", "soon"] {
            assert!(!pattern.is_match(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn written_form_reads_back(millis in 1_u64..=2_592_000_000) {
            let span = Span::try_from(Duration::from_millis(millis)).unwrap();
            prop_assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }

        #[test]
        fn no_text_panics(text in "[0-9dhms. -]{0,24}") {
            let _ = text.parse::<Span>();
        }
    }
}
