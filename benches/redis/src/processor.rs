//! Processor time.

/// User and system time of a process, by its number or `self`, in seconds, as Linux counts it in hundredths; 0 elsewhere.
pub(crate) fn time(process: &str) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let ticks = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}
