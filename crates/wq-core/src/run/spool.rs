//! Copies of input files that came with a submission (`-spool`, decision D18).
//!
//! One table for each cluster: path on the submitter's side, and the blob with its bytes. Which of them a job takes along
//! follows from its own ad, as for jobs whose files are read when they start. The table stands in the journal as one
//! hidden attribute of the cluster, with hashes, so it needs no kind of record of its own.

use bytes::BytesMut;
use classad::{Value, parse_expr, quote_old};

use super::files::BlobUse;
use crate::ids::BlobId;
use crate::io::{PlannedCopy, PlannedInput};

/// The attribute that holds the table in the journal; in the queue it only says that the job is spooled.
pub const SPOOL_ATTRIBUTE: &str = "_AwqSpool";

/// A copied file, or a part of a copied folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpooledFile {
    /// Absolute path of the input that it is or belongs to.
    pub input: String,
    /// Path below that input; empty: the input itself.
    pub inside: String,
    /// Its content; `None`: an empty folder.
    pub blob: Option<BlobUse>,
}

/// All copies of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spool {
    /// Sorted by `input`.
    files: Vec<SpooledFile>,
}

impl Spool {
    /// In any order; parts of one folder keep theirs.
    pub fn new(mut files: Vec<SpooledFile>) -> Spool {
        files.sort_by(|a, b| a.input.cmp(&b.input));
        Spool { files }
    }

    /// Every blob, as often as it is named.
    pub fn blobs(&self) -> impl Iterator<Item = BlobId> + '_ {
        self.uses().map(|blob| blob.id)
    }

    /// The same with sizes and modes.
    pub fn uses(&self) -> impl Iterator<Item = BlobUse> + '_ {
        self.files.iter().filter_map(|file| file.blob)
    }

    /// The text of [`SPOOL_ATTRIBUTE`]: a line for each file, with its blob, input and path below it.
    pub fn to_text(&self) -> String {
        let mut lines = BytesMut::new();
        for file in &self.files {
            match file.blob {
                Some(blob) => lines.extend_from_slice(blob.words().as_bytes()),
                None => lines.extend_from_slice(b"- - -"),
            }
            for name in [&file.input, &file.inside] {
                lines.extend_from_slice(b" ");
                wq_proto::encode_name(name.as_bytes(), &mut lines);
            }
            lines.extend_from_slice(b"\n");
        }
        quote_old(std::str::from_utf8(&lines).expect("encoded names are ASCII"))
    }

    /// Reads what [`Spool::to_text`] wrote.
    pub fn from_text(text: &str) -> Option<Spool> {
        let expr = parse_expr(text).ok()?;
        let lines = expr.literal().and_then(Value::as_str)?;
        let name = |encoded: &str| String::from_utf8(wq_proto::decode_name(encoded.as_bytes()).into_owned()).ok();
        let file = |line: &str| {
            let (rest, inside) = line.rsplit_once(' ')?;
            let (blob, input) = rest.rsplit_once(' ')?;
            let blob = if blob == "- - -" { None } else { Some(BlobUse::from_text(blob)?) };
            Some(SpooledFile { input: name(input)?, inside: name(inside)?, blob })
        };
        Some(Spool { files: lines.lines().map(file).collect::<Option<_>>()? })
    }

    /// What an input stands for, with names in the sandbox; nothing if it was not copied.
    pub fn find<'a>(&'a self, input: &'a PlannedInput) -> impl Iterator<Item = PlannedCopy> + 'a {
        let begin = self.files.partition_point(|file| file.input < input.path);
        let files = self.files[begin..].iter().take_while(|file| file.input == input.path);
        files.map(|file| PlannedCopy {
            sandbox: match (input.sandbox.as_str(), file.inside.as_str()) {
                ("", inside) => inside.to_owned(),
                (sandbox, "") => sandbox.to_owned(),
                (sandbox, inside) => format!("{sandbox}/{inside}"),
            },
            blob: file.blob,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(input: &str, inside: &str, n: u8) -> SpooledFile {
        let blob = BlobUse { id: BlobId([n; 32]), size: u64::from(n), mode: 0o644 };
        SpooledFile { input: input.into(), inside: inside.into(), blob: (n > 0).then_some(blob) }
    }

    fn spool() -> Spool {
        Spool::new(vec![
            file("/h/x", "", 3),
            file("/h/d", "a b", 1),
            file("/h/d", "e/\"q\\\n", 2),
            file("/h/d", "empty", 0),
            file("/h/\u{1}\u{fc} %41", "", 4),
        ])
    }

    #[test]
    fn what_was_written_is_read() {
        assert_eq!(Spool::from_text(&spool().to_text()), Some(spool()));
        assert_eq!(Spool::from_text(&Spool::new(Vec::new()).to_text()), Some(Spool::new(Vec::new())));
        assert_eq!(Spool::from_text("\"x y\""), None);
        assert_eq!(spool().blobs().count(), 4);
    }

    #[test]
    fn a_folder_keeps_its_name_and_its_content_does_not() {
        let names = |path: &str, sandbox: &str| -> Vec<String> {
            let input = PlannedInput { path: path.into(), sandbox: sandbox.into(), contents_only: false };
            spool().find(&input).map(|copy| copy.sandbox).collect()
        };
        assert_eq!(names("/h/d", "d"), ["d/a b", "d/e/\"q\\\n", "d/empty"]);
        assert_eq!(names("/h/d", ""), ["a b", "e/\"q\\\n", "empty"]);
        assert_eq!(names("/h/x", "y"), ["y"]);
        assert_eq!(names("/h/gone", "gone"), [""; 0]);
    }
}
