//! `condor_transfer_data`: what a spooled job has left in the spool is copied to its places (decision D18).
//!
//! Each file is whole or not there, and on disk before anybody hears of it: the originals stay until then, so that a
//! failure, a crash or a second request finds them, and go with the job.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use wq_core::io::SpooledOutputs;

use super::deliver::{Failure, Standing, at, is_null_device, list, stands, sync_folder};
use super::leftovers::{PREFIX, SUFFIX};
use super::part::is_real_dir;
use super::registry::Outputs;
use super::trouble::errno;

impl Outputs {
    /// Copies the outputs of one job.
    ///
    /// # Errors
    /// The path that could not be written or read, and why.
    pub(crate) fn fetch(&self, spooled: &SpooledOutputs) -> Result<(), String> {
        let failed = |(path, error): Failure| format!("{}: {}", path.display(), errno(&error).desc());
        self.fetch_all(spooled).map_err(failed)
    }

    fn fetch_all(&self, spooled: &SpooledOutputs) -> Result<(), Failure> {
        let folder = Path::new(&spooled.folder);
        // A job that never ran has none.
        if !folder.exists() {
            return Ok(());
        }
        for name in list(folder)? {
            let Some(text) = name.to_str() else { return Err((folder.join(name), Errno::EILSEQ.into())) };
            // An output that is still arriving is none yet.
            if text.starts_with(PREFIX) && text.ends_with(SUFFIX) {
                continue;
            }
            let place = spooled.places.iter().find(|(known, _)| known == text);
            match place {
                Some((_, path)) => self.copy(&folder.join(text), Path::new(path))?,
                None => self.copy(&folder.join(text), &Path::new(&spooled.iwd).join(text))?,
            }
        }
        Ok(())
    }

    fn copy(&self, from: &Path, target: &Path) -> Result<(), Failure> {
        if is_null_device(target) {
            return Ok(());
        }
        let is_folder = is_real_dir(from);
        let standing = stands(target, is_folder).map_err(at(target))?;
        if !is_folder {
            return self.copy_file(from, target);
        }
        if standing == Standing::Nothing {
            std::fs::create_dir(target).map_err(at(target))?;
        }
        list(from)?.iter().try_for_each(|name| self.copy(&from.join(name), &target.join(name)))
    }

    fn copy_file(&self, from: &Path, target: &Path) -> Result<(), Failure> {
        let temp = self.temp_beside(target);
        let copied = copy_to(from, &temp).and_then(|()| std::fs::rename(&temp, target));
        if copied.is_err() {
            // It may not even have been made.
            let _ = std::fs::remove_file(&temp);
        }
        self.temp_is_gone();
        copied.and_then(|()| sync_folder(target)).map_err(at(target))
    }
}

fn copy_to(from: &Path, temp: &Path) -> io::Result<()> {
    let mut source = File::open(from)?;
    let mut copy = OpenOptions::new().write(true).create_new(true).mode(0o600).open(temp)?;
    io::copy(&mut source, &mut copy)?;
    copy.set_permissions(source.metadata()?.permissions())?;
    copy.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::path::PathBuf;

    use wq_core::ids::JobId;

    use super::*;
    use crate::outputs::Words;

    struct Bench(tempfile::TempDir, Outputs);

    impl Bench {
        fn new() -> Bench {
            let dir = tempfile::tempdir().unwrap();
            let list = dir.path().join("unfinished");
            let outputs = Outputs::new(Words::new("submit"), "test".into(), &list, false).unwrap();
            std::fs::create_dir(dir.path().join("home")).unwrap();
            Bench(dir, outputs)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn write(&self, name: &str, text: &str) {
            std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
            std::fs::write(self.path(name), text).unwrap();
        }

        fn read(&self, name: &str) -> String {
            std::fs::read_to_string(self.path(name)).unwrap()
        }

        fn fetch(&self, places: &[(&str, &str)]) -> Result<(), String> {
            let text = |name: &str| self.path(name).to_str().unwrap().to_owned();
            self.1.fetch(&SpooledOutputs {
                job: JobId::new(1, 0),
                folder: text("1.0"),
                iwd: text("home"),
                places: places.iter().map(|(name, path)| ((*name).to_owned(), text(path))).collect(),
            })
        }
    }

    #[test]
    fn outputs_are_copied_to_their_places_and_can_be_fetched_again() {
        let bench = Bench::new();
        assert_eq!(bench.fetch(&[]), Ok(()));
        bench.write("1.0/_condor_stdout", "said");
        bench.write("1.0/result", "one");
        bench.write("1.0/tree/deep/leaf", "two");
        bench.write("1.0/.awq-x-1-0.tmp", "half");
        std::fs::set_permissions(bench.path("1.0/result"), PermissionsExt::from_mode(0o640)).unwrap();
        bench.write("home/tree/old", "stays");
        bench.write("home/elsewhere", "a link leads here");
        symlink("elsewhere", bench.path("home/result")).unwrap();
        std::fs::create_dir(bench.path("logs")).unwrap();
        for _ in 0..2 {
            assert_eq!(bench.fetch(&[("_condor_stdout", "logs/out")]), Ok(()));
            assert_eq!((bench.read("logs/out"), bench.read("home/result")), ("said".into(), "one".into()));
            assert_eq!(
                (bench.read("home/tree/deep/leaf"), bench.read("home/tree/old")),
                ("two".into(), "stays".into())
            );
            std::fs::remove_file(bench.path("home/result")).unwrap();
        }
        assert_eq!(bench.read("home/elsewhere"), "a link leads here");
        let mode = std::fs::metadata(bench.path("1.0/result")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o640);
        let mut names = list(&bench.path("home")).unwrap();
        names.retain(|name| name != "tree");
        assert_eq!(names, ["elsewhere"], "no temporary file is left");
    }

    #[test]
    fn what_cannot_be_put_in_place_is_named() {
        let bench = Bench::new();
        bench.write("1.0/a", "x");
        let gone = bench.fetch(&[("a", "nowhere/a")]).unwrap_err();
        assert_eq!(gone, format!("{}: No such file or directory", bench.path("nowhere/a").display()));
        std::fs::create_dir(bench.path("home/a")).unwrap();
        assert!(bench.fetch(&[]).unwrap_err().ends_with("home/a: Is a directory"));
        assert_eq!(bench.read("1.0/a"), "x");
    }
}
