//! One client of the kill loop: sends numbered changes to keys that are its own, notes which were acknowledged, and says
//! afterwards whether what is found is possible. Never reads while it writes.
//!
//! Every key has a count of the changes sent to it, its *version*, and its whole content follows from the version. So what is
//! found tells which version it is, and anything else (half a change, a change lost between two that are there) is no version at all.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};

use corevault::base::rng::Rng;
use corevault::base::slot::key_slot;
use corevault::shard::slots_of;

use crate::harness::GUARD;
use crate::wire::{Wire, bulk, command, content, elements, lossy};

/// A list is deleted at every version that this divides, so that it does not grow for ever.
const LIST_ELEMENTS_MAX: u64 = 50;
const FIELDS: u64 = 8;
/// An expiry of a time that no test sees.
const EXPIRES_MS: u64 = 4_102_444_800_000;
const BATCH_MAX: u64 = 12;
const TRANSACTION_KEYS_MAX: u64 = 4;
const BATCHES_PER_WAIT: u64 = 32;
/// Some waits see a sync, and some time out: the writer is not held up for long.
const WAIT_MS: &[u8] = b"300";

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Text,
    /// Too large to lie beside its key, and larger than a buffer of the log.
    LongText,
    Counter,
    List,
    Hash,
    SortedSet,
    Volatile,
}

const KINDS: [Kind; 7] =
    [Kind::Text, Kind::LongText, Kind::Counter, Kind::List, Kind::Hash, Kind::SortedSet, Kind::Volatile];
/// Of each kind, so that there are some on each shard.
const KEYS_OF_A_KIND: usize = 4;

struct Owned {
    name: String,
    kind: Kind,
    /// The version when this server was started.
    before: u64,
    sent: u64,
}

/// One command, or one transaction: the keys it changes, and their versions with it.
struct Change {
    touches: Vec<(usize, u64)>,
}

/// What a strategy promises of what was acknowledged.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Promise {
    /// It is there.
    Everything,
    /// What a WAITAOF was answered after is there.
    WhatWasWaitedFor,
}

pub struct Writer {
    keys: Vec<Owned>,
    rng: Rng,
    /// Of this round, in the order sent.
    changes: Vec<Change>,
    /// How many of them were acknowledged, and how many of those before a WAITAOF that was answered.
    acknowledged: usize,
    waited_for: usize,
}

/// What a round came to.
#[derive(Clone, Copy, Default)]
pub struct Tally {
    pub acknowledged: u64,
    pub transactions: u64,
    /// Sent and not acknowledged, and there all the same.
    pub kept_besides: u64,
    /// Acknowledged, not promised, and gone.
    pub lost: u64,
}

impl Writer {
    pub fn new(client: usize, seed: u64) -> Writer {
        let keys = KINDS
            .iter()
            .flat_map(|&kind| (0..KEYS_OF_A_KIND).map(move |n| (kind, n)))
            .map(|(kind, n)| Owned { name: format!("c{client}:{kind:?}:{n}"), kind, before: 0, sent: 0 })
            .collect();
        let rng = Rng::new(seed.wrapping_add(client as u64));
        Writer { keys, rng, changes: Vec::new(), acknowledged: 0, waited_for: 0 }
    }

    /// Sends changes until the connection breaks. Fails if the server refuses one.
    pub fn write(&mut self, server: SocketAddr, promise: Promise) {
        // The server may be gone before this comes to it.
        let Ok(stream) = TcpStream::connect(server) else { return };
        stream.set_nodelay(true).expect("a connected socket");
        stream.set_read_timeout(Some(GUARD)).expect("a timeout");
        let mut reader = BufReader::new(stream);
        while self.batch(&mut reader, promise).is_ok() {}
    }

    /// Some changes at once, and their replies.
    fn batch(&mut self, reader: &mut BufReader<TcpStream>, promise: Promise) -> io::Result<()> {
        let (mut request, mut replies) = (Vec::new(), Vec::new());
        for _ in 0..1 + self.rng.below(BATCH_MAX) {
            replies.push(self.append_change(&mut request));
        }
        let waits = promise == Promise::WhatWasWaitedFor && self.rng.below(BATCHES_PER_WAIT) == 0;
        if waits {
            request.extend(command(&[b"WAITAOF", b"1", b"0", WAIT_MS]));
        }
        reader.get_mut().write_all(&request)?;
        for count in replies {
            for _ in 0..count {
                read_reply(reader)?;
            }
            self.acknowledged += 1;
        }
        if waits {
            let reply = read_reply(reader)?;
            if reply.starts_with(b"*2\r\n:1\r\n") {
                self.waited_for = self.acknowledged;
            }
        }
        Ok(())
    }

    /// Returns how many replies there will be.
    fn append_change(&mut self, request: &mut Vec<u8>) -> usize {
        match self.rng.below(8) {
            // One command with several keys: all of them texts.
            0 => {
                let touches = self.touch_several(|kind| kind == Kind::Text);
                let mut words: Vec<Vec<u8>> = vec![b"MSET".to_vec()];
                for &(key, version) in &touches {
                    words.extend([self.keys[key].name.clone().into_bytes(), text(Kind::Text, version)]);
                }
                request.extend(command(&words.iter().map(Vec::as_slice).collect::<Vec<_>>()));
                self.changes.push(Change { touches });
                1
            }
            1 => {
                let touches = self.touch_several(|_| true);
                request.extend(command(&[b"MULTI"]));
                let mut replies = 2;
                for &(key, version) in &touches {
                    request.extend(change(&self.keys[key], version));
                    replies += 1;
                }
                request.extend(command(&[b"EXEC"]));
                self.changes.push(Change { touches });
                replies
            }
            _ => {
                let key = self.rng.below(self.keys.len() as u64) as usize;
                let touch = self.touch(key);
                request.extend(change(&self.keys[key], touch.1));
                self.changes.push(Change { touches: vec![touch] });
                1
            }
        }
    }

    fn touch(&mut self, key: usize) -> (usize, u64) {
        self.keys[key].sent += 1;
        (key, self.keys[key].sent)
    }

    /// Different keys, so that each has one version with the change.
    fn touch_several(&mut self, is_wanted: impl Fn(Kind) -> bool) -> Vec<(usize, u64)> {
        let mut wanted: Vec<usize> =
            (0..self.keys.len()).filter(|&key| is_wanted(self.keys[key].kind)).collect();
        let count = 2 + self.rng.below(TRANSACTION_KEYS_MAX - 1);
        (0..count)
            .map(|_| {
                let at = self.rng.below(wanted.len() as u64) as usize;
                self.touch(wanted.swap_remove(at))
            })
            .collect()
    }

    /// Looks at every key after a restart, fails if what is there is impossible, and goes on from there. `shards` is how many
    /// the server had that was killed: each shard's changes are kept up to some point and not after it.
    pub fn check(&mut self, wire: &mut Wire, promise: Promise, shards: u16) -> Tally {
        let found: Vec<u64> = self.keys.iter().map(|key| self.version_found(wire, key)).collect();
        let tally = self.judge(&found, promise, shards).unwrap_or_else(|why| panic!("{why}"));
        for (key, found) in self.keys.iter_mut().zip(found) {
            (key.before, key.sent) = (found, found);
        }
        self.changes.clear();
        (self.acknowledged, self.waited_for) = (0, 0);
        tally
    }

    /// Whether these versions of the keys are possible after what was sent and acknowledged.
    fn judge(&self, found: &[u64], promise: Promise, shards: u16) -> Result<Tally, String> {
        let is_applied = |&(key, version): &(usize, u64)| version <= found[key];
        let promised = match promise {
            Promise::Everything => self.acknowledged,
            Promise::WhatWasWaitedFor => self.waited_for,
        };
        let mut tally = Tally { acknowledged: self.acknowledged as u64, ..Tally::default() };
        // For each shard the first change that is not there.
        let mut lost: Vec<Option<&Change>> = vec![None; usize::from(shards)];
        for (number, change) in self.changes.iter().enumerate() {
            let applied = is_applied(&change.touches[0]);
            let say = || format!("{}; found {}", self.say(change), self.say_found(change, found));
            if change.touches.iter().any(|touch| is_applied(touch) != applied) {
                return Err(format!("half of a transaction is there: {}", say()));
            }
            if !applied && number < promised {
                let acknowledged = self.acknowledged;
                return Err(format!(
                    "lost, though promised ({promise:?}): change {number} of {acknowledged}, {}",
                    say()
                ));
            }
            for &(key, _) in &change.touches {
                let shard = self.shard_of(key, shards);
                match (applied, lost[shard]) {
                    (false, None) => lost[shard] = Some(change),
                    (true, Some(lost)) => {
                        let lost = self.say(lost);
                        return Err(format!(
                            "{} is there, and {lost}, sent before to shard {shard}, is not",
                            say()
                        ));
                    }
                    _ => {}
                }
            }
            tally.transactions += u64::from(change.touches.len() > 1 && number < self.acknowledged);
            tally.kept_besides += u64::from(applied && number >= self.acknowledged);
            tally.lost += u64::from(!applied && number < self.acknowledged);
        }
        Ok(tally)
    }

    fn shard_of(&self, key: usize, shards: u16) -> usize {
        let slot = key_slot(self.keys[key].name.as_bytes()).index();
        let owner = (0..shards).find(|&shard| slots_of(shard, shards).contains(&slot));
        usize::from(owner.expect("every slot has an owner"))
    }

    /// The version of a key, which its whole content must be that of.
    fn version_found(&self, wire: &mut Wire, key: &Owned) -> u64 {
        let found = look(wire, key);
        let version = (key.before..=key.sent).rev().find(|&version| expected(key, version) == found);
        version.unwrap_or_else(|| {
            panic!(
                "{} is as after none of its changes {} to {}: {}",
                key.name,
                key.before,
                key.sent,
                lossy(&found)
            )
        })
    }

    fn say(&self, change: &Change) -> String {
        let touches =
            change.touches.iter().map(|&(key, version)| format!("{} v{version}", self.keys[key].name));
        touches.collect::<Vec<_>>().join(" with ")
    }

    fn say_found(&self, change: &Change, found: &[u64]) -> String {
        let touches =
            change.touches.iter().map(|&(key, _)| format!("{} v{}", self.keys[key].name, found[key]));
        touches.collect::<Vec<_>>().join(" with ")
    }
}

fn text(kind: Kind, version: u64) -> Vec<u8> {
    let length = match kind {
        Kind::LongText => 3_000 + version * 7_919 % 60_000,
        _ => version * 31 % 200,
    };
    let mut text = format!("v{version}:").into_bytes();
    text.resize(text.len() + length as usize, b'.');
    text
}

/// The command that makes version `version` of the version before.
fn change(key: &Owned, version: u64) -> Vec<u8> {
    let name = key.name.as_bytes();
    let number = version.to_string();
    let number = number.as_bytes();
    let field = format!("f{}", version % FIELDS);
    match key.kind {
        Kind::Text | Kind::LongText => command(&[b"SET", name, &text(key.kind, version)]),
        Kind::Counter => command(&[b"INCR", name]),
        Kind::List if version.is_multiple_of(LIST_ELEMENTS_MAX) => command(&[b"DEL", name]),
        Kind::List => command(&[b"RPUSH", name, number]),
        Kind::Hash => command(&[b"HSET", name, field.as_bytes(), number]),
        Kind::SortedSet => command(&[b"ZADD", name, number, field.as_bytes()]),
        Kind::Volatile => {
            let at = (EXPIRES_MS + version).to_string();
            command(&[b"SET", name, number, b"PXAT", at.as_bytes()])
        }
    }
}

/// All of a key's content, in one order.
fn look(wire: &mut Wire, key: &Owned) -> Vec<u8> {
    let name = key.name.as_bytes();
    match key.kind {
        Kind::Text | Kind::LongText | Kind::Counter => wire.call(&[b"GET", name]),
        Kind::List => elements(&wire.call(&[b"LRANGE", name, b"0", b"-1"])).join(&b' '),
        Kind::Hash => {
            let reply = elements(&wire.call(&[b"HGETALL", name]));
            let mut pairs: Vec<Vec<u8>> = reply.chunks(2).map(|pair| pair.join(&b'=')).collect();
            pairs.sort();
            pairs.join(&b' ')
        }
        Kind::SortedSet => {
            let reply = elements(&wire.call(&[b"ZRANGE", name, b"0", b"-1", b"WITHSCORES"]));
            let mut pairs: Vec<Vec<u8>> = reply.chunks(2).map(|pair| pair.join(&b'=')).collect();
            pairs.sort();
            pairs.join(&b' ')
        }
        Kind::Volatile => {
            let value = content(&wire.call(&[b"GET", name])).to_vec();
            [value, wire.call(&[b"PEXPIRETIME", name])].join(&b' ')
        }
    }
}

/// What `look` finds at a version.
fn expected(key: &Owned, version: u64) -> Vec<u8> {
    const NIL: &[u8] = b"$-1\r\n";
    match key.kind {
        Kind::Text | Kind::LongText | Kind::Counter if version == 0 => NIL.to_vec(),
        Kind::Text | Kind::LongText => bulk(&text(key.kind, version)),
        Kind::Counter => bulk(version.to_string().as_bytes()),
        Kind::List => {
            let first = version / LIST_ELEMENTS_MAX * LIST_ELEMENTS_MAX;
            let numbers: Vec<String> = (first.max(1)..=version).map(|number| number.to_string()).collect();
            // The change that is no push.
            let pushed = numbers.into_iter().skip(usize::from(first > 0));
            pushed.collect::<Vec<_>>().join(" ").into_bytes()
        }
        Kind::Hash | Kind::SortedSet => {
            let last = |field: u64| (1..=version).rev().find(|version| version % FIELDS == field);
            let pairs = (0..FIELDS).filter_map(|field| Some(format!("f{field}={}", last(field)?)));
            pairs.collect::<Vec<_>>().join(" ").into_bytes()
        }
        Kind::Volatile if version == 0 => b"-1 :-2\r\n".to_vec(),
        Kind::Volatile => format!("{version} :{}\r\n", EXPIRES_MS + version).into_bytes(),
    }
}

/// One reply, or how the connection broke. A refusal is a failure of the test: the disk is well.
fn read_reply(reader: &mut BufReader<TcpStream>) -> io::Result<Vec<u8>> {
    let mut reply = Vec::new();
    reader.read_until(b'\n', &mut reply)?;
    if !reply.ends_with(b"\r\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let count = || std::str::from_utf8(&reply[1..reply.len() - 2]).ok()?.parse::<usize>().ok();
    match reply[0] {
        b'-' => panic!("a change was refused: {}", lossy(&reply)),
        b'*' => {
            for _ in 0..count().expect("a count of replies") {
                let part = read_reply(reader)?;
                reply.extend(part);
            }
        }
        b'$' => {
            let mut rest = vec![0; count().expect("a length") + 2];
            reader.read_exact(&mut rest)?;
            reply.extend(rest);
        }
        _ => {}
    }
    Ok(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(kind: Kind) -> Owned {
        Owned { name: "k".into(), kind, before: 0, sent: 0 }
    }

    #[test]
    fn every_version_differs_from_the_one_before() {
        for kind in KINDS {
            for version in 1..200 {
                assert_ne!(
                    expected(&key(kind), version - 1),
                    expected(&key(kind), version),
                    "{kind:?} {version}"
                );
            }
        }
    }

    #[test]
    fn a_list_is_emptied_and_grows_again() {
        let at = |version| String::from_utf8(expected(&key(Kind::List), version)).expect("digits");
        assert_eq!((at(0), at(3), at(50), at(52)), ("".into(), "1 2 3".into(), "".into(), "51 52".into()));
    }

    /// A writer that has sent so many changes, of which half were acknowledged, and a quarter waited for; and the versions of all.
    fn writer() -> (Writer, Vec<u64>) {
        const CHANGES: usize = 400;
        let mut writer = Writer::new(0, 3);
        for _ in 0..CHANGES {
            writer.append_change(&mut Vec::new());
        }
        (writer.acknowledged, writer.waited_for) = (CHANGES / 2, CHANGES / 4);
        let all = writer.keys.iter().map(|key| key.sent).collect();
        (writer, all)
    }

    /// The versions if only the first `count` changes had come.
    fn after(writer: &Writer, count: usize) -> Vec<u64> {
        let mut found = vec![0; writer.keys.len()];
        for &(key, version) in writer.changes[..count].iter().flat_map(|change| &change.touches) {
            found[key] = version;
        }
        found
    }

    #[test]
    fn what_a_crash_may_leave_is_accepted() {
        let (writer, all) = writer();
        for promise in [Promise::Everything, Promise::WhatWasWaitedFor] {
            for found in [&all, &after(&writer, 200), &after(&writer, 317)] {
                assert!(writer.judge(found, promise, 3).is_ok(), "{promise:?}");
            }
        }
        let tally = writer
            .judge(&after(&writer, 150), Promise::WhatWasWaitedFor, 3)
            .expect("the rest was not waited for");
        assert_eq!((tally.acknowledged, tally.lost, tally.kept_besides), (200, 50, 0));
    }

    #[test]
    fn what_no_crash_may_leave_is_noticed() {
        let (writer, all) = writer();
        let refused = |found: &[u64], promise, why: &str| {
            let said = writer.judge(found, promise, 3).err().unwrap_or_default();
            assert!(said.contains(why), "{why}: {said:?}");
        };
        refused(&after(&writer, 199), Promise::Everything, "lost, though promised");
        refused(&after(&writer, 99), Promise::WhatWasWaitedFor, "lost, though promised");
        // The last change of a key is gone, and later ones on the same shard are there.
        let last_of =
            |key: usize| writer.changes.iter().rposition(|change| change.touches.iter().any(|t| t.0 == key));
        let is_single =
            |key: &usize| last_of(*key).is_some_and(|at| at > 200 && writer.changes[at].touches.len() == 1);
        let key = (0..all.len()).filter(is_single).min_by_key(|&key| last_of(key)).expect("some key");
        let mut found = all.clone();
        found[key] -= 1;
        refused(&found, Promise::Everything, "is not");
        // One part of the last transaction is gone.
        let is_last =
            |change: &&Change| change.touches.len() > 1 && change.touches.iter().all(|&(k, v)| all[k] == v);
        let transaction = writer.changes.iter().rev().find(is_last).expect("some transaction");
        let mut found = all.clone();
        found[transaction.touches[1].0] -= 1;
        refused(&found, Promise::Everything, "half of a transaction");
    }
}
