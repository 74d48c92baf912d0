//! CLIENT KILL address, or CLIENT KILL <ID id | TYPE type | USER name | ADDR address | LADDR address | SKIPME yes|no> ... —
//! disconnect the clients that match every filter, on all shards. The first form replies OK or an error, the second a count;
//! it spares the caller unless told otherwise. A caller that kills itself gets its reply first.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::connection::client::filter::ClientType;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::commands::merge::{self, Parts};
use crate::commands::session::{Request, Session};
use crate::resp::read;
use crate::resp::write::Writer;

/// Replies how many clients of this shard it disconnected.
pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let filter = Filter::parse(args)?;
    let caller_id = cx.caller.id;
    let sessions = cx.server.sessions.by_age();
    let doomed: Vec<u32> = sessions
        .iter()
        .filter(|(_, session)| filter.matches(session, caller_id))
        .map(|(index, _)| *index)
        .collect();
    for &index in &doomed {
        disconnect(cx, index);
    }
    cx.reply.count(doomed.len());
    Ok(())
}

/// The counts of all shards become the reply.
pub fn merge_killed(parts: &Parts<'_>, reply: &mut Writer<'_>) {
    if !is_old_form(&parts.args) {
        return merge::sum(parts, reply);
    }
    if parts.replies.iter().any(|part| read::integer(part).is_some_and(|killed| killed > 0)) {
        reply.ok();
    } else {
        reply.error("ERR No such client");
    }
}

/// Disconnects a client of this shard: at once, or after its replies if it is the caller.
pub fn disconnect(cx: &mut Cx<'_>, index: u32) {
    if cx.caller.session == Some(index) {
        cx.session().is_closing = true;
        cx.server.requests.push(Request::Leave(index));
    } else {
        cx.server.requests.push(Request::Kill(index));
    }
}

/// `CLIENT KILL address`, which Redis had before it had filters.
fn is_old_form(args: &Args<'_>) -> bool {
    args.len() == 3
}

/// The clients to disconnect.
struct Filter<'a> {
    id: Option<u64>,
    client_type: Option<ClientType>,
    address: Option<&'a [u8]>,
    local_address: Option<&'a [u8]>,
    spares_caller: bool,
}

impl<'a> Filter<'a> {
    fn parse(args: &Args<'a>) -> Result<Filter<'a>, CommandError> {
        let mut filter =
            Filter { id: None, client_type: None, address: None, local_address: None, spares_caller: true };
        if is_old_form(args) {
            return Ok(Filter { address: Some(args.get(2)), spares_caller: false, ..filter });
        }
        for i in (2..args.len()).step_by(2) {
            if i + 1 == args.len() {
                return Err(CommandError::Syntax);
            }
            let value = args.get(i + 1);
            if args.is(i, "ID") {
                let id = parse_i64(value).filter(|id| *id > 0);
                filter.id =
                    Some(id.ok_or(CommandError::Text("ERR client-id should be greater than 0"))? as u64);
            } else if args.is(i, "TYPE") {
                filter.client_type = Some(ClientType::parse(value)?);
            } else if args.is(i, "ADDR") {
                filter.address = Some(value);
            } else if args.is(i, "LADDR") {
                filter.local_address = Some(value);
            } else if args.is(i, "USER") {
                // Every client is the default user, so the filter only has to be valid.
                if value != b"default" {
                    let user = String::from_utf8_lossy(value);
                    return Err(CommandError::Detailed(format!("ERR No such user '{user}'")));
                }
            } else if args.is(i, "SKIPME") && (args.is(i + 1, "YES") || args.is(i + 1, "NO")) {
                filter.spares_caller = args.is(i + 1, "YES");
            } else {
                return Err(CommandError::Syntax);
            }
        }
        Ok(filter)
    }

    fn matches(&self, session: &Session, caller_id: u64) -> bool {
        self.id.is_none_or(|id| id == session.id)
            && self.client_type.is_none_or(|client_type| client_type == ClientType::Normal)
            && self.address.is_none_or(|address| address == session.address.as_bytes())
            && self.local_address.is_none_or(|address| address == session.local_address.as_bytes())
            && !(self.spares_caller && session.id == caller_id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::testing::{Bench, check};

    /// Three clients; the caller is the first. Returns the reply and who would be disconnected.
    fn killed(script: &str) -> (String, Vec<u32>) {
        let mut bench = Bench::default();
        for (index, port) in [(1, 5001), (2, 5002)] {
            let address = format!("127.0.0.1:{port}");
            let id = u64::from(index) + 1;
            bench.server.sessions.insert(index, Session { id, address, ..Session::default() });
        }
        let reply = bench.run(script);
        let killed = bench.server.requests.iter().map(|request| match request {
            Request::Kill(index) | Request::Leave(index) => *index,
            other => panic!("{other:?}"),
        });
        (reply, killed.collect())
    }

    #[test]
    fn the_old_form_kills_one_address_even_the_callers() {
        assert_eq!(killed("CLIENT KILL 127.0.0.1:5001"), ("OK".into(), vec![1]));
        assert_eq!(killed("CLIENT KILL 127.0.0.1:5000"), ("OK".into(), vec![0]));
        assert_eq!(killed("CLIENT KILL 9.9.9.9:1"), ("ERR No such client".into(), vec![]));
    }

    #[test]
    fn filters_combine_and_spare_the_caller() {
        assert_eq!(killed("CLIENT KILL TYPE normal"), ("2".into(), vec![1, 2]));
        assert_eq!(killed("CLIENT KILL TYPE normal SKIPME no"), ("3".into(), vec![0, 1, 2]));
        assert_eq!(killed("CLIENT KILL USER default ID 3"), ("1".into(), vec![2]));
        assert_eq!(killed("CLIENT KILL ID 3 ADDR 127.0.0.1:5001"), ("0".into(), vec![]));
        assert_eq!(killed("CLIENT KILL LADDR 127.0.0.1:7480"), ("0".into(), vec![]));
        assert_eq!(killed("CLIENT KILL TYPE pubsub"), ("0".into(), vec![]));
    }

    #[test]
    fn counts_of_several_shards_add_up() {
        let old = crate::base::args::OwnedArgs::new(["CLIENT", "KILL", "127.0.0.1:5001"]);
        let new = crate::base::args::OwnedArgs::new(["CLIENT", "KILL", "ID", "3"]);
        for (args, replies, expected) in [
            (&old, [":0\r\n", ":1\r\n"], "+OK\r\n"),
            (&old, [":0\r\n", ":0\r\n"], "-ERR No such client\r\n"),
            (&new, [":0\r\n", ":1\r\n"], ":1\r\n"),
        ] {
            let mut out = Vec::new();
            let parts =
                Parts { args: args.args(), replies: &replies.map(str::as_bytes), order: &[], seed: 0 };
            merge_killed(&parts, &mut Writer::new(&mut out, Default::default()));
            assert_eq!(String::from_utf8(out).expect("text"), expected);
        }
    }

    #[test]
    fn refuses_what_redis_refuses() {
        for id in ["0", "-1", "x"] {
            check(&format!("CLIENT KILL ID {id}"), "ERR client-id should be greater than 0");
        }
        check("CLIENT KILL ID 1 2", "ERR syntax error");
        check("CLIENT KILL TYPE foo", "ERR Unknown client type 'foo'");
        check("CLIENT KILL USER bob", "ERR No such user 'bob'");
        check("CLIENT KILL SKIPME maybe", "ERR syntax error");
        check("CLIENT KILL FOO bar", "ERR syntax error");
    }
}
