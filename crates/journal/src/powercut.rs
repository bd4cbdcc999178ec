//! A storage in memory whose power can fail: for tests and simulation.
//!
//! It keeps what was synced apart from what was only written. [`Disk::cut`] forgets the latter as a real disk may:
//! each unsynced 512-byte sector is, by the seed, kept, zeroed, filled with garbage or torn in the middle; the file may
//! have any length between the synced and the written one; each creation and removal since the last directory sync
//! happened or not. [`Disk::power_off_after`] stops everything at a chosen operation, [`Disk::set_capacity`] makes the
//! disk fill up in the middle of a write, [`Disk::set_append_fails`] and [`Disk::set_sync_fails`] are what a broken one does.
//! [`Disk::newly_durable`] tells which records no power cut can take any more.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use crate::frame::{self, HEADER_LEN, Head, KIND_GAP, KIND_SYNC_MARK};
use crate::record::Record;
use crate::segment::{SEGMENT_HEADER_LEN, SegmentHeader};
use crate::storage::Storage;

const SECTOR: usize = 512;

/// A small seeded generator (SplitMix64), enough for choosing damage.
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// A generator whose numbers depend on the seed alone.
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    /// The next number.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `limit`, which is at least 1.
    pub fn below(&mut self, limit: u64) -> u64 {
        self.roll() % limit
    }
}

#[derive(Debug, Clone, Default)]
struct Inode {
    synced: Vec<u8>,
    written: Vec<u8>,
}

/// A disk with one folder of segments.
#[derive(Debug, Clone, Default)]
pub struct Disk {
    inodes: Vec<Inode>,
    folder: BTreeMap<u64, usize>,
    synced_folder: BTreeMap<u64, usize>,
    operations_left: Option<u64>,
    capacity: Option<u64>,
    sync_fails: bool,
    append_fails: bool,
    sync_lies: bool,
    /// How far [`Disk::newly_durable`] has come in each segment.
    told: BTreeMap<u64, usize>,
}

impl Disk {
    /// An empty disk.
    pub fn new() -> Disk {
        Disk::default()
    }

    /// Lets so many changing operations happen; all later ones fail. The last one fails half done.
    pub fn power_off_after(&mut self, operations: u64) {
        self.operations_left = Some(operations);
    }

    /// Limits the bytes in all files together; `None`: no limit.
    pub fn set_capacity(&mut self, bytes: Option<u64>) {
        self.capacity = bytes;
    }

    /// Makes all syncs fail from now on, or no longer.
    pub fn set_sync_fails(&mut self, fails: bool) {
        self.sync_fails = fails;
    }

    /// Makes all syncs say that they have worked, and do nothing, from now on, or no longer.
    pub fn set_sync_lies(&mut self, lies: bool) {
        self.sync_lies = lies;
    }

    /// Makes all appends fail half done from now on, or no longer.
    pub fn set_append_fails(&mut self, fails: bool) {
        self.append_fails = fails;
    }

    /// The records that became durable since the last call, oldest first: synced, in a file whose name is synced.
    pub fn newly_durable(&mut self) -> Vec<Record> {
        let mut records = Vec::new();
        for (segment, inode) in &self.synced_folder {
            let bytes = &self.inodes[*inode].synced;
            let at = self.told.entry(*segment).or_insert(SEGMENT_HEADER_LEN);
            let Ok(header) = SegmentHeader::parse(&bytes[..bytes.len().min(SEGMENT_HEADER_LEN)]) else { continue };
            while let Some(head) = bytes.get(*at..).and_then(|rest| rest.first_chunk::<HEADER_LEN>())
                && let Some(head) = Head::parse(head, header.salt())
                && let Some(payload) = bytes.get(*at + HEADER_LEN..*at + HEADER_LEN + head.len as usize)
                && crc32c::crc32c(payload) == head.payload_crc
            {
                *at += HEADER_LEN + payload.len();
                if !matches!(head.kind, KIND_SYNC_MARK | KIND_GAP) {
                    records.extend(frame::decode(head.kind, head.version, payload));
                }
            }
        }
        records
    }

    /// The power fails and comes back.
    pub fn cut(&mut self, seed: u64) {
        let mut dice = Dice::new(seed);
        let names: BTreeSet<u64> = self.folder.keys().chain(self.synced_folder.keys()).copied().collect();
        let mut folder = BTreeMap::new();
        for name in names {
            let (new, old) = (self.folder.get(&name), self.synced_folder.get(&name));
            let survivor = if dice.below(2) == 0 { new } else { old };
            folder.extend(survivor.map(|inode| (name, *inode)));
        }
        self.folder = folder;
        for inode in &mut self.inodes {
            inode.written = after_cut(inode, &mut dice);
            inode.synced = inode.written.clone();
        }
        self.synced_folder = self.folder.clone();
        self.operations_left = None;
    }

    /// The process dies, the machine does not: what was written is there, though not synced.
    pub fn crash(&mut self) {
        self.operations_left = None;
    }

    /// The content of a segment, for looking.
    pub fn content(&self, segment: u64) -> Option<&[u8]> {
        Some(&self.inodes[*self.folder.get(&segment)?].written)
    }

    /// Replaces the content of a segment, for damaging it; it counts as synced. Creates it if need be.
    pub fn set_content(&mut self, segment: u64, content: Vec<u8>) {
        self.inodes.push(Inode { synced: content.clone(), written: content });
        self.folder.insert(segment, self.inodes.len() - 1);
        self.synced_folder.insert(segment, self.inodes.len() - 1);
    }

    /// Bytes in all segments.
    pub fn size(&self) -> u64 {
        self.folder.values().map(|inode| self.inodes[*inode].written.len() as u64).sum()
    }

    fn inode(&self, segment: u64) -> io::Result<usize> {
        self.folder.get(&segment).copied().ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }

    /// Counts an operation; `Err(true)` if it is the one that fails half done.
    fn operate(&mut self) -> Result<(), bool> {
        match &mut self.operations_left {
            None => Ok(()),
            Some(0) => Err(false),
            Some(left) => {
                *left -= 1;
                if *left == 0 { Err(true) } else { Ok(()) }
            }
        }
    }

    fn power(&mut self) -> io::Result<()> {
        self.operate().map_err(|_| power_is_off())
    }
}

fn power_is_off() -> io::Error {
    io::Error::other("the power is off")
}

/// What is left of a file's content.
fn after_cut(inode: &Inode, dice: &mut Dice) -> Vec<u8> {
    let (synced, written) = (&inode.synced, &inode.written);
    if !written.starts_with(synced) {
        // Cut shorter, or emptied, without a sync: the old length or the new.
        return if dice.below(2) == 0 { synced.clone() } else { written.clone() };
    }
    let grown = (written.len() - synced.len()) as u64;
    let kept = match dice.below(4) {
        0 => 0,
        1 => grown,
        _ => dice.below(grown + 1),
    };
    let mut content = written[..synced.len() + kept as usize].to_vec();
    let whole_tail_kept = dice.below(3) == 0;
    let mut at = synced.len();
    while at < content.len() && !whole_tail_kept {
        let end = ((at / SECTOR + 1) * SECTOR).min(content.len());
        let sector = &mut content[at..end];
        let from = dice.below(sector.len() as u64 + 1) as usize;
        match dice.below(6) {
            0 => sector.fill(0),
            1 => sector.iter_mut().for_each(|byte| *byte = dice.roll() as u8),
            2 => sector[from..].fill(0),
            3 => sector[..from].fill(0),
            _ => {}
        }
        at = end;
    }
    content
}

impl Storage for Disk {
    fn list(&self) -> io::Result<Vec<u64>> {
        Ok(self.folder.keys().copied().collect())
    }

    fn len(&self, segment: u64) -> io::Result<u64> {
        Ok(self.inodes[self.inode(segment)?].written.len() as u64)
    }

    fn read_at(&self, segment: u64, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let content = &self.inodes[self.inode(segment)?].written;
        let from = usize::try_from(offset).unwrap_or(usize::MAX).min(content.len());
        let count = buf.len().min(content.len() - from);
        buf[..count].copy_from_slice(&content[from..from + count]);
        Ok(count)
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        self.power()?;
        self.told.remove(&segment);
        match self.folder.get(&segment) {
            Some(inode) => self.inodes[*inode].written.clear(),
            None => {
                self.inodes.push(Inode::default());
                self.folder.insert(segment, self.inodes.len() - 1);
            }
        }
        Ok(())
    }

    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        let inode = self.inode(segment)?;
        match self.operate() {
            Ok(()) => {}
            Err(half) => {
                let done = if half { bytes.len() / 2 } else { 0 };
                self.inodes[inode].written.extend_from_slice(&bytes[..done]);
                return Err(power_is_off());
            }
        }
        if self.append_fails {
            self.inodes[inode].written.extend_from_slice(&bytes[..bytes.len() / 2]);
            return Err(io::Error::other("input/output error"));
        }
        let room = self.capacity.map_or(u64::MAX, |capacity| capacity.saturating_sub(self.size()));
        let fitting = bytes.len().min(usize::try_from(room).unwrap_or(usize::MAX));
        self.inodes[inode].written.extend_from_slice(&bytes[..fitting]);
        if fitting < bytes.len() {
            return Err(io::Error::from(io::ErrorKind::StorageFull));
        }
        Ok(())
    }

    fn truncate(&mut self, segment: u64, len: u64) -> io::Result<()> {
        let inode = self.inode(segment)?;
        self.power()?;
        self.inodes[inode].written.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        let inode = self.inode(segment)?;
        self.power()?;
        if self.sync_fails {
            return Err(io::Error::other("input/output error"));
        }
        if !self.sync_lies {
            self.inodes[inode].synced = self.inodes[inode].written.clone();
        }
        Ok(())
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        self.power()?;
        if self.sync_fails {
            return Err(io::Error::other("input/output error"));
        }
        self.synced_folder = self.folder.clone();
        Ok(())
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        self.power()?;
        self.folder.remove(&segment).map(|_| ()).ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))
    }
}
