//! A file mapped into memory to be read. Owns the mapping; never writes, and never looks at what the bytes mean.
//!
//! Whoever maps a file sees to it that nobody changes or shortens it meanwhile: bytes that another process takes away end this one with
//! SIGBUS. The data directory is locked, and a file in it is not written again once it may be mapped.

use std::ffi::c_void;
use std::fs::File;
use std::io;
use std::ops::{Deref, Range};
use std::ptr::{self, NonNull};
use std::slice;

use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap, munmap};
use rustix::param::page_size;

/// The bytes of a file, as they were when it was mapped.
pub struct Mapping {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is read only, so any thread may read it, and any may end it.
unsafe impl Send for Mapping {}
// SAFETY: as above.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps the whole of `file`, which may be closed afterwards. An empty file gives no bytes.
    pub fn of_file(file: &File) -> io::Result<Mapping> {
        let length = usize::try_from(file.metadata()?.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
        if length == 0 {
            return Ok(Mapping { start: NonNull::dangling(), length });
        }
        // SAFETY: the kernel chooses the address, so nothing that is mapped already is replaced.
        let start = unsafe { mmap(ptr::null_mut(), length, ProtFlags::READ, MapFlags::SHARED, file, 0) }?;
        Ok(Mapping { start: NonNull::new(start.cast()).expect("the kernel maps nothing at 0"), length })
    }

    /// Asks the kernel to begin to read these bytes.
    pub fn prefetch(&self, range: Range<usize>) {
        self.advise(range, Advice::WillNeed);
    }

    /// Lets go of the memory that these bytes take in this process. They can be read again, from the kernel's cache or from the file.
    pub fn release(&self, range: Range<usize>) {
        self.advise(range, Advice::LinuxDontNeed);
    }

    /// Advice on the pages that lie in `range` wholly, or, before they are needed, in part. It is advice: that it fails changes nothing.
    fn advise(&self, range: Range<usize>, advice: Advice) {
        let page = page_size();
        let end = range.end.min(self.length);
        let (start, end) = match advice {
            Advice::LinuxDontNeed => (range.start.next_multiple_of(page), end - end % page),
            _ => (range.start - range.start % page, end),
        };
        if start < end {
            let at = self.start.as_ptr().wrapping_add(start).cast::<c_void>();
            // SAFETY: the pages are inside the mapping, and none of the two kinds of advice changes what is read from a shared mapping.
            let _ = unsafe { madvise(at, end - start, advice) };
        }
    }
}

impl Deref for Mapping {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        // SAFETY: the mapping has this length, lives as long as `self`, and is not written (see above). Where the length is 0, any
        // aligned address will do.
        unsafe { slice::from_raw_parts(self.start.as_ptr(), self.length) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.length > 0 {
            // SAFETY: `of_file` mapped exactly this, and no borrow of it outlives `self`.
            let _ = unsafe { munmap(self.start.as_ptr().cast(), self.length) };
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn mapping_of(bytes: &[u8]) -> Mapping {
        let name = format!("corevault-mapping-{}-{}", std::process::id(), bytes.len());
        let path = std::env::temp_dir().join(name);
        let mut file = File::options().create(true).truncate(true).read(true).write(true).open(&path);
        let file = file.as_mut().expect("a temporary file");
        file.write_all(bytes).expect("room for it");
        std::fs::remove_file(&path).expect("it is there");
        Mapping::of_file(file).expect("a mapping")
    }

    #[test]
    fn shows_the_file_after_it_was_closed_and_let_go() {
        let bytes: Vec<u8> = (0..40_000u32).flat_map(u32::to_le_bytes).collect();
        let mapping = mapping_of(&bytes);
        assert!(mapping[..] == bytes);
        for range in [0..bytes.len(), 1..usize::MAX, 5000..5001, 70_000..90_000, 500_000..500_001] {
            mapping.release(range.clone());
            mapping.prefetch(range);
            assert!(mapping[..] == bytes);
        }
        let elsewhere = std::thread::spawn(move || mapping.len());
        assert_eq!(elsewhere.join().expect("the thread ends"), bytes.len());
    }

    #[test]
    fn an_empty_file_has_no_bytes() {
        let mapping = mapping_of(b"");
        assert!(mapping.is_empty());
        mapping.prefetch(0..1);
        mapping.release(0..1);
    }
}
