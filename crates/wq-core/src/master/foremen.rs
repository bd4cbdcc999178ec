//! What only foremen need: tasks that wait there without a worker, and the end of tasks at those of protocol 11, which die
//! when a waiting task is killed (wire spec 4.6, decisions D42, D43).

use journal::LostReason;
use wq_proto::{Protocol, TaskId, ToWorker};

use super::Master;
use super::timers::Timer;
use crate::ids::{AttemptId, LinkId, Timestamp};
use crate::io::Effect;
use crate::run::{State, Verdict};
use crate::workers::{Leftover, Phase};

/// A foreman with tasks waiting for so long has one that fits none of its workers …
const WAITING_S: u64 = 300;
/// … unless those that came within this time are all that waits.
const YOUNG_S: u64 = 60;

impl Master {
    /// `resource tag`: the peer had received the tasks up to this one.
    pub(super) fn resource_tag(&mut self, link: LinkId, tag: u64) {
        if let Some(below) = self.peers.get_mut(link).and_then(|peer| peer.below.as_mut()) {
            below.tag = u32::try_from(tag).unwrap_or(u32::MAX);
        }
    }

    /// Behind `tasks_running` a foreman says `tasks_waiting` once more and means something else; those of protocol 6 do not.
    pub(super) fn tasks_running(&mut self, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(link)
            && let (true, Some(below)) = (peer.protocol != Protocol::V6, peer.below.as_mut())
        {
            below.second = true;
        }
    }

    /// So many tasks wait at a foreman.
    pub(super) fn tasks_waiting(&mut self, now: Timestamp, link: LinkId, count: u64) {
        let Some(peer) = self.peers.get_mut(link) else { return };
        let is_broken = peer.is_broken_foreman();
        let Some(below) = peer.below.as_mut() else { return };
        if std::mem::take(&mut below.second) {
            return;
        }
        if is_broken {
            let tag = below.tag;
            let wanted = std::mem::take(&mut below.kills);
            // A report that was written before the task arrived says nothing about it.
            let (known, early): (Vec<_>, Vec<_>) = wanted.into_iter().partition(|(_, task)| task.0 <= tag);
            below.kills = early;
            for (id, task) in known {
                if count == 0 { self.kill_for_sure(now, link, id, task) } else { self.killed(now, id) }
            }
            return;
        }
        let young = |id: &&AttemptId| {
            self.attempts.get(id).is_some_and(|attempt| now.since(attempt.started) < YOUNG_S * 1_000_000)
        };
        if count <= peer.tasks.values().filter(young).count() as u64 {
            below.waiting_since = None;
            return;
        }
        let since = *below.waiting_since.get_or_insert(now);
        if now.since(since) < WAITING_S * 1_000_000 {
            return;
        }
        below.waiting_since = None;
        let large = peer.tasks.values().rev().copied().filter(|id| {
            self.attempts.get(id).is_some_and(|attempt| {
                attempt.state == State::Running
                    && attempt.shape.cores > 1
                    && now.since(attempt.started) >= WAITING_S * 1_000_000
            })
        });
        let youngest = large.max_by_key(|id| self.attempts[id].started);
        if let Some(id) = youngest {
            let text = "the foreman had tasks waiting for five minutes: none of its workers has room for this one";
            self.kill(now, id, Verdict::Requeue(LostReason::Rescheduled, text.to_owned()));
        }
    }

    /// Ends a task at a foreman that does not survive the end of a waiting one: first it is asked whether any waits. The
    /// job does not wait for the answer longer than for any other worker; the task keeps its share until it has ended.
    pub(super) fn kill_with_care(&mut self, now: Timestamp, id: AttemptId) {
        let attempt = self.attempts.get_mut(&id).expect("the caller has it");
        let (link, shape, names) = (attempt.link, attempt.shape, attempt.names_in_cache());
        let task = attempt.task.expect("the caller has seen it");
        let was_booked = std::mem::take(&mut attempt.booked);
        let peer = self.peers.get_mut(link).expect("the caller has seen it");
        if !was_booked {
            peer.book(shape);
        }
        let below = peer.below.as_mut().expect("foremen have it");
        below.leftovers.insert(task, Leftover { shape, names });
        below.kills.push((id, task));
        peer.checks.push_back(Vec::new());
        peer.checked_at.get_or_insert(now);
        self.peers.changed(link);
        self.effect(Effect::Tell { link, message: ToWorker::Check });
        self.timers.set(now.plus_s(self.config.confirm_s), Timer::Confirm(id));
    }

    /// No task waits at the foreman: this one runs or has ended, and may be killed.
    fn kill_for_sure(&mut self, now: Timestamp, link: LinkId, id: AttemptId, task: TaskId) {
        let is_awaited = self.attempts.get(&id).is_some_and(|attempt| matches!(attempt.state, State::Killing(_)));
        if !self.end_leftover(link, task) || !is_awaited {
            return;
        }
        let Some(peer) = self.peers.get_mut(link) else { return };
        peer.checks.push_back(vec![id]);
        peer.checked_at.get_or_insert(now);
        self.effect(Effect::Tell { link, message: ToWorker::Check });
        self.look_again(link, now.plus_s(self.config.check_kill_s));
    }

    /// The result of a task that nobody waits for: the foreman may forget it.
    pub(super) fn leftover_ended(&mut self, link: LinkId, task: TaskId) {
        if self.end_leftover(link, task)
            && let Some(below) = self.peers.get_mut(link).and_then(|peer| peer.below.as_mut())
        {
            below.kills.retain(|(_, wanted)| *wanted != task);
        }
    }

    /// Says `kill`, and gives its share back. False if there is no such task.
    fn end_leftover(&mut self, link: LinkId, task: TaskId) -> bool {
        let Some(peer) = self.peers.get_mut(link) else { return false };
        let Some(Leftover { shape, names }) = peer.below.as_mut().and_then(|below| below.leftovers.remove(&task))
        else {
            return false;
        };
        peer.unbook(shape);
        let is_heard = peer.phase == Phase::Ready;
        self.peers.changed(link);
        self.dirty.peer(link);
        if is_heard {
            self.effect(Effect::Tell { link, message: ToWorker::Kill(Some(task)) });
            for name in names {
                self.effect(Effect::Tell { link, message: ToWorker::Unlink { name: name.into() } });
            }
        }
        true
    }
}
