//! CLIENT INFO — one line about the calling connection; and that line, for CLIENT LIST too.
//! The fields and their order are Redis 7.2's. A field that nothing here keeps count of is 0.

use std::fmt::Write as _;

use crate::base::args::Args;
use crate::commands::cx::Cx;
use crate::commands::error::Outcome;
use crate::commands::session::Session;
use crate::commands::table::Table;

pub fn info(cx: &mut Cx<'_>, _: &Args<'_>) -> Outcome {
    let (table, now_ms) = (cx.table, cx.now_ms);
    let line = line(cx.session(), table, now_ms);
    cx.reply.verbatim(&line);
    Ok(())
}

/// A session as one line, the line break included.
pub fn line(session: &Session, table: &Table, now_ms: i64) -> String {
    let seconds_since = |ms: i64| (now_ms - ms).max(0) / 1000;
    let text = |name: &[u8]| String::from_utf8_lossy(name).into_owned();
    let mut line = String::with_capacity(320);
    let mut field = |name: &str, value: &dyn std::fmt::Display| {
        let gap = if name == "id" { "" } else { " " };
        write!(line, "{gap}{name}={value}").expect("a String takes everything");
    };
    field("id", &session.id);
    field("addr", &session.address);
    field("laddr", &session.local_address);
    field("fd", &session.descriptor);
    field("name", &text(&session.name));
    field("age", &seconds_since(session.connected_ms));
    field("idle", &seconds_since(session.active_ms));
    field("flags", &flags(session));
    field("db", &session.db);
    field("sub", &0);
    field("psub", &0);
    field("ssub", &0);
    field("multi", &session.queued.map_or(-1, |queued| queued as i64));
    field("qbuf", &session.query_bytes);
    field("qbuf-free", &0);
    field("argv-mem", &0);
    field("multi-mem", &0);
    field("rbs", &0);
    field("rbp", &0);
    field("obl", &0);
    field("oll", &0);
    field("omem", &session.reply_bytes);
    field("tot-mem", &(session.query_bytes + session.reply_bytes));
    field("events", &if session.reply_bytes > 0 { "rw" } else { "r" });
    field("cmd", &session.last_command.map_or("NULL", |row| table.row(row).name));
    field("user", &"default");
    field("redir", &-1);
    field("resp", &session.protocol.number());
    field("lib-name", &text(&session.library_name));
    field("lib-ver", &text(&session.library_version));
    line.push('\n');
    line
}

fn flags(session: &Session) -> String {
    let flags = [
        (session.queued.is_some(), 'x'),
        (session.is_blocked, 'b'),
        (session.is_closing, 'c'),
        (session.is_unix, 'U'),
        (session.no_evict, 'e'),
        (session.no_touch, 'T'),
    ];
    let flags: String = flags.into_iter().filter_map(|(is_set, letter)| is_set.then_some(letter)).collect();
    if flags.is_empty() { "N".into() } else { flags }
}

#[cfg(test)]
mod tests {
    use crate::commands::testing::check;

    #[test]
    fn shows_redis_fields_in_order() {
        check(
            "SELECT 3 | CLIENT SETNAME me | CLIENT SETINFO lib-name lib | CLIENT NO-EVICT on | CLIENT NO-TOUCH on | @12s | CLIENT INFO",
            "OK | OK | OK | OK | OK | id=1 addr=127.0.0.1:5000 laddr=127.0.0.1:7480 fd=0 name=me age=12 idle=12 flags=eT db=3 \
             sub=0 psub=0 ssub=0 multi=-1 qbuf=0 qbuf-free=0 argv-mem=0 multi-mem=0 rbs=0 rbp=0 obl=0 oll=0 omem=0 tot-mem=0 \
             events=r cmd=NULL user=default redir=-1 resp=2 lib-name=lib lib-ver=\n",
        );
    }
}
