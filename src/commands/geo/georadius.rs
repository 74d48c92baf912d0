//! GEORADIUS key longitude latitude radius M | KM | FT | MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT n [ANY]] [ASC | DESC]
//! [STORE key | STOREDIST key], GEORADIUSBYMEMBER key member radius unit [the same], and _RO forms of both that cannot store —
//! members within a distance of a place or of a member. STORE and STOREDIST make the results another sorted set and return how
//! many there are.

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::gather::{Decided, Decision, Gather, Part};
use crate::commands::geo::query::{Form, is_store};
use crate::commands::geo::search;
use crate::resp::write::Writer;

const FORM: Form = Form::Radius { may_store: true };
const FORM_MEMBER: Form = Form::RadiusByMember { may_store: true };

pub const GATHER: Gather = Gather {
    reads_key_alone: false,
    read: |cx, args, i| search::read(cx, args, i, FORM),
    decide,
    reads_undeclared: false,
};

pub const GATHER_MEMBER: Gather =
    Gather { read: |cx, args, i| search::read(cx, args, i, FORM_MEMBER), ..GATHER };

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    search::run(cx, args, FORM)
}

pub fn run_read(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    search::run(cx, args, Form::Radius { may_store: false })
}

pub fn run_member(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    search::run(cx, args, FORM_MEMBER)
}

pub fn run_member_read(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    search::run(cx, args, Form::RadiusByMember { may_store: false })
}

/// The source, and the destination if one is named: the last one that is.
pub fn keys(args: &Args<'_>) -> Vec<usize> {
    let mut keys = vec![1];
    let mut i = 5;
    while i + 1 < args.len() {
        if is_store(args, i) {
            keys.truncate(1);
            keys.push(i + 1);
            i += 1;
        }
        i += 1;
    }
    keys
}

/// Two shards take part only if there are two keys.
fn decide(at: Decision, args: &Args<'_>, parts: &mut [Part], reply: &mut Writer<'_>) -> Decided {
    let destination = keys(args)[1];
    search::decide(at, &mut parts[0], args.get(destination), reply)
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    const SICILY: &str = "GEOADD s 13.361389 38.115556 Palermo 15.087269 37.502669 Catania";

    #[test]
    fn finds_members() {
        let near = |options: &str, expected: &str| {
            check(&format!("{SICILY} | GEORADIUS s 15 37 200 km {options}"), &format!("2 | {expected}"));
            let read_only = format!("{SICILY} | GEORADIUS_RO s 15 37 200 km {options}");
            check(&read_only, &format!("2 | {expected}"));
        };
        near("", "[Palermo, Catania]");
        near("ASC", "[Catania, Palermo]");
        near("DESC", "[Palermo, Catania]");
        near("COUNT 1", "[Catania]");
        near("COUNT 1 ANY", "[Palermo]");
        near("WITHDIST", "[[Palermo, 190.4424], [Catania, 56.4413]]");
        near("COUNT 1 WITHHASH", "[[Catania, 3479447370796909]]");
        near(
            "WITHCOORD WITHDIST WITHHASH COUNT 1",
            "[[Catania, 56.4413, 3479447370796909, [15.08726745843887329, 37.50266842333162032]]]",
        );
        check(&format!("{SICILY} | GEORADIUS s 15 37 100 km | GEORADIUS none 1 1 1 m"), "2 | [Catania] | []");
    }

    #[test]
    fn finds_members_around_a_member() {
        check(
            &format!(
                "{SICILY} | GEORADIUSBYMEMBER s Palermo 200 km ASC | GEORADIUSBYMEMBER_RO s Palermo 1 m"
            ),
            "2 | [Palermo, Catania] | [Palermo]",
        );
        let missing = "ERR could not decode requested zset member";
        check(
            &format!("{SICILY} | GEORADIUSBYMEMBER s x 200 km | GEORADIUSBYMEMBER none x y z"),
            &format!("2 | {missing} | []"),
        );
    }

    #[test]
    fn stores_results() {
        check(
            &format!("{SICILY} | GEORADIUS s 15 37 200 km STORE d | ZRANGE d 0 -1 WITHSCORES"),
            "2 | 2 | [Palermo, 3479099956230698, Catania, 3479447370796909]",
        );
        check(
            &format!(
                "{SICILY} | GEORADIUSBYMEMBER s Catania 200 km STORE x STOREDIST d | ZRANGE d 0 -1 | EXISTS x"
            ),
            "2 | 2 | [Catania, Palermo] | 0",
        );
        check(&format!("{SICILY} | SET d x | GEORADIUS s 1 1 1 m STORE d | EXISTS d"), "2 | OK | 0 | 0");
        check("SET d x | GEORADIUS none 1 1 1 m STORE d | EXISTS d", "OK | 0 | 0");
        check(
            &format!("{SICILY} | GEORADIUS s 15 37 200 km STORE s COUNT 1 | ZRANGE s 0 -1"),
            "2 | 1 | [Catania]",
        );
    }

    #[test]
    fn refuses() {
        check("GEORADIUS s 1 1 x m", "ERR need numeric radius");
        check("GEORADIUS s 1 1 -1 m", "ERR radius cannot be negative");
        check("GEORADIUS s 1 1 1 parsec", "ERR unsupported unit provided. please use M, KM, FT, MI");
        check("GEORADIUS s 1 91 1 m", "ERR invalid longitude,latitude pair 1.000000,91.000000");
        check("GEORADIUS s 1 1 1 m COUNT 0", "ERR COUNT must be > 0");
        check("GEORADIUS s 1 1 1 m ANY", "ERR the ANY argument requires COUNT argument");
        check("GEORADIUS s 1 1 1 m FROMLONLAT 1 1", "ERR syntax error");
        check("GEORADIUS s 1 1 1 m STORE", "ERR syntax error");
        check("GEORADIUS_RO s 1 1 1 m STORE d", "ERR syntax error");
        check(
            "GEORADIUS s 1 1 1 m WITHDIST STORE d",
            "ERR STORE option in GEORADIUS is not compatible with WITHDIST, WITHHASH and WITHCOORD options",
        );
        let wrong_type = "WRONGTYPE Operation against a key holding the wrong kind of value";
        check(
            "SET s x | GEORADIUS s x y z w | GEORADIUS s 1 1 1 m STORE d | GEORADIUSBYMEMBER s m 1 m",
            &format!("OK | {wrong_type} | {wrong_type} | {wrong_type}"),
        );
    }
}
