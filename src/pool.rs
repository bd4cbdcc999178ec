//! A few threads for what blocks: files of jobs and of the spool.
//!
//! Work is a closure; what it returns comes back on one channel, so that the driver takes many results in one turn.
//! How much work can wait is bounded by those who give it: attempts under way, bytes in flight on links, conversations
//! of clients.
//!
//! Two threads do the work of ordinary days: more of them would only wait for each other's locks in the same few
//! folders. The others come to help when work has waited for long, because a file server hangs.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Threads that take work at once.
const REGULARS: usize = 2;

/// Threads that take work which has waited for [`PATIENCE`].
const HELPERS: usize = 14;

/// How long work waits for a regular thread.
const PATIENCE: Duration = Duration::from_millis(20);

type Work = Box<dyn FnOnce() + Send>;

/// The threads.
#[derive(Debug)]
pub(crate) struct Pool<R> {
    queue: Arc<Queue>,
    results: UnboundedSender<R>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// For regular threads: there is work.
    work: Condvar,
    /// For helpers: there is old work, or a backlog to watch.
    backlog: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Instant, Work)>,
    idle_regulars: usize,
    /// A helper looks at how long work waits.
    watched: bool,
    over: bool,
}

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue").field("waiting", &self.lock().waiting.len()).finish_non_exhaustive()
    }
}

impl<R: Send + 'static> Pool<R> {
    /// Starts the threads; results of [`Pool::give`] go to `results`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(results: UnboundedSender<R>) -> std::io::Result<Pool<R>> {
        let queue = Arc::new(Queue::default());
        let threads = (0..REGULARS + HELPERS)
            .map(|number| {
                let queue = Arc::clone(&queue);
                let serve = if number < REGULARS { Queue::serve } else { Queue::help };
                std::thread::Builder::new().name(format!("files-{number}")).spawn(move || serve(&queue))
            })
            .collect::<Result<_, _>>()?;
        Ok(Pool { queue, results, threads })
    }

    /// Has `work` done; its result comes through the channel.
    pub(crate) fn give(&self, work: impl FnOnce() -> R + Send + 'static) {
        let results = self.results.clone();
        // Nobody waits for results any more only when the process ends.
        self.queue.put(Box::new(move || drop(results.send(work()))));
    }

    /// Has `work` done without a word.
    pub(crate) fn let_do(&self, work: impl FnOnce() + Send + 'static) {
        self.queue.put(Box::new(work));
    }

    /// Has `work` done and waits for its result.
    pub(crate) async fn wait<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = oneshot::channel();
        self.queue.put(Box::new(move || drop(tell.send(work()))));
        told.await.expect("the threads carry out everything they were given")
    }
}

impl<R> Drop for Pool<R> {
    /// Waits until everything that was given is done.
    fn drop(&mut self) {
        self.queue.lock().over = true;
        self.queue.work.notify_all();
        self.queue.backlog.notify_all();
        for thread in self.threads.drain(..) {
            // A thread that panicked has said so in the log.
            let _ = thread.join();
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no work runs under this lock")
    }

    fn put(&self, work: Work) {
        let mut state = self.lock();
        state.waiting.push_back((Instant::now(), work));
        let idle = state.idle_regulars > 0;
        // More work than idle threads: somebody should watch how long it waits.
        let needs_watch = !state.watched && state.waiting.len() > state.idle_regulars;
        drop(state);
        if idle {
            self.work.notify_one();
        }
        if needs_watch {
            self.backlog.notify_one();
        }
    }

    /// A regular thread.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some((_, work)) = state.waiting.pop_front() {
                drop(state);
                work();
                state = self.lock();
            } else if state.over {
                return;
            } else {
                state.idle_regulars += 1;
                state = self.work.wait(state).expect("no work runs under this lock");
                state.idle_regulars -= 1;
            }
        }
    }

    /// A helper: takes only what has waited for too long.
    fn help(&self) {
        let mut state = self.lock();
        loop {
            let Some((since, _)) = state.waiting.front() else {
                if state.over {
                    return;
                }
                state = self.backlog.wait(state).expect("no work runs under this lock");
                continue;
            };
            let left = PATIENCE.saturating_sub(since.elapsed());
            if !left.is_zero() {
                state.watched = true;
                (state, _) = self.backlog.wait_timeout(state, left).expect("no work runs under this lock");
                state.watched = false;
                continue;
            }
            let (_, work) = state.waiting.pop_front().expect("seen above");
            drop(state);
            // Where one piece of work got stuck the next may too: another helper watches on.
            self.backlog.notify_one();
            work();
            state = self.lock();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn results_come_back_and_an_end_waits_for_all_work() {
        let (results, mut got) = tokio::sync::mpsc::unbounded_channel();
        let pool = Pool::start(results).unwrap();
        for number in 0..1000u32 {
            pool.give(move || number);
        }
        assert_eq!(pool.wait(|| 7).await, 7);
        drop(pool);
        let mut all: Vec<u32> = std::iter::from_fn(|| got.try_recv().ok()).collect();
        all.sort_unstable();
        assert_eq!(all, (0..1000).collect::<Vec<_>>());
    }

    #[tokio::test]
    async fn stuck_work_does_not_stop_the_rest() {
        let (results, _got) = tokio::sync::mpsc::unbounded_channel::<()>();
        let pool = Pool::start(results).unwrap();
        let releases: Vec<mpsc::Sender<()>> = (0..REGULARS + HELPERS - 1)
            .map(|_| {
                let (release, wait) = mpsc::channel();
                // Until the sender goes.
                pool.let_do(move || {
                    let _ = wait.recv();
                });
                release
            })
            .collect();
        assert_eq!(pool.wait(|| 7).await, 7);
        drop(releases);
    }
}
