//! How the replies that several shards gave to their parts of one command become the one reply of the command.
//! Pure functions of replies; an error in any part is the whole reply.

use crate::base::args::Args;
use crate::resp::read;
use crate::resp::write::Writer;

/// The parts of one command.
pub struct Parts<'a> {
    /// The whole command; no words for one spread by keys.
    pub args: Args<'a>,
    /// One reply for each shard that took part; the connection's own shard comes first if it did.
    pub replies: &'a [&'a [u8]],
    /// For a command spread by keys: which part each key group went to, in the order of the command.
    pub order: &'a [u16],
    /// For a choice among the parts.
    pub seed: u64,
}

/// Writes the reply that follows from the parts. None of them is an error: the first error was replied as it is.
pub type Merge = fn(&Parts<'_>, &mut Writer<'_>);

/// Counts add up (`DEL`, `EXISTS`, `DBSIZE`).
pub fn sum(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    reply.integer(parts.replies.iter().filter_map(|part| read::integer(part)).sum());
}

/// All parts say the same (`MSET`, `FLUSHALL`).
pub fn same(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    reply.raw(parts.replies.first().expect("a spread command has at least one part"));
}

/// Arrays with one element for each key, put back into the order of the command (`MGET`).
pub fn by_key(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let mut rest: Vec<&[u8]> =
        parts.replies.iter().map(|part| read::elements(part).expect("a part is an array").1).collect();
    reply.array(parts.order.len());
    for &from in parts.order {
        let rest = &mut rest[usize::from(from)];
        let length = read::reply_len(rest).expect("a part has an element for each of its keys");
        reply.raw(&rest[..length]);
        *rest = &rest[length..];
    }
}

/// Arrays one after the other (`KEYS`).
pub fn concatenate(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let arrays: Vec<(usize, &[u8])> =
        parts.replies.iter().map(|part| read::elements(part).expect("a part is an array")).collect();
    reply.array(arrays.iter().map(|(count, _)| count).sum());
    for (_, elements) in arrays {
        reply.raw(elements);
    }
}

/// Texts one after the other (`CLIENT LIST`).
pub fn concatenate_text(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let text: Vec<u8> = parts.replies.iter().filter_map(|part| read::bulk(part)).collect::<Vec<_>>().concat();
    reply.verbatim(&String::from_utf8_lossy(&text));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::write::Protocol;

    fn merged(merge: Merge, replies: &[&[u8]], order: &[u16]) -> String {
        let mut out = Vec::new();
        merge(
            &Parts { args: Args::new(b"", &[]), replies, order, seed: 0 },
            &mut Writer::new(&mut out, Protocol::Resp2),
        );
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn merges() {
        assert_eq!(merged(sum, &[b":2\r\n", b":40\r\n"], &[]), ":42\r\n");
        assert_eq!(merged(same, &[b"+OK\r\n", b"+OK\r\n"], &[]), "+OK\r\n");
        assert_eq!(
            merged(concatenate, &[b"*1\r\n:1\r\n", b"*0\r\n", b"*1\r\n:2\r\n"], &[]),
            "*2\r\n:1\r\n:2\r\n"
        );
        let parts: [&[u8]; 2] = [b"*2\r\n$1\r\na\r\n$-1\r\n", b"*1\r\n$1\r\nb\r\n"];
        assert_eq!(merged(by_key, &parts, &[0, 1, 0]), "*3\r\n$1\r\na\r\n$1\r\nb\r\n$-1\r\n");
        assert_eq!(merged(concatenate_text, &[b"$2\r\na\n\r\n", b"$2\r\nb\n\r\n"], &[]), "$4\r\na\nb\n\r\n");
    }
}
