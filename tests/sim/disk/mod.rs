//! A simulated disk: what `persist` sees of it is as on Linux, and what a loss of power, a full disk or a failing device leaves of
//! it is decided by a seed. Here is the map:
//!
//! - `contents`: one file: what is durable, what is pending, what is seen
//! - `names`: the same for the names of files
//! - `medium`: the operations on them, counted; faults; requests that end in any order; the ends of process and power
//! - here: a medium that several hold, as the `Disk` of the blocking code and as the files of shards
//!
//! It is harsher than any one file system. Unsynced changes survive independently of each other, though a journal would keep the
//! order of some; a tear may be as fine as a word; a created name is lost although the file was synced. It is kinder in one thing:
//! what was synced stays as it was, unless a test damages it.

mod contents;
mod medium;
mod names;
mod tests;

use std::sync::{Arc, Mutex, MutexGuard};

use corevault::persist::disk::{Bytes, Disk, DiskError, Handle};

pub use medium::{Ending, Medium, Operation, Ticket};

/// A medium, shared: clones are the same disk.
#[derive(Clone)]
pub struct SimDisk(Arc<Mutex<Medium>>);

impl SimDisk {
    /// An empty disk.
    pub fn new(seed: u64) -> SimDisk {
        SimDisk(Arc::new(Mutex::new(Medium::new(seed))))
    }

    /// For faults, requests and ends. Must not be held while the disk is used.
    pub fn medium(&self) -> MutexGuard<'_, Medium> {
        self.0.lock().expect("nothing panics with the medium in its hands")
    }

    fn handle(
        &self,
        name: &str,
        made: std::io::Result<u64>,
        operation: &'static str,
    ) -> Result<Handle, DiskError> {
        match made {
            Ok(number) => Ok(Handle::simulated(number, name)),
            Err(cause) => Err(DiskError::new(operation, self.path_of(name), cause)),
        }
    }

    fn done<T>(&self, name: &str, done: std::io::Result<T>, operation: &'static str) -> Result<T, DiskError> {
        done.map_err(|cause| DiskError::new(operation, self.path_of(name), cause))
    }
}

impl Disk for SimDisk {
    fn create(&mut self, name: &str) -> Result<Handle, DiskError> {
        let made = self.medium().create(name);
        self.handle(name, made, "create")
    }

    fn open(&mut self, name: &str) -> Result<Handle, DiskError> {
        let made = self.medium().open(name);
        self.handle(name, made, "open")
    }

    fn read(&mut self, name: &str) -> Result<Bytes, DiskError> {
        let read = self.medium().read(name).map(Bytes::Owned);
        self.done(name, read, "read")
    }

    fn length(&mut self, name: &str) -> Result<u64, DiskError> {
        let length = self.medium().length(name);
        self.done(name, length, "look at")
    }

    fn write_at(&mut self, file: &Handle, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        let written = self.medium().write(file.id(), offset as usize, bytes);
        self.done(file.name(), written, "write")
    }

    fn allocate(&mut self, file: &Handle, length: u64) -> Result<(), DiskError> {
        let allocated = self.medium().allocate(file.id(), length as usize);
        self.done(file.name(), allocated, "reserve space in")
    }

    fn truncate(&mut self, file: &Handle, length: u64) -> Result<(), DiskError> {
        let cut = self.medium().truncate(file.id(), length as usize);
        self.done(file.name(), cut, "cut")
    }

    fn sync(&mut self, file: &Handle) -> Result<(), DiskError> {
        let synced = self.medium().sync(file.id());
        self.done(file.name(), synced, "sync")
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        let renamed = self.medium().rename(from, to);
        self.done(to, renamed, "replace")
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        let removed = self.medium().remove(name);
        self.done(name, removed, "remove")
    }

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let names = self.medium().list();
        self.done("", names, "list")
    }

    fn create_directory(&mut self, name: &str) -> Result<(), DiskError> {
        let created = self.medium().create_directory(name);
        self.done(name, created, "create the directory")
    }

    fn sync_directory(&mut self, name: &str) -> Result<(), DiskError> {
        let synced = self.medium().sync_directory(name);
        self.done(name, synced, "sync the directory")
    }

    fn path_of(&self, name: &str) -> String {
        if name.is_empty() { "disk".to_owned() } else { format!("disk/{name}") }
    }
}
