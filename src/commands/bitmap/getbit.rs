//! GETBIT key offset — one bit of a string. What lies beyond its end, and a missing key, is 0.

use crate::base::args::Args;
use crate::commands::bitmap::{BIT_OFFSET, bit_offset};
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let offset = bit_offset(args.get(2), cx.server.config.bulk_bytes_max).ok_or(BIT_OFFSET)?;
    let (key, touch) = (cx.key(args, 1), cx.touch());
    let byte = match cx.keys.string(cx.db, &key, cx.now_ms, touch)? {
        None => 0,
        Some(string) => string.with_bytes(|bytes| bytes.get((offset / 8) as usize).copied().unwrap_or(0)),
    };
    cx.reply.integer(i64::from(byte >> (7 - offset % 8) & 1));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn reads_one_bit() {
        check("SET k A | GETBIT k 0 | GETBIT k 1 | GETBIT k 7 | GETBIT k 8", "OK | 0 | 1 | 1 | 0");
        check("SET n 1 | GETBIT n 2 | GETBIT n 7 | OBJECT ENCODING n", "OK | 1 | 1 | int");
        check("GETBIT k 4294967295 | EXISTS k", "0 | 0");
    }

    #[test]
    fn refuses_bad_offsets() {
        for bad in ["-1", "x", "4294967296", "#1"] {
            check(&format!("GETBIT k {bad}"), "ERR bit offset is not an integer or out of range");
        }
    }
}
