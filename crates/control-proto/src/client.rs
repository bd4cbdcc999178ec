//! The blocking client of the condor programs: connect, one write, read to the end.
//!
//! No runtime, no configuration: the socket is `awq.sock` in `$AWQ_WORKDIR`, else `/tmp/awq`, nothing else
//! (decision D3). Waiting follows decision D4: a missing or refusing socket is tried again for `AWQ_WAIT_S`
//! seconds (default 1), an answer is waited for 30 s.

use std::convert::Infallible;
use std::io::{self, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::frame::{self, Kind, Splitter};
use crate::reply::{ListingEnd, Reply, Site, read_head};
use crate::request::Request;

/// The socket's name in the work dir.
pub const SOCKET_NAME: &str = "awq.sock";

/// How long an answer may take: shorter than the 60 s after which AliEn and JAliEn give up.
pub const ANSWER_LIMIT: Duration = Duration::from_secs(30);

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("no alien_work_queue answers on {path}: {last}")]
    Down {
        /// The socket.
        path: PathBuf,
        /// What the system said last; part of the sentence, so no cause beside it.
        last: io::Error,
    },
    /// Somebody else's socket stands there.
    #[error(
        "{path} belongs to user {uid}, who is neither root nor you, in a folder that others can write: not trusted"
    )]
    Untrusted {
        /// The socket.
        path: PathBuf,
        /// Who listens.
        uid: u32,
    },
    /// The conversation broke off.
    #[error("the connection to alien_work_queue broke: {0}")]
    Broken(io::Error),
    /// The answer cannot be understood.
    #[error("alien_work_queue answered what this program does not understand: {0}")]
    Answer(String),
}

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// Facts about the site.
    pub site: Site,
    /// Head of the answer.
    pub reply: Reply,
    /// Payloads of `Rows` frames, for [`crate::listing::read`].
    pub rows: Vec<Vec<u8>>,
    /// Behind a listing.
    pub end: Option<ListingEnd>,
}

/// A connection that is ready for its one request.
#[derive(Debug)]
pub struct Client {
    stream: UnixStream,
    patience: Duration,
}

/// What goes out behind a request, frame by frame, so that large files need not be in memory.
#[derive(Debug)]
pub struct Attachments<'a> {
    stream: &'a UnixStream,
    waiting: Vec<u8>,
    broken: Option<io::Error>,
}

impl Attachments<'_> {
    /// Bytes gathered for one write.
    const WRITE: usize = 256 << 10;

    /// Sends a frame. False when the master does not read any more: it has answered already, or is gone.
    pub fn put(&mut self, kind: Kind, parts: &[&[u8]]) -> bool {
        frame::put(&mut self.waiting, kind, parts);
        if self.waiting.len() >= Attachments::WRITE {
            self.flush();
        }
        self.broken.is_none()
    }

    /// Sends frames that [`frame::put`] made.
    pub fn put_frames(&mut self, frames: &[u8]) {
        self.waiting.extend_from_slice(frames);
        self.flush();
    }

    fn flush(&mut self) {
        if self.broken.is_none() {
            self.broken = (&mut &*self.stream).write_all(&self.waiting).err();
        }
        self.waiting.clear();
    }
}

/// `$AWQ_WORKDIR`, else `/tmp/awq`.
pub fn work_dir() -> PathBuf {
    match std::env::var_os("AWQ_WORKDIR") {
        Some(dir) if !dir.is_empty() => PathBuf::from(dir),
        _ => PathBuf::from("/tmp/awq"),
    }
}

/// `$AWQ_WAIT_S` in seconds, else 1.
pub fn wait() -> Duration {
    std::env::var("AWQ_WAIT_S")
        .ok()
        .and_then(|text| text.parse::<f64>().ok())
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .unwrap_or(Duration::from_secs(1))
}

impl Client {
    /// Connects to the master of the work dir, trying again for `patience` while nobody listens.
    pub fn connect(work_dir: &Path, patience: Duration) -> Result<Client, ClientError> {
        let path = work_dir.join(SOCKET_NAME);
        let deadline = Instant::now() + patience;
        let mut pause = Duration::from_millis(2);
        loop {
            match open(work_dir) {
                Ok(stream) => {
                    check_peer(&stream, &path)?;
                    stream.set_write_timeout(Some(ANSWER_LIMIT)).map_err(ClientError::Broken)?;
                    return Ok(Client { stream, patience: ANSWER_LIMIT });
                }
                Err(source) if worth_waiting(&source) && Instant::now() < deadline => {
                    std::thread::sleep(pause.min(deadline.saturating_duration_since(Instant::now())));
                    pause = (pause * 2).min(Duration::from_millis(50));
                }
                Err(last) => return Err(ClientError::Down { path, last }),
            }
        }
    }

    /// Waits so much longer for the answer: the master has files to move before it can give one.
    pub fn with_more_patience(mut self, more: Duration) -> Client {
        self.patience += more;
        self
    }

    /// Sends the request with `attachments` (frames that [`frame::put`] made) and reads the whole answer.
    ///
    /// Nothing of the answer is given out before its end has been seen, so a master that dies in the middle is
    /// an error and never a short list.
    pub fn ask(self, request: &Request, attachments: &[u8]) -> Result<Answer, ClientError> {
        let made = |out: &mut Attachments<'_>| -> Result<(), Infallible> {
            out.put_frames(attachments);
            Ok(())
        };
        let Ok(answer) = self.ask_with(request, made);
        answer
    }

    /// As [`Client::ask`], with attachments that are made while they are sent.
    ///
    /// # Errors
    /// What `attach` says: the request is then cut off, and the master forgets it.
    pub fn ask_with<E>(
        mut self,
        request: &Request,
        attach: impl FnOnce(&mut Attachments<'_>) -> Result<(), E>,
    ) -> Result<Result<Answer, ClientError>, E> {
        let text = serde_json::to_vec(request).expect("requests have no maps with odd keys");
        let mut out = Attachments { stream: &self.stream, waiting: frame::preamble().to_vec(), broken: None };
        frame::put(&mut out.waiting, Kind::Request, &[&text]);
        attach(&mut out)?;
        frame::put(&mut out.waiting, Kind::End, &[]);
        out.flush();
        // A master that refuses may close before it has read everything: its answer counts, not our EPIPE.
        let sent = out.broken;
        if let Err(source) = self.stream.set_read_timeout(Some(self.patience)) {
            return Ok(Err(ClientError::Broken(source)));
        }
        Ok(match (sent, read_answer(&mut self.stream, self.patience)) {
            (_, Ok(answer)) => Ok(answer),
            (Some(source), Err(ClientError::Broken(_))) => Err(ClientError::Broken(source)),
            (_, Err(error)) => Err(error),
        })
    }

    /// Sends a request and reads the head of its answer; the rows are read while they come.
    pub fn list(self, request: &Request) -> Result<Listing, ClientError> {
        let text = serde_json::to_vec(request).expect("requests have no maps with odd keys");
        let mut out = frame::preamble().to_vec();
        frame::put(&mut out, Kind::Request, &[&text]);
        frame::put(&mut out, Kind::End, &[]);
        let sent = (&self.stream).write_all(&out);
        self.stream.set_read_timeout(Some(self.patience)).map_err(ClientError::Broken)?;
        match (Listing::begin(self.stream, self.patience), sent) {
            (Err(ClientError::Broken(_)), Err(source)) => Err(ClientError::Broken(source)),
            (listing, _) => listing,
        }
    }
}

/// Reads a whole answer, from a master or from a program that answers as one. `patience` is how long it may take to begin.
pub fn read_answer(from: &mut impl Read, patience: Duration) -> Result<Answer, ClientError> {
    let mut listing = Listing::begin(from, patience)?;
    let mut rows = Vec::new();
    while let Some(payload) = listing.next_rows()? {
        rows.push(payload.to_vec());
    }
    let Listing { site, reply, end, .. } = listing;
    Ok(Answer { site, reply, rows, end })
}

/// An answer that is read while it comes. Only its end says that it was whole: nothing of it may be shown before.
#[derive(Debug)]
pub struct Listing<R = UnixStream> {
    from: R,
    splitter: Splitter,
    chunk: Vec<u8>,
    patience: Duration,
    deadline: Instant,
    /// Facts about the site.
    pub site: Site,
    /// Head of the answer.
    pub reply: Reply,
    /// Behind a listing, when it has been read to its end.
    pub end: Option<ListingEnd>,
    over: bool,
}

impl<R: Read> Listing<R> {
    /// Reads the head.
    fn begin(from: R, patience: Duration) -> Result<Listing<R>, ClientError> {
        let mut listing = Listing {
            from,
            splitter: Splitter::default(),
            chunk: vec![0; 64 << 10],
            patience,
            deadline: Instant::now() + patience,
            site: Site::default(),
            reply: Reply::Listing,
            end: None,
            over: false,
        };
        loop {
            match listing.splitter.next_frame().map_err(not_understood)? {
                Some((Kind::Reply, payload)) => {
                    (listing.site, listing.reply) = read_head(payload).map_err(not_understood)?;
                    return Ok(listing);
                }
                Some((kind, _)) => return Err(ClientError::Answer(format!("a frame of kind {kind:?} comes first"))),
                None => listing.wait(true)?,
            }
        }
    }

    /// The payload of the next frame of rows, for [`crate::listing::read`]; `None` at the end of the answer.
    pub fn next_rows(&mut self) -> Result<Option<&[u8]>, ClientError> {
        while !self.over && !self.splitter.has_frame() {
            // A listing that keeps flowing may take longer than one silence.
            self.wait(false)?;
        }
        if self.over {
            return Ok(None);
        }
        match self.splitter.next_frame().map_err(not_understood)? {
            Some((Kind::Rows, payload)) => Ok(Some(payload)),
            Some((Kind::End, payload)) => {
                self.over = true;
                if !payload.is_empty() {
                    self.end = Some(serde_json::from_slice(payload).map_err(not_understood)?);
                }
                Ok(None)
            }
            Some((kind, _)) => Err(ClientError::Answer(format!("a frame of kind {kind:?}"))),
            None => unreachable!("there is one"),
        }
    }

    /// Waits for more bytes. `first`: nothing of the answer has been seen.
    fn wait(&mut self, first: bool) -> Result<(), ClientError> {
        loop {
            let got = match self.from.read(&mut self.chunk) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(ClientError::Broken(io::Error::new(
                        io::ErrorKind::TimedOut,
                        format!("no answer in {} s", self.patience.as_secs()),
                    )));
                }
                other => other.map_err(ClientError::Broken)?,
            };
            if got == 0 {
                return Err(ClientError::Broken(io::ErrorKind::UnexpectedEof.into()));
            }
            if first && Instant::now() > self.deadline {
                return Err(ClientError::Broken(io::ErrorKind::TimedOut.into()));
            }
            self.splitter.feed(&self.chunk[..got]);
            return Ok(());
        }
    }
}

fn not_understood(error: impl std::fmt::Display) -> ClientError {
    ClientError::Answer(error.to_string())
}

/// `sun_path` holds 108 bytes; a longer path is reached through the folder's descriptor.
fn open(work_dir: &Path) -> io::Result<UnixStream> {
    let path = work_dir.join(SOCKET_NAME);
    if path.as_os_str().len() < 108 {
        return UnixStream::connect(path);
    }
    let folder = std::fs::File::open(work_dir)?;
    UnixStream::connect(format!("/proc/self/fd/{}/{SOCKET_NAME}", folder.as_raw_fd()))
}

fn worth_waiting(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused | io::ErrorKind::WouldBlock)
}

/// Root, ourselves, or a place where only its owner could have put the socket (decision D3).
fn check_peer(stream: &UnixStream, path: &Path) -> Result<(), ClientError> {
    let peer = nix::sys::socket::getsockopt(stream, nix::sys::socket::sockopt::PeerCredentials)
        .map_err(|errno| ClientError::Broken(errno.into()))?;
    let uid = peer.uid();
    if uid == 0 || uid == nix::unistd::geteuid().as_raw() || !others_can_write(path) {
        return Ok(());
    }
    Err(ClientError::Untrusted { path: path.to_owned(), uid })
}

/// Whether a component above the socket lets everybody write (a sticky `/tmp` counts as such).
fn others_can_write(path: &Path) -> bool {
    path.ancestors().skip(1).any(|folder| {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        match std::fs::symlink_metadata(folder) {
            Ok(facts) => facts.mode() & 0o002 != 0 && !facts.file_type().is_socket(),
            Err(_) => true,
        }
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;
    use crate::reply::write_head;

    fn serve_once(dir: &Path, answer: Vec<u8>) -> std::thread::JoinHandle<Vec<u8>> {
        let listener = UnixListener::bind(dir.join(SOCKET_NAME)).unwrap();
        std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let mut got = vec![0; 1 << 16];
            let n = peer.read(&mut got).unwrap();
            got.truncate(n);
            peer.write_all(&answer).unwrap();
            got
        })
    }

    fn site() -> Site {
        Site { host: "submit.example.org".into(), now_s: 1_700_000_000, ..Site::default() }
    }

    #[test]
    fn one_write_carries_preamble_request_and_end() {
        let dir = tempfile::tempdir().unwrap();
        let mut answer = Vec::new();
        frame::put(&mut answer, Kind::Reply, &[&write_head(&site(), &Reply::Pong)]);
        frame::put(&mut answer, Kind::End, &[]);
        let server = serve_once(dir.path(), answer);
        let got = Client::connect(dir.path(), Duration::ZERO).unwrap().ask(&Request::Ping, &[]).unwrap();
        assert_eq!((got.reply, got.site), (Reply::Pong, site()));
        let asked = server.join().unwrap();
        assert_eq!(frame::read_preamble(&asked), Ok(Some(frame::VERSION)));
        let mut splitter = Splitter::default();
        splitter.feed(&asked[6..]);
        assert_eq!(splitter.next_frame().unwrap().unwrap(), (Kind::Request, br#"{"ask":"ping"}"#.as_slice()));
        assert_eq!(splitter.next_frame().unwrap().unwrap(), (Kind::End, b"".as_slice()));
    }

    #[test]
    fn a_listing_cut_in_the_middle_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let mut answer = Vec::new();
        frame::put(&mut answer, Kind::Reply, &[&write_head(&site(), &Reply::Listing)]);
        frame::put(&mut answer, Kind::Rows, &[&[0]]);
        let server = serve_once(dir.path(), answer);
        let got = Client::connect(dir.path(), Duration::ZERO).unwrap().ask(&Request::Query(Default::default()), &[]);
        assert!(matches!(got, Err(ClientError::Broken(_))), "{got:?}");
        server.join().unwrap();
    }

    #[test]
    fn a_listing_is_read_while_it_comes_and_a_cut_one_is_no_short_one() {
        for whole in [true, false] {
            let dir = tempfile::tempdir().unwrap();
            let listener = UnixListener::bind(dir.path().join(SOCKET_NAME)).unwrap();
            let (go_on, told) = std::sync::mpsc::channel();
            let server = std::thread::spawn(move || {
                let (mut peer, _) = listener.accept().unwrap();
                let asked = peer.read(&mut vec![0; 1 << 16]).unwrap();
                let mut answer = Vec::new();
                frame::put(&mut answer, Kind::Reply, &[&write_head(&site(), &Reply::Listing)]);
                frame::put(&mut answer, Kind::Rows, &[b"some"]);
                peer.write_all(&answer).unwrap();
                // Until the rows were seen.
                told.recv().unwrap();
                answer.clear();
                frame::put(&mut answer, Kind::Rows, &[b"more"]);
                if whole {
                    let end = serde_json::to_vec(&ListingEnd { ads: 2, ..ListingEnd::default() }).unwrap();
                    frame::put(&mut answer, Kind::End, &[&end]);
                }
                peer.write_all(&answer).unwrap();
                assert!(asked > 0);
            });
            let client = Client::connect(dir.path(), Duration::ZERO).unwrap();
            let mut listing = client.list(&Request::Query(Default::default())).unwrap();
            assert_eq!((&listing.site, &listing.reply), (&site(), &Reply::Listing));
            assert_eq!(listing.next_rows().unwrap(), Some(&b"some"[..]));
            go_on.send(()).unwrap();
            assert_eq!(listing.next_rows().unwrap(), Some(&b"more"[..]));
            if whole {
                assert_eq!(listing.next_rows().unwrap(), None);
                assert_eq!(listing.next_rows().unwrap(), None);
                assert_eq!(listing.end.map(|end| end.ads), Some(2));
            } else {
                assert!(matches!(listing.next_rows(), Err(ClientError::Broken(_))));
                assert_eq!(listing.end, None);
            }
            server.join().unwrap();
        }
    }

    #[test]
    fn nobody_there_is_down_at_once_without_patience() {
        let dir = tempfile::tempdir().unwrap();
        let got = Client::connect(dir.path(), Duration::ZERO);
        assert!(matches!(got, Err(ClientError::Down { .. })), "{got:?}");
    }

    #[test]
    fn a_path_longer_than_sun_path_works() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("d".repeat(120));
        std::fs::create_dir(&deep).unwrap();
        let folder = std::fs::File::open(&deep).unwrap();
        let listener = UnixListener::bind(format!("/proc/self/fd/{}/{SOCKET_NAME}", folder.as_raw_fd())).unwrap();
        Client::connect(&deep, Duration::ZERO).unwrap();
        drop(listener);
    }
}
