//! HELLO [protover [AUTH username password] [SETNAME clientname]] — choose the protocol version and learn about the server.
//! Nothing changes unless every option is valid. The server calls itself `redis`, because clients choose features by it.

use crate::base::args::Args;
use crate::base::number::parse_i64;
use crate::commands::connection::auth::authenticate;
use crate::commands::connection::client::attributes::check_name;
use crate::commands::cx::Cx;
use crate::commands::error::{CommandError, Outcome};
use crate::config::REDIS_VERSION;
use crate::resp::write::Protocol;

pub fn run(cx: &mut Cx<'_>, args: &Args<'_>) -> Outcome {
    let protocol = if args.len() > 1 { Some(version(args.get(1))?) } else { None };
    let (mut user, mut name) = (None, None);
    let mut i = 2;
    while i < args.len() {
        let following = args.len() - i - 1;
        if args.is(i, "AUTH") && following >= 2 {
            user = Some(args.get(i + 1));
            i += 3;
        } else if args.is(i, "SETNAME") && following >= 1 {
            check_name(args.get(i + 1))?;
            name = Some(args.get(i + 1));
            i += 2;
        } else {
            let option = String::from_utf8_lossy(args.get(i));
            return Err(CommandError::Detailed(format!("ERR Syntax error in HELLO option '{option}'")));
        }
    }
    if let Some(user) = user {
        authenticate(user)?;
    }
    let session = cx.session();
    if let Some(name) = name {
        session.name = name.to_vec();
    }
    if let Some(protocol) = protocol {
        session.protocol = protocol;
        cx.reply.set_protocol(protocol);
    }
    introduce(cx);
    Ok(())
}

fn version(word: &[u8]) -> Result<Protocol, CommandError> {
    match parse_i64(word) {
        Some(2) => Ok(Protocol::Resp2),
        Some(3) => Ok(Protocol::Resp3),
        Some(_) => Err(CommandError::Text("NOPROTO unsupported protocol version")),
        None => Err(CommandError::Text("ERR Protocol version is not an integer or out of range")),
    }
}

fn introduce(cx: &mut Cx<'_>) {
    let (id, reply) = (cx.caller.id, &mut cx.reply);
    reply.map(7);
    for (field, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.integer(reply.protocol().number());
    reply.bulk(b"id");
    reply.integer(id as i64);
    for (field, value) in [("mode", "standalone"), ("role", "master")] {
        reply.bulk(field.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn introduces_the_server_in_the_version_asked_for() {
        check(
            "HELLO 3 | GET missing | HELLO | HELLO 2",
            "{server: redis, version: 7.2.0, proto: 3, id: 1, mode: standalone, role: master, modules: []} | nil | \
             {server: redis, version: 7.2.0, proto: 3, id: 1, mode: standalone, role: master, modules: []} | \
             [server, redis, version, 7.2.0, proto, 2, id, 1, mode, standalone, role, master, modules, []]",
        );
    }

    #[test]
    fn a_refused_option_changes_nothing() {
        check("HELLO x", "ERR Protocol version is not an integer or out of range");
        check(
            "HELLO 4 | HELLO 1",
            "NOPROTO unsupported protocol version | NOPROTO unsupported protocol version",
        );
        check("HELLO 3 FOO", "ERR Syntax error in HELLO option 'FOO'");
        check("HELLO 3 AUTH default", "ERR Syntax error in HELLO option 'AUTH'");
        check(
            "HELLO 3 SETNAME me AUTH bob x | CLIENT GETNAME",
            "WRONGPASS invalid username-password pair or user is disabled. | nil",
        );
        check(
            r#"HELLO 3 SETNAME "a b""#,
            "ERR Client names cannot contain spaces, newlines or special characters.",
        );
    }

    #[test]
    fn sets_the_name() {
        let mut bench = crate::commands::testing::Bench::default();
        bench.run("HELLO 3 AUTH default x SETNAME me");
        assert_eq!(bench.run("CLIENT GETNAME"), "me");
    }
}
