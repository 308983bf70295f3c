//! Scales: from values to a span of pixels, and the values to write along it.

/// The digits of round values.
const DIGITS: [f64; 3] = [1.0, 2.0, 5.0];

/// Up to here all round values are written, beyond it the powers of ten alone.
const FEW_DECADES: f64 = 2.4;

/// A scale.
#[derive(Clone, Copy)]
pub(super) enum Scale {
    /// Between two values, of which these are the decimal logarithms.
    Log { low: f64, high: f64 },
    /// From 0.
    Linear { high: f64 },
}

impl Scale {
    /// From 1, 2 or 5 times a power of ten below the values to one above them.
    pub(super) fn log(values: impl Iterator<Item = f64>) -> Option<Self> {
        let positive = values.filter(|&value| value > 0.0 && value.is_finite());
        let (low, high) =
            positive.fold((f64::INFINITY, 0.0f64), |(low, high), value| (low.min(value), high.max(value)));
        if high == 0.0 {
            return None;
        }
        // A value on the lowest line would be no bar at all.
        let (below, above) = (low * 0.8, high * 1.02);
        let round = |decade: i32| DIGITS.map(|digit| digit * 10f64.powi(decade));
        let around = |value: f64| {
            let decade = value.log10().floor() as i32;
            (decade - 1..=decade + 1).flat_map(round)
        };
        let low = around(below).filter(|&value| value <= below).fold(0.0, f64::max);
        let high = around(above).filter(|&value| value >= above).fold(f64::INFINITY, f64::min);
        Some(Self::Log { low: low.log10(), high: high.max(low * 10.0).log10() })
    }

    /// From 0 to the value or a little beyond it.
    pub(super) fn linear(high: f64) -> Self {
        let step = step(high);
        Self::Linear { high: (high / step).ceil().max(1.0) * step }
    }

    /// From 0 at the scale's beginning to 1 at its end.
    pub(super) fn share(&self, value: f64) -> f64 {
        match *self {
            Scale::Log { low, high } => ((value.log10() - low) / (high - low)).clamp(0.0, 1.0),
            Scale::Linear { high } => (value / high).clamp(0.0, 1.0),
        }
    }

    /// The values to write.
    pub(super) fn ticks(&self) -> Vec<f64> {
        match *self {
            Scale::Log { low, high } if high - low > FEW_DECADES => self.round_values(&[1.0]),
            Scale::Log { .. } => self.round_values(&DIGITS),
            Scale::Linear { high } => {
                let step = step(high);
                (0..=(high / step).round() as usize).map(|number| number as f64 * step).collect()
            }
        }
    }

    /// The values between them that get a fine line.
    pub(super) fn fine_ticks(&self) -> Vec<f64> {
        match *self {
            Scale::Log { .. } => self.round_values(&[2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]),
            Scale::Linear { .. } => Vec::new(),
        }
    }

    /// These multiples of powers of ten, as far as they are on a logarithmic scale.
    fn round_values(&self, digits: &[f64]) -> Vec<f64> {
        let Scale::Log { low, high } = *self else { return Vec::new() };
        let decades = low.floor() as i32..=high.ceil() as i32;
        let all = decades.flat_map(|decade| digits.iter().map(move |digit| digit * 10f64.powi(decade)));
        all.filter(|value| (low - 1e-9..=high + 1e-9).contains(&value.log10())).collect()
    }
}

/// 1, 2 or 5 times a power of ten, for about five steps.
fn step(high: f64) -> f64 {
    let rough = high.max(1e-9) / 5.0;
    let decade = 10f64.powf(rough.log10().floor());
    let digit = DIGITS.into_iter().find(|digit| digit * decade >= rough * 0.999);
    digit.unwrap_or(10.0) * decade
}

/// A number without needless digits: 0.01, 1, 1,000.
pub(super) fn plain(value: f64) -> String {
    if value >= 1.0 {
        crate::table::grouped(value.round() as usize)
    } else {
        format!("{}", (value * 1e6).round() / 1e6)
    }
}

/// Bytes in decimal units: 100 kB.
pub(super) fn bytes(value: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")];
    let (unit, name) = UNITS.into_iter().find(|(unit, _)| value >= *unit).unwrap_or((1.0, "B"));
    format!("{} {name}", plain(value / unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_scale_begins_and_ends_at_round_values() {
        let scale = |values: &[f64]| Scale::log(values.iter().copied()).expect("a scale");
        let near = |found: Vec<f64>, expected: &[f64]| {
            let equal = |(a, b): (&f64, &f64)| (a / b - 1.0).abs() < 1e-9;
            assert!(found.len() == expected.len() && found.iter().zip(expected).all(equal), "{found:?}");
        };
        near(scale(&[0.3, 42.0]).ticks(), &[0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0]);
        near(scale(&[0.03, 420.0]).ticks(), &[0.1, 1.0, 10.0, 100.0]);
        assert_eq!(scale(&[0.3, 42.0]).share(0.2), 0.0);
        assert_eq!(scale(&[0.3, 42.0]).share(50.0), 1.0);
        assert!(Scale::log([0.0].into_iter()).is_none());
        assert!(scale(&[10.0]).share(10.0) > 0.0, "the value is a bar");
    }

    #[test]
    fn a_linear_scale_has_about_five_round_steps() {
        assert_eq!(Scale::linear(100.0).ticks(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(Scale::linear(123.0).ticks(), [0.0, 50.0, 100.0, 150.0]);
    }

    #[test]
    fn numbers_have_no_needless_digits() {
        let texts: Vec<_> = [0.01, 0.5, 1.0, 1000.0].into_iter().map(plain).collect();
        assert_eq!(texts, ["0.01", "0.5", "1", "1,000"]);
        assert_eq!([1.0, 1e3, 2.5e5, 1e8].map(bytes), ["1 B", "1 kB", "250 kB", "100 MB"]);
    }
}
