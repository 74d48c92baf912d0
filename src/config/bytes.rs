//! Amounts of memory as operators write and read them: `512mb`, `1g`, `1.50M`.
//! Never decides which amounts a parameter allows.

/// The bytes that a text like `1048576`, `1mb` or `1m` means; nothing for another text or more than 64 bits.
/// As in redis.conf, `k`, `m` and `g` are powers of 1000 and `kb`, `mb` and `gb` powers of 1024, in any case; an empty text is 0.
pub fn parse_bytes(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (number, unit) = text.split_at(digits);
    let scale = match unit.to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let number = number
        .iter()
        .try_fold(0u64, |sum, digit| sum.checked_mul(10)?.checked_add(u64::from(digit - b'0')))?;
    number.checked_mul(scale)
}

/// An amount for people, as `INFO` shows it: `512B`, `1.50K`, `23.54G`.
pub fn human_bytes(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let mut scaled = bytes as f64;
    let mut unit = ' ';
    for next in ['K', 'M', 'G', 'T', 'P', 'E'] {
        if scaled < 1024.0 {
            break;
        }
        scaled /= 1024.0;
        unit = next;
    }
    format!("{scaled:.2}{unit}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_redis_reads() {
        for (text, bytes) in [
            ("0", 0),
            ("", 0),
            ("12", 12),
            ("12b", 12),
            ("1k", 1000),
            ("1KB", 1024),
            ("2Mb", 2 << 20),
            ("1g", 1_000_000_000),
        ] {
            assert_eq!(parse_bytes(text.as_bytes()), Some(bytes), "{text:?}");
        }
        for text in ["-1", "1.5mb", "1tb", "1 mb", "mb1", "18446744073709551616", "17179869184gb"] {
            assert_eq!(parse_bytes(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn writes_what_redis_writes() {
        let texts = [0, 1023, 1024, 1_039_576, 1_063_528, 25_276_502_016, u64::MAX].map(human_bytes);
        assert_eq!(texts, ["0B", "1023B", "1.00K", "1015.21K", "1.01M", "23.54G", "16.00E"]);
    }
}
