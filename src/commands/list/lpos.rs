//! LPOS key element [RANK rank] [COUNT n] [MAXLEN n] — the index of an element that is equal to one, counted from the head.
//! RANK skips the first matches, and is negative to search from the tail; MAXLEN bounds the comparisons, 0 not at all. Nil where
//! there is none. With COUNT an array of so many indices, 0 for all of them.

use crate::base::args::Args;
use crate::commands::cx::{Cx, count_from, integer};
use crate::commands::error::{CommandError, Outcome};
use crate::store::list::{List, ListRef, Wanted};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let options = Options::parse(args)?;
    let (key, touch, wanted) = (cx.key(args, 1), cx.touch(), Wanted::new(args.get(2)));
    let list = cx.keys.view::<List>(cx.db, &key, cx.now_ms, touch)?;
    let mut found = list.into_iter().flat_map(|list| options.matches(list, wanted));
    match options.count {
        None => match found.next() {
            Some(index) => cx.reply.count(index),
            None => cx.reply.null(),
        },
        Some(count) => {
            let count = if count == 0 { usize::MAX } else { count };
            let indices: Vec<usize> = found.take(count).collect();
            cx.reply.array(indices.len());
            indices.iter().for_each(|index| cx.reply.count(*index));
        }
    }
    Ok(())
}

/// Word `i` as a rank, which must not be the one number that cannot be negated.
fn rank(args: &Args<'_>, i: usize) -> Result<i64, CommandError> {
    const OUT_OF_RANGE: &str =
        "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807";
    match integer(args, i)? {
        i64::MIN => Err(CommandError::Text(OUT_OF_RANGE)),
        number => Ok(number),
    }
}

struct Options {
    rank: i64,
    count: Option<usize>,
    compared_max: usize,
}

impl Options {
    fn parse(args: &Args<'_>) -> Result<Options, CommandError> {
        const ZERO_RANK: &str = "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
                                 or use negative to start from the end of the list";
        let mut options = Options { rank: 1, count: None, compared_max: 0 };
        let mut i = 3;
        while i < args.len() {
            if i + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            if args.is(i, "RANK") {
                options.rank = rank(args, i + 1)?;
                if options.rank == 0 {
                    return Err(CommandError::Text(ZERO_RANK));
                }
            } else if args.is(i, "COUNT") {
                options.count = Some(count_from(args, i + 1, 0, "ERR COUNT can't be negative")?);
            } else if args.is(i, "MAXLEN") {
                options.compared_max = count_from(args, i + 1, 0, "ERR MAXLEN can't be negative")?;
            } else {
                return Err(CommandError::Syntax);
            }
            i += 2;
        }
        Ok(options)
    }

    /// The indices of the elements that count, in the order of the search.
    fn matches<'a>(&self, list: ListRef<'a>, wanted: Wanted<'a>) -> impl Iterator<Item = usize> + use<'a> {
        let last = list.len() - 1;
        let is_backwards = self.rank < 0;
        let items = if is_backwards { list.iter_back_from(last) } else { list.iter() };
        let compared = if self.compared_max == 0 { usize::MAX } else { self.compared_max };
        items
            .take(compared)
            .enumerate()
            .filter(move |(_, item)| wanted.is(*item))
            .map(move |(passed, _)| if is_backwards { last - passed } else { passed })
            .skip(self.rank.unsigned_abs() as usize - 1)
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const LIST: &str = "RPUSH k a b c 1 2 3 c c";

    #[test]
    fn finds_the_index() {
        for (words, expected) in [
            ("c", "2"),
            ("1", "3"),
            ("01", "nil"),
            ("c RANK 2", "6"),
            ("c rank -1", "7"),
            ("c RANK -3", "2"),
            ("c RANK 4", "nil"),
            ("c RANK 9223372036854775807", "nil"),
            ("c MAXLEN 2", "nil"),
            ("c MAXLEN 3", "2"),
            ("a RANK -1 MAXLEN 7", "nil"),
            ("a RANK -1 MAXLEN 8", "0"),
        ] {
            check(&format!("{LIST} | LPOS k {words}"), &format!("8 | {expected}"));
        }
        check("LPOS k a", "nil");
    }

    #[test]
    fn finds_several() {
        for (words, expected) in [
            ("c COUNT 2", "[2, 6]"),
            ("c COUNT 1", "[2]"),
            ("c COUNT 0", "[2, 6, 7]"),
            ("c COUNT 0 RANK -2", "[6, 2]"),
            ("c count 0 maxlen 7", "[2, 6]"),
            ("c RANK 5 COUNT 0", "[]"),
            ("x COUNT 0", "[]"),
            ("c COUNT 1 COUNT 2", "[2, 6]"),
        ] {
            check(&format!("{LIST} | LPOS k {words}"), &format!("8 | {expected}"));
        }
        check("LPOS k a COUNT 1", "[]");
    }

    #[test]
    fn refuses_bad_options() {
        check(
            "LPOS k a RANK 0",
            "ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... \
             or use negative to start from the end of the list",
        );
        check(
            "LPOS k a RANK -9223372036854775808",
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        );
        check("LPOS k a RANK x", "ERR value is not an integer or out of range");
        check("LPOS k a COUNT -1", "ERR COUNT can't be negative");
        check("LPOS k a COUNT x", "ERR COUNT can't be negative");
        check("LPOS k a MAXLEN -1", "ERR MAXLEN can't be negative");
        check("LPOS k a RANK", "ERR syntax error");
        check("LPOS k a RANK 1 FOO", "ERR syntax error");
        check("LPOS k a FOO 1", "ERR syntax error");
        check("SET k v | LPOS k a", "OK | WRONGTYPE Operation against a key holding the wrong kind of value");
    }
}
