//! PFSELFTEST — check that registers keep what they are given and that estimates are close. `OK`, or what is wrong.

use crate::base::args::Args;
use crate::base::rng::Rng;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::store::hyperloglog::{Hll, Mark, REGISTERS};

/// Rounds of writing all registers.
const ROUNDS: usize = 10;
/// The most elements of which an estimate is checked.
const ELEMENTS_MAX: u64 = 100_000;
/// Ten times the standard error, 1.04 / sqrt(16,384): chance is no explanation for more.
const ERROR_MAX: f64 = 0.081;
/// Bytes up to which registers stay sparse.
const SPARSE_BYTES_MAX: usize = 3000;

pub fn run(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    check_registers(&mut cx.server.rng)?;
    check_estimates(&mut cx.server.rng)?;
    cx.reply.ok();
    Ok(())
}

fn check_registers(rng: &mut Rng) -> Outcome {
    for round in 0..ROUNDS {
        let (mut hll, mut expected) = (Hll::empty(), [0; REGISTERS]);
        for (register, value) in expected.iter_mut().enumerate() {
            *value = rng.below(52) as u8;
            if *value > 0 {
                hll.raise(Mark { register, rank: *value }, SPARSE_BYTES_MAX)?;
            }
        }
        let mut registers = [0; REGISTERS];
        hll.as_ref().merge_into(&mut registers)?;
        if let Some(i) = (0..REGISTERS).find(|i| registers[*i] != expected[*i]) {
            return Err(CommandError::Detailed(format!(
                "ERR TESTFAILED Register {i} should be {} but is {} (round {round})",
                expected[i], registers[i]
            )));
        }
    }
    Ok(())
}

fn check_estimates(rng: &mut Rng) -> Outcome {
    let seed = rng.next_u64();
    let mut hll = Hll::empty();
    let mut checkpoint = 1;
    for element in 1..=ELEMENTS_MAX {
        hll.raise(Mark::of(&(element ^ seed).to_le_bytes()), SPARSE_BYTES_MAX)?;
        if element == checkpoint {
            let estimate = hll.as_ref().count()?;
            // A small estimate is off by one when two elements meet in a register.
            if estimate.abs_diff(element) as f64 > (element as f64 * ERROR_MAX).max(1.0) {
                return Err(CommandError::Detailed(format!(
                    "ERR TESTFAILED Too big error: {element} elements were counted as {estimate}"
                )));
            }
            checkpoint *= 10;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn passes() {
        check("PFSELFTEST", "OK");
    }
}
