//! How figures are written: three significant digits, a space between thousands, a dash for what
//! was not measured. Whatever is not finite was not measured.

/// Stands where nothing was measured.
pub const NONE: &str = "–";

/// Within numbers, so that no line ends there. Text for a terminal has plain spaces in the end.
pub const NO_BREAK: char = '\u{a0}';

/// Decimals at most; what is smaller than these show is written as a bound.
const DECIMALS_MAX: i32 = 4;

/// Three significant digits: `0.0123`, `1.23`, `12 300`.
pub fn number(value: f64) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let value = three_digits(value);
    if value == 0.0 {
        return "0".to_owned();
    }
    if value.abs() < 10_f64.powi(-DECIMALS_MAX) {
        return if value > 0.0 { "<0.0001" } else { ">-0.0001" }.to_owned();
    }
    let decimals = (2 - magnitude(value)).clamp(0, DECIMALS_MAX);
    grouped(&format!("{value:.*}", decimals as usize))
}

/// The same with a prefix from a thousand up: `123`, `12.3 k`, `1.23 M`.
pub fn si(value: f64) -> String {
    let value = if value.is_finite() { three_digits(value) } else { value };
    let steps = [(1e9, 'G'), (1e6, 'M'), (1e3, 'k')];
    match steps.iter().find(|(size, _)| value.is_finite() && value.abs() >= *size) {
        Some((size, prefix)) => format!("{}{NO_BREAK}{prefix}", number(value / size)),
        None => number(value),
    }
}

/// A count, exact.
pub fn count(value: u64) -> String {
    grouped(&value.to_string())
}

/// Microseconds as milliseconds.
pub fn ms(us: f64) -> String {
    number(us / 1e3)
}

/// A share from 0 to 1 in percent.
pub fn percent(share: f64) -> String {
    number(share * 100.0)
}

/// Bits a second, with the unit.
pub fn bit_rate(bps: f64) -> String {
    if bps.abs() >= 999.5e6 { number(bps / 1e9) + " Gbit/s" } else { number(bps / 1e6) + " Mbit/s" }
}

/// A scenario's load, as it was asked for: `0.5`, `2`.
pub fn load(value: f64) -> String {
    short(value, 3)
}

/// No more decimals than are needed, and at most so many: for what people chose, not measured.
pub fn short(value: f64, decimals: usize) -> String {
    if !value.is_finite() {
        return NONE.to_owned();
    }
    let text = format!("{value:.decimals$}");
    let text = match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.'),
        false => &text,
    };
    grouped(if text == "-0" { "0" } else { text })
}

/// The text of a value that may be missing.
pub fn optional<T>(value: Option<T>, text: impl Fn(T) -> String) -> String {
    value.map_or_else(|| NONE.to_owned(), text)
}

/// `s` unless it is one: `1 room`, `2 rooms`.
pub fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

/// Rounded first: 9.996 has the decimals of 10.0.
fn three_digits(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

fn magnitude(value: f64) -> i32 {
    value.abs().log10().floor() as i32
}

fn grouped(text: &str) -> String {
    let (sign, text) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
    let (whole, fraction) = match text.split_once('.') {
        Some((whole, fraction)) => (whole, format!(".{fraction}")),
        None => (text, String::new()),
    };
    let mut out = String::from(sign);
    for (at, digit) in whole.chars().enumerate() {
        if at > 0 && (whole.len() - at).is_multiple_of(3) {
            out.push(NO_BREAK);
        }
        out.push(digit);
    }
    out + &fraction
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: String) -> String {
        text.replace(NO_BREAK, " ")
    }

    #[test]
    fn three_digits_are_kept_and_no_more() {
        let cases = [
            (0.0, "0"),
            (-0.0, "0"),
            (0.000_01, "<0.0001"),
            (-0.000_01, ">-0.0001"),
            (0.012_345, "0.0123"),
            (9.996, "10.0"),
            (0.099_99, "0.100"),
            (1.5, "1.50"),
            (999.6, "1 000"),
            (12_345.0, "12 300"),
            (-4873.0, "-4 870"),
            (1_234_567.0, "1 230 000"),
        ];
        for (value, text) in cases {
            assert_eq!(plain(number(value)), text, "{value}");
        }
    }

    #[test]
    fn prefixes_begin_where_rounding_reaches_them() {
        let cases = [(0.0, "0"), (999.4, "999"), (999.9, "1.00 k"), (187_400.0, "187 k")];
        for (value, text) in cases {
            assert_eq!(plain(si(value)), text, "{value}");
        }
        assert_eq!(plain(si(2.5e9)), "2.50 G");
        assert_eq!(bit_rate(1.54e9), "1.54 Gbit/s");
        assert_eq!(bit_rate(999.4e6), "999 Mbit/s");
    }

    #[test]
    fn what_is_not_finite_was_not_measured() {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for text in [number(value), si(value), ms(value), percent(value), load(value)] {
                assert_eq!(text, NONE);
            }
            assert!(bit_rate(value).starts_with(NONE));
        }
    }

    #[test]
    fn loads_are_written_as_they_were_asked_for() {
        let cases = [(1.0, "1"), (0.5, "0.5"), (0.1 + 0.2, "0.3"), (12.0, "12"), (-0.0, "0")];
        for (value, text) in cases {
            assert_eq!(load(value), text);
        }
        assert_eq!(plain(count(1_234_567)), "1 234 567");
        assert_eq!(count(999), "999");
        assert_eq!(plain(short(1000.0, 0)), "1 000");
    }
}
