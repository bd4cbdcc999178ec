//! The seam between the master and the world: everything that can happen, everything that it asks for.
//!
//! Effects are carried out in order. Three rules bind the shell:
//!
//! * [`Effect::Tell`], [`Effect::SendTask`], [`Effect::SendBody`] and [`Effect::Mark`] of one link go out in their order; a link that is
//!   gone swallows them.
//! * [`Effect::Receive`] answers the [`Input::Said`] that was just handled and says where that message's body goes;
//!   without one the body is read and dropped.
//! * A [`Effect::Record`] with `promise` is fsynced and then reported by [`Input::Stored`]; nothing that depends on
//!   it has been given out before.

use bytes::Bytes;
use control_proto::{ListingEnd, Reply, Request, Submit};
use journal::{Record, Taken};
use wq_proto::{FromWorker, ToWorker};

pub use crate::departed::Departed;
pub use crate::local::{LocalEnd, LocalProgram};
pub use crate::log_entry::LogEntry;
pub use crate::mending::{Mending, Standing, is_requeue};
pub use crate::notice::Notice;
pub use crate::plan::{Plan, PlannedCopy, PlannedInput, Prepared, PreparedFile};

use crate::ids::{AttemptId, BlobId, ClientId, JobId, LinkId, RecordNo};

/// Everything that can happen to the master. Closed on purpose: reading it is reading the system's inputs.
#[derive(Debug)]
pub enum Input {
    /// A peer connected and, where a password is set, proved that it knows it.
    LinkUp {
        /// New, with a `turn` of its own.
        link: LinkId,
        /// `ip:port` of the peer, for display.
        address: String,
    },
    /// A whole line arrived.
    Said {
        /// From whom.
        link: LinkId,
        /// What.
        message: FromWorker,
    },
    /// The body behind the last message is complete.
    BodyDone {
        /// Whose.
        link: LinkId,
        /// What became of it.
        outcome: BodyOutcome,
    },
    /// Everything queued before this [`Effect::Mark`] is in the socket.
    Flushed {
        /// Whose.
        link: LinkId,
        /// The attempt whose task message ended there.
        attempt: AttemptId,
    },
    /// The connection is gone; nothing more will be said or heard.
    LinkDown {
        /// Which.
        link: LinkId,
        /// Why, as far as the shell knows.
        reason: DownReason,
    },
    /// A client made its request.
    Asked {
        /// For the answer.
        client: ClientId,
        /// Who, from the socket.
        caller: Caller,
        /// What.
        ask: Ask,
    },
    /// The client has taken its last [`Effect::Rows`]; more may come.
    ClientReady {
        /// Which.
        client: ClientId,
    },
    /// The client hung up.
    ClientGone {
        /// Which.
        client: ClientId,
    },
    /// Every record up to this one is on disk.
    Stored {
        /// Inclusive.
        upto: RecordNo,
    },
    /// The journal cannot be written any more; nothing is acknowledged until a restart.
    StoreFailed {
        /// Text of the error for users.
        reason: String,
    },
    /// The journal cannot be written for now, a full disk for example; what was tried is undone. The shell keeps the
    /// records and writes them when there is room, all but these.
    StoreFull {
        /// Text of the error for users.
        reason: String,
        /// Submissions, which are refused.
        refused: Vec<RecordNo>,
    },
    /// The journal can be written again, and everything that waited is.
    StoreRoom,
    /// Most of the journal tells of jobs that are gone: the live ones shall be written anew.
    CompactionDue,
    /// Answer to [`Effect::Prepare`].
    Prepared {
        /// Which.
        attempt: AttemptId,
        /// What is to be sent, or why the job cannot run.
        outcome: Result<Prepared, Trouble>,
    },
    /// A file that was announced to a peer cannot be read; its link ends too.
    Unsendable {
        /// Whose file.
        attempt: AttemptId,
        /// What the job is held with.
        trouble: Trouble,
    },
    /// Answer to [`Effect::Deliver`].
    Delivered {
        /// Which.
        attempt: AttemptId,
        /// Bytes delivered, or why the outputs could not be put in place.
        outcome: Result<u64, Trouble>,
    },
    /// The program of an [`Effect::StartLocal`] runs.
    LocalStarted {
        /// Which.
        attempt: AttemptId,
    },
    /// Last word on an [`Effect::StartLocal`]: no process of its group is left.
    LocalEnded {
        /// Which.
        attempt: AttemptId,
        /// How it ended, or why it could not run; nobody looks at it behind an [`Effect::EndLocal`].
        outcome: Result<LocalEnd, Trouble>,
    },
    /// Answer to [`Effect::SyncOutputs`].
    OutputsSynced {
        /// Echoed.
        upto: RecordNo,
        /// Whether everything is on disk.
        done: bool,
    },
    /// Answer to [`Effect::CheckOutputs`].
    OutputsChecked {
        /// Jobs that lost outputs, and what they are held with.
        lost: Vec<(JobId, Trouble)>,
    },
    /// Answer to [`Effect::TransferData`].
    DataTransferred {
        /// Whose request.
        client: ClientId,
        /// Echoed.
        jobs: u64,
        /// Each job's outputs are in place, or why they are not.
        outcomes: Vec<(JobId, Result<(), String>)>,
    },
    /// Answer to an [`Effect::UserLog`] that carried a token: everything up to it was written or given up.
    Logged {
        /// The token.
        token: u64,
        /// Sentences for the submitter, e.g. that a log cannot be written.
        warnings: Vec<String>,
    },
    /// The history can be asked for every job of an [`Effect::Archive`] up to this record, or they are given up.
    Archived {
        /// Inclusive.
        upto: RecordNo,
    },
    /// The same, and a power cut would not take them.
    ArchiveSynced {
        /// Inclusive.
        upto: RecordNo,
    },
    /// A planned restart is being prepared, or is not to be after all: meanwhile nothing is begun (decision D10).
    Pause {
        /// It is.
        on: bool,
    },
    /// The operator wants the end (SIGINT, SIGTERM).
    Stop,
    /// The file `drain` is there, or is there no more (decision D9).
    Drain {
        /// It is there.
        on: bool,
    },
    /// These files of the spool folder exist no more; their identities may be forgotten.
    Unlinked {
        /// Which.
        files: Vec<Taken>,
    },
    /// Difference between the wall clock and the service clock, in seconds.
    WallOffset {
        /// wall = service + offset.
        offset_s: i64,
    },
}

/// A request as the shell hands it on.
#[derive(Debug)]
pub enum Ask {
    /// `condor_submit`: the request, the packed rows of each cluster, and the blobs, which the shell has hashed
    /// and, above 64 KiB, already stored durably.
    Submit {
        /// The head.
        request: Submit,
        /// Parallel to `request.clusters`.
        rows: Vec<Vec<u8>>,
        /// Parallel to `request.blob_sizes`.
        blobs: Vec<BlobIn>,
    },
    /// A file of the spool folder, answered as a submission is; its jobs get the original's command line (decision D11).
    Take {
        /// Which file: once the answer is there it may only be unlinked.
        file: Taken,
        /// As in [`Ask::Submit`].
        request: Submit,
        /// As in [`Ask::Submit`].
        rows: Vec<Vec<u8>>,
        /// As in [`Ask::Submit`].
        blobs: Vec<BlobIn>,
    },
    /// Everything else.
    Other(Request),
}

/// An executable, proxy or copied input of a submission.
#[derive(Debug, Clone)]
pub struct BlobIn {
    /// Hash of the bytes, made by the shell.
    pub id: BlobId,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
    /// The bytes, when they shall stand in the journal record (up to 64 KiB).
    pub inline: Option<Bytes>,
}

/// Who is at the other end of the control socket (SO_PEERCRED).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// User name.
    pub name: String,
    /// Root or a listed super-user.
    pub superuser: bool,
}

/// What became of a body.
#[derive(Debug, PartialEq, Eq)]
pub enum BodyOutcome {
    /// [`Sink::Discard`].
    Discarded,
    /// [`Sink::Text`]: at most the bytes asked for.
    Text(Vec<u8>),
    /// [`Sink::Output`]: the body stands in the temporary file.
    Stored {
        /// Bytes.
        size: u64,
        /// The first [`OutputPart::peek`] of them.
        head: Vec<u8>,
    },
    /// [`Sink::Output`]: the file could not be written; the rest of the body was dropped.
    Failed(Trouble),
}

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownReason {
    /// The peer closed, or the network did.
    Closed,
    /// The peer said something that is no Work Queue.
    Garbage(String),
    /// We closed it ([`Effect::Close`]).
    Ours,
    /// Nothing moved for too long.
    Stalled,
}

/// Why a job goes on hold: HTCondor's code, sub code (errno) and a sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// `HoldReasonCode`.
    pub code: i32,
    /// `HoldReasonSubCode`.
    pub subcode: i32,
    /// `HoldReason`.
    pub reason: String,
}

/// Where bytes to send come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A stored executable, proxy or copied input.
    Blob(BlobId),
    /// A file of the user's, exactly `size` bytes as announced; a shorter one ends the link.
    File {
        /// Absolute path.
        path: String,
        /// Announced size.
        size: u64,
        /// Its bytes must have this hash: the peer keeps them under a name that says so. With others the link ends
        /// before the last byte is out.
        content: Option<BlobId>,
    },
}

/// Where a body goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// Read and drop.
    Discard,
    /// Keep the first `max` bytes, drop the rest.
    Text {
        /// Bytes to keep.
        max: usize,
    },
    /// Into a temporary file beside the target.
    Output(OutputPart),
    /// Into the target itself while the job runs (`stream_output`); the whole file follows at the end all the same.
    Growth {
        /// Absolute path.
        target: String,
        /// Where the bytes belong.
        offset: u64,
        /// Permission bits of a new file.
        mode: u32,
    },
}

/// A file (or part of a folder) that is on its way to its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputPart {
    /// Whose.
    pub attempt: AttemptId,
    /// Which output of the attempt; the shell derives the temporary name from both.
    pub output: u16,
    /// Absolute path of the final place.
    pub target: String,
    /// Below a folder: relative path of plain components, checked by the core.
    pub inside: Option<String>,
    /// Permission bits of the new file.
    pub mode: u32,
    /// How many of the first bytes the core wants to see.
    pub peek: usize,
}

/// One output at delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Number of the output.
    pub output: u16,
    /// Absolute path of the final place; for `Spread` the folder.
    pub target: String,
    /// How.
    pub how: DeliveryKind,
}

/// What an ended job has delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedOutputs {
    /// Whose.
    pub job: JobId,
    /// Absolute path of each file or folder, and its bytes.
    pub files: Vec<(String, u64)>,
}

/// How an output gets to its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DeliveryKind {
    /// Rename the temporary file or folder.
    Rename,
    /// Make an empty file (with these permission bits): the job wrote no log.
    Empty(u32),
    /// Move each top-level entry of the temporary folder into `target`, under the new name where `remaps` has one
    /// (name in the sandbox, absolute path).
    Spread {
        /// `transfer_output_remaps`.
        remaps: Vec<(String, String)>,
    },
    /// `/dev/null`: nothing.
    Nowhere,
}

/// What a spooled job's run has left in the spool, and where it belongs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpooledOutputs {
    /// Whose.
    pub job: JobId,
    /// The job's folder in the spool.
    pub folder: String,
    /// Where what is in it goes …
    pub iwd: String,
    /// … unless it has another place: name in the folder, absolute path.
    pub places: Vec<(String, String)>,
}

/// Everything the master asks of the shell.
#[derive(Debug)]
pub enum Effect {
    /// Write a message to a peer, in its dialect.
    Tell {
        /// To whom.
        link: LinkId,
        /// What.
        message: ToWorker,
    },
    /// Write a whole task message, already spelt in the peer's dialect.
    SendTask {
        /// To whom.
        link: LinkId,
        /// From `task` to `end`.
        text: Bytes,
    },
    /// Write bytes behind the `put` that was just told.
    SendBody {
        /// To whom.
        link: LinkId,
        /// From where.
        source: Source,
        /// For reports of trouble.
        attempt: AttemptId,
    },
    /// Report [`Input::Flushed`] when everything before is in the socket.
    Mark {
        /// Whose.
        link: LinkId,
        /// Echoed.
        attempt: AttemptId,
    },
    /// Where the body of the message just said goes.
    Receive {
        /// Whose.
        link: LinkId,
        /// Where to.
        sink: Sink,
    },
    /// Make a folder of an output.
    MakeDir(OutputPart),
    /// Hang up after everything queued is out.
    Close {
        /// Whom.
        link: LinkId,
        /// For the log.
        why: String,
    },
    /// Append to the journal.
    Record {
        /// Its number.
        no: RecordNo,
        /// What.
        record: Box<Record>,
        /// Wait for the fsync (decision D51)?
        promise: bool,
    },
    /// Make every record up to this one durable, promises or not, and report [`Input::Stored`].
    Sync {
        /// Inclusive; may be on disk already, which is reported all the same.
        upto: RecordNo,
    },
    /// Check and look up what an attempt needs.
    Prepare {
        /// Which.
        attempt: AttemptId,
        /// What.
        plan: Box<Plan>,
    },
    /// Put complete outputs in place.
    Deliver {
        /// Which.
        attempt: AttemptId,
        /// What.
        outputs: Vec<Delivery>,
    },
    /// Run a program on this machine, in a process group of its own, and report [`Input::LocalStarted`] and
    /// [`Input::LocalEnded`]. It must not outlive the master for long.
    StartLocal {
        /// Which.
        attempt: AttemptId,
        /// What.
        program: Box<LocalProgram>,
    },
    /// End all processes of such a program at once, also one that has not started yet.
    EndLocal {
        /// Which.
        attempt: AttemptId,
    },
    /// Copy outputs of spooled jobs to their places (`condor_transfer_data`).
    TransferData {
        /// For whom.
        client: ClientId,
        /// Echoed: jobs that were meant.
        jobs: u64,
        /// Those of them that have outputs.
        outputs: Vec<SpooledOutputs>,
    },
    /// A spooled job has left the queue: its folder in the spool may go.
    DropSpool {
        /// Absolute path.
        folder: String,
    },
    /// Remove what an attempt left in temporary files, and forget it.
    Abandon {
        /// Which.
        attempt: AttemptId,
    },
    /// Bring the file systems to disk that outputs were delivered to, and report [`Input::OutputsSynced`].
    SyncOutputs {
        /// Echoed.
        upto: RecordNo,
        /// Folders to which an earlier run of the service delivered.
        folders: Vec<String>,
    },
    /// Look at outputs after a reboot, and report [`Input::OutputsChecked`].
    CheckOutputs(Vec<ExpectedOutputs>),
    /// Append events to a job event log.
    UserLog(Box<LogEntry>),
    /// After a crash: append what a job event log lacks, before any other event goes there.
    MendLog(Box<Mending>),
    /// Report [`Input::Logged`] when every earlier [`Effect::UserLog`] and [`Effect::MendLog`] was written.
    LogMark {
        /// Echoed.
        token: u64,
    },
    /// Put a job into the history, in place of what it may have of it, and report [`Input::Archived`].
    Archive(Box<Departed>),
    /// Bring the history to disk now: something waits for [`Input::ArchiveSynced`].
    SyncArchive,
    /// Take a job out of the history: it has not ended after all.
    Recall {
        /// Which.
        job: JobId,
        /// As in [`Departed::submitted_s`].
        submitted_s: i64,
    },
    /// Nothing names this blob any more.
    DropBlob(BlobId),
    /// Answer a client; the conversation ends unless the reply is [`Reply::Listing`].
    Answer {
        /// Whom.
        client: ClientId,
        /// What.
        reply: Reply,
    },
    /// Ads for a listing: payload of a `Rows` frame. The shell says [`Input::ClientReady`] when it is out.
    Rows {
        /// Whom.
        client: ClientId,
        /// Payload.
        payload: Vec<u8>,
    },
    /// The listing is whole.
    Finish {
        /// Whom.
        client: ClientId,
        /// Sums.
        end: ListingEnd,
    },
    /// Everything is flushed; the process may end.
    Ended,
    /// Something an operator wants to read at 3 a.m.
    Notice(Notice),
}
