//! Reading a tree into entries.

use std::fs::File;
use std::path::Path;

use rustix::fs::OFlags;

use crate::attributes::Attributes;
use crate::contents::{Failed, Transfer};
use crate::entry::{Describe, Entry};
use crate::walk::{Node, Visit, open_quietly, walk};
use crate::{DataError, Watch};

/// Where contents are read from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    /// From memory if they are there.
    Anywhere,
    /// From the disk, as far as the system can be asked to: to find out what a copy is really worth.
    Disk,
}

/// What a tree holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Totals {
    pub(crate) entries: u64,
    pub(crate) bytes: u64,
}

/// Gives `sink` every entry of the tree, in walking order.
pub(crate) fn read(
    root: &Path,
    from: From,
    watch: &dyn Watch,
    sink: &mut dyn FnMut(Entry) -> Result<(), DataError>,
) -> Result<Totals, DataError> {
    let mut reader = Reader {
        describe: Describe::default(),
        transfer: Transfer::new(watch),
        from,
        sink,
    };
    walk(root, &mut reader)?;
    Ok(Totals {
        entries: reader.describe.entries,
        bytes: reader.describe.bytes,
    })
}

struct Reader<'a> {
    describe: Describe,
    transfer: Transfer<'a>,
    from: From,
    sink: &'a mut dyn FnMut(Entry) -> Result<(), DataError>,
}

impl Visit for Reader<'_> {
    fn enter(&mut self, node: &Node<'_>) -> Result<(), DataError> {
        self.leaf(node)
    }

    fn leaf(&mut self, node: &Node<'_>) -> Result<(), DataError> {
        let Self {
            describe,
            transfer,
            from,
            sink,
        } = self;
        let entry = describe.entry(node, &Attributes::read(node)?, &mut || {
            let file = open_file(node)?;
            let digest = match from {
                From::Anywhere => transfer.hash(&file, node.status.size),
                From::Disk => transfer.hash_from_disk(&file, node.status.size),
            };
            digest.map_err(|failed| explain(failed, node))
        })?;
        sink(entry)
    }

    fn leave(&mut self) -> Result<(), DataError> {
        Ok(())
    }
}

pub(crate) fn open_file(node: &Node<'_>) -> Result<File, DataError> {
    open_quietly(node.dir, node.name, OFlags::RDONLY)
        .map(File::from)
        .map_err(|errno| node.error("open", errno))
}

pub(crate) fn explain(failed: Failed, node: &Node<'_>) -> DataError {
    match failed {
        Failed::Read(source) => node.error("read", source),
        Failed::Write(source) => node.error("write a copy of", source),
        Failed::Watch(error) => error,
    }
}
