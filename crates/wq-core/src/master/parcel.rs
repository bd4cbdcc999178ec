//! Everything that goes to a worker for one attempt: its files, and the task that names them (decisions D23, D29).

use bytes::{Bytes, BytesMut};
use wq_proto::{FileFlags, FileMode, Infile, Outfile, TaskMessage, ToWorker};

use super::Master;
use crate::ids::{AttemptId, BlobId};
use crate::io::{Effect, Prepared, Source, Trouble};
use crate::run::{BlobUse, CommandLine, Copy, KEPT_ABOVE, State};
use crate::workers::Peer;

/// One category for everything, as in the original, which had none.
const CATEGORY: &str = "default";

/// Files of one job that are copied from the worker's cache; each makes the command line longer.
const COPIES_MAX: usize = 64;

/// A foreman of protocol 11 stores files in this folder and looks for them one higher; its workers do the same (wire spec
/// 4.6, decision D43).
const FOREMANS_CACHE: &str = "cache";
/// Where a task gets the copy of that folder which makes it exist at the worker; nothing reads it.
const CACHE_IN_SANDBOX: &str = ".awq-cache";

/// A file of a job.
struct Item<'a> {
    source: Source,
    size: u64,
    sandbox: &'a str,
    mode: u32,
    /// Hash of its bytes, if other jobs may need them.
    content: Option<BlobId>,
}

impl Item<'_> {
    fn of_blob(blob: BlobUse, sandbox: &str, mode: u32) -> Item<'_> {
        Item { source: Source::Blob(blob.id), size: blob.size, sandbox, mode, content: None }
    }
}

/// A file to be sent.
struct Put {
    source: Source,
    size: u64,
    name: String,
    mode: u32,
    /// Is kept in the peer's cache for other jobs.
    stays: bool,
}

/// What is sent for an attempt.
pub(super) struct Parcel {
    id: AttemptId,
    inputs: Vec<Infile>,
    puts: Vec<Put>,
    copies: Vec<Copy>,
    /// Contents that the peer keeps, with their sizes.
    kept: Vec<(BlobId, u64)>,
    text: Bytes,
    /// The names are written as a foreman of protocol 11 finds them.
    astray: bool,
}

impl Master {
    /// Makes the messages of a task; nothing is sent yet.
    pub(super) fn parcel(&mut self, id: AttemptId, prepared: &Prepared) -> Result<Parcel, Trouble> {
        let wrapper = self.config.job_wrapper.as_ref();
        let wrapper = wrapper.map(|blob| BlobUse { id: blob.id, size: blob.size, mode: blob.mode });
        let attempt = self.attempts.get_mut(&id).expect("the caller has it");
        let peer = self.peers.get_mut(attempt.link).expect("an attempt's peer stands");
        let task = peer.next_task();
        let mut parcel = Parcel::new(id, peer.is_broken_foreman());
        let (files, names) = (&attempt.files, &attempt.names);
        if let Some(executable) = files.executable {
            let item = Item::of_blob(executable, &names.executable, executable.mode | 0o700);
            parcel.share(peer, &names.kept, Item { content: Some(executable.id), ..item });
        }
        if let Some(wrapper) = wrapper {
            parcel.put(Item::of_blob(wrapper, &names.wrapper, wrapper.mode | 0o700));
        }
        if let Some(proxy) = files.proxy {
            parcel.put(Item::of_blob(proxy, &names.proxy, 0o600));
        }
        if let Some(token) = files.token {
            parcel.put(Item::of_blob(token, &names.token, 0o600));
        }
        for file in &prepared.files {
            let (source, size, content) = (file.source.clone(), file.size, file.content);
            let (sandbox, mode) = (&*file.sandbox, file.mode);
            parcel.share(peer, &names.kept, Item { source, size, sandbox, mode, content });
        }
        let outfiles: Vec<Outfile> = attempt
            .outputs
            .iter()
            .map(|output| Outfile {
                cached: parcel.cached(&output.cached),
                sandbox: Bytes::from(output.sandbox.clone()),
                // Foremen never send growth on (decision D39).
                flags: if output.watched && !peer.foreman { FileFlags::WATCH } else { FileFlags::NONE },
            })
            .collect();
        let dirs: Vec<Bytes> = prepared.dirs.iter().map(|dir| Bytes::from(dir.clone())).collect();
        let line = CommandLine::build(files, names, wrapper.is_some(), &parcel.copies);
        let message = TaskMessage {
            id: task,
            command: line.as_bytes(),
            category: CATEGORY,
            cores: attempt.shape.cores,
            memory_mb: attempt.shape.memory_mb,
            disk_mb: attempt.shape.disk_mb,
            gpus: attempt.shape.gpus,
            env: &attempt.files.environment,
            inputs: &parcel.inputs,
            outputs: &outfiles,
            dirs: &dirs,
        };
        let mut text = BytesMut::new();
        message.encode(peer.protocol, &mut text).map_err(|error| Trouble {
            code: 13,
            subcode: 22,
            reason: format!("Transfer input files failure: Work Queue cannot carry this job: {error}"),
        })?;
        parcel.text = text.freeze();
        // Only what is really sent is in the peer's cache: a task that cannot be written sends nothing.
        for (content, size) in &parcel.kept {
            peer.kept.take(*content, *size);
        }
        attempt.kept = parcel.kept.iter().map(|(content, _)| *content).collect();
        attempt.sent = parcel.text.len() as u64 + parcel.puts.iter().map(|put| put.size).sum::<u64>();
        attempt.cached = parcel.puts.iter().filter(|put| !put.stays).map(|put| put.name.clone()).collect();
        attempt.task = Some(task);
        attempt.state = State::Sending;
        peer.preparing.remove(&id);
        peer.tasks.insert(task, id);
        Ok(parcel)
    }

    /// Queues everything a task needs on its link.
    pub(super) fn send(&mut self, id: AttemptId, parcel: Parcel) {
        let link = self.attempts[&id].link;
        for Put { source, size, name, mode, stays } in parcel.puts {
            let flags = if stays { FileFlags::CACHE } else { FileFlags::NONE };
            let message = ToWorker::Put { name: name.into(), len: size, mode: FileMode::new(mode), flags: Some(flags) };
            self.effects.push_back(Effect::Tell { link, message });
            self.effects.push_back(Effect::SendBody { link, source, attempt: id });
        }
        self.effect(Effect::SendTask { link, text: parcel.text });
        self.effect(Effect::Mark { link, attempt: id });
    }

    /// The attempt needs nothing of its peer's cache any more; what the peer keeps beyond its limit goes.
    pub(super) fn leave_kept(&mut self, attempt: &mut crate::run::Attempt) {
        let link = attempt.link;
        let Some(peer) = self.peers.get_mut(link) else { return };
        for content in attempt.kept.drain(..) {
            peer.kept.leave(content);
        }
        for content in peer.kept.give_up(peer.keeps_at_most()) {
            self.effects
                .push_back(Effect::Tell { link, message: ToWorker::Unlink { name: kept_name(content).into() } });
        }
    }
}

/// Name in a peer's cache that means this content for ever.
fn kept_name(content: BlobId) -> String {
    format!("b{content}")
}

impl Parcel {
    fn new(id: AttemptId, astray: bool) -> Parcel {
        let none = Bytes::new();
        let mut parcel = Parcel {
            id,
            inputs: Vec::new(),
            puts: Vec::new(),
            copies: Vec::new(),
            kept: Vec::new(),
            text: none,
            astray,
        };
        if astray {
            // Must be the first: it makes the folder at the worker.
            let (cached, sandbox) = (Bytes::from_static(FOREMANS_CACHE.as_bytes()), CACHE_IN_SANDBOX.into());
            parcel.inputs.push(Infile { cached, sandbox, flags: FileFlags::CACHE });
        }
        parcel
    }

    /// A name in the cache as a task must spell it.
    fn cached(&self, name: &str) -> Bytes {
        Bytes::from(if self.astray { format!("{FOREMANS_CACHE}/{name}") } else { name.to_owned() })
    }

    /// A file under its name in the sandbox, for this attempt alone.
    fn put(&mut self, item: Item<'_>) {
        let Item { source, size, sandbox, mode, .. } = item;
        let name = format!("a{}-i{}", self.id, self.puts.len());
        self.infile(&name, sandbox, FileFlags::NONE);
        self.puts.push(Put { source: unchecked(source), size, name, mode, stays: false });
    }

    /// A file that other jobs may need too: a large one comes from the peer's cache, where it is sent once, and is
    /// copied to its place by the command line.
    fn share(&mut self, peer: &Peer, folder: &str, item: Item<'_>) {
        let worthwhile = item.size > KEPT_ABOVE && item.size <= peer.keeps_at_most() && self.copies.len() < COPIES_MAX;
        let Some(content) = item.content.filter(|_| worthwhile) else { return self.put(item) };
        let Item { source, size, sandbox, mode, .. } = item;
        let place = format!("{folder}/{}", self.copies.len());
        let name = kept_name(content);
        self.infile(&name, &place, FileFlags::CACHE);
        self.copies.push(Copy { from: place, to: sandbox.to_owned(), mode });
        if !peer.kept.has(content) && !self.kept.iter().any(|(known, _)| *known == content) {
            self.puts.push(Put { source, size, name, mode: 0o755, stays: true });
        }
        self.kept.push((content, size));
    }

    fn infile(&mut self, cached: &str, sandbox: &str, flags: FileFlags) {
        let (cached, sandbox) = (self.cached(cached), Bytes::from(sandbox.to_owned()));
        // Without the flag such a foreman removes the file from its worker by the wrong name.
        let flags = if self.astray { FileFlags::CACHE } else { flags };
        self.inputs.push(Infile { cached, sandbox, flags });
    }
}

/// A file that nobody keeps under its content's name may have any content.
fn unchecked(source: Source) -> Source {
    match source {
        Source::File { path, size, .. } => Source::File { path, size, content: None },
        blob @ Source::Blob(_) => blob,
    }
}
