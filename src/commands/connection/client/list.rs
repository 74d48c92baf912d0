//! CLIENT LIST [TYPE type] [ID id [id ...]] — one line for each client of the process, oldest first, or in the order of the ids.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::connection::client::describe::line;
use crate::commands::connection::client::filter::ClientType;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::merge::Parts;
use crate::resp::read;
use crate::resp::write::Writer;

/// Replies the lines of this shard's clients.
pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let asked = Asked::parse(args)?;
    let sessions = cx.server.sessions.by_age();
    let lines: String = sessions
        .into_iter()
        .filter(|(_, session)| match &asked {
            Asked::All => true,
            Asked::Nobody => false,
            Asked::Ids(ids) => ids.contains(&session.id),
        })
        .map(|(_, session)| line(session, cx.table, cx.now_ms))
        .collect();
    cx.reply.bulk(lines.as_bytes());
    Ok(())
}

/// Puts the lines of all shards into one text.
pub fn merge_lines(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    let texts = parts.replies.iter().filter_map(|part| std::str::from_utf8(read::bulk(part)?).ok());
    let mut lines: Vec<(u64, &str)> = texts
        .flat_map(|text| text.split_inclusive('\n'))
        .filter_map(|line| Some((id_of(line)?, line)))
        .collect();
    lines.sort_unstable_by_key(|(id, _)| *id);
    let text: String = match Asked::parse(&parts.args) {
        Ok(Asked::Ids(ids)) => {
            let find = |id: &u64| lines.binary_search_by_key(id, |(id, _)| *id).ok().map(|at| lines[at].1);
            ids.iter().filter_map(find).collect()
        }
        _ => lines.iter().map(|(_, line)| *line).collect(),
    };
    reply.verbatim(&text);
}

fn id_of(line: &str) -> Option<u64> {
    line.strip_prefix("id=")?.split(' ').next()?.parse().ok()
}

/// Which clients were asked for.
enum Asked {
    All,
    Nobody,
    Ids(Vec<u64>),
}

impl Asked {
    fn parse(args: &Args<'_>) -> Result<Asked, CommandError> {
        if args.len() == 2 {
            return Ok(Asked::All);
        }
        if args.len() == 4 && args.is(2, "TYPE") {
            let client_type = ClientType::parse(args.get(3))?;
            return Ok(if client_type == ClientType::Normal { Asked::All } else { Asked::Nobody });
        }
        if args.len() > 3 && args.is(2, "ID") {
            let id = |word| parse_i64(word).ok_or(CommandError::Text("ERR Invalid client ID"));
            // An id below 1 is a number, only nobody's.
            return args
                .iter_from(3)
                .map(|word| Ok(id(word)?.max(0) as u64))
                .collect::<Result<_, _>>()
                .map(Asked::Ids);
        }
        Err(CommandError::Syntax)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::args::OwnedArgs;
    use crate::commands::testing::{Bench, check};

    #[test]
    fn lists_whom_it_is_asked_for() {
        let listed = |script| Bench::default().run(script).matches("id=1 ").count();
        assert_eq!(listed("CLIENT LIST"), 1);
        assert_eq!(listed("CLIENT LIST TYPE normal"), 1);
        assert_eq!(listed("CLIENT LIST ID 9 1 1"), 2);
        check("CLIENT LIST TYPE pubsub | CLIENT LIST ID 0", r#""" | """#);
    }

    #[test]
    fn lines_of_several_shards_are_sorted() {
        let merged = |words: &[&str]| {
            let (args, mut out) = (OwnedArgs::new(words), Vec::new());
            let replies: [&[u8]; 2] = [b"$23\r\nid=2 cmd=a\nid=10 cmd=c\n\r\n", b"$11\r\nid=9 cmd=b\n\r\n"];
            let parts = Parts { args: args.args(), replies: &replies, order: &[], seed: 0 };
            merge_lines(&parts, &mut Writer::new(&mut out, Default::default()));
            String::from_utf8_lossy(read::bulk(&out).expect("a text")).into_owned()
        };
        assert_eq!(merged(&["CLIENT", "LIST"]), "id=2 cmd=a\nid=9 cmd=b\nid=10 cmd=c\n");
        assert_eq!(merged(&["CLIENT", "LIST", "ID", "10", "3", "2"]), "id=10 cmd=c\nid=2 cmd=a\n");
    }

    #[test]
    fn refuses_what_redis_refuses() {
        check("CLIENT LIST TYPE foo", "ERR Unknown client type 'foo'");
        check("CLIENT LIST ID x", "ERR Invalid client ID");
        check("CLIENT LIST ID | CLIENT LIST FOO", "ERR syntax error | ERR syntax error");
        check("CLIENT LIST TYPE normal ID 1", "ERR syntax error");
    }
}
