//! The expiry options that SET, GETEX, SETEX and PSETEX share: EX, PX, EXAT and PXAT, each with a positive number.
//! Turns them into an absolute time; never touches a key.

use crate::base::args::Args;
use crate::commands::cx::integer;
use crate::commands::error::CommandError;

/// How the number of an expiry is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Seconds from now.
    Ex,
    /// Milliseconds from now.
    Px,
    /// Unix seconds.
    ExAt,
    /// Unix milliseconds.
    PxAt,
}

/// An expiry that a client asked for, not yet checked: options are parsed before numbers are.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    /// How it is meant.
    pub unit: Unit,
    /// Index of the word that holds the number.
    pub word: usize,
}

impl Deadline {
    /// The expiry option at word `i`, if it is one and a number may follow.
    pub fn option(args: &Args<'_>, i: usize) -> Option<Deadline> {
        const UNITS: [(&str, Unit); 4] =
            [("EX", Unit::Ex), ("PX", Unit::Px), ("EXAT", Unit::ExAt), ("PXAT", Unit::PxAt)];
        let (_, unit) = UNITS.into_iter().find(|(name, _)| args.is(i, name))?;
        (i + 1 < args.len()).then_some(Deadline { unit, word: i + 1 })
    }

    /// The absolute time, Unix milliseconds. `command` is whose error text a number gets that is not positive, or overflows.
    pub fn at_ms(self, args: &Args<'_>, now_ms: i64, command: &'static str) -> Result<i64, CommandError> {
        let number = integer(args, self.word)?;
        if number <= 0 {
            return Err(CommandError::InvalidExpire(command));
        }
        let ms = match self.unit {
            Unit::Ex | Unit::ExAt => number.checked_mul(1000),
            Unit::Px | Unit::PxAt => Some(number),
        };
        let at_ms = match self.unit {
            Unit::Ex | Unit::Px => ms.and_then(|ms| ms.checked_add(now_ms)),
            Unit::ExAt | Unit::PxAt => ms,
        };
        at_ms.ok_or(CommandError::InvalidExpire(command))
    }
}
