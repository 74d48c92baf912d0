//! A store of strings that runs one command at a time, with the replies of Redis 7.2 to the byte (RESP2). Written from the
//! commands' documentation and never from this server's code: where the two differ, one of them is wrong.

use std::rc::Rc;

/// The words of a command.
pub type Words = Vec<Vec<u8>>;

/// A key's name, or a value.
type Text = Rc<[u8]>;

/// A key in its database.
type Place = (u8, Text);

/// A command of the model.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    Set(Text, Text),
    Get(Text),
    Mset(Vec<(Text, Text)>),
    Msetnx(Vec<(Text, Text)>),
    Mget(Vec<Text>),
    Del(Vec<Text>),
    Exists(Vec<Text>),
    /// INCR, DECR, INCRBY and DECRBY.
    Add(Text, i64),
    Append(Text, Text),
    Rename(Text, Text),
    Renamenx(Text, Text),
    Copy {
        from: Text,
        to: Text,
        replaces: bool,
    },
    Flushall,
    Dbsize,
    Select(u8),
    Multi,
    Exec,
    Discard,
    Watch(Vec<Text>),
    Unwatch,
}

impl Command {
    /// The command that these words are. The model knows no errors of syntax: workloads make none.
    pub fn parse(words: &[Vec<u8>]) -> Command {
        let name = String::from_utf8_lossy(&words[0]).to_ascii_uppercase();
        let texts: Vec<Text> = words[1..].iter().map(|word| Rc::from(&word[..])).collect();
        let pairs = || texts.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect();
        let number = |n: usize| integer(&texts[n]).expect("a number");
        match (name.as_str(), &texts[..]) {
            ("SET", [key, value]) => Command::Set(key.clone(), value.clone()),
            ("GET", [key]) => Command::Get(key.clone()),
            ("MSET", [_, ..]) if texts.len().is_multiple_of(2) => Command::Mset(pairs()),
            ("MSETNX", [_, ..]) if texts.len().is_multiple_of(2) => Command::Msetnx(pairs()),
            ("MGET", [_, ..]) => Command::Mget(texts),
            ("DEL", [_, ..]) => Command::Del(texts),
            ("EXISTS", [_, ..]) => Command::Exists(texts),
            ("INCR", [key]) => Command::Add(key.clone(), 1),
            ("DECR", [key]) => Command::Add(key.clone(), -1),
            ("INCRBY", [key, _]) => Command::Add(key.clone(), number(1)),
            ("DECRBY", [key, _]) => Command::Add(key.clone(), -number(1)),
            ("APPEND", [key, tail]) => Command::Append(key.clone(), tail.clone()),
            ("RENAME", [from, to]) => Command::Rename(from.clone(), to.clone()),
            ("RENAMENX", [from, to]) => Command::Renamenx(from.clone(), to.clone()),
            ("COPY", [from, to, option @ ..]) => {
                assert!(option.is_empty() || (option.len() == 1 && &*option[0] == b"REPLACE"), "{words:?}");
                Command::Copy { from: from.clone(), to: to.clone(), replaces: !option.is_empty() }
            }
            ("FLUSHALL", []) => Command::Flushall,
            ("DBSIZE", []) => Command::Dbsize,
            ("SELECT", [_]) => Command::Select(number(0) as u8),
            ("MULTI", []) => Command::Multi,
            ("EXEC", []) => Command::Exec,
            ("DISCARD", []) => Command::Discard,
            ("WATCH", [_, ..]) => Command::Watch(texts),
            ("UNWATCH", []) => Command::Unwatch,
            _ => panic!("the model does not know {:?}", words.join(&b' ').escape_ascii().to_string()),
        }
    }

    /// Whether it only reads keys, whatever the state.
    fn is_read(&self) -> bool {
        use Command::{Dbsize, Exists, Get, Mget};
        matches!(self, Get(_) | Mget(_) | Exists(_) | Dbsize)
    }

    /// Whether this reply says that the command changed nothing, whatever the state was.
    pub fn refused_with(&self, reply: &[u8]) -> bool {
        use Command::{Copy, Del, Msetnx, Renamenx};
        let can_say_zero = matches!(self, Msetnx(_) | Renamenx(..) | Copy { .. } | Del(_));
        reply.starts_with(b"-") || (can_say_zero && reply == b":0\r\n")
    }
}

/// What the store knows of a client.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
struct Session {
    db: u8,
    /// The commands since MULTI.
    queue: Option<Vec<Rc<Command>>>,
    /// Watched and not changed since. None once one of them was: then EXEC will be refused, whatever else is watched.
    watched: Vec<Place>,
    is_dirty: bool,
}

/// The state of the store: its keys and its clients' sessions. Cheap to clone, to hash and to compare.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Model {
    /// In order.
    keys: Vec<(Place, Text)>,
    sessions: Vec<Rc<Session>>,
}

impl Model {
    /// An empty store with so many clients.
    pub fn new(clients: usize) -> Model {
        Model { keys: Vec::new(), sessions: vec![Rc::default(); clients] }
    }

    /// Whether the command, as this client's next one, changes at most the client's own session, and in a way that does not
    /// depend on when: it may take effect at once as soon as its reply is right. WATCH is not: the earlier, the more it notices.
    pub fn is_passive(&self, client: usize, command: &Command) -> bool {
        use Command::{Discard, Exec, Multi, Select, Unwatch, Watch};
        let session = &self.sessions[client];
        match (command, &session.queue) {
            (Watch(_), _) => false,
            (Multi | Discard, _) => true,
            (Exec, None) => true,
            (Exec, Some(queue)) => session.is_dirty || queue.iter().all(|command| command.is_read()),
            (_, Some(_)) => true,
            (Select(_) | Unwatch, None) => true,
            (_, None) => command.is_read(),
        }
    }

    /// Runs the client's next command, and appends the reply.
    pub fn apply(&mut self, client: usize, command: &Rc<Command>, reply: &mut Vec<u8>) {
        let session = &self.sessions[client];
        match (&**command, session.queue.is_some()) {
            (Command::Multi, false) => {
                self.session(client).queue = Some(Vec::new());
                reply.extend_from_slice(b"+OK\r\n");
            }
            (Command::Multi, true) => error(reply, "MULTI calls can not be nested"),
            (Command::Watch(_), true) => error(reply, "WATCH inside MULTI is not allowed"),
            (Command::Exec, false) => error(reply, "EXEC without MULTI"),
            (Command::Discard, false) => error(reply, "DISCARD without MULTI"),
            (Command::Exec, true) => self.exec(client, reply),
            (Command::Discard, true) => {
                let session = self.session(client);
                *session = Session { db: session.db, ..Session::default() };
                reply.extend_from_slice(b"+OK\r\n");
            }
            (_, true) => {
                let queue = &mut self.session(client).queue;
                queue.as_mut().expect("it is there").push(command.clone());
                reply.extend_from_slice(b"+QUEUED\r\n");
            }
            (_, false) => self.run(client, command, reply),
        }
    }

    fn exec(&mut self, client: usize, reply: &mut Vec<u8>) {
        let session = self.session(client);
        let db = session.db;
        let Session { queue, is_dirty, .. } =
            std::mem::replace(session, Session { db, ..Session::default() });
        let queue = queue.expect("the caller looked");
        if is_dirty {
            reply.extend_from_slice(b"*-1\r\n");
            return;
        }
        array(reply, queue.len());
        for command in &queue {
            self.run(client, command, reply);
        }
    }

    fn run(&mut self, client: usize, command: &Command, reply: &mut Vec<u8>) {
        let db = self.sessions[client].db;
        match command {
            Command::Set(key, value) => {
                self.put(db, key, value.clone());
                reply.extend_from_slice(b"+OK\r\n");
            }
            Command::Get(key) => bulk(reply, self.get(db, key)),
            Command::Mset(pairs) => {
                pairs.iter().for_each(|(key, value)| self.put(db, key, value.clone()));
                reply.extend_from_slice(b"+OK\r\n");
            }
            Command::Msetnx(pairs) => {
                let is_free = pairs.iter().all(|(key, _)| self.get(db, key).is_none());
                if is_free {
                    pairs.iter().for_each(|(key, value)| self.put(db, key, value.clone()));
                }
                number(reply, i64::from(is_free));
            }
            Command::Mget(keys) => {
                array(reply, keys.len());
                keys.iter().for_each(|key| bulk(reply, self.get(db, key)));
            }
            Command::Del(keys) => {
                number(reply, keys.iter().filter(|key| self.remove(db, key).is_some()).count() as i64);
            }
            Command::Exists(keys) => {
                number(reply, keys.iter().filter(|key| self.get(db, key).is_some()).count() as i64);
            }
            Command::Add(key, by) => match self.get(db, key).map_or(Some(0), |value| integer(value)) {
                None => error(reply, "value is not an integer or out of range"),
                Some(value) => match value.checked_add(*by) {
                    None => error(reply, "increment or decrement would overflow"),
                    Some(sum) => {
                        self.put(db, key, Rc::from(sum.to_string().as_bytes()));
                        number(reply, sum);
                    }
                },
            },
            Command::Append(key, tail) => {
                let head: &[u8] = self.get(db, key).map_or(&[], |value| value);
                let whole: Text = Rc::from([head, tail].concat());
                number(reply, whole.len() as i64);
                self.put(db, key, whole);
            }
            Command::Rename(from, to) | Command::Renamenx(from, to) => {
                let keeps = matches!(command, Command::Renamenx(..));
                let Some(value) = self.get(db, from).cloned() else {
                    return error(reply, "no such key");
                };
                let is_refused = keeps && self.get(db, to).is_some();
                if !is_refused && from != to {
                    self.remove(db, from);
                    self.put(db, to, value);
                }
                if keeps {
                    number(reply, i64::from(!is_refused));
                } else {
                    reply.extend_from_slice(b"+OK\r\n");
                }
            }
            Command::Copy { from, to, .. } if from == to => {
                error(reply, "source and destination objects are the same");
            }
            Command::Copy { from, to, replaces } => {
                let value = self.get(db, from).filter(|_| *replaces || self.get(db, to).is_none()).cloned();
                number(reply, i64::from(value.is_some()));
                if let Some(value) = value {
                    self.put(db, to, value);
                }
            }
            Command::Flushall => {
                // A watched key that is not there is not changed.
                let places: Vec<Place> = self.keys.drain(..).map(|(place, _)| place).collect();
                places.iter().for_each(|place| self.touch(place));
                reply.extend_from_slice(b"+OK\r\n");
            }
            Command::Dbsize => {
                number(reply, self.keys.iter().filter(|((in_db, _), _)| *in_db == db).count() as i64);
            }
            Command::Select(db) => {
                self.session(client).db = *db;
                reply.extend_from_slice(b"+OK\r\n");
            }
            Command::Watch(keys) => {
                let session = self.session(client);
                for key in keys.iter().filter(|_| !session.is_dirty) {
                    let place = (db, key.clone());
                    if let Err(at) = session.watched.binary_search(&place) {
                        session.watched.insert(at, place);
                    }
                }
                reply.extend_from_slice(b"+OK\r\n");
            }
            Command::Unwatch => {
                let session = self.session(client);
                (session.watched, session.is_dirty) = (Vec::new(), false);
                reply.extend_from_slice(b"+OK\r\n");
            }
            Command::Multi | Command::Exec | Command::Discard => unreachable!("`apply` has run it"),
        }
    }

    fn session(&mut self, client: usize) -> &mut Session {
        Rc::make_mut(&mut self.sessions[client])
    }

    fn position(&self, db: u8, key: &Text) -> Result<usize, usize> {
        self.keys.binary_search_by(|((in_db, name), _)| (in_db, name).cmp(&(&db, key)))
    }

    fn get(&self, db: u8, key: &Text) -> Option<&Text> {
        self.position(db, key).ok().map(|at| &self.keys[at].1)
    }

    fn put(&mut self, db: u8, key: &Text, value: Text) {
        let place = (db, key.clone());
        self.touch(&place);
        match self.position(db, key) {
            Ok(at) => self.keys[at].1 = value,
            Err(at) => self.keys.insert(at, (place, value)),
        }
    }

    fn remove(&mut self, db: u8, key: &Text) -> Option<Text> {
        let at = self.position(db, key).ok()?;
        let (place, value) = self.keys.remove(at);
        self.touch(&place);
        Some(value)
    }

    /// Tells the clients that watch a key that it has changed; also the one that changed it.
    fn touch(&mut self, place: &Place) {
        for session in self.sessions.iter_mut().filter(|session| session.watched.contains(place)) {
            let session = Rc::make_mut(session);
            (session.watched, session.is_dirty) = (Vec::new(), true);
        }
    }
}

/// The keys, for people.
impl std::fmt::Display for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.keys.is_empty() {
            return write!(f, "no keys");
        }
        for (n, ((db, key), value)) in self.keys.iter().enumerate() {
            let comma = if n > 0 { ", " } else { "" };
            write!(f, "{comma}{db}:{}={:?}", key.escape_ascii(), value.escape_ascii().to_string())?;
        }
        Ok(())
    }
}

/// As Redis reads numbers: no sign `+`, no zeros in front, no spaces.
fn integer(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

fn number(reply: &mut Vec<u8>, number: i64) {
    reply.extend_from_slice(format!(":{number}\r\n").as_bytes());
}

fn array(reply: &mut Vec<u8>, length: usize) {
    reply.extend_from_slice(format!("*{length}\r\n").as_bytes());
}

fn bulk(reply: &mut Vec<u8>, value: Option<&Text>) {
    match value {
        None => reply.extend_from_slice(b"$-1\r\n"),
        Some(value) => {
            reply.extend_from_slice(format!("${}\r\n", value.len()).as_bytes());
            reply.extend_from_slice(value);
            reply.extend_from_slice(b"\r\n");
        }
    }
}

fn error(reply: &mut Vec<u8>, text: &str) {
    reply.extend_from_slice(format!("-ERR {text}\r\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::{Command, Model};
    use std::rc::Rc;

    /// Commands of clients `a` and `b`, and what they are told, with `\r\n` as a space.
    fn check(script: &str) {
        let mut model = Model::new(2);
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (said, expected) = line.split_once(" = ").expect("a command and its reply");
            let (client, command) = said.split_once(' ').expect("a client and its command");
            let words: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
            let mut reply = Vec::new();
            model.apply(usize::from(client == "b"), &Rc::new(Command::parse(&words)), &mut reply);
            let reply = String::from_utf8(reply).unwrap().replace("\r\n", " ");
            assert_eq!(reply.trim_end(), expected, "{line}");
        }
    }

    #[test]
    fn strings_and_names() {
        check(
            "a SET x 1 = +OK
             a INCRBY x 4 = :5
             a DECRBY x 7 = :-2
             a APPEND x z = :3
             a INCRBY x 1 = -ERR value is not an integer or out of range
             a MSETNX x 1 y 2 = :0
             a MSETNX y 2 z 3 = :1
             a MGET x y w = *3 $3 -2z $1 2 $-1
             a RENAME w x = -ERR no such key
             a RENAMENX x y = :0
             a RENAMENX x x = :0
             a RENAME y x = +OK
             a EXISTS x y x = :2
             a COPY x x = -ERR source and destination objects are the same
             a COPY x z = :0
             a COPY x z REPLACE = :1
             a COPY w z REPLACE = :0
             a GET z = $1 2
             b SELECT 1 = +OK
             b DBSIZE = :0
             b SET x other = +OK
             a DBSIZE = :2
             a DEL x z w = :2
             a FLUSHALL = +OK
             b GET x = $-1
             a SET x 9223372036854775807 = +OK
             a INCR x = -ERR increment or decrement would overflow",
        );
    }

    #[test]
    fn transactions() {
        check(
            "a EXEC = -ERR EXEC without MULTI
             a DISCARD = -ERR DISCARD without MULTI
             a MULTI = +OK
             a MULTI = -ERR MULTI calls can not be nested
             a SET x 1 = +QUEUED
             a WATCH x = -ERR WATCH inside MULTI is not allowed
             a APPEND y 2 = +QUEUED
             b GET x = $-1
             a GET x = +QUEUED
             a EXEC = *3 +OK :1 $1 1
             a MULTI = +OK
             a SET x 3 = +QUEUED
             a DISCARD = +OK
             a MULTI = +OK
             a EXEC = *0
             b GET x = $1 1",
        );
    }

    #[test]
    fn watches() {
        let ends = "a MULTI = +OK\n a GET x = +QUEUED\n a EXEC =";
        let same = "*1 $1 1";
        for (between, reply) in [
            ("b GET x = $1 1", same),
            ("b SET x 1 = +OK", "*-1"),
            ("a SET x 1 = +OK", "*-1"),
            ("b DEL x = :1\n b SET x 1 = +OK", "*-1"),
            ("b FLUSHALL = +OK", "*-1"),
            ("b SELECT 1 = +OK\n b SET x 2 = +OK", same),
            ("b RENAME x x = +OK", same),
            ("b MSETNX x 2 = :0", same),
            ("b RENAME x y = +OK", "*-1"),
            ("b SET x 1 = +OK\n a UNWATCH = +OK", same),
            ("b SET x 1 = +OK\n a WATCH y = +OK", "*-1"),
            ("b SET x 1 = +OK\n a MULTI = +OK\n a DISCARD = +OK", same),
            ("b MULTI = +OK\n b SET x 1 = +QUEUED\n b DISCARD = +OK", same),
            ("b MULTI = +OK\n b SET x 1 = +QUEUED\n b EXEC = *1 +OK", "*-1"),
        ] {
            check(&format!("a SET x 1 = +OK\n a WATCH x = +OK\n {between}\n {ends} {reply}"));
        }
        // What is not there is not flushed and not deleted, but it can be created.
        for (between, reply) in
            [("b FLUSHALL = +OK", "*1 $-1"), ("b DEL x = :0", "*1 $-1"), ("b SET x 2 = +OK", "*-1")]
        {
            check(&format!("a WATCH x = +OK\n {between}\n {ends} {reply}"));
        }
    }
}
