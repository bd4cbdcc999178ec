//! The conversation with a status tool or a browser.

use std::io;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wq_core::ids::{JobId, Timestamp};
use wq_proto::{FromWorker, StatusQuery};

use super::objects;
use crate::driver::Shell;
use crate::links::Stream;

/// Requests that are answered at once; whoever comes then is hung up on.
pub(crate) const PLACES: usize = 32;

/// Time for the whole answer; a slow reader gets no more (requirement R-14).
pub(super) const ANSWER_MAX: Duration = Duration::from_secs(10);

/// Most entries of a list; it ends there.
pub(super) const LISTED_MAX: usize = 20_000;

/// Most bytes behind the first line of an HTTP request.
const HEAD_MAX: usize = 8 << 10;

/// What is shown for `/`.
const INDEX: &str = "<!DOCTYPE html>\n<title>alien_work_queue</title>\n<ul>\n\
    <li><a href=\"/queue_status\">queue_status</a>\n\
    <li><a href=\"/task_status\">task_status</a>\n\
    <li><a href=\"/worker_status\">worker_status</a>\n\
    <li><a href=\"/wable_status\">wable_status</a>\n\
    <li><a href=\"/resources_status\">resources_status</a>\n</ul>\n";

/// A request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Of a status tool.
    Tool(StatusQuery),
    /// Of a browser.
    Browser {
        /// The path.
        target: Bytes,
    },
}

impl Question {
    /// The request in the first message of a connection, if it is one.
    pub(crate) fn of(message: &FromWorker) -> Option<Question> {
        match message {
            FromWorker::Status(query) => Some(Question::Tool(*query)),
            FromWorker::Http { target, .. } => Some(Question::Browser { target: target.clone() }),
            _ => None,
        }
    }
}

/// What is still to be listed.
enum Rest {
    Objects(Vec<Value>),
    Tasks(JobId),
    Workers(u32),
    Nothing,
}

/// Answers and hangs up. `heard` came behind the first line.
pub(crate) async fn answer(mut stream: Stream, question: Question, heard: BytesMut, shell: Rc<Shell>) {
    let Ok(_place) = shell.askers.try_acquire() else {
        tracing::debug!(?question, "too many status requests at once; this one gets no answer");
        return;
    };
    let conversation = async {
        match &question {
            Question::Tool(query) => list(&mut stream, *query, &shell).await?,
            Question::Browser { target } => browse(&mut stream, target, heard, &shell).await?,
        }
        stream.shutdown().await
    };
    match tokio::time::timeout(ANSWER_MAX, conversation).await {
        Ok(Ok(())) => tracing::debug!(?question, "a status request was answered"),
        Ok(Err(error)) => tracing::debug!(?question, %error, "a status request was not answered"),
        Err(_) => tracing::debug!(?question, "a status request took too long"),
    }
}

async fn browse(stream: &mut Stream, target: &[u8], mut heard: BytesMut, shell: &Shell) -> io::Result<()> {
    // Unread bytes at a close would take the answer with them.
    while !is_whole_head(&heard) {
        if heard.len() > HEAD_MAX {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the head of the request is too long"));
        }
        if stream.read_buf(&mut heard).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    match target.strip_prefix(b"/").map(|name| (name, StatusQuery::from_verb(name))) {
        Some((_, Some(query))) => {
            stream.write_all(head("200 OK", "application/json").as_bytes()).await?;
            list(stream, query, shell).await
        }
        Some((b"", None)) => stream.write_all((head("200 OK", "text/html") + INDEX).as_bytes()).await,
        _ => stream.write_all((head("404 Not Found", "text/plain") + "no such status\n").as_bytes()).await,
    }
}

/// No `Access-Control-Allow-Origin`: pages of others must not read what this machine's browser may.
fn head(status: &str, kind: &str) -> String {
    format!("HTTP/1.1 {status}\r\nConnection: close\r\nContent-Type: {kind}\r\nCache-Control: no-store\r\n\r\n")
}

/// Whether the header lines, of which there may be none, are complete.
fn is_whole_head(heard: &[u8]) -> bool {
    let begins = heard.starts_with(b"\n") || heard.starts_with(b"\r\n");
    begins || heard.windows(2).any(|two| two == b"\n\n") || heard.windows(3).any(|three| three == b"\n\r\n")
}

/// Writes the array. Others get their turn after each part: writing waits for the reader, and each part yields.
async fn list(stream: &mut Stream, query: StatusQuery, shell: &Shell) -> io::Result<()> {
    let mut rest = begin(query, shell);
    let mut left = LISTED_MAX;
    let mut text = vec![b'['];
    loop {
        let (objects, then) = part(rest, shell);
        for object in objects.iter().take(left) {
            if left < LISTED_MAX {
                text.push(b',');
            }
            serde_json::to_writer(&mut text, object)?;
            left -= 1;
        }
        rest = if left == 0 { Rest::Nothing } else { then };
        if matches!(rest, Rest::Nothing) {
            text.push(b']');
            return stream.write_all(&text).await;
        }
        stream.write_all(&text).await?;
        text.clear();
        tokio::task::yield_now().await;
    }
}

fn begin(query: StatusQuery, shell: &Shell) -> Rest {
    match query {
        StatusQuery::Queue | StatusQuery::Resources | StatusQuery::MasterResources => {
            Rest::Objects(vec![objects::queue(&shell.about, &shell.look(|core, _| core.summary()))])
        }
        StatusQuery::Categories => Rest::Objects(vec![objects::category(&shell.look(|core, _| core.summary()))]),
        StatusQuery::Tasks => Rest::Tasks(JobId::new(0, 0)),
        StatusQuery::Workers => Rest::Workers(0),
    }
}

/// The next entries, and what comes behind.
fn part(rest: Rest, shell: &Shell) -> (Vec<Value>, Rest) {
    match rest {
        Rest::Objects(objects) => (objects, Rest::Nothing),
        Rest::Tasks(from) => {
            let offset_s = shell.wall_offset_s();
            let wall_us = |at: Timestamp| at.0.saturating_add_signed(offset_s.saturating_mul(1_000_000));
            let (facts, next) = shell.look(|core, now| core.list_tasks(now, from));
            (facts.iter().map(|task| objects::task(task, wall_us)).collect(), next.map_or(Rest::Nothing, Rest::Tasks))
        }
        Rest::Workers(from) => {
            let (facts, next) = shell.look(|core, _| core.list_peers(from));
            (facts.iter().map(objects::worker).collect(), next.map_or(Rest::Nothing, Rest::Workers))
        }
        Rest::Nothing => (Vec::new(), Rest::Nothing),
    }
}
