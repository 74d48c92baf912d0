//! DUMP key — the value in Redis's serialised form (`store/rdb`), for RESTORE. Nil for a missing key. The expiry is not in it.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::store::object::ValueRef;
use crate::store::rdb;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (key, touch) = (cx.key(args, 1), cx.touch());
    match cx.keys.read(cx.db, &key, cx.now_ms, touch) {
        Some(entry) => cx.reply.bulk(&rdb::encode(ValueRef::of(entry))),
        None => cx.reply.null(),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::{Bench, check};

    #[test]
    fn gives_the_bytes_that_redis_gives() {
        check("DUMP missing", "nil");
        let mut bench = Bench::default();
        bench.run("SET k 10 | SET text hello EX 100");
        // From Redis 7.0.15.
        assert_eq!(
            bench.call(["DUMP", "k"]),
            b"$13\r\n\x00\xc0\x0a\x0a\x00\x6e\x9f\x57\x45\x0e\xae\x63\xbb\r\n"
        );
        let text = bench.call(["DUMP", "text"]);
        assert_eq!(text, b"$17\r\n\x00\x05hello\x0a\x00cr\xdfve4 \x0a\r\n");
    }
}
