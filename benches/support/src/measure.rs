//! Statistics of samples.

pub fn median<T: PartialOrd + Copy>(mut samples: Vec<T>) -> T {
    samples.sort_by(|one, other| one.partial_cmp(other).expect("no NaN"));
    samples[samples.len() / 2]
}
