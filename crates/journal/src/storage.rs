//! What the journal needs of a folder of files.

use std::io;

/// A folder of numbered segment files.
///
/// The shell implements it over real files, `powercut` over memory. Every call blocks until it is done; what
/// was appended is on disk only after [`Storage::sync`], and a created or removed file only after
/// [`Storage::sync_dir`].
pub trait Storage {
    /// Numbers of the segments that exist, in any order. Files with other names are not the journal's and not listed.
    ///
    /// # Errors
    /// What the system says.
    fn list(&self) -> io::Result<Vec<u64>>;

    /// Length of a segment, bytes.
    ///
    /// # Errors
    /// What the system says.
    fn len(&self, segment: u64) -> io::Result<u64>;

    /// Reads from `offset` into `buf` and says how many bytes came; fewer than asked only at the end of the segment.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, segment: u64, offset: u64, buf: &mut [u8]) -> io::Result<usize>;

    /// Creates an empty segment. One that exists (its creation was cut short) is emptied.
    ///
    /// # Errors
    /// What the system says.
    fn create(&mut self, segment: u64) -> io::Result<()>;

    /// Appends all of `bytes` to a segment. After an error any part of them may be there.
    ///
    /// # Errors
    /// What the system says.
    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()>;

    /// Cuts a segment to `len` bytes.
    ///
    /// # Errors
    /// What the system says.
    fn truncate(&mut self, segment: u64, len: u64) -> io::Result<()>;

    /// Waits until everything in a segment is on disk. After an error nothing that was not synced before may be
    /// trusted, and trying again proves nothing.
    ///
    /// # Errors
    /// What the system says.
    fn sync(&mut self, segment: u64) -> io::Result<()>;

    /// Waits until creations and removals are on disk.
    ///
    /// # Errors
    /// What the system says.
    fn sync_dir(&mut self) -> io::Result<()>;

    /// Removes a segment.
    ///
    /// # Errors
    /// What the system says.
    fn remove(&mut self, segment: u64) -> io::Result<()>;
}
