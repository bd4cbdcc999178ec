//! What an attempt needs, looked up when it starts (decisions D18, D28, D35): inputs flattened to regular files, folders
//! of outputs checked; for a spooled job the copies that it takes along, and its folder. Blocks; runs in the pool.

use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::unistd::{AccessFlags, faccessat};
use wq_core::io::{Plan, PlannedCopy, PlannedInput, Prepared, PreparedFile, Source, Trouble};
use wq_core::run::KEPT_ABOVE;

use crate::contents::{Contents, Found, Identity};
use crate::outputs::{Words, errno};

/// Folders below a folder that is sent.
const DEPTH_MAX: usize = 64;

/// Files and folders of one job's inputs.
const ENTRIES_MAX: usize = 100_000;

/// Bytes of a sandbox name once encoded: a line of the protocol has 4,095 and holds the cache name too.
const NAME_MAX: usize = 3_800;

/// How long a folder that was fine is taken to be fine: thousands of jobs start in the same few folders.
const FOLDER_GOOD_FOR: Duration = Duration::from_secs(1);

/// Folders remembered; beyond, the list starts anew.
const FOLDERS_MAX: usize = 1_000;

/// Carries out plans.
#[derive(Debug)]
pub(crate) struct Preparer {
    words: Words,
    /// Folders that were fine, with what was asked of them, and when.
    folders: Mutex<HashMap<(PathBuf, AccessFlags), Instant>>,
    /// Large inputs that repeat.
    contents: Contents,
}

/// What came of a plan.
enum Outcome {
    Ready(Prepared),
    /// This file is being read for another attempt.
    Wait(Identity),
}

impl Preparer {
    /// One that speaks in these words.
    pub(crate) fn new(words: Words) -> Preparer {
        Preparer { words, folders: Mutex::default(), contents: Contents::default() }
    }

    /// Why a job is held whose input could be looked up and cannot be read any more.
    pub(crate) fn unreadable(&self, path: &Path, error: &std::io::Error) -> Trouble {
        if error.kind() == io::ErrorKind::InvalidData {
            self.contents.forget();
            return self.words.input_refused(path, "it changed while it was being sent");
        }
        self.words.input(path, errno(error))
    }

    /// The answer to a plan that needs no look at the disk: nothing is sent, and all its folders were fine a moment ago.
    /// A target that is no regular file shows at delivery.
    pub(crate) fn known(&self, plan: &Plan) -> Option<Prepared> {
        let fine = |path: &Path, rights| self.is_fine(path, rights);
        let writable = AccessFlags::W_OK | AccessFlags::X_OK;
        let known = plan.inputs.is_empty()
            && !plan.make_iwd
            && fine(Path::new(&plan.iwd), AccessFlags::X_OK)
            && plan
                .outputs
                .iter()
                .all(|output| Path::new(output).parent().is_some_and(|folder| fine(folder, writable)));
        known.then(Prepared::default)
    }

    fn is_fine(&self, path: &Path, rights: AccessFlags) -> bool {
        let folders = self.folders.lock().expect("no panic under this lock");
        folders.get(&(path.to_owned(), rights)).is_some_and(|seen| seen.elapsed() < FOLDER_GOOD_FOR)
    }

    /// Carries out a plan; `tell` hears what is to be sent, or what the job is held with: code 14 for the initial
    /// directory, 7 for outputs, 13 and 32 for inputs.
    pub(crate) fn prepare(
        self: &Arc<Preparer>,
        plan: Box<Plan>,
        tell: impl FnOnce(Result<Prepared, Trouble>) + Send + 'static,
    ) {
        match self.carry_out(&plan) {
            Ok(Outcome::Ready(prepared)) => tell(Ok(prepared)),
            Ok(Outcome::Wait(file)) => {
                let preparer = Arc::clone(self);
                self.contents.wait(file, move || preparer.prepare(plan, tell));
            }
            Err(trouble) => tell(Err(trouble)),
        }
    }

    fn carry_out(&self, plan: &Plan) -> Result<Outcome, Trouble> {
        let words = &self.words;
        let iwd = Path::new(&plan.iwd);
        let iwd_is_there = match plan.make_iwd {
            true => make_folder(iwd).map_err(|error| errno(&error)),
            false => self.check_folder(iwd, AccessFlags::X_OK),
        };
        iwd_is_there.map_err(|error| words.iwd(iwd, error))?;
        for output in &plan.outputs {
            let output = Path::new(output);
            self.check_output(output).map_err(|error| words.closed_output(output, error))?;
        }
        let (found, places) = (Prepared::default(), HashMap::new());
        let mut search = Search { words, found, identities: Vec::new(), places, entries: 0 };
        plan.inputs.iter().try_for_each(|input| search.add(input))?;
        plan.copies.iter().try_for_each(|copy| search.add_copy(copy, plan.repeats))?;
        let Search { mut found, identities, .. } = search;
        let bytes = found.files.iter().fold(0u64, |sum, file| sum.saturating_add(file.size));
        if let Some(limit_mb) = plan.max_input_mb
            && bytes > limit_mb.saturating_mul(1 << 20)
        {
            return Err(words.too_large(bytes, limit_mb));
        }
        for (file, identity) in found.files.iter_mut().zip(identities) {
            if file.size > KEPT_ABOVE
                && let (Some(identity), Source::File { path, content, .. }) = (identity, &mut file.source)
            {
                *content = match self.contents.look(identity, plan.repeats) {
                    Found::OneOff => None,
                    Found::Known(content) => Some(content),
                    Found::Read => self.contents.read(identity, &PathBuf::from(path.as_str())),
                    Found::Wait => return Ok(Outcome::Wait(identity)),
                };
                file.content = *content;
            }
        }
        Ok(Outcome::Ready(found))
    }

    fn check_output(&self, path: &Path) -> Result<(), Errno> {
        let writable = AccessFlags::W_OK | AccessFlags::X_OK;
        if let Ok(facts) = std::fs::metadata(path) {
            let kind = facts.file_type();
            if kind.is_dir() {
                // A folder is a good target for a folder, and only delivery knows which comes; ours it must be, though.
                return self.check_folder(path, writable);
            }
            if kind.is_fifo() || kind.is_socket() || kind.is_block_device() {
                return Err(Errno::ENXIO);
            }
            if kind.is_char_device() {
                return if path_is_not_null(&facts) { Err(Errno::ENXIO) } else { Ok(()) };
            }
        }
        self.check_folder(path.parent().unwrap_or(Path::new("/")), writable)
    }

    fn check_folder(&self, path: &Path, rights: AccessFlags) -> Result<(), Errno> {
        if self.is_fine(path, rights) {
            return Ok(());
        }
        let now = Instant::now();
        // With the point behind it nothing but a folder is found.
        may(&path.join("."), rights)?;
        let mut folders = self.folders.lock().expect("no panic under this lock");
        if folders.len() >= FOLDERS_MAX {
            folders.clear();
        }
        folders.insert((path.to_owned(), rights), now);
        Ok(())
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

fn path_is_not_null(facts: &Metadata) -> bool {
    !std::fs::metadata("/dev/null").is_ok_and(|null| null.rdev() == facts.rdev())
}

/// With the rights that we act with, not those of whoever started us.
fn may(path: &Path, rights: AccessFlags) -> Result<(), Errno> {
    faccessat(AT_FDCWD, path, rights, AtFlags::AT_EACCESS)
}

struct Search<'a> {
    words: &'a Words,
    found: Prepared,
    /// Of `found.files`, in their order; copies need none.
    identities: Vec<Option<Identity>>,
    /// Sandbox name and place in `found.files`: of two files for one name the later wins, as in HTCondor.
    places: HashMap<String, usize>,
    entries: usize,
}

impl Search<'_> {
    fn add(&mut self, input: &PlannedInput) -> Result<(), Trouble> {
        let path = Path::new(&input.path);
        let facts = self.look(path)?;
        if facts.is_dir() {
            self.add_folder(path, &facts, &input.sandbox, &mut Vec::new())
        } else {
            self.add_file(path, &facts, input.sandbox.clone())
        }
    }

    fn add_copy(&mut self, copy: &PlannedCopy, repeats: bool) -> Result<(), Trouble> {
        let path = Path::new(&copy.sandbox);
        let Some(blob) = copy.blob else { return self.add_empty(path, &copy.sandbox) };
        self.check_name(path, &copy.sandbox)?;
        let file = PreparedFile {
            source: Source::Blob(blob.id),
            sandbox: copy.sandbox.clone(),
            size: blob.size,
            mode: blob.mode & 0o777,
            content: repeats.then_some(blob.id),
        };
        self.keep(file, None);
        Ok(())
    }

    /// `above` are the folders that we are in, to notice a symlink that leads back.
    fn add_folder(
        &mut self,
        path: &Path,
        facts: &Metadata,
        sandbox: &str,
        above: &mut Vec<(u64, u64)>,
    ) -> Result<(), Trouble> {
        let identity = (facts.dev(), facts.ino());
        if above.contains(&identity) || above.len() >= DEPTH_MAX {
            return Err(self.words.input(path, Errno::ELOOP));
        }
        above.push(identity);
        let names = list(path).map_err(|error| self.words.input(path, errno(&error)))?;
        if names.is_empty() && !sandbox.is_empty() {
            self.add_empty(path, sandbox)?;
        }
        for name in names {
            let child = path.join(&name);
            let Some(name) = name.to_str() else {
                return Err(self.words.input_refused(&child, "the name is no UTF-8"));
            };
            let inside = if sandbox.is_empty() { name.to_owned() } else { format!("{sandbox}/{name}") };
            let facts = self.look(&child)?;
            if facts.is_dir() {
                self.add_folder(&child, &facts, &inside, above)?;
            } else {
                self.add_file(&child, &facts, inside)?;
            }
        }
        above.pop();
        Ok(())
    }

    fn add_empty(&mut self, path: &Path, sandbox: &str) -> Result<(), Trouble> {
        self.check_name(path, sandbox)?;
        if sandbox.bytes().any(|byte| byte <= b' ') {
            return Err(self.words.input_refused(path, "an empty folder's name must not hold blanks"));
        }
        self.found.dirs.push(sandbox.to_owned());
        Ok(())
    }

    fn add_file(&mut self, path: &Path, facts: &Metadata, sandbox: String) -> Result<(), Trouble> {
        if !facts.is_file() {
            return Err(self.words.input_refused(path, "it is neither a file nor a folder"));
        }
        may(path, AccessFlags::R_OK).map_err(|error| self.words.input(path, error))?;
        self.check_name(path, &sandbox)?;
        let Some(text) = path.to_str() else {
            return Err(self.words.input_refused(path, "the name is no UTF-8"));
        };
        let (size, mode) = (facts.size(), facts.mode() & 0o777);
        let source = Source::File { path: text.to_owned(), size, content: None };
        self.keep(PreparedFile { source, sandbox, size, mode, content: None }, Some(Identity::of(facts)));
        Ok(())
    }

    /// Of two files for one name the later wins.
    fn keep(&mut self, file: PreparedFile, identity: Option<Identity>) {
        let next = self.found.files.len();
        match *self.places.entry(file.sandbox.clone()).or_insert(next) {
            place if place < next => {
                self.found.files[place] = file;
                self.identities[place] = identity;
            }
            _ => {
                self.found.files.push(file);
                self.identities.push(identity);
            }
        }
    }

    fn look(&mut self, path: &Path) -> Result<Metadata, Trouble> {
        self.entries += 1;
        if self.entries > ENTRIES_MAX {
            return Err(self.words.input_refused(path, &format!("more than {ENTRIES_MAX} input files")));
        }
        std::fs::metadata(path).map_err(|error| self.words.input(path, errno(&error)))
    }

    fn check_name(&self, path: &Path, sandbox: &str) -> Result<(), Trouble> {
        let mut encoded = BytesMut::new();
        wq_proto::encode_name(sandbox.as_bytes(), &mut encoded);
        if encoded.len() > NAME_MAX {
            return Err(self.words.input_refused(path, "the name is too long for the protocol"));
        }
        Ok(())
    }
}

fn list(path: &Path) -> io::Result<Vec<std::ffi::OsString>> {
    let mut names: Vec<_> = std::fs::read_dir(path)?
        .take(ENTRIES_MAX + 1)
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<_>>()?;
    // Two runs of a job send the same things in the same order.
    names.sort();
    Ok(names)
}

/// Reads one piece of an input; shorter than asked only if the file has shrunk.
///
/// # Errors
/// What the system says.
pub(crate) fn read_piece(file: &std::fs::File, offset: u64, length: usize) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let mut piece = vec![0; length];
    let mut filled = 0;
    while filled < length {
        match file.read_at(&mut piece[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    piece.truncate(filled);
    Ok(piece)
}

/// Opens an input for reading without waiting for the other end of a FIFO that took its place.
///
/// # Errors
/// What the system says; also when it is no regular file any more.
pub(crate) fn open_input(path: &PathBuf) -> io::Result<std::fs::File> {
    use std::os::unix::fs::OpenOptionsExt;
    let flags = nix::fcntl::OFlag::O_NONBLOCK.bits();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(flags).open(path)?;
    if file.metadata()?.is_file() { Ok(file) } else { Err(Errno::EINVAL.into()) }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn ask(preparer: &Arc<Preparer>, plan: &Plan) -> Result<Prepared, Trouble> {
        let (tell, told) = std::sync::mpsc::channel();
        preparer.prepare(Box::new(plan.clone()), move |outcome| tell.send(outcome).unwrap());
        told.try_recv().expect("nobody else reads the files")
    }

    fn prepare(plan: &Plan) -> Result<Prepared, Trouble> {
        ask(&Arc::new(Preparer::new(Words::new("submit"))), plan)
    }

    struct Bench(tempfile::TempDir);

    impl Bench {
        fn new() -> Bench {
            Bench(tempfile::tempdir().unwrap())
        }

        fn path(&self, name: &str) -> String {
            self.0.path().join(name).to_str().unwrap().to_owned()
        }

        fn write(&self, name: &str, size: usize) {
            std::fs::create_dir_all(Path::new(&self.path(name)).parent().unwrap()).unwrap();
            std::fs::write(self.path(name), vec![0; size]).unwrap();
        }

        fn plan(&self, inputs: &[(&str, &str, bool)], outputs: &[&str]) -> Plan {
            Plan {
                inputs: inputs
                    .iter()
                    .map(|(path, sandbox, contents_only)| PlannedInput {
                        path: self.path(path),
                        sandbox: (*sandbox).to_owned(),
                        contents_only: *contents_only,
                    })
                    .collect(),
                outputs: outputs.iter().map(|name| self.path(name)).collect(),
                iwd: self.path(""),
                ..Plan::default()
            }
        }

        fn check(&self, inputs: &[(&str, &str, bool)], outputs: &[&str]) -> Result<Prepared, (i32, i32)> {
            let got = prepare(&self.plan(inputs, outputs));
            got.map_err(|trouble| (trouble.code, trouble.subcode))
        }

        fn sandbox(&self, inputs: &[(&str, &str, bool)]) -> Vec<String> {
            self.check(inputs, &[]).unwrap().files.into_iter().map(|file| file.sandbox).collect()
        }
    }

    #[test]
    fn folders_are_flattened_in_order() {
        let bench = Bench::new();
        for name in ["a/x", "a/b/y z", "one"] {
            bench.write(name, 3);
        }
        std::fs::create_dir_all(bench.path("a/empty")).unwrap();
        symlink("x", bench.path("a/link")).unwrap();
        let got = bench.check(&[("a", "a", false), ("one", "two", false)], &[]).unwrap();
        let names: Vec<_> = got.files.iter().map(|file| file.sandbox.as_str()).collect();
        assert_eq!(names, ["a/b/y z", "a/link", "a/x", "two"]);
        assert_eq!(got.dirs, ["a/empty"]);
        assert_eq!(got.files[0].size, 3);
        assert_eq!(bench.sandbox(&[("a", "", true)]), ["b/y z", "link", "x"]);
        assert_eq!(bench.sandbox(&[("a/x", "n", false), ("one", "n", false)]), ["n"]);
    }

    #[test]
    fn inputs_that_cannot_be_read_hold_the_job() {
        let bench = Bench::new();
        assert_eq!(bench.check(&[("gone", "gone", false)], &[]), Err((13, 2)));
        std::fs::create_dir(bench.path("loop")).unwrap();
        symlink(".", bench.path("loop/again")).unwrap();
        assert_eq!(bench.check(&[("loop", "loop", false)], &[]), Err((13, Errno::ELOOP as i32)));
        nix::unistd::mkfifo(bench.path("fifo").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(bench.check(&[("fifo", "fifo", false)], &[]), Err((13, 22)));
        std::fs::create_dir_all(bench.path("d/an empty one")).unwrap();
        assert_eq!(bench.check(&[("d", "d", false)], &[]), Err((13, 22)));
        bench.write("bad/x", 1);
        let odd = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff");
        std::fs::write(Path::new(&bench.path("bad")).join(odd), "").unwrap();
        assert_eq!(bench.check(&[("bad", "bad", false)], &[]), Err((13, 22)));
        bench.write("one", 1);
        assert_eq!(bench.check(&[("one", &"\u{1}".repeat(2000), false)], &[]), Err((13, 22)));
    }

    #[test]
    fn rights_are_looked_at() {
        let bench = Bench::new();
        bench.write("secret", 1);
        std::fs::set_permissions(bench.path("secret"), PermissionsExt::from_mode(0o000)).unwrap();
        let got = bench.check(&[("secret", "s", false)], &[]);
        // Root may read everything.
        if nix::unistd::geteuid().is_root() {
            assert!(got.is_ok());
        } else {
            assert_eq!(got, Err((13, 13)));
        }
    }

    #[test]
    fn outputs_need_a_folder() {
        let bench = Bench::new();
        bench.write("old", 1);
        assert!(bench.check(&[], &["new", "old", "."]).is_ok());
        assert_eq!(bench.check(&[], &["gone/new"]), Err((7, 2)));
        assert_eq!(bench.check(&[], &["old/new"]), Err((7, 20)));
        nix::unistd::mkfifo(bench.path("fifo").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
        assert_eq!(bench.check(&[], &["fifo"]), Err((7, 6)));
        symlink("/dev/null", bench.path("null")).unwrap();
        assert!(bench.check(&[], &["null"]).is_ok());
        let plan = Plan { iwd: bench.path("gone"), ..Plan::default() };
        let got = prepare(&plan).unwrap_err();
        assert_eq!((got.code, got.subcode), (14, 2));
    }

    #[test]
    fn folders_that_were_fine_are_not_looked_at_again() {
        let bench = Bench::new();
        bench.write("in", 1);
        let preparer = Arc::new(Preparer::new(Words::new("submit")));
        let plan = bench.plan(&[], &["new"]);
        assert_eq!(preparer.known(&plan), None);
        ask(&preparer, &plan).unwrap();
        assert_eq!(preparer.known(&plan), Some(Prepared::default()));
        assert_eq!(preparer.known(&bench.plan(&[], &["other/new"])), None);
        assert_eq!(preparer.known(&bench.plan(&[("in", "in", false)], &["new"])), None, "inputs are looked up");
    }

    #[test]
    fn large_inputs_that_repeat_have_a_content() {
        let bench = Bench::new();
        bench.write("large", KEPT_ABOVE as usize + 1);
        bench.write("small", KEPT_ABOVE as usize);
        let preparer = Arc::new(Preparer::new(Words::new("submit")));
        let mut plan = bench.plan(&[("large", "l", false), ("small", "s", false)], &[]);
        let contents = |plan: &Plan| -> Vec<bool> {
            ask(&preparer, plan).unwrap().files.iter().map(|file| file.content.is_some()).collect()
        };
        assert_eq!(contents(&plan), [false, false], "perhaps nobody else wants it");
        assert_eq!(contents(&plan), [true, false]);
        bench.write("large", KEPT_ABOVE as usize + 2);
        assert_eq!(contents(&plan), [false, false], "another one now");
        plan.repeats = true;
        bench.write("large", KEPT_ABOVE as usize + 3);
        assert_eq!(contents(&plan), [true, false]);
    }

    #[test]
    fn copies_go_along_and_the_folder_is_made() {
        let bench = Bench::new();
        let blob = wq_core::run::BlobUse { id: wq_core::ids::BlobId([7; 32]), size: 3, mode: 0o644 };
        let copy = |name: &str, blob| PlannedCopy { sandbox: name.into(), blob };
        let plan = Plan {
            copies: vec![copy("x", Some(blob)), copy("d/empty", None), copy("x", Some(blob))],
            iwd: bench.path("spool/jobs/1.0"),
            make_iwd: true,
            ..Plan::default()
        };
        for _ in 0..2 {
            let got = prepare(&plan).unwrap();
            assert_eq!((got.files.len(), &got.files[0].source), (1, &Source::Blob(blob.id)));
            assert_eq!(got.dirs, ["d/empty"]);
        }
        assert!(Path::new(&plan.iwd).is_dir());
        bench.write("file", 1);
        let plan = Plan { iwd: bench.path("file/1.0"), ..plan };
        assert_eq!(prepare(&plan).unwrap_err().code, 14);
    }

    #[test]
    fn a_limit_of_input_holds() {
        let bench = Bench::new();
        bench.write("big", (1 << 20) + 1);
        let mut plan = bench.plan(&[("big", "big", false)], &[]);
        plan.max_input_mb = Some(1);
        assert_eq!(prepare(&plan).unwrap_err().code, 32);
        plan.max_input_mb = Some(2);
        assert!(prepare(&plan).is_ok());
    }

    #[test]
    fn a_shrunken_file_gives_a_short_piece() {
        let bench = Bench::new();
        bench.write("f", 10);
        let file = open_input(&bench.path("f").into()).unwrap();
        assert_eq!(read_piece(&file, 4, 100).unwrap().len(), 6);
        assert_eq!(open_input(&bench.path("").into()).unwrap_err().raw_os_error(), Some(22));
    }
}
