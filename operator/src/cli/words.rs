//! Times and sizes as people read them at a glance.

use jiff::Timestamp;

/// What stands in a cell that has nothing to say.
pub(super) const NOTHING: &str = "-";

/// How long ago, in the largest one or two units: `45s`, `12m`, `3h20m`, `5d`.
pub(super) fn age(at: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(at.as_second()).max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large}{unit}"),
        _ => format!("{large}{unit}{small}{small_unit}"),
    };
    match seconds {
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, "m", seconds % 60, "s"),
        600..7_200 => format!("{minutes}m"),
        7_200..36_000 => two(hours, "h", minutes % 60, "m"),
        36_000..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, "d", hours % 24, "h"),
        _ => format!("{days}d"),
    }
}

/// Bytes in the largest binary unit that fits, with one decimal: `1.5GiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    let Some(power) = (1..=UNITS.len())
        .rev()
        .find(|power| bytes >> (10 * power) > 0)
    else {
        return format!("{bytes}B");
    };
    let tenths = (u128::from(bytes) * 10) >> (10 * power);
    format!("{}.{}{}", tenths / 10, tenths % 10, UNITS[power - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_should_get_coarser() {
        for (seconds, text) in [
            (-5, "0s"),
            (0, "0s"),
            (119, "119s"),
            (120, "2m"),
            (130, "2m10s"),
            (3_600, "60m"),
            (7_260, "2h1m"),
            (40_000, "11h"),
            (180_000, "2d2h"),
            (700_000, "8d"),
        ] {
            let now = Timestamp::from_second(1_000_000_000).unwrap();
            let at = Timestamp::from_second(1_000_000_000 - seconds).unwrap();
            assert_eq!(age(at, now), text);
        }
    }

    #[test]
    fn sizes_should_have_a_unit() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.0KiB"),
            (1536, "1.5KiB"),
            (u64::MAX, "15.9EiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
