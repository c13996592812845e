//! Maps values to positions, and chooses the labelled values of an axis.

/// A linear scale from 0.
#[derive(Debug, Clone, Copy)]
pub(super) struct Linear {
    pub(super) top: f64,
    step: f64,
}

impl Linear {
    /// Creates a scale with at most six steps of 1, 2 or 5 times a power of ten.
    pub(super) fn up_to(most: f64) -> Self {
        let most = if most > 0.0 { most } else { 1.0 };
        let power = 10_f64.powf((most / 6.0).log10().floor());
        let steps = [1.0, 2.0, 5.0, 10.0].map(|times| times * power);
        let step = steps.into_iter().find(|step| most / step <= 6.0).unwrap_or(steps[3]);
        Self { top: (most / step).ceil() * step, step }
    }

    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        (0..=(self.top / self.step).round() as u32).map(move |at| f64::from(at) * self.step)
    }

    /// Maps a value to 0 at the bottom to 1 at the top.
    pub(super) fn part(self, value: f64) -> f64 {
        (value / self.top).clamp(0.0, 1.0)
    }
}

/// A logarithmic scale between two powers of ten.
#[derive(Debug, Clone, Copy)]
pub(super) struct Decades {
    low: i32,
    high: i32,
}

impl Decades {
    pub(super) fn around(values: impl Iterator<Item = f64>) -> Self {
        let (mut least, mut most) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| *value > 0.0) {
            (least, most) = (least.min(value), most.max(value));
        }
        if least > most {
            return Self { low: 0, high: 1 };
        }
        let low = least.log10().floor() as i32;
        Self { low, high: (most.log10().ceil() as i32).max(low + 1) }
    }

    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        (self.low..=self.high).map(|power| 10_f64.powi(power))
    }

    /// Maps a value to 0 at the lowest to 1 at the highest.
    pub(super) fn part(self, value: f64) -> f64 {
        let power = value.max(f64::MIN_POSITIVE).log10();
        ((power - f64::from(self.low)) / f64::from(self.high - self.low)).clamp(0.0, 1.0)
    }
}

/// Formats a number of an axis: 0.1, 20, 1 k, 5 M.
pub(super) fn named(value: f64) -> String {
    let short = |value: f64, unit: &str| {
        let digits = format!("{value:.3}");
        format!("{}{unit}", digits.trim_end_matches('0').trim_end_matches('.'))
    };
    match value {
        ..1e3 => short(value, ""),
        ..1e6 => short(value / 1e3, " k"),
        _ => short(value / 1e6, " M"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Decades, Linear, named};

    #[test]
    fn an_axis_ends_above_the_most_and_has_few_round_ticks() {
        for most in [0.0, 0.003, 0.9, 6.0, 6.1, 13.74, 59.0, 61.0, 233.0] {
            let axis = Linear::up_to(most);
            let ticks: Vec<f64> = axis.ticks().collect();
            assert!(axis.top >= most && ticks.len() <= 7, "{most}: {ticks:?}");
            assert!((axis.part(axis.top) - 1.0).abs() < 1e-9 && axis.part(-1.0) == 0.0);
        }
    }

    #[test]
    fn decades_are_whole() {
        let axis = Decades::around([0.7, 4_200.0].into_iter());
        assert_eq!(axis.ticks().map(named).collect::<Vec<_>>(), ["0.1", "1", "10", "100", "1 k", "10 k"]);
        assert!((axis.part(10.0) - 0.4).abs() < 1e-9);
        assert_eq!(Decades::around(std::iter::empty()).ticks().count(), 2);
    }
}
