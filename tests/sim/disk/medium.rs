//! The machine's disk: files, names, the operations on them one by one, what fails, and when it all ends. Knows no trait.
//!
//! Every operation is counted, and the process can be stopped at any of them: that operation and all later ones fail, and
//! `restart` decides what is left. So a run ends between any two operations, or within one, without a panic.
//!
//! Requests are operations that somebody submits and that happen later, in any order, when `complete` is called.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io;

use corevault::base::rng::Rng;

use super::contents::{Contents, Survival};
use super::names::{Names, Node, parent};

/// Operations remembered for the message of a run that fails.
const TRACE_LINES: usize = 60;

/// What can be done, and so what can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    Create,
    Open,
    Read,
    Length,
    Write,
    Allocate,
    Truncate,
    Sync,
    Rename,
    Remove,
    List,
    CreateDirectory,
    SyncDirectory,
}

/// What is wrong with the disk. A chance of `n` is one in `n`, and never for 0.
#[derive(Clone, Debug, Default)]
pub struct Faults {
    /// Bytes that all files with a name may have together.
    pub capacity_bytes: Option<u64>,
    /// Nothing can be changed.
    pub is_read_only: bool,
    /// Chance that a request to write does only a part.
    pub short_writes: u64,
    /// Chance that a write fails, having done any part.
    pub write_errors: u64,
    /// Chance that a sync of a file fails.
    pub sync_errors: u64,
    /// Where a file grew and its bytes were lost, the power's return may show those of a removed file.
    pub shows_stale: bool,
}

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It is killed: what it wrote stays in the kernel's memory, and is no more durable than before.
    Killed,
    /// The machine loses its power: of what was not synced, anything may be missing.
    PowerLost,
}

/// Names a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(pub u64);

/// A request that has ended.
#[derive(Debug)]
pub struct Completion {
    pub ticket: Ticket,
    /// Bytes written, which may be fewer than asked for; 0 for a sync.
    pub outcome: io::Result<usize>,
    /// The buffer, back.
    pub bytes: Vec<u8>,
}

enum Request {
    Write {
        handle: u64,
        at: usize,
        bytes: Vec<u8>,
        /// It is durable, and nothing else is, when it ends.
        is_durable: bool,
    },
    /// With the mark of the file's contents when it was submitted: what was changed before is synced.
    Sync { handle: u64, mark: u64 },
}

/// See the module.
pub struct Medium {
    rng: Rng,
    names: Names,
    files: BTreeMap<u64, Contents>,
    /// Open files by the number of their handle.
    open: HashMap<u64, u64>,
    requests: BTreeMap<Ticket, Request>,
    /// The last number given to a file, a handle or a request.
    last_number: u64,
    operations: u64,
    stop_at: Option<u64>,
    is_stopped: bool,
    faults: Faults,
    /// An operation that fails once, how many of its kind come before, and the error's number.
    planned: Option<(Operation, u64, i32)>,
    /// The bytes of the last file that was removed.
    stale: Vec<u8>,
    trace: VecDeque<String>,
}

impl Medium {
    pub fn new(seed: u64) -> Medium {
        Medium {
            rng: Rng::new(seed),
            names: Names::default(),
            files: BTreeMap::new(),
            open: HashMap::new(),
            requests: BTreeMap::new(),
            last_number: 0,
            operations: 0,
            stop_at: None,
            is_stopped: false,
            faults: Faults::default(),
            planned: None,
            stale: Vec::new(),
            trace: VecDeque::new(),
        }
    }

    // What goes wrong ---------------------------------------------------------------------------------------------

    pub fn faults(&mut self) -> &mut Faults {
        &mut self.faults
    }

    /// The operation of that kind after `before` more of them fails, with the system's error of that number.
    pub fn fail_once(&mut self, operation: Operation, before: u64, errno: i32) {
        self.planned = Some((operation, before, errno));
    }

    /// Whether the operation planned to fail has not come yet.
    pub fn has_planned_failure(&self) -> bool {
        self.planned.is_some()
    }

    /// The process is stopped, or the power goes, at the operation after `operations` more of them.
    pub fn stop_after(&mut self, operations: u64) {
        self.stop_at = Some(self.operations + operations + 1);
    }

    /// Whether that has happened, so that `restart` must come next.
    pub fn is_stopped(&self) -> bool {
        self.is_stopped
    }

    /// Operations so far.
    pub fn operations(&self) -> u64 {
        self.operations
    }

    /// The last operations, a line each, with their numbers.
    pub fn trace(&self) -> String {
        self.trace.iter().map(|line| format!("{line}\n")).collect()
    }

    /// A process ends, and another starts: nothing is open, no request is under way, and the power is there.
    pub fn restart(&mut self, ending: Ending) {
        for (ticket, request) in std::mem::take(&mut self.requests) {
            if let Request::Write { handle, at, bytes, .. } = request {
                let done = self.rng.below(bytes.len() as u64 + 1) as usize;
                let done = [0, done, bytes.len()][self.rng.below(3) as usize];
                self.note(&format!("{ticket:?} of {} bytes, in flight, does {done}", bytes.len()));
                self.write_some(handle, at, &bytes[..done]);
            }
        }
        self.open.clear();
        if ending == Ending::PowerLost {
            let stale = (self.faults.shows_stale && !self.stale.is_empty()).then_some(&self.stale[..]);
            // Mostly the same fate for all files, so that everything goes missing together now and then.
            let common = Survival::any(&mut self.rng);
            for contents in self.files.values_mut() {
                let survival = if self.rng.below(4) == 0 { Survival::any(&mut self.rng) } else { common };
                contents.lose_power(survival, &mut self.rng, stale);
            }
            self.names.lose_power(&mut self.rng);
        }
        self.drop_nameless();
        self.stop_at = None;
        self.is_stopped = false;
        self.note(&format!("{ending:?}"));
    }

    /// Changes a file behind everybody's back, on the medium and in memory.
    pub fn damage(&mut self, name: &str, change: impl Fn(&mut Vec<u8>)) {
        let file = self.file(name).expect("the file to be damaged exists");
        self.files.get_mut(&file).expect("a named file has contents").damage(change);
    }

    /// What would be left of a file's contents if everything not synced were lost.
    pub fn durable(&self, name: &str) -> Option<Vec<u8>> {
        Some(self.files[&self.file(name).ok()?].durable().to_vec())
    }

    // Operations --------------------------------------------------------------------------------------------------

    pub fn create(&mut self, name: &str) -> io::Result<u64> {
        self.perform(Operation::Create, name, |medium| {
            medium.change_allowed()?;
            medium.new_name(name)?;
            let file = medium.number();
            medium.files.insert(file, Contents::default());
            medium.names.create(name, Node::File(file));
            Ok(medium.handle(file))
        })
    }

    pub fn open(&mut self, name: &str) -> io::Result<u64> {
        self.perform(Operation::Open, name, |medium| {
            let file = medium.file(name)?;
            Ok(medium.handle(file))
        })
    }

    pub fn read(&mut self, name: &str) -> io::Result<Vec<u8>> {
        self.perform(Operation::Read, name, |medium| Ok(medium.files[&medium.file(name)?].seen().to_vec()))
    }

    pub fn length(&mut self, name: &str) -> io::Result<u64> {
        self.perform(Operation::Length, name, |medium| {
            Ok(medium.files[&medium.file(name)?].seen().len() as u64)
        })
    }

    /// All of the bytes, or an error after any part of them.
    pub fn write(&mut self, handle: u64, at: usize, bytes: &[u8]) -> io::Result<()> {
        let what = format!("{handle} {at}+{}", bytes.len());
        self.perform(Operation::Write, &what, |medium| medium.write_all(handle, at, bytes))
    }

    pub fn allocate(&mut self, handle: u64, length: usize) -> io::Result<()> {
        self.perform(Operation::Allocate, &format!("{handle} {length}"), |medium| {
            medium.change_allowed()?;
            let have = medium.contents(handle).seen().len();
            if length > have {
                if medium.free_bytes() < (length - have) as u64 {
                    return Err(errno(libc::ENOSPC));
                }
                medium.contents(handle).resize(length);
            }
            Ok(())
        })
    }

    pub fn truncate(&mut self, handle: u64, length: usize) -> io::Result<()> {
        self.perform(Operation::Truncate, &format!("{handle} {length}"), |medium| {
            medium.change_allowed()?;
            medium.contents(handle).resize(length);
            Ok(())
        })
    }

    pub fn sync(&mut self, handle: u64) -> io::Result<()> {
        self.perform(Operation::Sync, &handle.to_string(), |medium| {
            if medium.happens(medium.faults.sync_errors) {
                medium.fail_sync(handle);
                return Err(errno(libc::EIO));
            }
            medium.contents(handle).sync();
            Ok(())
        })
    }

    pub fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.perform(Operation::Rename, &format!("{from} {to}"), |medium| {
            medium.change_allowed()?;
            let moved = medium.names.get(from).ok_or_else(|| errno(libc::ENOENT))?;
            medium.directory_exists(to)?;
            match (moved, medium.names.get(to)) {
                (_, Some(Node::Directory)) | (Node::Directory, Some(_)) => Err(errno(libc::EEXIST)),
                _ => {
                    medium.forget(to);
                    medium.names.rename(from, to);
                    Ok(())
                }
            }
        })
    }

    pub fn remove(&mut self, name: &str) -> io::Result<()> {
        self.perform(Operation::Remove, name, |medium| {
            medium.change_allowed()?;
            medium.file(name)?;
            medium.forget(name);
            medium.names.remove(name);
            Ok(())
        })
    }

    /// The names in the simulated directory, in order.
    pub fn list(&mut self) -> io::Result<Vec<String>> {
        self.perform(Operation::List, "", |medium| {
            let names = medium.names.seen().map(|(name, _)| name);
            Ok(names.filter(|name| parent(name).is_empty()).map(str::to_owned).collect())
        })
    }

    pub fn create_directory(&mut self, name: &str) -> io::Result<()> {
        self.perform(Operation::CreateDirectory, name, |medium| {
            medium.change_allowed()?;
            medium.new_name(name)?;
            medium.names.create(name, Node::Directory);
            Ok(())
        })
    }

    pub fn sync_directory(&mut self, name: &str) -> io::Result<()> {
        self.perform(Operation::SyncDirectory, name, |medium| {
            if !name.is_empty() && medium.names.get(name) != Some(Node::Directory) {
                return Err(errno(libc::ENOENT));
            }
            medium.names.sync(name);
            Ok(())
        })
    }

    // Requests ----------------------------------------------------------------------------------------------------

    pub fn submit_write(&mut self, handle: u64, at: usize, bytes: Vec<u8>) -> Ticket {
        self.submit(Request::Write { handle, at, bytes, is_durable: false })
    }

    /// As with `RWF_DSYNC`.
    pub fn submit_durable_write(&mut self, handle: u64, at: usize, bytes: Vec<u8>) -> Ticket {
        self.submit(Request::Write { handle, at, bytes, is_durable: true })
    }

    pub fn submit_sync(&mut self, handle: u64) -> Ticket {
        let mark = self.contents(handle).mark();
        self.submit(Request::Sync { handle, mark })
    }

    fn submit(&mut self, request: Request) -> Ticket {
        let ticket = Ticket(self.number());
        self.requests.insert(ticket, request);
        ticket
    }

    /// Requests that have not ended, in the order they were submitted. They may end in any.
    pub fn in_flight(&self) -> Vec<Ticket> {
        self.requests.keys().copied().collect()
    }

    /// Whether the request, which is in flight, is a sync.
    pub fn is_sync(&self, ticket: Ticket) -> bool {
        matches!(self.requests[&ticket], Request::Sync { .. })
    }

    /// The request ends now, in one way or another. A write may do only a part. A sync is sure of what ended before it was
    /// submitted, and of nothing else. Once stopped, every request fails.
    pub fn complete(&mut self, ticket: Ticket) -> Completion {
        match self.requests.remove(&ticket).expect("the request is in flight") {
            Request::Write { handle, at, bytes, is_durable } => {
                let what = format!("{handle} {at}+{} {ticket:?}", bytes.len());
                let outcome = self.perform(Operation::Write, &what, |medium| {
                    medium.change_allowed()?;
                    let is_short = bytes.len() > 1 && medium.happens(medium.faults.short_writes);
                    let length = if is_short { 1 + medium.below(bytes.len() - 1) } else { bytes.len() };
                    let before = medium.contents(handle).mark();
                    let written = medium.write_all(handle, at, &bytes[..length]);
                    if is_durable && medium.happens(medium.faults.sync_errors) {
                        medium.fail_sync(handle);
                        return Err(errno(libc::EIO));
                    }
                    if is_durable && medium.contents(handle).mark() > before {
                        medium.contents(handle).sync_last();
                    }
                    match written {
                        // The kernel reports what it could write, and the error only to who tries again.
                        Err(error) if error.raw_os_error() == Some(libc::ENOSPC) => {
                            let room = medium.room(handle, at, length);
                            if room > 0 { Ok(room) } else { Err(error) }
                        }
                        done => done.map(|()| length),
                    }
                });
                Completion { ticket, outcome, bytes }
            }
            Request::Sync { handle, mark } => {
                let what = format!("{handle} {ticket:?}");
                let outcome = self.perform(Operation::Sync, &what, |medium| {
                    if medium.happens(medium.faults.sync_errors) {
                        medium.fail_sync(handle);
                        return Err(errno(libc::EIO));
                    }
                    let (contents, rng) = medium.contents_and_dice(handle);
                    contents.sync_before(mark, rng);
                    Ok(0)
                });
                Completion { ticket, outcome, bytes: Vec::new() }
            }
        }
    }

    // Inside ------------------------------------------------------------------------------------------------------

    /// Counts and notes the operation, and lets it happen, fail, or be what is interrupted.
    fn perform<T>(
        &mut self,
        operation: Operation,
        what: &str,
        act: impl FnOnce(&mut Medium) -> io::Result<T>,
    ) -> io::Result<T> {
        if self.is_stopped {
            return Err(stopped());
        }
        self.operations += 1;
        let number = self.operations;
        self.note(&format!("{number} {operation:?} {what}"));
        if self.stop_at.is_some_and(|at| at <= number) {
            // What it would have changed is pending, and may be lost with the rest. A sync that nobody heard of is nothing more.
            let is_sync = matches!(operation, Operation::Sync | Operation::SyncDirectory);
            if !is_sync && self.rng.below(2) == 0 {
                let _ = act(self);
            }
            self.is_stopped = true;
            self.note("the process has been stopped");
            return Err(stopped());
        }
        if let Some((planned, before, number)) = &mut self.planned
            && *planned == operation
        {
            if *before > 0 {
                *before -= 1;
            } else {
                let error = errno(*number);
                self.planned = None;
                self.fail(operation, what, act);
                self.note(&format!("  fails: {error}"));
                return Err(error);
            }
        }
        let done = act(self);
        if let Err(error) = &done {
            self.note(&format!("  fails: {error}"));
        }
        done
    }

    /// What an operation leaves behind that is planned to fail.
    fn fail<T>(&mut self, operation: Operation, what: &str, act: impl FnOnce(&mut Medium) -> io::Result<T>) {
        match operation {
            // Any part may be written.
            Operation::Write => {
                let before = std::mem::replace(&mut self.faults.write_errors, 1);
                let _ = act(self);
                self.faults.write_errors = before;
            }
            Operation::Sync => {
                let before = std::mem::replace(&mut self.faults.sync_errors, 1);
                let _ = act(self);
                self.faults.sync_errors = before;
            }
            Operation::SyncDirectory => self.names.fail_sync(what, &mut self.rng),
            _ => {}
        }
    }

    fn write_all(&mut self, handle: u64, at: usize, bytes: &[u8]) -> io::Result<()> {
        self.change_allowed()?;
        if self.happens(self.faults.write_errors) {
            let done = self.below(bytes.len() + 1);
            let done = done.min(self.room(handle, at, done));
            self.write_some(handle, at, &bytes[..done]);
            return Err(errno(libc::EIO));
        }
        let room = self.room(handle, at, bytes.len());
        self.write_some(handle, at, &bytes[..room]);
        if room < bytes.len() { Err(errno(libc::ENOSPC)) } else { Ok(()) }
    }

    fn write_some(&mut self, handle: u64, at: usize, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.contents(handle).write(at, bytes);
        }
    }

    /// How many of `length` bytes at `at` there is space for.
    fn room(&mut self, handle: u64, at: usize, length: usize) -> usize {
        let have = self.contents(handle).seen().len() as u64;
        let room = have.saturating_add(self.free_bytes()).saturating_sub(at as u64);
        length.min(usize::try_from(room).unwrap_or(usize::MAX))
    }

    fn free_bytes(&self) -> u64 {
        let named = self.names.seen().filter_map(|(_, node)| match node {
            Node::File(file) => Some(file),
            Node::Directory => None,
        });
        let used: u64 = named.map(|file| self.files[&file].seen().len() as u64).sum();
        self.faults.capacity_bytes.map_or(u64::MAX, |capacity| capacity.saturating_sub(used))
    }

    fn fail_sync(&mut self, handle: u64) {
        let (contents, rng) = self.contents_and_dice(handle);
        contents.fail_sync(rng);
    }

    fn contents(&mut self, handle: u64) -> &mut Contents {
        self.contents_and_dice(handle).0
    }

    fn contents_and_dice(&mut self, handle: u64) -> (&mut Contents, &mut Rng) {
        let file = self.open.get(&handle).expect("a handle of this process");
        (self.files.get_mut(file).expect("an open file has contents"), &mut self.rng)
    }

    fn file(&self, name: &str) -> io::Result<u64> {
        match self.names.get(name) {
            Some(Node::File(file)) => Ok(file),
            Some(Node::Directory) => Err(errno(libc::EISDIR)),
            None => Err(errno(libc::ENOENT)),
        }
    }

    fn new_name(&self, name: &str) -> io::Result<()> {
        self.directory_exists(name)?;
        if self.names.get(name).is_some() { Err(errno(libc::EEXIST)) } else { Ok(()) }
    }

    fn directory_exists(&self, name: &str) -> io::Result<()> {
        let directory = parent(name);
        let exists = directory.is_empty() || self.names.get(directory) == Some(Node::Directory);
        if exists { Ok(()) } else { Err(errno(libc::ENOENT)) }
    }

    /// A file is about to lose its name: its bytes are what may show up elsewhere.
    fn forget(&mut self, name: &str) {
        if let Ok(file) = self.file(name) {
            self.stale = self.files[&file].seen().to_vec();
        }
    }

    /// Contents that nobody can reach any more, by a name or by a handle.
    fn drop_nameless(&mut self) {
        let kept: Vec<u64> = self.names.files().chain(self.open.values().copied()).collect();
        self.files.retain(|file, _| kept.contains(file));
    }

    fn change_allowed(&self) -> io::Result<()> {
        if self.faults.is_read_only { Err(errno(libc::EROFS)) } else { Ok(()) }
    }

    fn handle(&mut self, file: u64) -> u64 {
        let handle = self.number();
        self.open.insert(handle, file);
        handle
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn happens(&mut self, chance: u64) -> bool {
        chance > 0 && self.rng.below(chance) == 0
    }

    fn below(&mut self, bound: usize) -> usize {
        self.rng.below(bound as u64) as usize
    }

    fn note(&mut self, line: &str) {
        if self.trace.len() == TRACE_LINES {
            self.trace.pop_front();
        }
        self.trace.push_back(line.to_owned());
    }
}

fn errno(number: i32) -> io::Error {
    io::Error::from_raw_os_error(number)
}

fn stopped() -> io::Error {
    io::Error::other("the process has been stopped")
}
