//! The grammar of `client-output-buffer-limit`: `<class> <hard> <soft> <seconds>`, once or more. Only clients of class `normal`
//! exist yet; limits of other classes are refused unless they say that there is none.
//!
//! Past the hard limit a client is disconnected, as in Redis. Past the soft limit its commands wait, and only a client that reads
//! nothing for so many seconds is disconnected: a pipeline larger than the limit slows down instead of breaking. A limit of 0
//! means the highest that the server supports.

use crate::base::number::parse_i64;
use crate::config::Config;
use crate::config::bytes::parse_bytes;
use crate::config::parameters::{BUFFER_BYTES_MAX, Refusal, out_of_bounds};

/// As `CONFIG GET` shows it.
pub fn get(config: &Config) -> String {
    format!(
        "normal {} {} {} slave 0 0 0 pubsub 0 0 0",
        config.reply_bytes_max, config.reply_bytes_pause, config.reply_stall_seconds_max
    )
}

/// Applies what `CONFIG SET` was given; classes not mentioned stay as they are.
pub fn set(config: &mut Config, value: &[u8]) -> Result<(), Refusal> {
    let words: Vec<&[u8]> = value.split(|byte| *byte == b' ').filter(|word| !word.is_empty()).collect();
    if words.is_empty() || !words.len().is_multiple_of(4) {
        return Err(Refusal::Text("Wrong number of arguments in buffer limit configuration."));
    }
    for class in words.chunks(4) {
        let name = class[0].to_ascii_lowercase();
        let is_normal = name == b"normal";
        if !is_normal && !matches!(name.as_slice(), b"slave" | b"replica" | b"pubsub") {
            return Err(Refusal::Text("Invalid client class specified in buffer limit configuration."));
        }
        let invalid =
            Refusal::Text("Error in hard, soft or soft_seconds setting in buffer limit configuration.");
        let seconds = parse_i64(class[3]).and_then(|seconds| u64::try_from(seconds).ok());
        let (Some(hard), Some(soft), Some(seconds)) = (parse_bytes(class[1]), parse_bytes(class[2]), seconds)
        else {
            return Err(invalid);
        };
        if !is_normal {
            if (hard, soft, seconds) != (0, 0, 0) {
                return Err(Refusal::Text(
                    "this server has no clients of that class yet, their limits can only be 0 0 0",
                ));
            }
            continue;
        }
        if hard > BUFFER_BYTES_MAX || soft > BUFFER_BYTES_MAX {
            return Err(out_of_bounds(0, BUFFER_BYTES_MAX));
        }
        let limit = |bytes: u64| if bytes == 0 { BUFFER_BYTES_MAX as usize } else { bytes as usize };
        config.reply_bytes_max = limit(hard);
        config.reply_bytes_pause = limit(soft);
        config.reply_stall_seconds_max =
            if seconds == 0 { u64::from(u32::MAX) } else { seconds.min(u64::from(u32::MAX)) };
    }
    Ok(())
}
