//! Durations, sizes and CPU shares in the notations of Go and Docker.

const UNITS_NS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// Nanoseconds in a Go duration such as `1m30s` or `1.5h`. A bare number other than `0`, and `1d`, are none.
pub(crate) fn duration(text: &str) -> Option<i64> {
    let (negative, mut rest) = match text.as_bytes().first()? {
        b'-' => (true, &text[1..]),
        b'+' => (false, &text[1..]),
        _ => (false, text),
    };
    if rest == "0" {
        return Some(0);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let end = rest
            .find(|c: char| !c.is_ascii_digit() && c != '.')
            .unwrap_or(rest.len());
        let (number, tail) = rest.split_at(end);
        let end = tail
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(end);
        let (_, unit_ns) = UNITS_NS.iter().find(|(name, _)| *name == unit)?;
        total = total.checked_add(scaled(number, *unit_ns)?)?;
        if total > i128::from(i64::MAX) + i128::from(negative) {
            return None;
        }
        rest = tail;
    }
    i64::try_from(if negative { -total } else { total }).ok()
}

/// `number` (digits with at most one point) times `unit`, rounded towards zero.
fn scaled(number: &str, unit: i128) -> Option<i128> {
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains('.') || whole.len() > 19 {
        return None;
    }
    let whole: i128 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    // Digits past the eighteenth are below any unit's nanosecond.
    let fraction = fraction.get(..18).unwrap_or(fraction);
    let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let part: i128 = if fraction.is_empty() {
        0
    } else {
        fraction.parse().ok()?
    };
    Some(whole * unit + part * unit / scale)
}

/// Bytes in a size such as `512m`, `1.5GiB` or `64 mb`, in powers of 1024.
pub(crate) fn bytes(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a size such as 512M or 1.5GiB");
    let last = text
        .rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ')
        .ok_or_else(wrong)?;
    let number = text[..=last].strip_suffix(' ').unwrap_or(&text[..=last]);
    let plain = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b".eE+-".contains(&byte));
    let size: f64 = number.parse().ok().filter(|_| plain).ok_or_else(wrong)?;
    let suffix = text[last + 1..].to_lowercase();
    let power = match suffix.as_bytes() {
        [] | [b'b'] => 0,
        [unit] | [unit, b'b'] | [unit, b'i', b'b'] => {
            let place = b"kmgtp"
                .iter()
                .position(|known| known == unit)
                .ok_or_else(wrong)?;
            i32::try_from(place + 1).map_err(|_| wrong())?
        }
        _ => return Err(wrong()),
    };
    let size = size * 1024_f64.powi(power);
    // 2^63 is the first float that no longer fits.
    if size.is_sign_negative() && size != 0.0 || size >= 9_223_372_036_854_775_808.0 {
        return Err(wrong());
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "in range, and rounded down as the reference does"
    )]
    Ok(size as i64)
}

/// Billionths of a CPU in a rational number such as `0.5` or `1/4`.
pub(crate) fn nano_cpus(text: &str) -> Result<i64, String> {
    let wrong = || format!("`{text}` is not a number of CPUs such as 0.5 or 1/4");
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    let fraction = text.contains('/');
    let (mut above, mut below) = decimal(numerator).ok_or_else(wrong)?;
    if fraction && below != 1 {
        return Err(wrong());
    }
    let divisor: i128 = denominator
        .parse()
        .ok()
        .filter(|value| *value > 0)
        .ok_or_else(wrong)?;
    below = below.checked_mul(divisor).ok_or_else(wrong)?;
    above = above.checked_mul(1_000_000_000).ok_or_else(wrong)?;
    if above % below != 0 {
        return Err(format!(
            "`{text}` CPUs is too precise; use at most nine digits after the point"
        ));
    }
    i64::try_from(above / below).map_err(|_| wrong())
}

/// A decimal with optional exponent as a fraction.
fn decimal(text: &str) -> Option<(i128, i128)> {
    let lower = text.to_ascii_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let exponent: i32 = exponent
        .parse()
        .ok()
        .filter(|value: &i32| value.abs() <= 18)?;
    let (negative, digits) = match mantissa.as_bytes().first()? {
        b'-' => (true, &mantissa[1..]),
        b'+' => (false, &mantissa[1..]),
        _ => (false, mantissa),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let all = format!("{whole}{part}");
    if all.is_empty() || all.len() > 24 || !all.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number: i128 = all.parse().ok()?;
    let number = if negative { -number } else { number };
    let exponent = exponent - i32::try_from(part.len()).ok()?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    if exponent < 0 {
        Some((number, power))
    } else {
        Some((number.checked_mul(power)?, 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_should_read_as_in_go() {
        for (text, expected) in [
            ("1m30s", Some(90_000_000_000)),
            ("500ms", Some(500_000_000)),
            ("1.5h", Some(5_400_000_000_000)),
            (".5s", Some(500_000_000)),
            ("-1s", Some(-1_000_000_000)),
            ("0", Some(0)),
            ("0s", Some(0)),
            ("1us", Some(1_000)),
            ("10", None),
            ("1d", None),
            ("", None),
            ("s", None),
            (".s", None),
            ("9999999h", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn sizes_and_cpus_should_read_as_in_docker() {
        assert_eq!(bytes("50M"), Ok(52_428_800));
        assert_eq!(bytes("1.5GiB"), Ok(1_610_612_736));
        assert_eq!(bytes("64 mb"), Ok(67_108_864));
        assert_eq!(bytes("12b"), Ok(12));
        for text in ["", "m", "1x", "1mx", "1kib2", "-1", "1bb"] {
            assert!(bytes(text).is_err(), "{text}");
        }
        assert_eq!(nano_cpus("0.50"), Ok(500_000_000));
        assert_eq!(nano_cpus("1/4"), Ok(250_000_000));
        assert_eq!(nano_cpus("1e-3"), Ok(1_000_000));
        assert!(
            nano_cpus("0.0000000001")
                .unwrap_err()
                .contains("too precise")
        );
        assert!(nano_cpus("1/3").unwrap_err().contains("too precise"));
        assert!(nano_cpus("half").is_err());
        assert!(nano_cpus("1/0").is_err());
    }
}
