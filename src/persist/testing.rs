//! A disk in memory for tests, which can fail at any operation and forget what was not made durable, and a shard that writes
//! segments. The thorough simulation, with torn writes and any order, is in `tests/sim`.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

use crate::base::rng::Rng;
use crate::persist::directory::Name;
use crate::persist::disk::{Bytes, Disk, DiskError, Handle, ROOT};
use crate::persist::keeper::NewSegment;
use crate::persist::record::{self, Kind, PartHead};

/// Files by number, and their names now and after a crash.
#[derive(Clone, Default)]
pub struct MemoryDisk {
    files: Vec<File>,
    names: BTreeMap<String, usize>,
    durable_names: BTreeMap<String, usize>,
    directories: Vec<String>,
    /// Operations that change something, as yet.
    pub operations: usize,
    /// Which of these operations fail, and how.
    pub fails: Option<(Range<usize>, io::ErrorKind)>,
    /// The disk as it was before each operation, if it is to be remembered.
    pub moments: Option<Vec<MemoryDisk>>,
}

#[derive(Clone, Default)]
struct File {
    bytes: Vec<u8>,
    durable: Vec<u8>,
}

impl MemoryDisk {
    /// What a crash leaves: only what is durable, or everything.
    pub fn crash(&mut self, keeps_all: bool) {
        self.fails = None;
        for file in &mut self.files {
            match keeps_all {
                true => file.durable = file.bytes.clone(),
                false => file.bytes = file.durable.clone(),
            }
        }
        match keeps_all {
            true => self.durable_names = self.names.clone(),
            false => self.names = self.durable_names.clone(),
        }
    }

    /// A crash that keeps any part of what was not durable: of each file any blocks of 8 bytes, and any length.
    pub fn crash_at_random(&mut self, rng: &mut Rng) {
        self.fails = None;
        self.names = self.durable_names.clone();
        for File { bytes, durable } in &mut self.files {
            let longest = bytes.len().max(durable.len());
            let length = match rng.below(3) {
                0 => durable.len(),
                1 => bytes.len(),
                _ => rng.below(longest as u64 + 1) as usize,
            };
            // Most crashes lose a whole tail, or nothing.
            let chance = [0, 20, 100][rng.below(3) as usize];
            let mut after = durable.clone();
            after.resize(longest, 0);
            for at in (0..bytes.len()).step_by(8) {
                let end = bytes.len().min(at + 8);
                if rng.below(100) >= chance {
                    after[at..end].copy_from_slice(&bytes[at..end]);
                }
            }
            after.truncate(length.max(durable.len().min(bytes.len())));
            (*bytes, *durable) = (after.clone(), after);
        }
    }

    /// The content of a file, to be looked at or damaged.
    pub fn bytes(&mut self, name: &str) -> &mut Vec<u8> {
        let file = self.names[name];
        &mut self.files[file].bytes
    }

    /// Everything is durable, as long after the last write.
    pub fn settle(&mut self) {
        self.crash(true);
    }

    /// A file that somebody put there.
    pub fn put(&mut self, name: &str, bytes: &[u8]) {
        self.files.push(File { bytes: bytes.to_vec(), durable: bytes.to_vec() });
        self.names.insert(name.to_owned(), self.files.len() - 1);
        self.durable_names.insert(name.to_owned(), self.files.len() - 1);
    }

    /// The names in a directory.
    pub fn names_in(&self, directory: &str) -> Vec<String> {
        let inside = |name: &String| match name.rsplit_once('/') {
            Some((parent, name)) => (parent == directory).then(|| name.to_owned()),
            None => (directory == ROOT).then(|| name.clone()),
        };
        self.names.keys().filter_map(inside).collect()
    }

    /// Counts an operation that changes something; fails if it is to.
    fn step(&mut self, operation: &'static str, name: &str) -> Result<(), DiskError> {
        if let Some(mut moments) = self.moments.take() {
            moments.push(self.clone());
            self.moments = Some(moments);
        }
        self.operations += 1;
        match &self.fails {
            Some((failing, kind)) if failing.contains(&(self.operations - 1)) => {
                Err(DiskError::new(operation, name, *kind))
            }
            _ => Ok(()),
        }
    }

    fn find(&self, operation: &'static str, name: &str) -> Result<usize, DiskError> {
        let found = self.names.get(name).copied();
        found.ok_or_else(|| DiskError::new(operation, name, io::ErrorKind::NotFound))
    }
}

impl Disk for MemoryDisk {
    fn create(&mut self, name: &str) -> Result<Handle, DiskError> {
        self.step("create", name)?;
        if self.names.contains_key(name) {
            return Err(DiskError::new("create", name, io::ErrorKind::AlreadyExists));
        }
        self.files.push(File::default());
        self.names.insert(name.to_owned(), self.files.len() - 1);
        Ok(Handle::simulated(self.files.len() as u64 - 1, name))
    }

    fn open(&mut self, name: &str) -> Result<Handle, DiskError> {
        Ok(Handle::simulated(self.find("open", name)? as u64, name))
    }

    fn read(&mut self, name: &str) -> Result<Bytes, DiskError> {
        let file = self.find("read", name)?;
        Ok(Bytes::Owned(self.files[file].bytes.clone()))
    }

    fn length(&mut self, name: &str) -> Result<u64, DiskError> {
        let file = self.find("look at", name)?;
        Ok(self.files[file].bytes.len() as u64)
    }

    fn write_at(&mut self, file: &Handle, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        self.step("write", file.name())?;
        let content = &mut self.files[file.id() as usize].bytes;
        let end = offset as usize + bytes.len();
        content.resize(content.len().max(end), 0);
        content[offset as usize..end].copy_from_slice(bytes);
        Ok(())
    }

    fn allocate(&mut self, file: &Handle, length: u64) -> Result<(), DiskError> {
        self.step("reserve space in", file.name())?;
        let content = &mut self.files[file.id() as usize].bytes;
        content.resize(content.len().max(length as usize), 0);
        Ok(())
    }

    fn truncate(&mut self, file: &Handle, length: u64) -> Result<(), DiskError> {
        self.step("cut", file.name())?;
        self.files[file.id() as usize].bytes.resize(length as usize, 0);
        Ok(())
    }

    fn sync(&mut self, file: &Handle) -> Result<(), DiskError> {
        self.step("sync", file.name())?;
        let file = &mut self.files[file.id() as usize];
        file.durable = file.bytes.clone();
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        self.step("replace", to)?;
        let file = self.find("replace", from)?;
        self.names.remove(from);
        self.names.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        self.step("remove", name)?;
        self.find("remove", name)?;
        self.names.remove(name);
        Ok(())
    }

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let mut names = self.names_in(ROOT);
        names.extend(self.directories.clone());
        names.sort_unstable();
        Ok(names)
    }

    fn create_directory(&mut self, name: &str) -> Result<(), DiskError> {
        self.step("create the directory", name)?;
        self.directories.push(name.to_owned());
        Ok(())
    }

    fn sync_directory(&mut self, name: &str) -> Result<(), DiskError> {
        self.step("sync the directory", name)?;
        let is_inside = |file: &String| file.rsplit_once('/').map_or(ROOT, |(parent, _)| parent) == name;
        self.durable_names.retain(|file, _| !is_inside(file));
        let inside = self.names.iter().filter(|(file, _)| is_inside(file));
        self.durable_names.extend(inside.map(|(file, number)| (file.clone(), *number)));
        Ok(())
    }

    fn path_of(&self, name: &str) -> String {
        format!("/data/{name}")
    }
}

/// A shard's writer: each group is one record, and `sync` says when they are durable.
pub struct Writer {
    segment: NewSegment,
    /// Segments before it that were not synced.
    unsynced: Vec<Handle>,
    at: u64,
    next_seq: u64,
    durable: u64,
}

impl Writer {
    /// A writer that begins the stream with this segment.
    pub fn new(segment: NewSegment) -> Writer {
        Writer { segment, unsynced: Vec::new(), at: 0, next_seq: 1, durable: 0 }
    }

    /// The largest sequence number that is durable.
    pub fn durable(&self) -> u64 {
        self.durable
    }

    /// The sequence number of the next record.
    pub fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// The segment's file.
    pub fn file_name(&self) -> String {
        Name::Segment(self.segment.listed.name).to_string()
    }

    /// Writes a group whose payload is this text. Nothing is synced.
    pub fn write(&mut self, disk: &mut dyn Disk, text: &str) {
        self.append(disk, Kind::Effects, text.as_bytes());
    }

    /// Writes this shard's part of a transaction.
    pub fn write_part(&mut self, disk: &mut dyn Disk, id: u64, shards: &[u16], text: &str) {
        let mut payload = Vec::new();
        PartHead { id, shards: shards.to_vec() }.encode(&mut payload);
        payload.extend_from_slice(text.as_bytes());
        self.append(disk, Kind::Part, &payload);
    }

    /// Makes everything durable.
    pub fn sync(&mut self, disk: &mut dyn Disk) {
        for file in self.unsynced.drain(..) {
            disk.sync(&file).expect("the disk works");
        }
        disk.sync(&self.segment.file).expect("the disk works");
        self.durable = self.next_seq - 1;
    }

    /// Ends the segment.
    pub fn end(&mut self, disk: &mut dyn Disk) {
        self.sync(disk);
        self.append(disk, Kind::End, b"");
        self.sync(disk);
    }

    /// Goes on in another segment, with or without ending this one.
    pub fn switch(&mut self, segment: NewSegment) {
        let before = std::mem::replace(&mut self.segment, segment);
        self.unsynced.push(before.file);
        self.at = 0;
    }

    fn append(&mut self, disk: &mut dyn Disk, kind: Kind, payload: &[u8]) {
        let mut out = Vec::new();
        if self.at == 0 {
            out.extend(self.segment.header(self.next_seq).encode());
        }
        let seed = self.segment.listed.seed;
        record::append(&mut out, seed, self.next_seq, self.durable, kind, payload);
        disk.write_at(&self.segment.file, &out, self.at).expect("the disk works");
        self.at += out.len() as u64;
        self.next_seq += 1;
    }
}
