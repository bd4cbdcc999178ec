//! A few threads for what blocks: files of jobs and of the spool.
//!
//! Work is a closure; what it returns comes back on one channel, so that the driver takes many results in one turn.
//! How much work can wait is bounded by those who give it: attempts under way, bytes in flight on links, conversations
//! of clients.
//!
//! One thread does the work of ordinary days: on a local disk more of them only spin on the locks of the same few folders
//! (measured: four threads that create files in one folder burn four times the CPU of one). The others come to help,
//! one after another, when those that work have got stuck, as they do on a slow file server.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Threads: one regular, the others help.
const THREADS: usize = 16;

/// A piece of work that takes longer than this calls a helper for the next.
const STUCK_AFTER: Duration = Duration::from_millis(2);

type Work = Box<dyn FnOnce() + Send>;

/// The threads.
pub(crate) struct Pool<R> {
    queue: Arc<Queue>,
    /// What this turn of the event loop has brought; handed over at its end, with one wake-up.
    gathered: RefCell<Vec<Work>>,
    turn: Rc<Notify>,
    results: UnboundedSender<R>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    /// For the regular thread: there is work.
    work: Condvar,
    /// For helpers: somebody should watch.
    backlog: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Work>,
    /// When each thread began what it is doing.
    busy: [Option<Instant>; THREADS],
    /// A helper looks at how long the others take.
    watched: bool,
    over: bool,
}

impl<R> std::fmt::Debug for Pool<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pool").field("waiting", &self.queue.lock().waiting.len()).finish_non_exhaustive()
    }
}

impl<R: Send + 'static> Pool<R> {
    /// Starts the threads; results of [`Pool::give`] go to `results`. Whoever hears `turn` calls [`Pool::flush`].
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(results: UnboundedSender<R>, turn: Rc<Notify>) -> std::io::Result<Pool<R>> {
        let queue = Arc::new(Queue::default());
        let threads = (0..THREADS)
            .map(|number| {
                let queue = Arc::clone(&queue);
                let builder = std::thread::Builder::new().name(format!("files-{number}"));
                builder.spawn(move || if number == 0 { queue.serve() } else { queue.help(number) })
            })
            .collect::<Result<_, _>>()?;
        Ok(Pool { queue, gathered: RefCell::default(), turn, results, threads })
    }

    /// Has `work` done; its result comes through the channel.
    pub(crate) fn give(&self, work: impl FnOnce() -> R + Send + 'static) {
        let results = self.results.clone();
        // Nobody waits for results any more only when the process ends.
        self.put(Box::new(move || drop(results.send(work()))));
    }

    /// Has `work` done; it sends its result itself, now or later.
    pub(crate) fn give_later(&self, work: impl FnOnce(UnboundedSender<R>) + Send + 'static) {
        let results = self.results.clone();
        self.put(Box::new(move || work(results)));
    }

    /// Has `work` done without a word.
    pub(crate) fn let_do(&self, work: impl FnOnce() + Send + 'static) {
        self.put(Box::new(work));
    }

    /// Has `work` done and waits for its result.
    pub(crate) async fn wait<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> T {
        let (tell, told) = oneshot::channel();
        self.put(Box::new(move || drop(tell.send(work()))));
        self.flush();
        told.await.expect("the threads carry out everything they were given")
    }
}

impl<R> Pool<R> {
    /// Hands over what was gathered.
    pub(crate) fn flush(&self) {
        let gathered = self.gathered.take();
        if !gathered.is_empty() {
            self.queue.put(gathered);
        }
    }

    /// Nothing was given that is not done.
    pub(crate) fn is_idle(&self) -> bool {
        let state = self.queue.lock();
        self.gathered.borrow().is_empty() && state.waiting.is_empty() && state.busy.iter().all(Option::is_none)
    }

    fn put(&self, work: Work) {
        let mut gathered = self.gathered.borrow_mut();
        if gathered.is_empty() {
            self.turn.notify_one();
        }
        gathered.push(work);
    }
}

impl<R> Drop for Pool<R> {
    /// Waits until everything that was given is done.
    fn drop(&mut self) {
        self.flush();
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

    fn put(&self, work: Vec<Work>) {
        let mut state = self.lock();
        state.waiting.extend(work);
        let idle = state.busy[0].is_none();
        let needs_watch = !state.watched && (!idle || state.waiting.len() > 1);
        drop(state);
        if idle {
            self.work.notify_one();
        }
        if needs_watch {
            self.backlog.notify_one();
        }
    }

    /// The regular thread.
    fn serve(&self) {
        let mut state = self.lock();
        loop {
            if let Some(work) = state.waiting.pop_front() {
                state.busy[0] = Some(Instant::now());
                drop(state);
                work();
                state = self.lock();
                state.busy[0] = None;
            } else if state.over {
                return;
            } else {
                state = self.work.wait(state).expect("no work runs under this lock");
            }
        }
    }

    /// A helper: takes work only while everybody who works is stuck.
    fn help(&self, number: usize) {
        let mut state = self.lock();
        loop {
            if state.waiting.is_empty() {
                if state.over {
                    return;
                }
                state = self.backlog.wait(state).expect("no work runs under this lock");
                continue;
            }
            let newest = state.busy.iter().flatten().max();
            let left = newest.map_or(STUCK_AFTER, |begin| STUCK_AFTER.saturating_sub(begin.elapsed()));
            if !left.is_zero() {
                state.watched = true;
                (state, _) = self.backlog.wait_timeout(state, left).expect("no work runs under this lock");
                state.watched = false;
                continue;
            }
            let work = state.waiting.pop_front().expect("seen above");
            state.busy[number] = Some(Instant::now());
            drop(state);
            // Where one piece of work got stuck the next may too: another helper watches on.
            self.backlog.notify_one();
            work();
            state = self.lock();
            state.busy[number] = None;
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
        let pool = Pool::start(results, Rc::default()).unwrap();
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
        let pool = Pool::start(results, Rc::default()).unwrap();
        let releases: Vec<mpsc::Sender<()>> = (0..THREADS - 1)
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
