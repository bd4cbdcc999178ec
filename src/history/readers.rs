//! Threads for questions to the history: a few at once, one for each question.

use std::path::PathBuf;
use std::sync::Arc;

use control_proto::HistoryQuery;
use tokio::sync::Semaphore;
use tokio::sync::mpsc::{Receiver, channel};

use super::reader::{Asker, ReadError, answer};

/// Questions at once; the others wait. A question that reads a million jobs keeps a processor busy for seconds.
const AT_ONCE: usize = 2;

/// Frames that may wait for their client.
const FRAMES_AHEAD: usize = 2;

/// Answers questions.
#[derive(Debug)]
pub(crate) struct Readers {
    path: PathBuf,
    places: Arc<Semaphore>,
}

impl Readers {
    /// For the history in this file.
    pub(crate) fn new(path: PathBuf) -> Readers {
        Readers { path, places: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// The frames of the answer, as they come. Who drops the receiver ends the search.
    pub(crate) async fn ask(&self, query: HistoryQuery, asker: Asker) -> Receiver<Vec<u8>> {
        let place = Arc::clone(&self.places).acquire_owned().await.expect("never closed");
        let (frames, answers) = channel(FRAMES_AHEAD);
        let path = self.path.clone();
        let work = move || {
            match answer(&path, &query, &asker, &mut |frame| frames.blocking_send(frame).is_ok()) {
                Ok(()) | Err(ReadError::Gone) => {}
                // The client gets no end of the answer, and says so.
                Err(error) => tracing::warn!(path = %path.display(), %error, "the history cannot be read"),
            }
            drop(place);
        };
        if let Err(error) = std::thread::Builder::new().name("history-reader".into()).spawn(work) {
            tracing::warn!(%error, "no thread for a question to the history");
        }
        answers
    }
}
