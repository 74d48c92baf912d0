//! Registers as runs of equal values. Owns the opcodes and how they are split and joined when one register rises; Redis does it in
//! the same way, so that the same elements in the same order leave the same bytes.
//!
//! | opcode | bits | meaning |
//! |---|---|---|
//! | zeros | `00llllll` | a run of l+1 zeros |
//! | many zeros | `01llllll llllllll` | a run of l+1 zeros |
//! | value | `1vvvvvll` | a run of l+1 registers that have the value v+1 |

use super::{Corrupted, HEADER_BYTES, Mark, REGISTERS};

/// The longest run that one byte of zeros describes.
const ZEROS_MAX: usize = 64;
/// The longest run of one value.
const VALUES_MAX: usize = 4;
/// The highest value that there is an opcode for.
const VALUE_MAX: u8 = 32;
/// Opcodes looked at for joining, from the one before the change on.
const JOINED_OPCODES: usize = 5;

/// The opcodes of registers that are all zero.
pub const EMPTY: [u8; 2] = [0x40 | ((REGISTERS - 1) >> 8) as u8, (REGISTERS - 1) as u8];

/// One opcode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opcode {
    /// A run of zeros in one byte.
    Zeros(usize),
    /// A run of zeros in two bytes.
    ManyZeros(usize),
    /// A run of a value.
    Values { value: u8, length: usize },
}

impl Opcode {
    /// The opcode at the start of `bytes`, which are not empty. Of two bytes the second may be missing in a corrupted string; the run
    /// is empty then.
    #[inline]
    fn read(bytes: &[u8]) -> Opcode {
        let first = bytes[0];
        match first >> 6 {
            0 => Opcode::Zeros(usize::from(first & 0x3f) + 1),
            1 => Opcode::ManyZeros(
                bytes.get(1).map_or(0, |second| (usize::from(first & 0x3f) << 8 | usize::from(*second)) + 1),
            ),
            _ => Opcode::Values { value: (first >> 2 & 0x1f) + 1, length: usize::from(first & 3) + 1 },
        }
    }

    #[inline]
    fn bytes(self) -> usize {
        if let Opcode::ManyZeros(_) = self { 2 } else { 1 }
    }

    /// Registers that it describes.
    #[inline]
    fn length(self) -> usize {
        match self {
            Opcode::Zeros(length) | Opcode::ManyZeros(length) | Opcode::Values { length, .. } => length,
        }
    }

    #[inline]
    fn value(self) -> u8 {
        if let Opcode::Values { value, .. } = self { value } else { 0 }
    }
}

fn value_byte(value: u8, length: usize) -> u8 {
    debug_assert!((1..=VALUE_MAX).contains(&value) && (1..=VALUES_MAX).contains(&length));
    0x80 | (value - 1) << 2 | (length - 1) as u8
}

/// The opcodes with where they stand.
pub fn opcodes(body: &[u8]) -> impl Iterator<Item = (usize, Opcode)> + '_ {
    let mut at = 0;
    std::iter::from_fn(move || {
        let opcode = Opcode::read(body.get(at..).filter(|rest| !rest.is_empty())?);
        let here = at;
        at += opcode.bytes();
        Some((here, opcode))
    })
}

/// Visits each run with its first register, its value and its length.
#[inline]
pub fn for_each_run(body: &[u8], mut visit: impl FnMut(usize, u8, usize)) -> Result<(), Corrupted> {
    let mut first = 0;
    for (_, opcode) in opcodes(body) {
        let length = opcode.length();
        if first + length > REGISTERS {
            return Err(Corrupted);
        }
        visit(first, opcode.value(), length);
        first += length;
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupted) }
}

/// Where the opcode stands that describes a register.
#[derive(Clone, Copy, Debug)]
struct Place {
    /// Its position in the body.
    at: usize,
    /// The position of the opcode before it; its own if it is the first.
    before: usize,
    opcode: Opcode,
    /// The first register that it describes.
    first: usize,
}

impl Place {
    #[inline]
    fn find(body: &[u8], register: usize) -> Result<Place, Corrupted> {
        let (mut first, mut before) = (0, 0);
        for (at, opcode) in opcodes(body) {
            if register < first + opcode.length() {
                return Ok(Place { at, before, opcode, first });
            }
            first += opcode.length();
            before = at;
        }
        Err(Corrupted)
    }
}

/// Raises a register in a string with its header; whether that changed it, or `None` if the registers must become dense first.
pub fn raise(bytes: &mut Vec<u8>, mark: Mark, bytes_max: usize) -> Result<Option<bool>, Corrupted> {
    if mark.rank > VALUE_MAX {
        return Ok(None);
    }
    let place = Place::find(&bytes[HEADER_BYTES..], mark.register)?;
    let (old, length) = (place.opcode.value(), place.opcode.length());
    if old >= mark.rank {
        return Ok(Some(false));
    }
    let split = Split::new(place, mark);
    let grown = split.bytes().len().saturating_sub(place.opcode.bytes());
    // A run of one register is never too long to change.
    if length > 1 && grown > 0 && bytes.len() + grown > bytes_max {
        return Ok(None);
    }
    let at = HEADER_BYTES + place.at;
    bytes.splice(at..at + place.opcode.bytes(), split.bytes().iter().copied());
    join(bytes, HEADER_BYTES + place.before);
    Ok(Some(true))
}

/// What stands in an opcode's place after one of its registers has risen: at most two bytes of zeros, a value, two bytes of zeros.
struct Split {
    buffer: [u8; 5],
    length: usize,
}

impl Split {
    fn new(place: Place, mark: Mark) -> Split {
        let old = place.opcode.value();
        let before = mark.register - place.first;
        let after = place.opcode.length() - before - 1;
        let mut split = Split { buffer: [0; 5], length: 0 };
        split.push_run(old, before);
        split.push(value_byte(mark.rank, 1));
        split.push_run(old, after);
        split
    }

    fn push_run(&mut self, value: u8, length: usize) {
        match (value, length) {
            (_, 0) => {}
            (0, 1..=ZEROS_MAX) => self.push((length - 1) as u8),
            (0, _) => {
                self.push(0x40 | ((length - 1) >> 8) as u8);
                self.push((length - 1) as u8);
            }
            _ => self.push(value_byte(value, length)),
        }
    }

    fn push(&mut self, byte: u8) {
        self.buffer[self.length] = byte;
        self.length += 1;
    }

    fn bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }
}

/// Joins neighbouring runs of one value, among a few opcodes from `at` on, where the sum is not too long.
fn join(bytes: &mut Vec<u8>, mut at: usize) {
    for _ in 0..JOINED_OPCODES {
        let Some(rest) = bytes.get(at..).filter(|rest| !rest.is_empty()) else { return };
        let here = Opcode::read(rest);
        if let Opcode::Values { value, length } = here
            && let Some(next @ 0x80..) = rest.get(1)
            && let Opcode::Values { value: next_value, length: next_length } = Opcode::read(&[*next])
            && value == next_value
            && length + next_length <= VALUES_MAX
        {
            // The joined run is looked at again: the next one may fit too.
            bytes[at + 1] = value_byte(value, length + next_length);
            bytes.remove(at);
            continue;
        }
        at += here.bytes();
    }
}
