//! One conversation: preamble, request, answer.

use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use control_proto::frame::{self, Kind};
use control_proto::{Refusal, Reload, Reply, Request, VERSION, write_head};
use nix::sys::socket::{MsgFlags, recv};
use tokio::io::{AsyncReadExt, AsyncWriteExt, Interest};
use tokio::net::unix::{ReadHalf, WriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::Receiver;
use tokio_util::codec::Decoder;
use wq_core::Input;
use wq_core::ids::ClientId;
use wq_core::io::{Ask, Caller};

use super::callers::look_up;
use super::clients::Mailbox;
use super::codec::{Codec, CodecError, Item};
use super::intake::{Gathered, Intake, malformed};
use crate::driver::Shell;
use crate::handover::Order;
use crate::history::Asker;

/// Conversations at once; the others wait in the backlog. Descriptors for them are part of the reserve.
const CONVERSATIONS_MAX: usize = 128;

/// How long a client may be silent in the middle of its request, and how long it may leave our answer unread.
const PATIENCE: Duration = Duration::from_secs(60);

/// How long accepting rests when descriptors have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// Accepts clients for ever.
pub(crate) async fn accept(listener: UnixListener, submission_max: u64, shell: Rc<Shell>) {
    let places = Arc::new(Semaphore::new(CONVERSATIONS_MAX));
    let mut waiting = Vec::new();
    loop {
        shell.door.opened().await;
        let place = tokio::select! {
            place = Arc::clone(&places).acquire_owned() => place.expect("never closed"),
            () = shell.door.closed() => continue,
        };
        if waiting.is_empty() {
            waiting = shell.door.take_waiting();
        }
        let accepted = match waiting.pop() {
            Some(stream) => Ok(stream),
            None => tokio::select! {
                accepted = listener.accept() => accepted.map(|(stream, _)| stream),
                () = shell.door.closed() => continue,
            },
        };
        match accepted {
            Ok(stream) => {
                let shell = Rc::clone(&shell);
                tokio::task::spawn_local(async move {
                    converse(stream, submission_max, &shell).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "a client cannot be accepted");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

async fn converse(mut stream: UnixStream, submission_max: u64, shell: &Shell) {
    // Who has not said anything when the program changes speaks to the next one.
    while !has_spoken(&stream) {
        tokio::select! {
            biased;
            _ = stream.readable() => {}
            () = shell.door.closed() => return shell.door.wait(stream),
        }
    }
    let inside = shell.door.enter();
    let Ok(peer) = stream.peer_cred() else { return };
    let (uid, gid) = (peer.uid(), peer.gid());
    let name = match shell.callers.known_name(uid) {
        Some(name) => name.to_string(),
        None => {
            let name = shell.pool.wait(move || look_up(uid)).await;
            shell.callers.learn_name(uid, &name);
            name
        }
    };
    let caller = shell.callers.caller(uid, gid, &name);
    let (read, mut write) = stream.split();
    let mut items = Items { read, codec: Codec::default(), buffer: BytesMut::new() };
    let gathered = match gather(&mut items, submission_max, &caller, shell).await {
        Ok(Some(gathered)) => gathered,
        // It hung up before it had asked anything.
        Ok(None) => return,
        Err(reply) => return refuse(&mut write, &caller, &reply, shell).await,
    };
    if let Ask::Other(Request::Reload(wanted)) = gathered.ask {
        drop(inside);
        return order(stream, wanted, shell).await;
    }
    // What the caller did before it asked counts for the answer.
    shell.look_for_drain();
    if let Ask::Other(Request::History(query)) = gathered.ask {
        let asker = Asker { uid: caller.uid, superuser: caller.superuser, site: shell.callers.site(&caller) };
        return tokio::select! {
            () = pass_on(&mut write, shell.histories.ask(query, asker)) => (),
            () = hung_up(&mut items) => (),
        };
    }
    let (client, mailbox) = shell.clients.enter(shell.callers.site(&caller));
    shell.input(Input::Asked { client, caller, ask: gathered.ask });
    shell.unpin(&gathered.pinned);
    let answered = tokio::select! {
        answered = answer(&mut write, client, &mailbox, shell) => answered,
        () = hung_up(&mut items) => false,
    };
    shell.clients.leave(client);
    if !answered {
        shell.input(Input::ClientGone { client });
    }
}

/// Whether there is something to read, or the end: that the runtime takes a stream to be readable may be a false alarm.
fn has_spoken(stream: &UnixStream) -> bool {
    let look = || Ok(recv(stream.as_raw_fd(), &mut [0], MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT)?);
    !matches!(stream.try_io(Interest::READABLE, look), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Everything a client sends, as items.
struct Items<'a> {
    read: ReadHalf<'a>,
    codec: Codec,
    buffer: BytesMut,
}

impl Items<'_> {
    /// The next item; `None` at the end of the stream.
    async fn next(&mut self) -> Result<Option<Item>, CodecError> {
        loop {
            if let Some(item) = self.codec.decode(&mut self.buffer)? {
                return Ok(Some(item));
            }
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }
}

/// Puts the request together; `None` if the client goes before its end.
async fn gather(
    items: &mut Items<'_>,
    submission_max: u64,
    caller: &Caller,
    shell: &Shell,
) -> Result<Option<Gathered>, Reply> {
    let mut intake = Intake::new(submission_max);
    let mut checked = false;
    loop {
        let Ok(item) = tokio::time::timeout(PATIENCE, items.next()).await else {
            return Err(malformed("the request did not come to its end"));
        };
        let (kind, payload) = match item {
            Ok(Some(Item::Frame(kind, payload))) => (kind, payload),
            Ok(Some(Item::Preamble(version))) => {
                check_version(version)?;
                continue;
            }
            Ok(None) | Err(CodecError::Io(_)) => return Ok(None),
            Err(CodecError::Frame(error)) => return Err(malformed(error.to_string())),
        };
        let last = intake.take(kind, payload, shell).await?;
        if !checked && let Some(request) = intake.request() {
            checked = true;
            if let Some(refusal) = shell.callers.refusal(caller, &request) {
                return Err(refusal);
            }
        }
        if last {
            return intake.finish(shell).await.map(Some);
        }
    }
}

fn check_version(version: u16) -> Result<(), Reply> {
    match version {
        0 => Err(malformed("control protocol version 0 does not exist")),
        1..=VERSION => Ok(()),
        _ => Err(Reply::Refused {
            code: Refusal::Version,
            message: format!(
                "this alien_work_queue ({}) speaks version {VERSION} of the control protocol, not {version}",
                env!("CARGO_PKG_VERSION")
            ),
            speaks: Some(VERSION),
        }),
    }
}

/// Hands an order for a planned restart on, with the connection: its answer comes from the next program.
async fn order(asker: UnixStream, wanted: Reload, shell: &Shell) {
    let wait = Duration::from_secs(wanted.wait_s.into());
    let order = Order { asker, program: wanted.program.map(PathBuf::from), wait, drop_tls: wanted.drop_tls };
    if let Err(mut order) = shell.desk.take(order) {
        let message = "a planned restart is under way already: wait for its end".to_owned();
        refuse_late(&mut order.asker, Refusal::NotNow, message, shell).await;
    }
}

/// Refuses on a connection whose request was read by others.
pub(crate) async fn refuse_late(stream: &mut UnixStream, code: Refusal, message: String, shell: &Shell) {
    reply_late(stream, &Reply::Refused { code, message, speaks: None }, shell).await;
}

/// Answers on a connection whose request was read by others.
pub(crate) async fn reply_late(stream: &mut UnixStream, reply: &Reply, shell: &Shell) {
    let Ok(peer) = stream.peer_cred() else { return };
    let caller = shell.callers.caller(peer.uid(), peer.gid(), "");
    let (_, mut write) = stream.split();
    refuse(&mut write, &caller, reply, shell).await;
}

/// Writes a refusal, or another short answer, that the core has nothing to do with.
async fn refuse(write: &mut WriteHalf<'_>, caller: &Caller, reply: &Reply, shell: &Shell) {
    let mut bytes = Vec::new();
    frame::put(&mut bytes, Kind::Reply, &[&write_head(&shell.callers.site(caller), reply)]);
    frame::put(&mut bytes, Kind::End, &[]);
    // A client that does not wait for its refusal needs none.
    let _ = tokio::time::timeout(PATIENCE, write.write_all(&bytes)).await;
}

/// Writes the answer as it comes; true when all of it is written.
async fn answer(write: &mut WriteHalf<'_>, client: ClientId, mailbox: &Mailbox, shell: &Shell) -> bool {
    while let Some((bytes, rows)) = mailbox.next().await {
        match tokio::time::timeout(PATIENCE, write.write_all(&bytes)).await {
            Ok(Ok(())) if rows => shell.input(Input::ClientReady { client }),
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    true
}

/// Writes frames as they come from elsewhere.
async fn pass_on(write: &mut WriteHalf<'_>, frames: impl Future<Output = Receiver<Vec<u8>>>) {
    let mut frames = frames.await;
    while let Some(frame) = frames.recv().await {
        if !matches!(tokio::time::timeout(PATIENCE, write.write_all(&frame)).await, Ok(Ok(()))) {
            return;
        }
    }
}

/// Returns when the client has gone. What it still sends is not looked at.
async fn hung_up(items: &mut Items<'_>) {
    loop {
        items.buffer.clear();
        match items.read.read_buf(&mut items.buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
}
