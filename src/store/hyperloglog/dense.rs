//! Registers of 6 bits side by side: the lowest bits of the first byte are register 0. Never reads the header.

use super::{Mark, REGISTERS};

/// Bits of one register.
const BITS: usize = 6;
const VALUE_MAX: u16 = (1 << BITS) - 1;
/// Bytes of all registers. Four of them fill three bytes.
pub const BYTES: usize = REGISTERS * BITS / 8;

/// The first byte that a register touches; it touches no other than that and the next.
#[inline]
pub fn byte_of(register: usize) -> usize {
    register * BITS / 8
}

/// The value of a register.
#[inline]
pub fn get(body: &[u8], register: usize) -> u8 {
    let at = byte_of(register);
    let next = body.get(at + 1).copied().unwrap_or(0);
    let pair = u16::from_le_bytes([body[at], next]);
    (pair >> (register * BITS % 8) & VALUE_MAX) as u8
}

/// Gives a register its value.
#[inline]
pub fn set(body: &mut [u8], mark: Mark) {
    let at = byte_of(mark.register).min(BYTES - 2);
    let mut pair = [body[at], body[at + 1]];
    set_in(&mut pair, at, mark);
    body[at..at + 2].copy_from_slice(&pair);
}

/// Gives a register its value in the two bytes of the body that stand at `at`.
#[inline]
pub fn set_in(pair: &mut [u8; 2], at: usize, mark: Mark) {
    let shift = mark.register * BITS - at * 8;
    let others = u16::from_le_bytes(*pair) & !(VALUE_MAX << shift);
    *pair = (others | u16::from(mark.rank) << shift).to_le_bytes();
}

/// Visits every register with its index, in order.
#[inline]
pub fn for_each(body: &[u8], mut visit: impl FnMut(usize, u8)) {
    for (i, group) in body.as_chunks::<3>().0.iter().enumerate() {
        let group = u32::from_le_bytes([group[0], group[1], group[2], 0]);
        for j in 0..4 {
            visit(4 * i + j, (group >> (BITS * j)) as u8 & VALUE_MAX as u8);
        }
    }
}
