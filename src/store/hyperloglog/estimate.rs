//! From how many registers have which value to the number of distinct elements. Redis adds and multiplies doubles in this order, so the
//! estimates are equal.
//!
//! Source: Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (arXiv:1702.01284), algorithm 6.

use super::{RANK_BITS, REGISTERS};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;

/// How many registers have each value.
#[derive(Debug)]
pub struct Histogram([u32; 64]);

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram([0; 64])
    }
}

impl Histogram {
    /// Counts `registers` that have a value.
    #[inline]
    pub fn add(&mut self, value: u8, registers: usize) {
        self.0[usize::from(value) % 64] += registers as u32;
    }

    /// The estimate.
    pub fn cardinality(&self) -> u64 {
        let m = REGISTERS as f64;
        let of_value = |value: u32| f64::from(self.0[value as usize]);
        let mut z = m * tau((m - of_value(RANK_BITS + 1)) / m);
        for value in (1..=RANK_BITS).rev() {
            z += of_value(value);
            z *= 0.5;
        }
        z += m * sigma(of_value(0) / m);
        // Where all registers are zero, sigma is infinite and the estimate 0.
        (ALPHA * m * m / z).round() as u64
    }
}

/// Ertl's function for registers that are full.
fn tau(mut x: f64) -> f64 {
    if x == 0.0 || x == 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        let before = z;
        x = x.sqrt();
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

/// Ertl's function for registers that are empty.
fn sigma(mut x: f64) -> f64 {
    if x == 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        let before = z;
        x *= x;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}
