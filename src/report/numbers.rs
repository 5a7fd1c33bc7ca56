//! Numbers as people read them.

use std::time::Duration;

/// `14,690`
pub(super) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// In decimal units, one digit after the point from a million bytes on: `81.2 MB`, `412 kB`, `17 bytes`
pub(super) fn bytes(number: u64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "one digit after the point is shown")]
    let number_of = |unit: u64| number as f64 / unit as f64;
    match number {
        0..1_000 => format!("{number} bytes"),
        1_000..1_000_000 => format!("{:.0} kB", number_of(1_000)),
        1_000_000..1_000_000_000 => format!("{:.1} MB", number_of(1_000_000)),
        _ => format!("{:.2} GB", number_of(1_000_000_000)),
    }
}

/// `0.35 s`, `12.4 s`
pub(super) fn seconds(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    if seconds < 10.0 { format!("{seconds:.2} s") } else { format!("{seconds:.1} s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_people_read_them() {
        assert_eq!([thousands(7), thousands(1234), thousands(1_234_567)], ["7", "1,234", "1,234,567"]);
        let sizes = [999, 412_300, 81_200_000, 1_540_000_000].map(bytes);
        assert_eq!(sizes, ["999 bytes", "412 kB", "81.2 MB", "1.54 GB"]);
        assert_eq!([seconds(Duration::from_millis(350)), seconds(Duration::from_millis(12_410))], ["0.35 s", "12.4 s"]);
    }
}
