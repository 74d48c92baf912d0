//! XADD key [NOMKSTREAM] [MAXLEN | MINID [= | ~] threshold [LIMIT count]] <* | id> field value [field value ...] — append an entry.
//! Returns its id; nil where NOMKSTREAM kept the stream from being made. Ids only grow. Trims behind the new entry if told to.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::stream::id::{self, NewId};
use crate::commands::stream::trim_options::Options;
use crate::store::collection::Change;
use crate::store::stream::{ENTRY_BYTES_MAX, Stream, StreamId};

const NOT_LARGER: CommandError =
    CommandError::Text("ERR The ID specified in XADD is equal or smaller than the target stream top item");

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args, true, cx.keys.encoding.stream_node_entries_max)?;
    let fields: Vec<&[u8]> = args.iter_from(options.end + 1).collect();
    if fields.is_empty() || fields.len() % 2 == 1 {
        return Err(CommandError::Arity("xadd".into()));
    }
    if options.id == NewId::Given(StreamId::MIN) {
        return Err(CommandError::Text("ERR The ID specified in XADD must be greater than 0-0"));
    }
    let bytes: usize = fields.iter().map(|word| word.len()).sum();
    let (key, clock, now_ms) = (cx.key(args, 1), cx.clock(), cx.now_ms);
    let add = |stream: &mut Change<'_, Stream>| {
        let id = id_of_new(stream.view(), options.id, now_ms)?;
        if bytes > ENTRY_BYTES_MAX {
            return Err(CommandError::Text("ERR Elements are too large to be stored"));
        }
        stream.add(id, &fields);
        if let Some(trim) = &options.trim {
            stream.trim(trim);
        }
        Ok(id)
    };
    let added = if options.needs_stream {
        cx.keys.change(cx.db, &key, now_ms, clock, add)?
    } else {
        Some(cx.keys.change_or_create(cx.db, &key, now_ms, clock, add)?)
    };
    match added {
        Some(added) => id::write(&mut cx.reply, added?),
        None => cx.reply.null(),
    }
    Ok(())
}

fn id_of_new(stream: &Stream, wanted: NewId, now_ms: i64) -> Result<StreamId, CommandError> {
    let last = stream.last_id();
    let Some(next) = last.next() else {
        return Err(CommandError::Text(
            "ERR The stream has exhausted the last possible ID, unable to add more items",
        ));
    };
    let now_ms = u64::try_from(now_ms).unwrap_or(0);
    let id = match wanted {
        NewId::Auto if now_ms > last.ms => StreamId { ms: now_ms, seq: 0 },
        NewId::Auto => next,
        // The number may not run over into another time.
        NewId::AutoSeq(ms) if ms == last.ms && next.ms != ms => return Err(NOT_LARGER),
        NewId::AutoSeq(ms) if ms == last.ms => next,
        NewId::AutoSeq(ms) => StreamId { ms, seq: 0 },
        NewId::Given(id) => id,
    };
    if id > last { Ok(id) } else { Err(NOT_LARGER) }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const MAX: &str = "18446744073709551615";

    #[test]
    fn gives_ids_that_grow() {
        check(
            "XADD s * a 1 | XADD s * a 2 | @5ms | XADD s * a 3 | @2ms | XADD s * a 4 | XLEN s",
            "1700000000000-0 | 1700000000000-1 | 1700000000005-0 | 1700000000005-1 | 4",
        );
        check("XADD s 5-* a 1 | XADD s 5-* a 1 | XADD s 6-* a 1 | XADD s 7 a 1", "5-0 | 5-1 | 6-0 | 7-0");
        check("XADD s 0-* a 1 | XADD s 0-* a 1", "0-1 | 0-2");
        check(&format!("XADD s 5-{MAX} a 1 | XADD s * a 1"), &format!("5-{MAX} | 1700000000000-0"));
        check(
            &format!("XADD s 1800000000000-{MAX} a 1 | XADD s * a 1"),
            &format!("1800000000000-{MAX} | 1800000000001-0"),
        );
    }

    #[test]
    fn refuses_ids_that_do_not_grow() {
        let smaller = "ERR The ID specified in XADD is equal or smaller than the target stream top item";
        check(
            "XADD s 5-5 a 1 | XADD s 5-5 a 1 | XADD s 5-4 a 1 | XADD s 4-* a 1 | XADD s 4 a 1",
            &format!("5-5 | {smaller} | {smaller} | {smaller} | {smaller}"),
        );
        check(&format!("XADD s 5-{MAX} a 1 | XADD s 5-* a 1"), &format!("5-{MAX} | {smaller}"));
        let zero = "ERR The ID specified in XADD must be greater than 0-0";
        check("XADD s 0-0 a 1 | XADD s 0 a 1 | EXISTS s", &format!("{zero} | {zero} | 0"));
        let exhausted = "ERR The stream has exhausted the last possible ID, unable to add more items";
        check(
            &format!("XADD s {MAX}-{MAX} a 1 | XADD s * a 1 | XADD s {MAX}-* a 1 | XADD s 1-1 a 1"),
            &format!("{MAX}-{MAX} | {exhausted} | {exhausted} | {exhausted}"),
        );
    }

    #[test]
    fn checks_in_order() {
        let invalid = "ERR Invalid stream ID specified as stream command argument";
        let arity = "ERR wrong number of arguments for 'xadd' command";
        check(
            "SET k v | XADD k 1-1 a b | XADD k 0-0 a b",
            "OK | WRONGTYPE Operation against a key holding \
            the wrong kind of value | ERR The ID specified in XADD must be greater than 0-0",
        );
        check(
            "XADD s x a b | XADD s - a b | XADD s 1-1 a b c | XADD s * a",
            &[invalid, invalid, arity, arity].join(" | "),
        );
        check(
            "XADD s MAXLEN 5 * a | XADD s 0-0 a b c | XADD s MAXLEN 1 LIMIT 1",
            &[arity, arity, "ERR syntax error, LIMIT cannot be used without the special ~ option"]
                .join(" | "),
        );
        check(
            "XADD s NOMKSTREAM * a b | XADD s nomkstream 0-0 a b | EXISTS s | XADD s 1 a b | XADD s NOMKSTREAM 2 a b",
            "nil | ERR The ID specified in XADD must be greater than 0-0 | 0 | 1-0 | 2-0",
        );
    }

    #[test]
    fn trims_behind_itself() {
        check(
            "XADD s MAXLEN 2 1 a b | XADD s MAXLEN = 2 2 a b | XADD s MAXLEN 2 3 a b | XRANGE s - +",
            "1-0 | 2-0 | 3-0 | [[2-0, [a, b]], [3-0, [a, b]]]",
        );
        check(
            "XADD s 1 a b | XADD s MINID 2 2 a b | XADD s MAXLEN ~ 1 3 a b | XLEN s",
            "1-0 | 2-0 | 3-0 | 2",
        );
        check(
            "XADD s MAXLEN 0 1 a b | XLEN s | EXISTS s | XADD s 1 a b",
            "1-0 | 0 | 1 | ERR The ID \
            specified in XADD is equal or smaller than the target stream top item",
        );
        let max_max = format!("{MAX}-{MAX}");
        check(
            &format!(
                "XADD s MAXLEN 0 {max_max} a b | XLEN s | XADD t 5 a b | XADD t MINID {max_max} {max_max} a b | XLEN t"
            ),
            &format!("{max_max} | 0 | 5-0 | {max_max} | 1"),
        );
    }

    #[test]
    fn refuses_bad_options() {
        for (options, error) in [
            ("MAXLEN -1", "ERR The MAXLEN argument must be >= 0."),
            ("MAXLEN x", "ERR value is not an integer or out of range"),
            (
                "MAXLEN ~ 1 MINID 1",
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ),
            (
                "MAXLEN 1 MAXLEN 1",
                "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
            ),
            ("MINID x", "ERR Invalid stream ID specified as stream command argument"),
            ("MINID -", "ERR Invalid stream ID specified as stream command argument"),
            ("LIMIT 1", "ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"),
            ("LIMIT 0", "ERR syntax error, LIMIT cannot be used without the special ~ option"),
            ("MAXLEN = 1 LIMIT 1", "ERR syntax error, LIMIT cannot be used without the special ~ option"),
            ("MAXLEN ~ 1 LIMIT -1", "ERR The LIMIT argument must be >= 0."),
            ("MAXLEN ~ 1 LIMIT x", "ERR value is not an integer or out of range"),
        ] {
            check(&format!("XADD s {options} * a b | EXISTS s"), &format!("{error} | 0"));
        }
    }
}
