//! Owns the way to the data directory: the `Disk` that everything in `persist` works through, the real one over one directory of the
//! file system, and what its failures say. Never knows what a file means; names and their order come from others.
//!
//! A file's content is durable after `sync` of its handle. Its name, and the absence of a removed or renamed one, is durable only after
//! `sync_directory`. A failed `sync` leaves nobody knowing what was kept, and a second one that succeeds proves nothing: whoever gets that
//! error must not trust the file's unsynced part again.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags};

use crate::persist::directory::LOCK;
pub use crate::persist::snapshot::Bytes;
use crate::sys::mapping::Mapping;

/// The data directory itself, where a directory is asked for.
pub const ROOT: &str = "";

/// A shorter file is read rather than mapped: a mapping costs two system calls and a page at least, bytes.
const MAPPED_BYTES_MIN: u64 = 64 * 1024;

/// The data directory as far as `persist` needs it. Calls block. Names are relative to the directory, in it or one level below it.
pub trait Disk {
    /// A new, empty file, open for reading and writing. One of that name must not exist.
    fn create(&mut self, name: &str) -> Result<Handle, DiskError>;

    /// A file that exists, open for reading and writing.
    fn open(&mut self, name: &str) -> Result<Handle, DiskError>;

    /// The whole content of a file as it is now; a large one mapped. A mapped part that is cut off must not be looked at again.
    fn read(&mut self, name: &str) -> Result<Bytes, DiskError>;

    /// Bytes in a file.
    fn length(&mut self, name: &str) -> Result<u64, DiskError>;

    /// Writes all of `bytes` at `offset`; a gap before it reads as zeros. After an error any part may be written.
    fn write_at(&mut self, file: &Handle, bytes: &[u8], offset: u64) -> Result<(), DiskError>;

    /// Makes the file at least `length` bytes long, the new ones zero, with space reserved for them where the file system can.
    fn allocate(&mut self, file: &Handle, length: u64) -> Result<(), DiskError>;

    /// Cuts the file to `length` bytes, or extends it to them with zeros.
    fn truncate(&mut self, file: &Handle, length: u64) -> Result<(), DiskError>;

    /// Makes the file's content and length durable.
    fn sync(&mut self, file: &Handle) -> Result<(), DiskError>;

    /// Gives a file another name, replacing a file that has it, in one step.
    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError>;

    /// Removes a file's name; who has it open or mapped keeps its content.
    fn remove(&mut self, name: &str) -> Result<(), DiskError>;

    /// The names in the data directory, sorted; those that are no UTF-8 are nobody's and left out.
    fn list(&mut self) -> Result<Vec<String>, DiskError>;

    /// A new directory in the data directory.
    fn create_directory(&mut self, name: &str) -> Result<(), DiskError>;

    /// Makes the names in a directory durable: that of `name`, or the data directory where it is [`ROOT`].
    fn sync_directory(&mut self, name: &str) -> Result<(), DiskError>;

    /// A file's name as messages show it: where an operator finds it.
    fn path_of(&self, name: &str) -> String;
}

/// An open file. A real one has a descriptor, which others (a shard's ring) may write through; a simulated one only its number.
#[derive(Debug)]
pub struct Handle {
    id: u64,
    name: String,
    descriptor: Option<OwnedFd>,
}

impl Handle {
    /// A file without a descriptor, which only the `Disk` that made it understands by its number.
    pub fn simulated(id: u64, name: &str) -> Handle {
        Handle { id, name: name.to_owned(), descriptor: None }
    }

    /// Number of the file, given by its `Disk`; unique among those it opened.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The name it was opened by.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The descriptor of a real file.
    pub fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        self.descriptor.as_ref().map(AsFd::as_fd)
    }

    /// The descriptor of a real file, for whoever takes it over.
    pub fn into_descriptor(self) -> Option<OwnedFd> {
        self.descriptor
    }

    /// The same open file once more, for another shard. Fails where the process has no descriptors left.
    pub fn share(&self) -> io::Result<Handle> {
        let descriptor = self.descriptor.as_ref().map(OwnedFd::try_clone).transpose()?;
        Ok(Handle { id: self.id, name: self.name.clone(), descriptor })
    }
}

/// What the disk refused: the operation, the file, the system's reason, and what to do.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation} {path}: {cause}{}", remedy(operation, cause))]
pub struct DiskError {
    /// What was tried, as in "cannot ...".
    pub operation: &'static str,
    /// The file or directory.
    pub path: String,
    /// The system's reason.
    pub cause: io::Error,
}

impl DiskError {
    /// `operation` failed on `path`.
    pub fn new(operation: &'static str, path: impl Into<String>, cause: impl Into<io::Error>) -> DiskError {
        DiskError { operation, path: path.into(), cause: cause.into() }
    }
}

/// What an operator can do, on a line of its own; nothing where we do not know.
fn remedy(operation: &str, cause: &io::Error) -> &'static str {
    use io::ErrorKind::{
        AlreadyExists, NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
    };
    match cause.kind() {
        StorageFull | QuotaExceeded => "\n  Free space there, or choose another place with --data-dir.",
        AlreadyExists | NotADirectory if operation.contains("directory") => {
            "\n  Something else has that name; choose another place with --data-dir."
        }
        PermissionDenied => {
            "\n  Let the server's user read and write there, choose another place with --data-dir, or keep nothing with --in-memory."
        }
        ReadOnlyFilesystem => {
            "\n  Make the file system writable, choose another place with --data-dir, or keep nothing with --in-memory."
        }
        _ if is_media_error(cause) => {
            "\n  The device fails; look at the kernel's log, and copy the directory to another device."
        }
        _ if operation == SYNC => "\n  What was written since the last sync may be lost.",
        _ => "",
    }
}

const SYNC: &str = "sync";

fn is_media_error(cause: &io::Error) -> bool {
    cause.raw_os_error() == Some(rustix::io::Errno::IO.raw_os_error())
}

/// Why a data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The disk refused.
    #[error(transparent)]
    Disk(#[from] DiskError),
    /// Another process has it.
    #[error(
        "the data directory {directory} is in use by process {process}, which holds {LOCK} in it\n  Stop that process, or choose another place with --data-dir."
    )]
    Locked {
        /// The directory.
        directory: String,
        /// What the lock file says: a process id, or "unknown".
        process: String,
    },
}

/// One directory of the file system.
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    directory: OwnedFd,
    /// Held as long as the value lives; none where we only look.
    lock: Option<OwnedFd>,
    handles: u64,
}

impl RealDisk {
    /// The directory at `path`, made if it is missing, for this process alone.
    pub fn open(path: &Path) -> Result<RealDisk, OpenError> {
        let shown = path.display().to_string();
        make_directories(path).map_err(|cause| DiskError::new("make the data directory", &shown, cause))?;
        let mut disk = RealDisk::look(path)?;
        disk.lock = Some(disk.locked(&shown)?);
        Ok(disk)
    }

    /// The directory at `path`, which must exist, without asking whether another process uses it: for reading.
    pub fn look(path: &Path) -> Result<RealDisk, DiskError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(path, flags, Mode::empty())
            .map_err(|cause| DiskError::new("open the data directory", path.display().to_string(), cause))?;
        Ok(RealDisk { path: path.to_owned(), directory, lock: None, handles: 0 })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the lock and writes our process id into the file, for the message that a second process gets.
    fn locked(&self, shown: &str) -> Result<OwnedFd, OpenError> {
        let flags = OFlags::RDWR | OFlags::CREATE;
        let file = self.open_file(LOCK, flags).map_err(|cause| self.error("open", LOCK, cause))?;
        let file = File::from(file);
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(OpenError::Locked { directory: shown.to_owned(), process: holder(&file) });
            }
            Err(cause) => return Err(self.error("lock", LOCK, cause).into()),
        }
        let text = format!("{}\n", std::process::id());
        let written = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
        written.map_err(|cause| self.error("write", LOCK, cause))?;
        Ok(file.into())
    }

    fn open_file(&self, name: &str, flags: OFlags) -> rustix::io::Result<OwnedFd> {
        // A link in the directory would let its author choose which file we overwrite.
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        rustix::io::retry_on_intr(|| {
            rustix::fs::openat(&self.directory, name, flags, Mode::RUSR | Mode::WUSR)
        })
    }

    fn handle(&mut self, name: &str, descriptor: OwnedFd) -> Handle {
        self.handles += 1;
        Handle { id: self.handles, name: name.to_owned(), descriptor: Some(descriptor) }
    }

    fn error(&self, operation: &'static str, name: &str, cause: impl Into<io::Error>) -> DiskError {
        DiskError::new(operation, self.path_of(name), cause)
    }
}

/// Makes the missing directories of `path` for this user alone, and their names durable.
fn make_directories(path: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    if path.is_dir() {
        return Ok(());
    }
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    make_directories(parent)?;
    match std::fs::DirBuilder::new().mode(0o700).create(path) {
        // Somebody else may have made it since we looked.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        made => made,
    }?;
    File::open(parent)?.sync_all()
}

/// What the lock file says about its holder.
fn holder(file: &File) -> String {
    let mut bytes = [0; 32];
    let length = file.read_at(&mut bytes, 0).unwrap_or(0);
    let text = String::from_utf8_lossy(&bytes[..length]);
    match text.trim().parse::<u32>() {
        Ok(process) => process.to_string(),
        Err(_) => "unknown".to_owned(),
    }
}

fn descriptor_of(file: &Handle) -> BorrowedFd<'_> {
    file.descriptor().expect("a real disk makes handles with descriptors")
}

impl Disk for RealDisk {
    fn create(&mut self, name: &str) -> Result<Handle, DiskError> {
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL;
        let descriptor = self.open_file(name, flags).map_err(|cause| self.error("create", name, cause))?;
        Ok(self.handle(name, descriptor))
    }

    fn open(&mut self, name: &str) -> Result<Handle, DiskError> {
        let descriptor =
            self.open_file(name, OFlags::RDWR).map_err(|cause| self.error("open", name, cause))?;
        Ok(self.handle(name, descriptor))
    }

    fn read(&mut self, name: &str) -> Result<Bytes, DiskError> {
        let read = || -> io::Result<Bytes> {
            let file = File::from(self.open_file(name, OFlags::RDONLY)?);
            let length = file.metadata()?.len();
            if length >= MAPPED_BYTES_MIN {
                return Ok(Bytes::Mapped(Mapping::of_file(&file)?));
            }
            let mut bytes = vec![0; length as usize];
            file.read_exact_at(&mut bytes, 0)?;
            Ok(Bytes::Owned(bytes))
        };
        read().map_err(|cause| self.error("read", name, cause))
    }

    fn length(&mut self, name: &str) -> Result<u64, DiskError> {
        let stat = rustix::fs::statat(&self.directory, name, AtFlags::SYMLINK_NOFOLLOW);
        stat.map(|stat| stat.st_size as u64).map_err(|cause| self.error("look at", name, cause))
    }

    fn write_at(&mut self, file: &Handle, bytes: &[u8], offset: u64) -> Result<(), DiskError> {
        let write = || -> io::Result<()> {
            let (mut rest, mut at) = (bytes, offset);
            while !rest.is_empty() {
                let written =
                    rustix::io::retry_on_intr(|| rustix::io::pwrite(descriptor_of(file), rest, at))?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                rest = &rest[written..];
                at += written as u64;
            }
            Ok(())
        };
        write().map_err(|cause| self.error("write", file.name(), cause))
    }

    fn allocate(&mut self, file: &Handle, length: u64) -> Result<(), DiskError> {
        use rustix::io::Errno;
        let descriptor = descriptor_of(file);
        let allocate = || -> io::Result<()> {
            let have = rustix::fs::fstat(descriptor)?.st_size as u64;
            if have >= length {
                return Ok(());
            }
            let mode = rustix::fs::FallocateFlags::empty();
            match rustix::io::retry_on_intr(|| rustix::fs::fallocate(descriptor, mode, have, length - have)) {
                // Not every file system can reserve; writing will find out then.
                Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(rustix::fs::ftruncate(descriptor, length)?),
                reserved => Ok(reserved?),
            }
        };
        allocate().map_err(|cause| self.error("reserve space in", file.name(), cause))
    }

    fn truncate(&mut self, file: &Handle, length: u64) -> Result<(), DiskError> {
        rustix::io::retry_on_intr(|| rustix::fs::ftruncate(descriptor_of(file), length))
            .map_err(|cause| self.error("cut", file.name(), cause))
    }

    fn sync(&mut self, file: &Handle) -> Result<(), DiskError> {
        // Not tried again after a failure: the second call would succeed without having written anything.
        rustix::fs::fsync(descriptor_of(file)).map_err(|cause| self.error(SYNC, file.name(), cause))
    }

    fn rename(&mut self, from: &str, to: &str) -> Result<(), DiskError> {
        rustix::fs::renameat(&self.directory, from, &self.directory, to)
            .map_err(|cause| self.error("replace", to, cause))
    }

    fn remove(&mut self, name: &str) -> Result<(), DiskError> {
        rustix::fs::unlinkat(&self.directory, name, AtFlags::empty())
            .map_err(|cause| self.error("remove", name, cause))
    }

    fn list(&mut self) -> Result<Vec<String>, DiskError> {
        let list = || -> io::Result<Vec<String>> {
            let mut names = Vec::new();
            for entry in rustix::fs::Dir::read_from(&self.directory)? {
                let entry = entry?;
                match entry.file_name().to_str() {
                    Ok(name) if name != "." && name != ".." => names.push(name.to_owned()),
                    _ => {}
                }
            }
            names.sort_unstable();
            Ok(names)
        };
        list().map_err(|cause| self.error("list", ROOT, cause))
    }

    fn create_directory(&mut self, name: &str) -> Result<(), DiskError> {
        rustix::fs::mkdirat(&self.directory, name, Mode::RWXU)
            .map_err(|cause| self.error("create the directory", name, cause))
    }

    fn sync_directory(&mut self, name: &str) -> Result<(), DiskError> {
        let sync = || -> io::Result<()> {
            if name == ROOT {
                return Ok(rustix::fs::fsync(&self.directory)?);
            }
            Ok(rustix::fs::fsync(self.open_file(name, OFlags::RDONLY | OFlags::DIRECTORY)?)?)
        };
        sync().map_err(|cause| self.error("sync the directory", name, cause))
    }

    fn path_of(&self, name: &str) -> String {
        if name == ROOT {
            self.path.display().to_string()
        } else {
            self.path.join(name).display().to_string()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A directory that is gone with the value.
    struct Temporary(PathBuf);

    impl Temporary {
        fn new(what: &str) -> Temporary {
            let path = std::env::temp_dir().join(format!("corevault-disk-{}-{what}", std::process::id()));
            Temporary(path)
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn files_are_what_was_written() {
        let directory = Temporary::new("files");
        let mut disk = RealDisk::open(&directory.0.join("deep/er")).expect("made");
        let file = disk.create("a").expect("new");
        assert_eq!(disk.create("a").expect_err("there").cause.kind(), io::ErrorKind::AlreadyExists);
        disk.write_at(&file, b"tail", 6).expect("room");
        disk.write_at(&file, b"head", 0).expect("room");
        assert_eq!(&disk.read("a").expect("there")[..], b"head\0\0tail");
        disk.allocate(&file, 5).expect("long enough");
        disk.truncate(&file, 5).expect("cut");
        disk.allocate(&file, 100_000).expect("room");
        disk.sync(&file).expect("synced");
        let bytes = disk.read("a").expect("there");
        assert!(matches!(bytes, Bytes::Mapped(_)));
        assert!(
            bytes.len() == 100_000
                && bytes.starts_with(b"head\0")
                && bytes[5..].iter().all(|&byte| byte == 0)
        );
        assert_eq!(disk.length("a").expect("there"), 100_000);
        let other = file.share().expect("descriptors left");
        assert_eq!((other.id(), other.name(), other.descriptor().is_some()), (file.id(), "a", true));
        assert_ne!(disk.open("a").expect("there").id(), file.id());
    }

    #[test]
    fn names_come_and_go() {
        let directory = Temporary::new("names");
        let mut disk = RealDisk::open(&directory.0).expect("made");
        for name in ["b", "a"] {
            disk.create(name).expect("new");
        }
        assert_eq!(disk.list().expect("readable"), ["LOCK", "a", "b"]);
        disk.create_directory("aside").expect("new");
        disk.rename("a", "aside/a").expect("moved");
        disk.rename("b", "c").expect("moved");
        disk.sync_directory("aside").expect("synced");
        disk.sync_directory(ROOT).expect("synced");
        assert_eq!(disk.list().expect("readable"), ["LOCK", "aside", "c"]);
        assert_eq!(disk.read("aside/a").expect("there").len(), 0);
        disk.remove("c").expect("there");
        assert_eq!(disk.remove("c").expect_err("gone").cause.kind(), io::ErrorKind::NotFound);
        let error = disk.read("c").err().expect("gone").to_string();
        assert!(error.starts_with("cannot read ") && error.contains("/c: "), "{error}");
    }

    #[test]
    fn a_second_process_is_told_who_has_the_directory() {
        let directory = Temporary::new("lock");
        let disk = RealDisk::open(&directory.0).expect("made");
        let error = RealDisk::open(&directory.0).expect_err("in use").to_string();
        let holder = format!("in use by process {}", std::process::id());
        assert!(error.contains(&holder) && error.contains(&*directory.0.to_string_lossy()), "{error}");
        RealDisk::look(&directory.0).expect("looking needs no lock");
        drop(disk);
        RealDisk::open(&directory.0).expect("free again");
    }

    #[test]
    fn a_link_is_not_followed() {
        let directory = Temporary::new("link");
        let mut disk = RealDisk::open(&directory.0).expect("made");
        std::os::unix::fs::symlink("/dev/null", directory.0.join("MANIFEST")).expect("linked");
        assert!(disk.read("MANIFEST").is_err() && disk.open("MANIFEST").is_err());
    }

    #[test]
    fn errors_say_what_to_do() {
        use rustix::io::Errno;
        let text = |cause: Errno| DiskError::new("write", "/data/a", cause).to_string();
        for (cause, remedy) in [
            (Errno::NOSPC, "Free space"),
            (Errno::ACCESS, "--in-memory"),
            (Errno::ROFS, "Make the file system writable"),
            (Errno::IO, "The device fails"),
        ] {
            let text = text(cause);
            assert!(text.starts_with("cannot write /data/a: ") && text.contains(remedy), "{text}");
        }
        let sync = DiskError::new(SYNC, "/data/a", Errno::INVAL).to_string();
        assert!(sync.ends_with("may be lost."), "{sync}");
        let directory = Temporary::new("file");
        std::fs::write(&directory.0, "a file").expect("written");
        let error = RealDisk::open(&directory.0).expect_err("no directory").to_string();
        assert!(error.starts_with("cannot "), "{error}");
        std::fs::remove_file(&directory.0).expect("removed");
    }
}
