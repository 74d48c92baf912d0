//! RESTORE key ttl serialized-value [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency] — make a key out of what DUMP gave.
//! `ttl` is in milliseconds, from now or since 1970 (ABSTTL); 0 is no expiry. BUSYKEY if the key is there and need not be replaced. A
//! deadline that has passed removes the key. The payload is checked as a whole before anything changes.

use crate::base::args::Args;
use crate::commands::cx::{Cx, access_clock, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::store::rdb::{self, DecodeError};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args)?;
    let key = cx.key(args, 1);
    if !options.replaces && cx.keys.exists(cx.db, &key, cx.now_ms) {
        return Err(CommandError::Text("BUSYKEY Target key name already exists."));
    }
    let ttl_ms = integer(args, 2)?;
    if ttl_ms < 0 {
        return Err(CommandError::Text("ERR Invalid TTL value, must be >= 0"));
    }
    let value = rdb::decode(args.get(3), &cx.keys.encoding).map_err(|error| {
        CommandError::Text(match error {
            DecodeError::Footer => "ERR DUMP payload version or checksum are wrong",
            DecodeError::Data => "ERR Bad data format",
        })
    })?;
    let from_ms = if options.is_absolute { 0 } else { cx.now_ms };
    let expire_at_ms = (ttl_ms > 0).then(|| ttl_ms.saturating_add(from_ms));
    if expire_at_ms.is_some_and(|at_ms| at_ms <= cx.now_ms) {
        cx.keys.remove(cx.db, &key, cx.now_ms);
    } else {
        let clock = access_clock(cx.now_ms.saturating_sub(options.idle_seconds.saturating_mul(1000)).max(0));
        cx.keys.put(cx.db, &key, value, expire_at_ms, clock);
    }
    cx.reply.ok();
    Ok(())
}

#[derive(Default)]
struct Options {
    replaces: bool,
    is_absolute: bool,
    idle_seconds: i64,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let (mut has_idle_time, mut has_frequency) = (false, false);
        let mut i = 4;
        while i < args.len() {
            let has_more = i + 1 < args.len();
            if args.is(i, "REPLACE") {
                options.replaces = true;
            } else if args.is(i, "ABSTTL") {
                options.is_absolute = true;
            } else if args.is(i, "IDLETIME") && has_more && !has_frequency {
                options.idle_seconds = integer(args, i + 1)?;
                if options.idle_seconds < 0 {
                    return Err(CommandError::Text("ERR Invalid IDLETIME value, must be >= 0"));
                }
                (has_idle_time, i) = (true, i + 1);
            } else if args.is(i, "FREQ") && has_more && !has_idle_time {
                // Checked and left at that: frequencies are not tracked.
                if !(0..=255).contains(&integer(args, i + 1)?) {
                    return Err(CommandError::Text("ERR Invalid FREQ value, must be >= 0 and <= 255"));
                }
                (has_frequency, i) = (true, i + 1);
            } else {
                return Err(CommandError::Syntax);
            }
            i += 1;
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::Bench;
    use crate::resp::read;

    /// What DUMP gives for a key that `script` makes.
    fn dump(bench: &mut Bench, key: &str) -> Vec<u8> {
        read::bulk(&bench.call(["DUMP", key])).expect("a payload").to_vec()
    }

    fn restore(bench: &mut Bench, options: &str) -> String {
        let payload = dump(bench, "k");
        let mut words: Vec<&[u8]> = vec![b"RESTORE"];
        words.extend(
            options.split(' ').map(|word| if word == "PAYLOAD" { &payload[..] } else { word.as_bytes() }),
        );
        crate::commands::testing::shown(&bench.call(words)).0
    }

    fn bench() -> Bench {
        let mut bench = Bench::default();
        bench.run("SET k v | SET there x");
        bench
    }

    #[test]
    fn makes_the_key() {
        let mut bench = bench();
        assert_eq!(restore(&mut bench, "new 0 PAYLOAD"), "OK");
        assert_eq!(restore(&mut bench, "new2 1500 PAYLOAD"), "OK");
        assert_eq!(restore(&mut bench, "new3 1700000009000 PAYLOAD ABSTTL"), "OK");
        assert_eq!(
            bench.run("MGET new new2 new3 | TTL new | PTTL new2 | TTL new3"),
            "[v, v, v] | -1 | 1500 | 9"
        );
        bench.check_journal();
    }

    #[test]
    fn replaces_only_when_told() {
        let mut bench = bench();
        assert_eq!(restore(&mut bench, "there 0 PAYLOAD"), "BUSYKEY Target key name already exists.");
        assert_eq!(restore(&mut bench, "there 0 PAYLOAD replace"), "OK");
        assert_eq!(bench.run("GET there"), "v");
        assert_eq!(restore(&mut bench, "there 1 PAYLOAD replace absttl"), "OK");
        assert_eq!(bench.run("EXISTS there"), "0");
        bench.check_journal();
    }

    #[test]
    fn sets_the_idle_time() {
        let mut bench = bench();
        assert_eq!(restore(&mut bench, "new 0 PAYLOAD IDLETIME 1000"), "OK");
        assert_eq!(restore(&mut bench, "new2 0 PAYLOAD FREQ 100"), "OK");
        assert_eq!(bench.run("OBJECT IDLETIME new | OBJECT IDLETIME new2"), "1000 | 0");
    }

    #[test]
    fn refuses_in_the_order_of_redis() {
        let mut bench = bench();
        for (options, error) in [
            ("there x bad FOO", "ERR syntax error"),
            ("there x bad IDLETIME 1 FREQ 1", "ERR syntax error"),
            ("there x bad IDLETIME", "ERR syntax error"),
            ("there x bad IDLETIME -1", "ERR Invalid IDLETIME value, must be >= 0"),
            ("there x bad FREQ 256", "ERR Invalid FREQ value, must be >= 0 and <= 255"),
            ("there x bad FREQ x", "ERR value is not an integer or out of range"),
            ("there x bad", "BUSYKEY Target key name already exists."),
            ("new x bad", "ERR value is not an integer or out of range"),
            ("new -1 bad", "ERR Invalid TTL value, must be >= 0"),
            ("new 0 bad", "ERR DUMP payload version or checksum are wrong"),
        ] {
            assert_eq!(restore(&mut bench, options), error, "{options}");
        }
        // Whole, but a list without elements.
        let words: [&[u8]; 4] = [b"RESTORE", b"new", b"0", &sealed(b"\x01\x00")];
        assert_eq!(bench.call(words), b"-ERR Bad data format\r\n");
        assert_eq!(bench.run("EXISTS new"), "0");
    }

    /// A payload of these bytes with version and checksum.
    fn sealed(value: &[u8]) -> Vec<u8> {
        rdb::sealed(value.to_vec(), 10)
    }
}
