//! The bytes of one file: hashed, and copied with their holes.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;

use rustix::fs::{Advice, SeekFrom, fadvise, ioctl_ficlone, seek};
use rustix::io::Errno;

use crate::{DataError, Watch};

const CHUNK: usize = 256 * 1024;
static ZEROS: [u8; CHUNK] = [0; CHUNK];

/// Why contents could not be transferred: an error of the file, or the watcher's.
pub(crate) enum Failed {
    Read(io::Error),
    Write(io::Error),
    Watch(DataError),
}

/// Whether the whole of a file may be shared with its copy.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cloning {
    Untried,
    Impossible,
}

/// Reads files, and copies them on the way. Keeps a buffer, and what it has learnt about the filesystems.
pub(crate) struct Transfer<'a> {
    buffer: Vec<u8>,
    cloning: Cloning,
    watch: &'a dyn Watch,
}

impl<'a> Transfer<'a> {
    pub(crate) fn new(watch: &'a dyn Watch) -> Self {
        Self {
            buffer: vec![0; CHUNK],
            cloning: Cloning::Untried,
            watch,
        }
    }

    /// The digest of `size` bytes of `source`.
    pub(crate) fn hash(&mut self, source: &File, size: u64) -> Result<blake3::Hash, Failed> {
        self.run(source, size, None)
    }

    /// The same, from the disk rather than from memory as far as the system can be asked to.
    pub(crate) fn hash_from_disk(
        &mut self,
        source: &File,
        size: u64,
    ) -> Result<blake3::Hash, Failed> {
        // Advice only: a filesystem that cannot do it is read as it is.
        let _ = fadvise(source, 0, None, Advice::DontNeed);
        self.run(source, size, None)
    }

    /// Makes `target`, an empty file, a copy of `source`, and gives the digest of what was read.
    ///
    /// The contents are read even where they can be shared, because the manifest needs their digest. That is also why
    /// there is no `copy_file_range`: it would read everything twice.
    pub(crate) fn copy(
        &mut self,
        source: &File,
        size: u64,
        target: &File,
    ) -> Result<blake3::Hash, Failed> {
        if self.cloning == Cloning::Untried {
            match ioctl_ficlone(target, source) {
                Ok(()) => return self.run(source, size, None),
                Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::IO)) => {
                    return Err(Failed::Write(error.into()));
                }
                Err(_) => self.cloning = Cloning::Impossible,
            }
        }
        target.set_len(size).map_err(Failed::Write)?;
        self.run(source, size, Some(target))
    }

    fn run(
        &mut self,
        source: &File,
        size: u64,
        target: Option<&File>,
    ) -> Result<blake3::Hash, Failed> {
        let mut hasher = blake3::Hasher::new();
        let mut at = 0;
        while at < size {
            let data = next(source, SeekFrom::Data(at), at, size)?;
            self.zeros(&mut hasher, data - at)?;
            at = data;
            if at < size {
                let hole = next(source, SeekFrom::Hole(at), size, size)?;
                self.data(&mut hasher, source, at..hole, target)?;
                at = hole;
            }
        }
        Ok(hasher.finalize())
    }

    fn zeros(&self, hasher: &mut blake3::Hasher, mut length: u64) -> Result<(), Failed> {
        while length > 0 {
            let part = step(length);
            hasher.update(&ZEROS[..part]);
            length -= part as u64;
            self.watch.advanced(part as u64).map_err(Failed::Watch)?;
        }
        Ok(())
    }

    fn data(
        &mut self,
        hasher: &mut blake3::Hasher,
        source: &File,
        mut range: std::ops::Range<u64>,
        target: Option<&File>,
    ) -> Result<(), Failed> {
        while !range.is_empty() {
            let part = &mut self.buffer[..step(range.end - range.start)];
            source
                .read_exact_at(part, range.start)
                .map_err(Failed::Read)?;
            hasher.update(part);
            if let Some(target) = target {
                target
                    .write_all_at(part, range.start)
                    .map_err(Failed::Write)?;
            }
            range.start += part.len() as u64;
            self.watch
                .advanced(part.len() as u64)
                .map_err(Failed::Watch)?;
        }
        Ok(())
    }
}

fn step(length: u64) -> usize {
    usize::try_from(length).unwrap_or(CHUNK).min(CHUNK)
}

/// Where the next data or hole begins; `otherwise` where the filesystem cannot tell.
fn next(file: &File, wanted: SeekFrom, otherwise: u64, size: u64) -> Result<u64, Failed> {
    match seek(file, wanted) {
        Ok(found) => Ok(found.min(size)),
        Err(Errno::NXIO) => Ok(size),
        Err(Errno::INVAL | Errno::NOTSUP) => Ok(otherwise),
        Err(error) => Err(Failed::Read(error.into())),
    }
}
