//! What a running command may touch: this shard's keyspace, its server state, the reply, and the time and identity it is given.
//! Lives for one call; holds nothing of its own.

use crate::base::args::{Args, OwnedArgs};
use crate::base::limits::PREFETCH_BATCH;
use crate::base::number::parse_i64;
use crate::base::slot::Slot;
use crate::commands::blocking::Wait;
use crate::commands::error::CommandError;
use crate::commands::session::{Asker, ReplyMode, Server, Session};
use crate::commands::table::Table;
use crate::resp::write::Writer;
use crate::store::keyspace::{Key, Keyspace};

/// Who calls, as far as commands care.
#[derive(Clone, Copy, Debug, Default)]
pub struct Caller {
    /// The client's id, unique in the process.
    pub id: u64,
    /// Index of the client's session, where the command runs on the shard of its connection.
    pub session: Option<u32>,
    /// `CLIENT NO-TOUCH ON`: lookups leave the access clock alone.
    pub no_touch: bool,
    /// The command is one of an `EXEC`: it must not wait. Known where the command runs on the shard of its connection.
    pub is_exec: bool,
}

/// The context of one call.
pub struct Cx<'a> {
    /// The command table, for commands about commands.
    pub table: &'a Table,
    /// This shard's keys.
    pub keys: &'a mut Keyspace,
    /// This shard's configuration, counters and sessions.
    pub server: &'a mut Server,
    /// Where the reply goes.
    pub reply: Writer<'a>,
    /// The database selected when the command was read.
    pub db: u16,
    /// The time of the batch, Unix milliseconds.
    pub now_ms: i64,
    /// Who calls.
    pub caller: Caller,
    /// Where the command's first key was located when it was routed: its word's index, slot and hash.
    pub located: Option<(usize, Slot, u64)>,
}

impl Cx<'_> {
    /// Word `i` as a key.
    #[inline]
    pub fn key<'k>(&self, args: &Args<'k>, i: usize) -> Key<'k> {
        match self.located {
            Some((at, slot, hash)) if at == i => Key { bytes: args.get(i), slot, hash },
            _ => Key::new(args.get(i)),
        }
    }

    /// Runs `work` on each key among `words`, in order, with the index of its word. Keys are located and fetched a batch at
    /// a time before the work on them begins, so that their cache misses overlap.
    pub fn for_each_key<'k>(
        &mut self,
        args: &Args<'k>,
        mut words: impl ExactSizeIterator<Item = usize>,
        mut work: impl FnMut(&mut Self, usize, &Key<'k>),
    ) {
        if words.len() == 1 {
            // Fetched with the commands around it, if there are any.
            return words.for_each(|word| work(self, word, &self.key(args, word)));
        }
        let mut batch = [None; PREFETCH_BATCH];
        loop {
            let mut located = 0;
            for (place, word) in batch.iter_mut().zip(words.by_ref()) {
                *place = Some((word, self.key(args, word)));
                located += 1;
            }
            let batch = &batch[..located];
            batch.iter().flatten().for_each(|(_, key)| self.keys.prefetch_table(self.db, key));
            batch.iter().flatten().for_each(|(_, key)| self.keys.prefetch_entry(self.db, key));
            for (word, key) in batch.iter().flatten() {
                work(self, *word, key);
            }
            if located < PREFETCH_BATCH {
                return;
            }
        }
    }

    /// The access clock that a write leaves on its entry, seconds.
    #[inline]
    pub fn clock(&self) -> u32 {
        access_clock(self.now_ms)
    }

    /// The access clock that a read leaves, unless the client asked for none.
    #[inline]
    pub fn touch(&self) -> Option<u32> {
        if self.caller.no_touch { None } else { Some(self.clock()) }
    }

    /// Nothing was found that would serve a command of `Spread::Block`, whose reply says so: outside of `MULTI` it is to wait, and be tried
    /// again with `words` if they are given.
    pub fn wait(&mut self, words: Option<OwnedArgs>) {
        self.server.wait = Some(Wait { words });
    }

    /// The calling client's session. Only for commands that run on the connection's shard (`Spread::Home`).
    pub fn session(&mut self) -> &mut Session {
        let index = self.caller.session.expect("the command's row says that it runs at home");
        self.server.sessions.get_mut(index).expect("a client that calls has a session")
    }

    /// The calling client, as one that gets its reply later (`Spread::Disk`).
    pub fn asker(&mut self) -> Asker {
        let index = self.caller.session.expect("the command's row says that it runs at home");
        Asker { index, is_wanted: self.session().reply_mode == ReplyMode::On }
    }
}

/// Seconds since the Unix epoch, cut to the 32 bits an entry keeps.
#[inline]
pub fn access_clock(now_ms: i64) -> u32 {
    (now_ms / 1000) as u32
}

/// Word `i` as a 64-bit number.
#[inline]
pub fn integer(args: &Args<'_>, i: usize) -> Result<i64, CommandError> {
    parse_i64(args.get(i)).ok_or(CommandError::NotInteger)
}

/// Word `i` as a count of at least `min`; all that is wrong with it has one text.
pub fn count_from(args: &Args<'_>, i: usize, min: i64, text: &'static str) -> Result<usize, CommandError> {
    let count = parse_i64(args.get(i)).filter(|count| *count >= min);
    count.and_then(|count| usize::try_from(count).ok()).ok_or(CommandError::Text(text))
}

/// Word `i` as a count that may be negative, and then can be turned around.
pub fn signed_count(args: &Args<'_>, i: usize) -> Result<i64, CommandError> {
    let count = integer(args, i)?;
    if count == i64::MIN {
        return Err(CommandError::Text(
            "ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807",
        ));
    }
    Ok(count)
}

/// Word `i` as the index of a database.
pub fn db_index(args: &Args<'_>, i: usize) -> Result<u16, CommandError> {
    let index = i32::try_from(integer(args, i)?).map_err(|_| CommandError::NotInt32)?;
    u16::try_from(index)
        .ok()
        .filter(|&index| usize::from(index) < crate::base::limits::DATABASES)
        .ok_or(CommandError::DbOutOfRange)
}
