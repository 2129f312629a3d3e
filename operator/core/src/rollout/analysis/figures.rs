//! Figures as people read them.

/// A share in percent, in hundredths: `99.78%`.
pub(super) fn percent(share: f64) -> String {
    format!("{:.2}%", share * 100.0)
}

/// A share as a limit has it, as short as it can be: `99%`, `0.5%`.
pub(super) fn limit(share: f64) -> String {
    format!("{}%", plain(share * 100.0))
}

/// A difference of shares, with its sign: `+0.03%`.
pub(super) fn difference(shares: f64) -> String {
    let hundredths = (shares * 10_000.0).round() / 100.0;
    // Neither +0.00% nor -0.00%: there is none to be seen.
    if hundredths == 0.0 { "0.00%".to_owned() } else { format!("{hundredths:+.2}%") }
}

/// A count with its thousands: `24,402`.
pub(super) fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// A number with six digits behind its point at most, and no more than it has.
pub(super) fn plain(number: f64) -> String {
    let text = if number.abs() >= 1e15 || number != 0.0 && number.abs() < 1e-6 {
        format!("{number:e}")
    } else {
        let fixed = format!("{number:.6}");
        fixed.trim_end_matches('0').trim_end_matches('.').to_owned()
    };
    if text == "-0" { "0".to_owned() } else { text }
}

/// How likely chance explains it: `p = 0.51`, `p < 0.0001`.
pub(super) fn p(value: f64) -> String {
    if value < 0.0001 {
        "p < 0.0001".to_owned()
    } else if value < 0.01 {
        format!("p = {value:.4}")
    } else {
        format!("p = {value:.2}")
    }
}

/// A time in milliseconds: `250 ms`, `2.5 s`.
pub(super) fn time(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.0} ms") } else { format!("{} s", plain((ms / 10.0).round() / 100.0)) }
}
