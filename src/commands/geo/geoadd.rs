//! GEOADD key [NX | XX] [CH] longitude latitude member [longitude latitude member ...] — put members at places. Replies with how many are
//! new, with CH also how many moved. NX moves none and XX adds none. Nothing is changed if any place is not valid.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::geo::place;
use crate::store::collection::Change;
use crate::store::sorted_set::{MEMBERS_MAX, SortedSet};

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let (mut must_be_new, mut must_exist, mut counts_moved) = (false, false, false);
    let mut first = 2;
    while first < args.len() {
        if args.is(first, "NX") {
            must_be_new = true;
        } else if args.is(first, "XX") {
            must_exist = true;
        } else if args.is(first, "CH") {
            counts_moved = true;
        } else {
            break;
        }
        first += 1;
    }
    let words = args.len() - first;
    if words == 0 || !words.is_multiple_of(3) || (must_be_new && must_exist) {
        return Err(CommandError::Syntax);
    }
    let members: Vec<(f64, &[u8])> = (first..args.len())
        .step_by(3)
        .map(|i| Ok((place(args, i)?.score(), args.get(i + 2))))
        .collect::<Result<_, CommandError>>()?;

    let (key, clock) = (cx.key(args, 1), cx.clock());
    let work = |set: &mut Change<'_, SortedSet>| {
        if set.view().len() + members.len() > MEMBERS_MAX {
            return Err(CommandError::Text("ERR a sorted set cannot have so many members"));
        }
        set.expect(members.len());
        let mut count = 0;
        for (score, member) in &members {
            let updated = set.update(member, |old| match old {
                Some(_) if must_be_new => None,
                None if must_exist => None,
                _ => Some(*score),
            });
            count += usize::from(updated.is_added() || (counts_moved && updated.is_moved()));
        }
        Ok(count)
    };
    let count = if must_exist {
        cx.keys.change(cx.db, &key, cx.now_ms, clock, work)?.unwrap_or(Ok(0))?
    } else {
        cx.keys.change_or_create(cx.db, &key, cx.now_ms, clock, work)??
    };
    cx.reply.count(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const SICILY: &str = "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

    #[test]
    fn adds_members() {
        check(&format!("{SICILY} | ZSCORE s Palermo | {SICILY} | TYPE s"), "2 | 3479099956230698 | 0 | zset");
        check(
            "GEOADD k -180 -85.05112878 a 180 85.05112878 b | ZSCORE k a | ZSCORE k b",
            "2 | 0 | 13510798882111488",
        );
    }

    #[test]
    fn options_decide_what_is_added_moved_and_counted() {
        check(&format!("{SICILY} | GEOADD s CH 1 1 Palermo 2 2 new | GEOADD s ch 1 1 Palermo"), "2 | 2 | 0");
        check("GEOADD s NX 1 1 a | GEOADD s nx ch 2 2 a 3 3 b | GEOADD s CH 1 1 a", "1 | 1 | 0");
        check("GEOADD s XX 1 1 a | EXISTS s | GEOADD s 1 1 a | GEOADD s XX CH 2 2 a 3 3 b", "0 | 0 | 1 | 1");
    }

    #[test]
    fn refuses() {
        check("GEOADD s NX XX 1 1 a", "ERR syntax error");
        check("GEOADD s 1 1 a 2 2", "ERR syntax error");
        check("GEOADD s NX CH NX", "ERR syntax error");
        check("GEOADD s x 1 a", "ERR value is not a valid float");
        check("GEOADD s 1 1 a 1 nan b | EXISTS s", "ERR value is not a valid float | 0");
        let pair = "ERR invalid longitude,latitude pair";
        check("GEOADD s 200 100 a | EXISTS s", &format!("{pair} 200.000000,100.000000 | 0"));
        check("GEOADD s 1 86 a", &format!("{pair} 1.000000,86.000000"));
        check("GEOADD s -inf 0 a", &format!("{pair} -inf,0.000000"));
        check(
            "SET s x | GEOADD s 1 1 a | GEOADD s XX 1 1 a",
            "OK | WRONGTYPE Operation against a key holding the wrong kind of value | \
             WRONGTYPE Operation against a key holding the wrong kind of value",
        );
    }
}
