//! Text of moments: Unix time and RFC 3339, to the second.

/// Seconds of a day.
const DAY_S: i64 = 86_400;

/// A time as RFC 3339 has it, in UTC: `2026-11-30T19:30:00Z`. Seconds since the Unix epoch.
pub fn rfc3339(time_s: i64) -> String {
    let (days, second) = (time_s.div_euclid(DAY_S), time_s.rem_euclid(DAY_S));
    let (year, month, day) = civil_of(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// As [`rfc3339`], to the millisecond: `2026-11-30T19:30:00.123Z`. Milliseconds since the Unix
/// epoch.
pub fn rfc3339_ms(time_ms: i64) -> String {
    let second = rfc3339(time_ms.div_euclid(1000));
    format!("{}.{:03}Z", second.trim_end_matches('Z'), time_ms.rem_euclid(1000))
}

/// Parses a time of RFC 3339; returns seconds since the Unix epoch. A fraction of a second is
/// dropped. There must be `Z` or an offset from UTC.
pub fn parse_rfc3339(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let [year, month, day] = numbers(date, '-')?;
    let at = time.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = time.split_at(at);
    let clock = match clock.split_once('.') {
        Some((clock, fraction)) if !fraction.is_empty() && is_digits(fraction) => clock,
        Some(_) => return None,
        None => clock,
    };
    let [hour, minute, second] = numbers(clock, ':')?;
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 {
        return None;
    }
    let days = days_of(year, month, day);
    if civil_of(days) != (year, month, day) || second > 60 {
        return None;
    }
    let offset_s = match zone {
        "Z" | "z" => 0,
        _ => {
            let (sign, zone) = zone.split_at(1);
            let [hours, minutes] = numbers(zone, ':')?;
            let offset_s = hours * 3600 + minutes * 60;
            if hours > 23 || minutes > 59 {
                return None;
            }
            if sign == "-" { -offset_s } else { offset_s }
        }
    };
    Some(days * DAY_S + hour * 3600 + minute * 60 + second - offset_s)
}

fn is_digits(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Numbers of two digits, of four at the start of a date.
fn numbers<const N: usize>(text: &str, between: char) -> Option<[i64; N]> {
    let mut parts = text.split(between);
    let mut numbers = [0; N];
    for (index, number) in numbers.iter_mut().enumerate() {
        let part = parts.next()?;
        let width = if index == 0 && between == '-' { 4 } else { 2 };
        if part.len() != width || !is_digits(part) {
            return None;
        }
        *number = part.parse().ok()?;
    }
    parts.next().is_none().then_some(numbers)
}

/// Days since the Unix epoch. Source: H. Hinnant, "chrono-compatible low-level date algorithms".
fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day; the same source.
fn civil_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}
