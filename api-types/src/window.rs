//! When upgrades may start.

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Time, Weekday};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A recurring span of the day in which an upgrade may start. One that has started is finished, whatever the time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Window {
    /// Opens at this time of day, `HH:MM`.
    #[schemars(regex(pattern = r"^([01]\d|2[0-3]):[0-5]\d$"))]
    pub start: String,
    /// Closes at this time of day, `HH:MM`; before `start` means the next day.
    #[schemars(regex(pattern = r"^([01]\d|2[0-3]):[0-5]\d$"))]
    pub end: String,
    /// The days on which it opens; every day when none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// An IANA time zone.
    #[serde(default = "utc")]
    pub time_zone: String,
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs)]
pub enum Day {
    Mon,
    Tue,
    Wed,
    Thu,
    Fri,
    Sat,
    Sun,
}

impl Day {
    fn weekday(self) -> Weekday {
        match self {
            Self::Mon => Weekday::Monday,
            Self::Tue => Weekday::Tuesday,
            Self::Wed => Weekday::Wednesday,
            Self::Thu => Weekday::Thursday,
            Self::Fri => Weekday::Friday,
            Self::Sat => Weekday::Saturday,
            Self::Sun => Weekday::Sunday,
        }
    }
}

fn utc() -> String {
    "UTC".to_owned()
}

/// A field of a window cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum WindowError {
    /// Not a time of day.
    #[error("`{0}` is not a time of day: write HH:MM, for example 02:30")]
    Time(String),
    /// No such time zone.
    #[error("`{0}` is not a known time zone: write an IANA name, for example Europe/Berlin")]
    Zone(String),
    /// It never opens.
    #[error("the window opens and closes at the same time, so it is never open")]
    Empty,
}

struct Parsed {
    start: Time,
    end: Time,
    zone: TimeZone,
}

impl Window {
    fn parsed(&self) -> Result<Parsed, WindowError> {
        let time =
            |text: &String| Time::from_str(text).map_err(|_| WindowError::Time(text.clone()));
        let (start, end) = (time(&self.start)?, time(&self.end)?);
        if start == end {
            return Err(WindowError::Empty);
        }
        let zone = TimeZone::get(&self.time_zone)
            .map_err(|_| WindowError::Zone(self.time_zone.clone()))?;
        Ok(Parsed { start, end, zone })
    }

    /// Whether the fields can be read.
    ///
    /// # Errors
    /// Which one cannot.
    pub fn validate(&self) -> Result<(), WindowError> {
        self.parsed().map(|_| ())
    }

    /// When an upgrade may start: at once (nothing), or not before that time. A window that cannot be read stays shut for a
    /// day at a time; validation keeps it from getting this far.
    pub fn opens(&self, now: Timestamp) -> Option<Timestamp> {
        let day_later = now.checked_add(24.hours()).unwrap_or(now);
        let Ok(Parsed { start, end, zone }) = self.parsed() else {
            return Some(day_later);
        };
        let today = now.to_zoned(zone.clone()).date();
        // Yesterday's opening may still be open, past midnight; within eight days one opens.
        for offset in -1..=8 {
            let Ok(day) = today.checked_add(i64::from(offset).days()) else {
                continue;
            };
            if !self.days.is_empty() && !self.days.iter().any(|d| d.weekday() == day.weekday()) {
                continue;
            }
            let closing = if end > start { Ok(day) } else { day.tomorrow() };
            let (Ok(opens), Ok(closes)) = (
                day.to_datetime(start).to_zoned(zone.clone()),
                closing.and_then(|day| day.to_datetime(end).to_zoned(zone.clone())),
            ) else {
                continue;
            };
            if now < opens.timestamp() {
                return Some(opens.timestamp());
            }
            if now < closes.timestamp() {
                return None;
            }
        }
        Some(day_later)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}–{} {}", self.start, self.end, self.time_zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(window: &Window, now: &str, opens: Option<&str>) {
        let opens = opens.map(|text| text.parse::<Timestamp>().unwrap());
        assert_eq!(
            window.opens(now.parse().unwrap()),
            opens,
            "{window} at {now}"
        );
    }

    #[test]
    fn window_should_open_and_close() {
        let night = Window {
            start: "23:00".into(),
            end: "04:00".into(),
            days: vec![],
            time_zone: "UTC".into(),
        };
        check(&night, "2026-01-01T23:00:00Z", None);
        check(&night, "2026-01-02T03:59:00Z", None);
        check(&night, "2026-01-02T04:00:00Z", Some("2026-01-02T23:00:00Z"));
        let sunday = Window {
            start: "02:00".into(),
            end: "03:00".into(),
            days: vec![Day::Sun],
            time_zone: "UTC".into(),
        };
        check(
            &sunday,
            "2026-01-01T02:30:00Z",
            Some("2026-01-04T02:00:00Z"),
        );
        check(&sunday, "2026-01-04T02:30:00Z", None);
    }

    #[test]
    fn window_should_say_what_it_cannot_read() {
        let bad = |start: &str, end: &str, zone: &str| {
            Window {
                start: start.into(),
                end: end.into(),
                days: vec![],
                time_zone: zone.into(),
            }
            .validate()
            .is_err()
        };
        assert!(bad("25:00", "03:00", "UTC"));
        assert!(bad("02:00", "02:00", "UTC"));
        assert!(bad("02:00", "03:00", "Mars/Olympus"));
        assert!(!bad("02:00", "03:00", "UTC"));
    }
}
