//! Of measurements on a noisy machine.

/// The median; of an even number of values the upper middle one.
pub fn median(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// What holds the median of all such measurements with 95 % probability, whatever their distribution; all that there are
/// if they are fewer than six.
pub fn interval_of_median(values: &[f64]) -> (f64, f64) {
    let sorted = sorted(values);
    let number = sorted.len() as f64;
    // Half of the measurements lie on each side of it, so how many are below is binomially distributed.
    let outer = ((number - 1.96 * number.sqrt()) / 2.0).max(0.0) as usize;
    match (sorted.get(outer), sorted.iter().nth_back(outer)) {
        (Some(&least), Some(&most)) => (least, most),
        _ => (f64::NAN, f64::NAN),
    }
}

/// The mean without the lowest and the highest quarter: what a neighbour on the machine does for a moment is in these.
pub fn interquartile_mean(values: &[f64]) -> f64 {
    let sorted = sorted(values);
    let quarter = sorted.len() / 4;
    let middle = &sorted[quarter..sorted.len() - quarter];
    middle.iter().sum::<f64>() / middle.len() as f64
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outliers_do_not_count() {
        let values = [5.0, 1.0, 2.0, 3.0, 4.0, 100.0, 3.0, 3.0];
        assert!((median(&values) - 3.0).abs() < 1e-9);
        assert!((interquartile_mean(&values) - 3.25).abs() < 1e-9);
    }

    #[test]
    fn the_interval_has_the_median() {
        let twelve: Vec<f64> = (1..=12).map(f64::from).collect();
        assert_eq!(interval_of_median(&twelve), (3.0, 10.0));
        assert_eq!(interval_of_median(&twelve[..3]), (1.0, 3.0));
        assert!(interval_of_median(&[]).0.is_nan() && median(&[]).is_nan());
    }
}
