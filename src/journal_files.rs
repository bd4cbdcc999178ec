//! The journal's segments as files of the state dir.

use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use journal::{Storage, segment_name, segment_number};

/// A folder of segments, readable by nobody else.
#[derive(Debug)]
pub(crate) struct FileStorage {
    folder: PathBuf,
    /// The segment that grows.
    writing: Option<(u64, File)>,
    /// The segment that was read last.
    reading: RefCell<Option<(u64, File)>>,
}

impl FileStorage {
    /// Over a folder that exists.
    pub(crate) fn new(folder: &Path) -> FileStorage {
        FileStorage { folder: folder.to_owned(), writing: None, reading: RefCell::new(None) }
    }

    fn path(&self, segment: u64) -> PathBuf {
        self.folder.join(segment_name(segment))
    }

    fn writing(&mut self, segment: u64) -> io::Result<&mut File> {
        if self.writing.as_ref().is_none_or(|(number, _)| *number != segment) {
            let file = OpenOptions::new().append(true).open(self.path(segment))?;
            self.writing = Some((segment, file));
        }
        Ok(self.writing.as_mut().map(|(_, file)| file).expect("opened above"))
    }
}

impl Storage for FileStorage {
    fn list(&self) -> io::Result<Vec<u64>> {
        let mut all = Vec::new();
        for entry in std::fs::read_dir(&self.folder)? {
            all.extend(entry?.file_name().to_str().and_then(segment_number));
        }
        Ok(all)
    }

    fn len(&self, segment: u64) -> io::Result<u64> {
        Ok(std::fs::metadata(self.path(segment))?.len())
    }

    fn read_at(&self, segment: u64, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let mut reading = self.reading.borrow_mut();
        if reading.as_ref().is_none_or(|(number, _)| *number != segment) {
            *reading = Some((segment, File::open(self.path(segment))?));
        }
        let (_, file) = reading.as_ref().expect("opened above");
        let mut filled = 0;
        while filled < buf.len() {
            match file.read_at(&mut buf[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn create(&mut self, segment: u64) -> io::Result<()> {
        let file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(self.path(segment))?;
        drop(file);
        self.writing = None;
        Ok(())
    }

    fn append(&mut self, segment: u64, bytes: &[u8]) -> io::Result<()> {
        self.writing(segment)?.write_all(bytes)
    }

    fn truncate(&mut self, segment: u64, len: u64) -> io::Result<()> {
        self.writing(segment)?.set_len(len)
    }

    fn sync(&mut self, segment: u64) -> io::Result<()> {
        self.writing(segment)?.sync_data()
    }

    fn sync_dir(&mut self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }

    fn remove(&mut self, segment: u64) -> io::Result<()> {
        if self.writing.as_ref().is_some_and(|(number, _)| *number == segment) {
            self.writing = None;
        }
        std::fs::remove_file(self.path(segment))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn segments_are_private_files() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = FileStorage::new(dir.path());
        std::fs::write(dir.path().join("notes.txt"), "foreign").unwrap();
        files.create(3).unwrap();
        files.append(3, b"hello ").unwrap();
        files.append(3, b"world").unwrap();
        files.truncate(3, 7).unwrap();
        files.append(3, b"!").unwrap();
        files.sync(3).unwrap();
        files.sync_dir().unwrap();
        assert_eq!((files.list().unwrap(), files.len(3).unwrap()), (vec![3], 8));
        let mut buf = [0; 10];
        assert_eq!(files.read_at(3, 6, &mut buf).unwrap(), 2);
        assert_eq!(&buf[..2], b"w!");
        let mode = std::fs::metadata(files.path(3)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        files.remove(3).unwrap();
        assert!(files.list().unwrap().is_empty());
    }
}
