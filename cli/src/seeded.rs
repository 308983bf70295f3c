//! All that is random in a run, from one seed.

use convlow::{Buffer, Element, Problem};
use rand_distr::{Distribution, Normal, Uniform};
use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::SeedableRng;

use crate::outcome::Outcome;

/// Standard deviation of the bias: small beside outputs of standard deviation 1.
const BIAS_DEVIATION: f32 = 0.05;

/// The sources of random numbers.
pub(crate) struct Seeded {
    /// For inputs, weights and bias.
    values: Pcg64Mcg,
    /// For the choice of the outputs to check, apart so that it leaves the values alone.
    sample: Pcg64Mcg,
}

impl Seeded {
    pub(crate) fn new(seed: u64) -> Self {
        Self { values: Pcg64Mcg::seed_from_u64(seed), sample: Pcg64Mcg::seed_from_u64(!seed) }
    }

    /// Normally distributed numbers around 0, the same in float64 as in float32.
    pub(crate) fn numbers<T: Element>(&mut self, count: usize, deviation: f32) -> Outcome<Buffer> {
        let mut buffer = Buffer::new(count.saturating_mul(size_of::<T>()))?;
        let normal = Normal::new(0.0, deviation).expect("a finite deviation");
        let numbers = buffer.elements_mut::<T>().iter_mut();
        numbers.for_each(|x| *x = T::from_f64(normal.sample(&mut self.values).into()));
        Ok(buffer)
    }

    /// Weights by He's initialisation: outputs behind a ReLU keep the variance of the inputs.
    pub(crate) fn weights<T: Element>(&mut self, problem: &Problem) -> Outcome<Buffer> {
        self.numbers::<T>(problem.weights_len(), (2.0 / problem.depth() as f32).sqrt())
    }

    pub(crate) fn bias<T: Element>(&mut self, problem: &Problem) -> Outcome<Buffer> {
        self.numbers::<T>(problem.out_channels, BIAS_DEVIATION)
    }

    /// This many of the numbers below `end`, with repetition.
    pub(crate) fn sample(&mut self, count: usize, end: usize) -> Vec<usize> {
        let all = Uniform::new(0, end).expect("there is something to choose from");
        (0..count).map(|_| all.sample(&mut self.sample)).collect()
    }
}
