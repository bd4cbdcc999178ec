//! The request of a submission: ads, and the bytes of executables, proxies, tokens and spooled inputs.
//!
//! Files are looked at before anything is sent and read while they are sent. One that is another one by then spoils the
//! submission: the request is cut off, and the master forgets it.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use control_proto::client::Attachments;
use control_proto::frame::{self, BLOB_CHUNK};
use control_proto::{ClusterRequest, Kind, Request, SpooledFile, Submit};
use submit_lang::{Cluster, Submission};

use super::spool::Search;

/// Rows of varying attributes are cut into frames of about this size.
const ROWS_CHUNK: usize = 4 << 20;

/// A request with what follows it.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) request: Request,
    files: Vec<Seen>,
    /// Frames.
    rows: Vec<u8>,
    /// Proxies and tokens that could not be read; the jobs go without them.
    pub(super) warnings: Vec<String>,
}

/// A file cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) path: String,
    pub(super) error: io::Error,
}

/// Why a submission cannot be packed.
#[derive(Debug)]
pub(super) enum PackError {
    Executable(Unreadable),
    Input(Unreadable),
}

/// What a submission is beside its text.
#[derive(Debug, Default)]
pub(super) struct Manner {
    /// Cluster numbers were reserved and begin with this one.
    pub(super) first_number: Option<u32>,
    pub(super) umask: u32,
    /// Inputs travel along.
    pub(super) spool: bool,
}

/// Packs a submission.
pub(super) fn pack(
    submission: &Submission,
    manner: &Manner,
    path_of: &dyn Fn(&str) -> PathBuf,
) -> Result<Parcel, PackError> {
    let mut blobs = Blobs::default();
    let mut search = Search::default();
    let mut warnings = Vec::new();
    let mut submit = Submit { umask: manner.umask, ..Submit::default() };
    let mut rows = Vec::new();
    for (index, cluster) in (0u16..).zip(&submission.clusters) {
        let number = manner.first_number.map(|first| first + u32::from(index));
        let executable = match &cluster.executable {
            Some(used) => {
                let failed = |error| PackError::Executable(Unreadable { path: used.path.clone(), error });
                Some(blobs.add(&path_of(&used.path)).map_err(failed)?)
            }
            None => None,
        };
        let mut optional = |path: &Option<String>| {
            let path = path.as_deref()?;
            match blobs.add(&path_of(path)) {
                Ok(number) => Some(number),
                Err(error) => {
                    warnings.push(format!("WARNING: {path} cannot be read and is not sent: {error}\n"));
                    None
                }
            }
        };
        let (proxy, token) = (optional(&cluster.proxy), optional(&cluster.token));
        let spool = match manner.spool {
            true => Some(spooled(&mut search, &mut blobs, cluster, number).map_err(PackError::Input)?),
            false => None,
        };
        let ad = if manner.spool { with_inputs(&cluster.ad) } else { cluster.ad.clone() };
        let (procs, varying) = (cluster.procs, cluster.varying.clone());
        submit.clusters.push(ClusterRequest { number, ad, procs, varying, executable, proxy, token, spool });
        put_rows(&mut rows, index, cluster);
    }
    submit.blob_sizes = blobs.files.iter().map(|file| file.facts.len()).collect();
    submit.blob_modes = blobs.files.iter().map(|file| file.facts.mode() & 0o7777).collect();
    Ok(Parcel { request: Request::Submit(submit), files: blobs.files, rows, warnings })
}

/// The files that a cluster's jobs name.
fn spooled(
    search: &mut Search,
    blobs: &mut Blobs,
    cluster: &Cluster,
    number: Option<u32>,
) -> Result<Vec<SpooledFile>, Unreadable> {
    let copy = |entry: super::spool::Entry| {
        let blob = match entry.file {
            Some(path) => Some(
                blobs.add(&path).map_err(|error| Unreadable { path: path.to_string_lossy().into_owned(), error })?,
            ),
            None => None,
        };
        Ok(SpooledFile { input: entry.input, inside: entry.inside, blob })
    };
    search.inputs(cluster, number)?.into_iter().map(copy).collect()
}

/// HTCondor's spooled jobs are held until their files have come; ours come together with them.
fn with_inputs(ad: &[(String, String)]) -> Vec<(String, String)> {
    let is_of_the_hold = |name: &str| matches!(name, "HoldReason" | "HoldReasonCode");
    let kept = ad.iter().filter(|(name, _)| !is_of_the_hold(name));
    kept.map(|(name, text)| (name.clone(), if name == "JobStatus" { "1".to_owned() } else { text.clone() })).collect()
}

impl Parcel {
    /// Bytes of all files.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.facts.len()).sum()
    }

    /// Sends what follows the request.
    pub(super) fn attach(&self, out: &mut Attachments<'_>) -> Result<(), Unreadable> {
        for (number, file) in (0u16..).zip(&self.files) {
            let put = |piece: &[u8]| out.put(Kind::Blob, &[&number.to_le_bytes(), piece]);
            let wanted = file.read(put);
            let failed = |error| Unreadable { path: file.path.to_string_lossy().into_owned(), error };
            if !wanted.map_err(failed)? {
                return Ok(());
            }
        }
        out.put_frames(&self.rows);
        Ok(())
    }
}

/// A file as it was when it was packed.
#[derive(Debug)]
struct Seen {
    path: PathBuf,
    facts: Metadata,
}

impl Seen {
    fn look(path: &Path) -> io::Result<Seen> {
        let facts = fs::metadata(path)?;
        // A pipe or device would be waited for.
        if !facts.is_file() {
            let what = if facts.is_dir() { "a directory, no file" } else { "not a regular file" };
            return Err(io::Error::other(what));
        }
        File::open(path)?;
        Ok(Seen { path: path.to_owned(), facts })
    }

    /// Gives out the bytes in pieces, at least one; false when `put` wants no more.
    fn read(&self, mut put: impl FnMut(&[u8]) -> bool) -> io::Result<bool> {
        let changed = || io::Error::other("it changed while it was read");
        let mut file = File::open(&self.path)?;
        let mut left = self.facts.len();
        let mut piece = vec![0; BLOB_CHUNK.min(usize::try_from(left).unwrap_or(BLOB_CHUNK))];
        loop {
            let length = piece.len().min(usize::try_from(left).unwrap_or(BLOB_CHUNK));
            file.read_exact(&mut piece[..length]).map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => changed(),
                _ => error,
            })?;
            left -= length as u64;
            // Looked at before the last piece goes out: without it the master has nothing.
            if left == 0 && identity(&file.metadata()?) != identity(&self.facts) {
                return Err(changed());
            }
            if !put(&piece[..length]) {
                return Ok(false);
            }
            if left == 0 {
                return Ok(true);
            }
        }
    }
}

/// What changes with a file's content.
fn identity(facts: &Metadata) -> (u64, u64, u64, (i64, i64), (i64, i64)) {
    let (changed, status) = ((facts.mtime(), facts.mtime_nsec()), (facts.ctime(), facts.ctime_nsec()));
    (facts.dev(), facts.ino(), facts.len(), changed, status)
}

/// Files that travel along, each path once.
#[derive(Debug, Default)]
struct Blobs {
    files: Vec<Seen>,
    known: HashMap<PathBuf, u16>,
}

impl Blobs {
    fn add(&mut self, path: &Path) -> io::Result<u16> {
        if let Some(number) = self.known.get(path) {
            return Ok(*number);
        }
        let number = u16::try_from(self.files.len())
            .map_err(|_| io::Error::other("more than 65,536 different files in one submission"))?;
        self.files.push(Seen::look(path)?);
        self.known.insert(path.to_owned(), number);
        Ok(number)
    }
}

/// The rows of a cluster, cut between rows where they are long.
fn put_rows(out: &mut Vec<u8>, index: u16, cluster: &Cluster) {
    if cluster.varying.is_empty() {
        return;
    }
    let mut rest = cluster.rows.as_slice();
    while !rest.is_empty() {
        let mut tail = rest;
        if rest.len() <= ROWS_CHUNK {
            tail = &[];
        } else {
            while rest.len() - tail.len() < ROWS_CHUNK && !tail.is_empty() {
                (_, tail) = classad::unpack_row(tail, cluster.varying.len())
                    .expect("the rows were packed by the submit language, one for each job");
            }
        }
        let piece = &rest[..rest.len() - tail.len()];
        frame::put(out, Kind::Procs, &[&index.to_le_bytes(), piece]);
        rest = tail;
    }
}

#[cfg(test)]
mod tests {
    use control_proto::frame::Splitter;
    use submit_lang::ExecutableUse;

    use super::*;

    fn cluster(path: &str) -> Cluster {
        Cluster {
            ad: vec![("Cmd".into(), format!("\"{path}\""))],
            procs: 2,
            varying: vec![],
            rows: vec![],
            executable: Some(ExecutableUse { path: path.into(), size: 0 }),
            proxy: None,
            token: None,
        }
    }

    fn two(path: &str) -> Submission {
        Submission { clusters: vec![cluster(path), cluster(path)], warnings: vec![], needs_cluster_number: false }
    }

    #[test]
    fn one_executable_travels_once_and_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        let bytes: Vec<u8> = (0..BLOB_CHUNK + 5).map(|i| i as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let manner = Manner { first_number: Some(7), umask: 0o022, spool: false };
        let parcel = pack(&two(path.to_str().unwrap()), &manner, &|p| p.into()).unwrap();
        let Request::Submit(submit) = &parcel.request else { panic!() };
        assert_eq!((submit.blob_sizes.as_slice(), parcel.bytes()), (&[bytes.len() as u64][..], bytes.len() as u64));
        assert_eq!(
            submit.clusters.iter().map(|c| (c.number, c.executable)).collect::<Vec<_>>(),
            [(Some(7), Some(0)), (Some(8), Some(0))]
        );
        let (mut got, mut pieces) = (Vec::new(), 0);
        let whole = parcel.files[0].read(|piece| {
            got.extend_from_slice(piece);
            pieces += 1;
            true
        });
        assert!(whole.unwrap());
        assert_eq!((got == bytes, pieces), (true, 2));
        fs::write(&path, "").unwrap();
        let parcel = pack(&two(path.to_str().unwrap()), &manner, &|p| p.into()).unwrap();
        let mut pieces = 0;
        parcel.files[0]
            .read(|piece| {
                pieces += 1;
                piece.is_empty()
            })
            .unwrap();
        assert_eq!(pieces, 1, "an empty file is one empty piece");
    }

    #[test]
    fn a_file_that_changes_is_not_sent_to_its_end() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let changes: [&dyn Fn(); 3] = [
            &|| fs::write(&path, "shorter").unwrap(),
            &|| fs::write(&path, "longer than it was before").unwrap(),
            // The same length under another name.
            &|| {
                fs::write(dir.path().join("g"), "what it was").unwrap();
                fs::rename(dir.path().join("g"), &path).unwrap();
            },
        ];
        for change in changes {
            fs::write(&path, "what it was").unwrap();
            let seen = Seen::look(&path).unwrap();
            change();
            let mut got = 0;
            let error = seen
                .read(|piece| {
                    got += piece.len();
                    true
                })
                .unwrap_err();
            assert_eq!((error.to_string().as_str(), got), ("it changed while it was read", 0));
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |path: &Path| match pack(&two(path.to_str().unwrap()), &Manner::default(), &|p| p.into()) {
            Err(PackError::Executable(unreadable)) => unreadable.error.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(refused(Path::new("/dev/null")), "not a regular file");
        assert!(refused(dir.path()).contains("directory"));
        assert!(refused(&dir.path().join("gone")).contains("No such file"));
    }

    #[test]
    fn spooled_jobs_are_not_held() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("in"), "data").unwrap();
        fs::write(dir.path().join("exe"), "").unwrap();
        let mut submission = two(dir.path().join("exe").to_str().unwrap());
        for cluster in &mut submission.clusters {
            let text = |text: &str| classad::quote_old(text);
            let more = [
                ("Iwd", text(dir.path().to_str().unwrap())),
                ("TransferInput", text("in")),
                ("JobStatus", "5".into()),
                ("HoldReason", text("Spooling input data files")),
                ("HoldReasonCode", "16".into()),
            ];
            cluster.ad.extend(more.map(|(name, text)| (name.to_owned(), text)));
        }
        let manner = Manner { spool: true, ..Manner::default() };
        let parcel = pack(&submission, &manner, &|p| p.into()).unwrap();
        let Request::Submit(submit) = &parcel.request else { panic!() };
        assert_eq!(submit.blob_sizes, [0, 4], "both clusters name the same files");
        for cluster in &submit.clusters {
            let names: Vec<&str> = cluster.ad.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["Cmd", "Iwd", "TransferInput", "JobStatus"]);
            assert_eq!(cluster.ad[3].1, "1");
            let input = dir.path().join("in").to_str().unwrap().to_owned();
            assert_eq!(cluster.spool, Some(vec![SpooledFile { input, inside: String::new(), blob: Some(1) }]));
        }
        fs::remove_file(dir.path().join("in")).unwrap();
        assert!(matches!(pack(&submission, &manner, &|p| p.into()), Err(PackError::Input(_))));
    }

    #[test]
    fn long_rows_are_cut_between_rows() {
        let mut rows = Vec::new();
        let value = "x".repeat(1 << 20);
        for _ in 0..9 {
            classad::pack_row(&mut rows, &[Some(&value), None]);
        }
        let cluster = Cluster { varying: vec!["A".into(), "B".into()], rows: rows.clone(), procs: 9, ..cluster("x") };
        let mut out = Vec::new();
        put_rows(&mut out, 3, &cluster);
        let mut splitter = Splitter::default();
        splitter.feed(&out);
        let (mut got, mut frames) = (Vec::new(), 0);
        while let Some((kind, payload)) = splitter.next_frame().unwrap() {
            assert_eq!((kind, &payload[..2]), (Kind::Procs, &[3u8, 0][..]));
            let mut rest = &payload[2..];
            while !rest.is_empty() {
                (_, rest) = classad::unpack_row(rest, 2).expect("whole rows in every frame");
            }
            got.extend_from_slice(&payload[2..]);
            frames += 1;
        }
        assert_eq!(got, rows);
        assert!(frames > 1);
    }
}
