//! A double as text on the stack, in the notation of Redis 7.2 (`float::format_f64`).

use crate::base::float::{F64_TEXT_BYTES_MAX, format_f64};

/// The text of a double.
#[derive(Clone, Copy, Debug)]
pub struct DoubleText {
    buffer: [u8; F64_TEXT_BYTES_MAX],
    length: usize,
}

impl DoubleText {
    /// The text's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.buffer[..self.length]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(self.as_bytes()).expect("the text is ASCII")
    }
}

/// `number` as Redis 7.2 shows it: `3`, `0.1`, `1e+30`, `-0`, `inf`, `nan`.
pub fn format_double(number: f64) -> DoubleText {
    let mut buffer = [0; F64_TEXT_BYTES_MAX];
    let length = format_f64(number, &mut buffer).len();
    DoubleText { buffer, length }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_text() {
        assert_eq!(format_double(0.1).as_str(), "0.1");
        assert_eq!(format_double(-0.0).as_bytes(), b"-0");
        assert_eq!(format_double(0.00012345678901).as_str(), "1.2345678901e-4");
    }
}
