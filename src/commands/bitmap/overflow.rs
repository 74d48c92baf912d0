//! Integers of 1 to 64 bits and what becomes of a result that does not fit one. Pure.

/// The type of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IntegerType {
    /// Whether it has a sign, in two's complement.
    pub is_signed: bool,
    /// Its width: 1 to 64, or to 63 without a sign, for replies are signed.
    pub bits: u32,
}

/// What becomes of a value that does not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// It loses its high bits.
    Wrap,
    /// It becomes the smallest or the largest value that fits.
    Saturate,
    /// Nothing is written.
    Fail,
}

impl IntegerType {
    /// The type that a word such as `i16` or `u8` names.
    pub fn parse(word: &[u8]) -> Option<IntegerType> {
        let (sign, digits) = word.split_first()?;
        let is_signed = match sign {
            b'i' => true,
            b'u' => false,
            _ => return None,
        };
        let bits = u32::try_from(crate::base::number::parse_i64(digits)?).ok()?;
        let bits_max = if is_signed { 64 } else { 63 };
        (1..=bits_max).contains(&bits).then_some(IntegerType { is_signed, bits })
    }

    /// The value that the low bits of a field spell.
    pub fn value(self, field: u64) -> i64 {
        if self.is_signed {
            let unused = 64 - self.bits;
            (field << unused) as i64 >> unused
        } else {
            field as i64
        }
    }

    /// The sum of the value of a field and an increment, if there is one to write.
    pub fn add(self, field: u64, increment: i64, overflow: Overflow) -> Option<u64> {
        self.fit(i128::from(self.value(field)) + i128::from(increment), overflow)
    }

    /// A number as the field it is written to, if there is one to write. Without a sign, a negative number is a very large one.
    pub fn set(self, number: i64, overflow: Overflow) -> Option<u64> {
        if !self.is_signed {
            return self.fit(i128::from(number as u64), overflow);
        }
        // Redis compares the distance from the number to the largest value in 64 bits. Where that overflows, at the smallest of all
        // numbers, it takes them for too large.
        let is_mistaken = self.bits < 64 && self.max().checked_sub(number).is_none();
        let number = if is_mistaken && overflow == Overflow::Saturate { self.max() } else { number };
        self.fit(i128::from(number), overflow)
    }

    /// The largest value.
    fn max(self) -> i64 {
        i64::MAX >> (if self.is_signed { 64 } else { 63 } - self.bits)
    }

    fn fit(self, number: i128, overflow: Overflow) -> Option<u64> {
        let max = i128::from(self.max());
        let min = if self.is_signed { -max - 1 } else { 0 };
        let fits = match overflow {
            _ if (min..=max).contains(&number) => number,
            Overflow::Wrap => number,
            Overflow::Saturate => number.clamp(min, max),
            Overflow::Fail => return None,
        };
        // The cut to the field's width wraps.
        Some(fits as u64 & (u64::MAX >> (64 - self.bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn knows_the_types() {
        let type_of = |word: &str| IntegerType::parse(word.as_bytes()).map(|t| (t.is_signed, t.bits));
        assert_eq!(type_of("i1"), Some((true, 1)));
        assert_eq!(type_of("i64"), Some((true, 64)));
        assert_eq!(type_of("u63"), Some((false, 63)));
        for wrong in ["", "i", "u", "i0", "i65", "u64", "I8", "x8", "u-1", "u08", "u8 ", "8"] {
            assert_eq!(type_of(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_does_not_fit_wraps_saturates_or_fails() {
        let signed = IntegerType { is_signed: true, bits: 8 };
        let add = |to: IntegerType, old: i64, by, overflow| {
            let mask = u64::MAX >> (64 - to.bits);
            to.add(old as u64 & mask, by, overflow).map(|field| to.value(field))
        };
        assert_eq!(add(signed, 100, 27, Overflow::Fail), Some(127));
        assert_eq!(add(signed, 100, 28, Overflow::Fail), None);
        assert_eq!(add(signed, 100, 28, Overflow::Wrap), Some(-128));
        assert_eq!(add(signed, 100, 28, Overflow::Saturate), Some(127));
        assert_eq!(add(signed, -100, -29, Overflow::Wrap), Some(127));
        assert_eq!(add(signed, -100, i64::MIN, Overflow::Saturate), Some(-128));

        let wide = IntegerType { is_signed: true, bits: 64 };
        assert_eq!(add(wide, i64::MAX, 1, Overflow::Wrap), Some(i64::MIN));
        assert_eq!(add(wide, i64::MIN, i64::MIN, Overflow::Saturate), Some(i64::MIN));
        assert_eq!(add(wide, -1, i64::MAX, Overflow::Fail), Some(i64::MAX - 1));

        let unsigned = IntegerType { is_signed: false, bits: 2 };
        assert_eq!(add(unsigned, 3, 1, Overflow::Wrap), Some(0));
        assert_eq!(add(unsigned, 0, -1, Overflow::Wrap), Some(3));
        assert_eq!(add(unsigned, 0, -1, Overflow::Saturate), Some(0));
        assert_eq!(unsigned.set(-1, Overflow::Saturate), Some(3));
        assert_eq!(unsigned.set(-1, Overflow::Wrap), Some(3));
        assert_eq!(unsigned.set(-1, Overflow::Fail), None);
        assert_eq!(unsigned.set(6, Overflow::Wrap), Some(2));

        let nibble = IntegerType { is_signed: true, bits: 4 };
        assert_eq!(nibble.set(-9, Overflow::Saturate), Some(0b1000));
        assert_eq!(nibble.set(i64::MIN + 8, Overflow::Saturate), Some(0b1000));
        assert_eq!(nibble.set(i64::MIN + 7, Overflow::Saturate), Some(0b0111), "as Redis does");
    }
}
