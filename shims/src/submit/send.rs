//! The request of a submission: ads, and the bytes of executables, proxies and tokens.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use control_proto::frame::{self, BLOB_CHUNK};
use control_proto::{ClusterRequest, Kind, Request, Submit};
use submit_lang::{Cluster, Submission};

/// Rows of varying attributes are cut into frames of about this size.
const ROWS_CHUNK: usize = 4 << 20;

/// The files of a submission are held in memory while they are sent; together they may be so large.
const FILES_MAX: u64 = 2 << 30;

/// A request with the frames that follow it.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) request: Request,
    pub(super) attachments: Vec<u8>,
    /// Proxies and tokens that could not be read; the jobs go without them.
    pub(super) warnings: Vec<String>,
}

/// An executable cannot be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) path: String,
    pub(super) error: io::Error,
}

/// Packs a submission. `numbers`: cluster numbers were reserved and begin with this one.
pub(super) fn pack(
    submission: &Submission,
    first_number: Option<u32>,
    umask: u32,
    path_of: &dyn Fn(&str) -> std::path::PathBuf,
) -> Result<Parcel, Unreadable> {
    let mut blobs = Blobs::default();
    let mut warnings = Vec::new();
    let mut submit = Submit { umask, ..Submit::default() };
    let mut rows = Vec::new();
    for (index, cluster) in (0u16..).zip(&submission.clusters) {
        let executable = match &cluster.executable {
            Some(used) => {
                Some(blobs.add(&path_of(&used.path)).map_err(|error| Unreadable { path: used.path.clone(), error })?)
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
        submit.clusters.push(ClusterRequest {
            number: first_number.map(|first| first + u32::from(index)),
            ad: cluster.ad.clone(),
            procs: cluster.procs,
            varying: cluster.varying.clone(),
            executable,
            proxy: optional(&cluster.proxy),
            token: optional(&cluster.token),
        });
        put_rows(&mut rows, index, cluster);
    }
    submit.blob_sizes = blobs.files.iter().map(|(bytes, _)| bytes.len() as u64).collect();
    submit.blob_modes = blobs.files.iter().map(|(_, mode)| *mode).collect();
    let mut attachments = Vec::with_capacity(blobs.files.iter().map(|(b, _)| b.len() + 16).sum::<usize>() + rows.len());
    for (number, (bytes, _)) in (0u16..).zip(&blobs.files) {
        // An empty file is one empty frame: each blob has at least one.
        let pieces = bytes.chunks(BLOB_CHUNK).chain(bytes.is_empty().then_some([].as_slice()));
        for piece in pieces {
            frame::put(&mut attachments, Kind::Blob, &[&number.to_le_bytes(), piece]);
        }
    }
    attachments.append(&mut rows);
    Ok(Parcel { request: Request::Submit(submit), attachments, warnings })
}

/// Files that travel along, each path once.
#[derive(Debug, Default)]
struct Blobs {
    files: Vec<(Vec<u8>, u32)>,
    known: HashMap<std::path::PathBuf, u16>,
}

impl Blobs {
    fn add(&mut self, path: &Path) -> io::Result<u16> {
        if let Some(number) = self.known.get(path) {
            return Ok(*number);
        }
        let number = u16::try_from(self.files.len())
            .map_err(|_| io::Error::other("more than 65,536 different files in one submission"))?;
        let facts = fs::metadata(path)?;
        // A pipe or device would be waited for; a folder fails by itself when it is read.
        if !facts.is_file() && !facts.is_dir() {
            return Err(io::Error::other("not a regular file"));
        }
        let before: u64 = self.files.iter().map(|(bytes, _)| bytes.len() as u64).sum();
        if before + facts.len() > FILES_MAX {
            return Err(io::Error::other("executables and proxies of one submission are larger than 2 GiB"));
        }
        self.files.push((fs::read(path)?, facts.mode() & 0o7777));
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

    #[test]
    fn one_executable_travels_once_and_in_pieces() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("big");
        let bytes: Vec<u8> = (0..BLOB_CHUNK + 5).map(|i| i as u8).collect();
        fs::write(&path, &bytes).unwrap();
        let path = path.to_str().unwrap();
        let submission =
            Submission { clusters: vec![cluster(path), cluster(path)], warnings: vec![], needs_cluster_number: false };
        let parcel = pack(&submission, Some(7), 0o022, &|p| p.into()).unwrap();
        let Request::Submit(submit) = parcel.request else { panic!() };
        assert_eq!(submit.blob_sizes, [bytes.len() as u64]);
        assert_eq!(
            submit.clusters.iter().map(|c| (c.number, c.executable)).collect::<Vec<_>>(),
            [(Some(7), Some(0)), (Some(8), Some(0))]
        );
        let mut splitter = Splitter::default();
        splitter.feed(&parcel.attachments);
        let mut got = Vec::new();
        while let Some((kind, payload)) = splitter.next_frame().unwrap() {
            assert_eq!((kind, &payload[..2]), (Kind::Blob, &[0u8, 0][..]));
            got.extend_from_slice(&payload[2..]);
        }
        assert_eq!(got, bytes);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_it_is_read() {
        let dir = tempfile::tempdir().unwrap();
        let sparse = dir.path().join("sparse");
        fs::File::create(&sparse).unwrap().set_len(FILES_MAX + 1).unwrap();
        let refused = |path: &Path| {
            let submission = Submission {
                clusters: vec![cluster(path.to_str().unwrap())],
                warnings: vec![],
                needs_cluster_number: false,
            };
            pack(&submission, None, 0, &|p| p.into()).unwrap_err().error.to_string()
        };
        assert!(refused(&sparse).contains("2 GiB"));
        assert_eq!(refused(Path::new("/dev/null")), "not a regular file");
        assert!(refused(dir.path()).contains("directory"));
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
