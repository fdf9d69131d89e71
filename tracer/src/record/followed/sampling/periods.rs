//! The periods of timers that sample. A program that does the same again and again would keep step with a timer of a fixed
//! period: some of what it does would be met each time, and some never.

/// A timer keeps a period for so long, or for [`SAMPLES`] of it, if they take longer.
const STRETCH_NS: u64 = 100_000_000;
/// Samples that have the same distance, at the least: a timer begins anew with each other period.
const SAMPLES: f64 = 20.0;
/// By which part a rate is above or below the one that is wanted: so much that the first sample of a stretch is anywhere
/// in work that takes as long as a period, and so are those after it.
const SPREAD: f64 = 0.4;

/// Which period timers have, and for how long.
#[derive(Clone, Copy, Debug)]
pub(super) struct Periods {
    rate: f64,
    stretch_ns: u64,
    end_ns: u64,
    /// How far above the wanted one the rate is, from -1 to 1; of the next stretch as far below, if this one is the first of
    /// a pair: so that each pair together has as many samples as are wanted.
    above: f64,
    is_first: bool,
}

impl Periods {
    /// So many samples a second, in the mean.
    pub(super) fn new(rate: u32) -> Self {
        let rate = f64::from(rate.max(1));
        let stretch_ns = STRETCH_NS.max((SAMPLES / rate * 1e9) as u64);
        Self { rate, stretch_ns, end_ns: 0, above: 0.0, is_first: false }
    }

    /// Is it time for another one?
    pub(super) fn is_due(&self, now_ns: u64) -> bool {
        now_ns >= self.end_ns
    }

    /// The period in nanoseconds that timers are to have from now on. `random`: a number from 0 up to 1.
    pub(super) fn next_ns(&mut self, now_ns: u64, random: f64) -> u64 {
        self.end_ns = now_ns + self.stretch_ns;
        self.is_first = !self.is_first;
        self.above = if self.is_first { 2.0 * random - 1.0 } else { -self.above };
        // Half of a period is lost, in the mean, when a stretch ends.
        let rate = self.rate + 0.5e9 / self.stretch_ns as f64;
        (1e9 / (rate * (1.0 + SPREAD * self.above))) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The times of samples in so many seconds.
    fn samples_ns(rate: u32, seconds: u64) -> Vec<u64> {
        let mut random = fastrand::Rng::with_seed(7);
        let mut periods = Periods::new(rate);
        let (mut now_ns, mut period_ns, mut samples) = (0, 0, Vec::new());
        while now_ns < seconds * 1_000_000_000 {
            if periods.is_due(now_ns) {
                period_ns = periods.next_ns(now_ns, random.f64());
            }
            let sample_ns = now_ns + period_ns;
            now_ns = sample_ns.min(periods.end_ns);
            if now_ns == sample_ns {
                samples.push(now_ns);
            }
        }
        samples
    }

    #[test]
    fn there_are_as_many_samples_as_are_wanted() {
        for (rate, seconds) in [(1, 2000), (19, 200), (199, 2), (199, 600), (1999, 1), (20_000, 1)] {
            let (found, wanted) =
                (samples_ns(rate, seconds).len() as f64, (u64::from(rate) * seconds) as f64);
            assert!((found / wanted - 1.0).abs() < 0.03, "{found} of {wanted} at {rate} Hz");
        }
    }

    #[test]
    fn no_program_keeps_step() {
        for rate in [199, 1999] {
            for of_period in [1.0, 2.0, 7.0, 1.5] {
                let length_ns = of_period * 1e9 / f64::from(rate);
                let samples = samples_ns(rate, 1_000_000 / u64::from(rate));
                // In which tenth of its work the program is.
                let mut tenths = [0_u32; 10];
                for sample_ns in &samples {
                    let phase = (*sample_ns as f64 / length_ns).fract();
                    tenths[(phase * 10.0) as usize] += 1;
                }
                let even = samples.len() as f64 / 10.0;
                let off =
                    tenths.iter().map(|&count| (f64::from(count) / even - 1.0).abs()).fold(0.0, f64::max);
                assert!(off < 0.1, "{tenths:?} at {rate} Hz, {of_period} periods long");
            }
        }
    }
}
