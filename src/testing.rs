//! A whole master for tests: the real core and shell on a temporary folder, in the test's own thread.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;

use control_proto::frame::{self, Kind, Splitter};
use control_proto::{Reply, Request, read_head};
use journal::Writer;
use journal::keeper::Compaction;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::Notify;
use tokio::sync::mpsc::unbounded_channel;
use wq_core::{Config, Master};
use wq_proto::Password;

use crate::blobs::{Blobs, Store};
use crate::clock::{Clock, Past, Reading};
use crate::control::{self, Callers, SiteFacts};
use crate::driver::{Parts, Shell};
use crate::event_logs::EventLogs;
use crate::journal_files::FileStorage;
use crate::links::{self, Links};
use crate::local_jobs::LocalJobs;
use crate::outputs::{Outputs, Words};
use crate::pool::Pool;
use crate::prepare::Preparer;
use crate::record_keeper::RecordKeeper;
use crate::status::About;

/// Most links of a bench.
pub(crate) const LINKS_MAX: usize = 20;

/// Most strangers of a bench.
pub(crate) const STRANGERS_MAX: usize = 3;

/// Largest submission of a bench, bytes.
pub(crate) const SUBMISSION_MAX: u64 = 4 << 20;

/// The master and its doors.
pub(crate) struct Bench {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) shell: Rc<Shell>,
    pub(crate) address: SocketAddr,
    socket: PathBuf,
}

/// Runs a test with a bench.
pub(crate) fn with_bench<F: Future<Output = ()>>(password: Option<&[u8]>, test: impl FnOnce(Bench) -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let local = tokio::task::LocalSet::new();
    local.block_on(&runtime, async { test(Bench::start(password).await).await });
}

impl Bench {
    async fn start(password: Option<&[u8]>) -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let (spool, journal) = (dir.path().join("spool"), dir.path().join("journal"));
        std::fs::create_dir(&spool).unwrap();
        std::fs::create_dir(&journal).unwrap();
        let (results, reports) = unbounded_channel();
        let turn = Rc::new(Notify::new());
        let uid = nix::unistd::geteuid().as_raw();
        let words = Words::new("submit.example.org");
        let outputs = Outputs::new(words.clone(), "test".into(), &spool.join("unfinished"), false).unwrap();
        let shell = Shell::new(Parts {
            core: Master::new(Config::default()),
            clock: Clock::new(&Past::default(), Reading::now().unwrap()),
            links: Links::new(LINKS_MAX, STRANGERS_MAX, None),
            callers: Callers::new(SiteFacts::default(), uid, None, vec![]),
            pool: Pool::start(results.clone(), Rc::clone(&turn)).unwrap(),
            outputs: Arc::new(outputs),
            blobs: Blobs::new(Arc::new(Store::open(&spool, uid).unwrap())),
            local_jobs: LocalJobs::open(spool.join("local"), dir.path().into(), words.clone(), results.clone())
                .unwrap(),
            preparer: Preparer::new(words),
            about: About { project: "alien_jobs".into(), port: 9094, links_max: LINKS_MAX, ..About::default() },
            turn: Rc::clone(&turn),
            records: RecordKeeper::start(
                Writer::create([1; 16]),
                FileStorage::new(&journal),
                Compaction::new(u64::MAX, 0),
                |_| None,
                results.clone(),
                Rc::clone(&turn),
            )
            .unwrap(),
            logs: EventLogs::start(results).unwrap(),
            drain_file: dir.path().join("drain"),
            history: None,
            histories: crate::history::Readers::new("/nowhere".into()),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let socket = dir.path().join("socket");
        let clients = UnixListener::bind(&socket).unwrap();
        let password = password.map(|content| Rc::new(Password::from_file_content(content)));
        tokio::task::spawn_local(links::accept(listener, password, Rc::clone(&shell)));
        tokio::task::spawn_local(control::accept(clients, SUBMISSION_MAX, Rc::clone(&shell)));
        tokio::task::spawn_local(Rc::clone(&shell).take_reports(reports));
        shell.start();
        tokio::task::spawn_local(Rc::clone(&shell).keep_time());
        tokio::task::spawn_local(Rc::clone(&shell).end_turns());
        tokio::task::spawn_local(Rc::clone(&shell).settle_blobs());
        Bench { dir, shell, address, socket }
    }

    /// A path in the folder, as text.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    /// Whether a file in the folder has a name that begins so.
    pub(crate) fn names_begin_with(&self, begin: &str) -> bool {
        std::fs::read_dir(self.dir.path())
            .unwrap()
            .any(|entry| entry.unwrap().file_name().to_string_lossy().starts_with(begin))
    }

    /// A connection to the worker port.
    pub(crate) async fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        stream
    }

    /// Sends bytes to the socket and reads the answer to its end.
    pub(crate) async fn say(&self, wire: &[u8]) -> Reply {
        let mut stream = UnixStream::connect(&self.socket).await.unwrap();
        let mut answer = Vec::new();
        // A master that refuses may close before it has read everything, which shows behind its answer as a reset.
        let _ = stream.write_all(wire).await;
        let _ = stream.read_to_end(&mut answer).await;
        let mut splitter = Splitter::default();
        splitter.feed(&answer);
        match splitter.next_frame().unwrap() {
            Some((Kind::Reply, payload)) => read_head(payload).unwrap().1,
            other => panic!("{other:?} in {answer:?}"),
        }
    }

    /// Asks with attachments, frame by frame.
    pub(crate) async fn ask(&self, request: &Request, attachments: &[(Kind, Vec<u8>)]) -> Reply {
        let mut wire = frame::preamble().to_vec();
        frame::put(&mut wire, Kind::Request, &[&serde_json::to_vec(request).unwrap()]);
        for (kind, payload) in attachments {
            frame::put(&mut wire, *kind, &[payload]);
        }
        frame::put(&mut wire, Kind::End, &[]);
        self.say(&wire).await
    }
}

/// Reads from a peer until its bytes end with `end`.
pub(crate) async fn read_until(stream: &mut TcpStream, end: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    while !got.ends_with(end) {
        let count = stream.read_buf(&mut got).await.unwrap();
        assert!(count > 0, "the master hung up after {:?}", String::from_utf8_lossy(&got));
    }
    got
}
