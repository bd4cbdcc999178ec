//! A few threads for what blocks: files of jobs and of the spool.
//!
//! Work is a closure; what it returns comes back on one channel, so that the driver takes many results in one turn.
//! How much work can wait is bounded by those who give it: attempts under way, bytes in flight on links, conversations
//! of clients.

use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

type Work = Box<dyn FnOnce() + Send>;

/// The threads.
#[derive(Debug)]
pub(crate) struct Pool<R> {
    work: Option<mpsc::Sender<Work>>,
    results: UnboundedSender<R>,
    threads: Vec<JoinHandle<()>>,
}

impl<R: Send + 'static> Pool<R> {
    /// Starts the threads; results of [`Pool::give`] go to `results`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(threads: usize, results: UnboundedSender<R>) -> std::io::Result<Pool<R>> {
        let (work, queue) = mpsc::channel::<Work>();
        let queue = Arc::new(Mutex::new(queue));
        let threads = (0..threads)
            .map(|number| {
                let queue = Arc::clone(&queue);
                std::thread::Builder::new().name(format!("files-{number}")).spawn(move || serve(&queue))
            })
            .collect::<Result<_, _>>()?;
        Ok(Pool { work: Some(work), results, threads })
    }

    /// Has `work` done; its result comes through the channel.
    pub(crate) fn give(&self, work: impl FnOnce() -> R + Send + 'static) {
        let results = self.results.clone();
        // Nobody waits for results any more only when the process ends.
        self.put(Box::new(move || drop(results.send(work()))));
    }

    /// Has `work` done without a word.
    pub(crate) fn let_do(&self, work: impl FnOnce() + Send + 'static) {
        self.put(Box::new(work));
    }

    /// Has `work` done and waits for its result.
    pub(crate) async fn wait<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = oneshot::channel();
        self.put(Box::new(move || drop(tell.send(work()))));
        told.await.expect("the threads carry out everything they were given")
    }

    fn put(&self, work: Work) {
        let queue = self.work.as_ref().expect("the queue lives as long as the pool");
        queue.send(work).expect("the threads live as long as the pool");
    }
}

impl<R> Drop for Pool<R> {
    /// Waits until everything that was given is done.
    fn drop(&mut self) {
        self.work = None;
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

fn serve(queue: &Mutex<mpsc::Receiver<Work>>) {
    loop {
        // The lock is held while waiting: exactly one idle thread listens, the others queue behind it.
        let work = match queue.lock().expect("no work runs under this lock").recv() {
            Ok(work) => work,
            Err(mpsc::RecvError) => return,
        };
        work();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn results_come_back_and_an_end_waits_for_all_work() {
        let (results, mut got) = tokio::sync::mpsc::unbounded_channel();
        let pool = Pool::start(2, results).unwrap();
        for number in 0..100u32 {
            pool.give(move || number);
        }
        assert_eq!(pool.wait(|| 7).await, 7);
        drop(pool);
        let mut all: Vec<u32> = std::iter::from_fn(|| got.try_recv().ok()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
    }
}
