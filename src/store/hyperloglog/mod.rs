//! HyperLogLog: counts distinct elements in a string of at most 12,304 bytes, with a standard error of 0.81 %.
//! Owns the bytes of such a string, which are Redis's own: a header and 16,384 registers, run-length encoded (`sparse`) while few
//! are set, then in 6 bits each (`dense`). Pure functions of bytes; never knows a key.
//!
//! | bytes | content |
//! |---|---|
//! | 0 to 3 | `HYLL` |
//! | 4 | 0 dense, 1 sparse |
//! | 5 to 7 | zeros |
//! | 8 to 15 | the cardinality counted last, little-endian; its highest bit says that it no longer holds |
//! | 16 and on | the registers |
//!
//! Sources: Flajolet et al., "HyperLogLog: the analysis of a near-optimal cardinality estimation algorithm" (2007); the comment at the
//! head of Redis's `hyperloglog.c`; the sources named in `estimate` and `hash`.

mod dense;
mod estimate;
mod hash;
mod sparse;

pub use sparse::Opcode;

/// Registers, of which an element selects one by 14 bits of its hash.
pub const REGISTERS: usize = 1 << 14;
/// Bytes of the header.
pub const HEADER_BYTES: usize = 16;
/// Bytes of a HyperLogLog with dense registers.
pub const DENSE_BYTES: usize = HEADER_BYTES + dense::BYTES;
/// Bits of the hash that are left to count zeros in.
const RANK_BITS: u32 = 64 - 14;

const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const CARDINALITY_AT: usize = 8;
const DENSE: u8 = 0;
const SPARSE: u8 = 1;
/// In the last byte of the cardinality.
const STALE: u8 = 0x80;

/// A register for each of 2^14 substreams: the longest run of zeros seen there, plus one.
pub type Registers = [u8; REGISTERS];

/// The opcodes do not describe 16,384 registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupted;

/// Which register an element concerns, and the least value that it must have then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The register's index.
    pub register: usize,
    /// Trailing zeros of the rest of the hash, plus one: 1 to 51.
    pub rank: u8,
}

impl Mark {
    /// The mark that `element` leaves.
    pub fn of(element: &[u8]) -> Mark {
        let hash = hash::murmur64a(element, hash::SEED);
        let rest = hash >> 14 | 1 << RANK_BITS;
        Mark { register: (hash as usize) % REGISTERS, rank: rest.trailing_zeros() as u8 + 1 }
    }
}

/// A string that looks like a HyperLogLog: its header is right, and its length where that is fixed.
#[derive(Clone, Copy, Debug)]
pub struct HllRef<'a> {
    bytes: &'a [u8],
}

impl<'a> HllRef<'a> {
    /// The HyperLogLog in `bytes`, if they look like one.
    pub fn new(bytes: &'a [u8]) -> Option<HllRef<'a>> {
        let is_one = bytes.len() >= HEADER_BYTES
            && bytes.starts_with(MAGIC)
            && match bytes[ENCODING_AT] {
                DENSE => bytes.len() == DENSE_BYTES,
                encoding => encoding == SPARSE,
            };
        is_one.then_some(HllRef { bytes })
    }

    /// Whether its registers stand one by one.
    pub fn is_dense(self) -> bool {
        self.bytes[ENCODING_AT] == DENSE
    }

    /// The cardinality counted last, if nothing has changed since.
    pub fn cached(self) -> Option<u64> {
        let cardinality = &self.bytes[CARDINALITY_AT..HEADER_BYTES];
        let cardinality = u64::from_le_bytes(cardinality.try_into().expect("eight bytes"));
        (cardinality >> 63 == 0).then_some(cardinality)
    }

    /// Estimates the cardinality.
    pub fn count(self) -> Result<u64, Corrupted> {
        let mut histogram = estimate::Histogram::default();
        if self.is_dense() {
            dense::for_each(self.body(), |_, value| histogram.add(value, 1));
        } else {
            sparse::for_each_run(self.body(), |_, value, length| histogram.add(value, length))?;
        }
        Ok(histogram.cardinality())
    }

    /// Raises each register to the one here if that is higher.
    pub fn merge_into(self, registers: &mut Registers) -> Result<(), Corrupted> {
        if self.is_dense() {
            dense::for_each(self.body(), |i, value| registers[i] = registers[i].max(value));
            return Ok(());
        }
        sparse::for_each_run(self.body(), |first, value, length| {
            if value > 0 {
                registers[first..first + length].iter_mut().for_each(|old| *old = (*old).max(value));
            }
        })
    }

    /// Whether a mark would change anything in dense registers.
    pub fn lacks(self, mark: Mark) -> bool {
        debug_assert!(self.is_dense());
        dense::get(self.body(), mark.register) < mark.rank
    }

    /// Where a mark belongs in dense registers, and the two bytes to stand there. The position counts from the header on.
    pub fn dense_bytes(self, mark: Mark) -> (usize, [u8; 2]) {
        debug_assert!(self.is_dense());
        let at = dense::byte_of(mark.register);
        // The last register ends with the last byte: the byte behind it is not there.
        let at = at.min(dense::BYTES - 2);
        let mut bytes = [self.body()[at], self.body()[at + 1]];
        dense::set_in(&mut bytes, at, mark);
        (HEADER_BYTES + at, bytes)
    }

    /// The opcodes of sparse registers.
    pub fn opcodes(self) -> impl Iterator<Item = Opcode> + 'a {
        debug_assert!(!self.is_dense());
        sparse::opcodes(self.body()).map(|(_, opcode)| opcode)
    }

    fn body(self) -> &'a [u8] {
        &self.bytes[HEADER_BYTES..]
    }
}

/// The cardinality of the union of sets: of the registers that `merge_into` has raised.
pub fn count(registers: &Registers) -> u64 {
    let mut histogram = estimate::Histogram::default();
    registers.iter().for_each(|value| histogram.add(*value, 1));
    histogram.cardinality()
}

/// The last byte of the header's cardinality once that is stale, and where it stands; nothing if it is stale already.
pub fn stale_byte(bytes: &[u8]) -> Option<(usize, u8)> {
    let at = HEADER_BYTES - 1;
    (bytes[at] & STALE == 0).then_some((at, bytes[at] | STALE))
}

/// The bytes of a cardinality in the header, and where they stand.
pub fn cached_bytes(cardinality: u64) -> (usize, [u8; 8]) {
    (CARDINALITY_AT, cardinality.to_le_bytes())
}

/// A HyperLogLog being changed: bytes for which `HllRef::new` has given one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hll {
    bytes: Vec<u8>,
}

impl Hll {
    /// One that has seen nothing. Its cardinality, 0, is known.
    pub fn empty() -> Hll {
        let mut bytes = vec![0; HEADER_BYTES];
        bytes[..MAGIC.len()].copy_from_slice(MAGIC);
        bytes[ENCODING_AT] = SPARSE;
        bytes.extend_from_slice(&sparse::EMPTY);
        Hll { bytes }
    }

    /// A copy to change.
    pub fn of(hll: HllRef<'_>) -> Hll {
        Hll { bytes: hll.bytes.to_vec() }
    }

    /// It as it is now.
    pub fn as_ref(&self) -> HllRef<'_> {
        HllRef { bytes: &self.bytes }
    }

    /// Its bytes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Raises a register; whether that changed it. Sparse registers become dense when they would pass `sparse_bytes_max` bytes, header
    /// included (`hll-sparse-max-bytes`), or when the value is too high for them. The cardinality in the header is left alone.
    pub fn raise(&mut self, mark: Mark, sparse_bytes_max: usize) -> Result<bool, Corrupted> {
        if !self.as_ref().is_dense() {
            let raised = sparse::raise(&mut self.bytes, mark, sparse_bytes_max)?;
            if let Some(has_changed) = raised {
                return Ok(has_changed);
            }
            self.make_dense()?;
        }
        let is_higher = dense::get(self.as_ref().body(), mark.register) < mark.rank;
        if is_higher {
            dense::set(&mut self.bytes[HEADER_BYTES..], mark);
        }
        Ok(is_higher)
    }

    /// Makes the registers dense. The header keeps its cardinality.
    pub fn make_dense(&mut self) -> Result<(), Corrupted> {
        if self.as_ref().is_dense() {
            return Ok(());
        }
        let mut dense = vec![0; DENSE_BYTES];
        dense[..HEADER_BYTES].copy_from_slice(&self.bytes[..HEADER_BYTES]);
        dense[ENCODING_AT] = DENSE;
        let body = &mut dense[HEADER_BYTES..];
        sparse::for_each_run(self.as_ref().body(), |first, rank, length| {
            if rank > 0 {
                (first..first + length).for_each(|register| dense::set(body, Mark { register, rank }));
            }
        })?;
        self.bytes = dense;
        Ok(())
    }

    /// Notes in the header that its cardinality no longer holds.
    pub fn forget_cardinality(&mut self) {
        self.bytes[HEADER_BYTES - 1] |= STALE;
    }
}

#[cfg(test)]
mod tests;
