//! What goes wrong, and when.

use wq_core::Input;

use crate::options::Fault;
use crate::queue::SECOND;
use crate::world::{Event, Turn, World};

impl World {
    /// A fault of peers or network.
    pub(crate) fn mischief(&mut self) {
        if !self.faults_on {
            return;
        }
        let again = self.now + SECOND + self.chance.skewed(60 * SECOND);
        self.queue.put(again, Event::Mischief);
        let conns: Vec<usize> =
            self.conns.iter().filter(|(_, c)| c.master_end && c.peer_end).map(|(no, _)| *no).collect();
        let Some(&no) = self.chance.pick(&conns) else { return };
        let peer = self.conns[&no].peer;
        match self.chance.below(12) {
            0 | 1 if self.may(Fault::Cut) => self.cut(no),
            2 if self.may(Fault::HalfOpen) => self.half_open(no),
            3 if self.may(Fault::Stall) => {
                let until = self.now + self.chance.skewed(400 * SECOND);
                self.conns.get_mut(&no).expect("just seen").stall(until);
            }
            4 if self.may(Fault::Storm) && self.chance.once_in(3) => conns.iter().for_each(|no| self.cut(*no)),
            5 | 6 if self.may(Fault::Foremen) && self.peers[peer].peer.nature.foreman => {
                self.with_peer(peer, |peer, scene| peer.lose_workers(scene));
                let at = self.now + self.chance.skewed(300 * SECOND);
                self.queue.put(at, Event::Regained(peer));
            }
            7 if self.may(Fault::Leaving) => self.with_peer(peer, |peer, scene| peer.take_leave(scene)),
            8..=10 if self.may(Fault::Lies) && self.peers[peer].peer.nature.lies => {
                self.with_peer(peer, |peer, scene| peer.babble(scene));
            }
            _ => {}
        }
    }

    /// A fault of the machine or of the master.
    pub(crate) fn disaster(&mut self) {
        if !self.faults_on {
            return;
        }
        let again = self.now + SECOND + self.chance.skewed(120 * SECOND);
        self.queue.put(again, Event::Disaster);
        if self.service.is_none() {
            return;
        }
        match self.chance.below(14) {
            0 | 1 if self.may(Fault::Crash) => self.light_fuse(false),
            2 | 3 if self.may(Fault::PowerCut) => self.light_fuse(true),
            4 if self.may(Fault::Stop) => self.stop(),
            5 if self.may(Fault::FullDisk) => {
                let left = self.chance.skewed(4_000);
                let disk = self.service.as_mut().expect("just seen").keeper.storage_mut();
                let size = disk.size();
                disk.set_capacity(Some(size + left));
                self.mend_later();
            }
            6 if self.may(Fault::WriteErrors) => {
                self.service.as_mut().expect("just seen").keeper.storage_mut().set_append_fails(true);
                self.mend_later();
            }
            7 if self.may(Fault::SyncErrors) && self.chance.once_in(2) => {
                self.service.as_mut().expect("just seen").keeper.storage_mut().set_sync_fails(true);
                self.mend_later();
            }
            8 if self.may(Fault::OutputErrors) => {
                self.outputs_fail = true;
                self.mend_later();
            }
            9 if self.may(Fault::InputErrors) => {
                self.inputs_fail = true;
                self.mend_later();
            }
            10 if self.may(Fault::SlowDisk) => {
                self.slow_disk = true;
                self.mend_later();
            }
            11 if self.may(Fault::Clock) => {
                let step = self.chance.skewed(10 * 365 * 86_400) as i64;
                self.wall_offset_s += if self.chance.once_in(2) { step } else { -step.min(86_400) };
                let offset_s = self.wall_offset_s;
                self.input(Input::WallOffset { offset_s });
            }
            12 if self.may(Fault::Drain) && self.chance.once_in(3) => {
                self.draining = true;
                self.later(0, Turn::Drain(true));
                self.mend_later();
            }
            _ => {}
        }
    }

    fn mend_later(&mut self) {
        let at = self.now + SECOND + self.chance.skewed(100 * SECOND);
        self.queue.put(at, Event::Mended);
    }

    /// The master dies soon: between two effects, or within a write.
    fn light_fuse(&mut self, cuts_power: bool) {
        self.fuse_cuts_power = cuts_power;
        if self.chance.once_in(2) {
            self.fuse = Some(self.chance.skewed(60));
        } else {
            let operations = self.chance.skewed(40);
            self.service.as_mut().expect("the caller has seen it").keeper.storage_mut().power_off_after(operations);
        }
    }

    /// What was broken works again.
    pub(crate) fn mended(&mut self) {
        (self.outputs_fail, self.inputs_fail, self.slow_disk) = (false, false, false);
        if std::mem::take(&mut self.draining) {
            self.later(0, Turn::Drain(false));
        }
        if let Some(service) = &mut self.service {
            mend(service.keeper.storage_mut());
        }
    }

    /// The end of all faults.
    pub(crate) fn make_peace(&mut self) {
        self.mended();
        self.fuse = None;
        if let Some(service) = &mut self.service {
            service.keeper.storage_mut().crash();
        }
        // Connections of the bad times go; who held them comes back.
        let conns: Vec<usize> = self.conns.keys().copied().collect();
        for no in conns {
            let bad = self.conns.get(&no).is_some_and(|conn| conn.is_bad());
            if bad || self.peers[self.conns[&no].peer].peer.nature.lies {
                self.peer_ends(no);
                self.master_ends(no, wq_core::io::DownReason::Closed);
            }
        }
        let held = control_proto::Targets::Constraint("JobStatus == 5".to_owned());
        let plan = crate::clients::Plan::Act(control_proto::Action::Release, held);
        self.queue.put(self.now + 60 * SECOND, Event::Asked(crate::clients::PROBE, Box::new(plan)));
    }
}

/// The disk works again.
pub(crate) fn mend(disk: &mut journal::powercut::Disk) {
    disk.set_capacity(None);
    disk.set_append_fails(false);
    disk.set_sync_fails(false);
}
