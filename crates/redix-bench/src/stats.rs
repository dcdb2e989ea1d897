//! Medians and their uncertainty.

use redix_testkit::Rng;

const RESAMPLES: usize = 10_000;

/// The median; `NaN` for nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => f64::NAN,
        len if len % 2 == 1 => sorted[len / 2],
        len => f64::midpoint(sorted[len / 2 - 1], sorted[len / 2]),
    }
}

/// The 95 % interval of the median by the percentile bootstrap (Efron 1979): medians of samples
/// drawn with replacement, of which the middle 95 % are kept.
pub(crate) fn median_interval(values: &[f64]) -> (f64, f64) {
    if values.is_empty() {
        return (f64::NAN, f64::NAN);
    }
    let mut rng = Rng::new(95);
    let mut medians: Vec<f64> = (0..RESAMPLES)
        .map(|_| {
            let sample: Vec<f64> = values.iter().map(|_| *rng.pick(values)).collect();
            median(&sample)
        })
        .collect();
    medians.sort_by(f64::total_cmp);
    (medians[RESAMPLES * 25 / 1000], medians[RESAMPLES * 975 / 1000 - 1])
}

/// A ratio measured in pairs: the median of the pairs' ratios and its interval.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ratio {
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Ratio {
    /// Of `subject[i] / other[i]`.
    pub(crate) fn of_pairs(subject: &[f64], other: &[f64]) -> Ratio {
        let ratios: Vec<f64> = subject.iter().zip(other).map(|(s, o)| s / o).collect();
        let (low, high) = median_interval(&ratios);
        Ratio { median: median(&ratios), low, high }
    }
}

#[cfg(test)]
mod tests;
