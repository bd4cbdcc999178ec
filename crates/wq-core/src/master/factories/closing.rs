//! The end of a cluster whose jobs enter one after another: its last job has left and none will come.

use userlog::{ClusterRemove, Completion, Kind};

use super::Factory;
use crate::ids::{RecordNo, Timestamp};
use crate::master::Master;

impl Master {
    /// The last job of a cluster has left and none will come: its log hears of it.
    pub(in crate::master) fn close_factory(&mut self, now: Timestamp, cluster: u32) {
        self.close_factory_of(now, self.last_record(), cluster);
    }

    fn close_factory_of(&mut self, now: Timestamp, no: RecordNo, cluster: u32) {
        let over = |factory: &Factory| factory.next == factory.end;
        if !self.factories.by_cluster.get(&cluster).is_some_and(over) || self.table.cluster(cluster).is_some() {
            return;
        }
        let factory = self.factories.by_cluster.remove(&cluster).expect("just seen");
        let left_out = factory.procs - factory.end;
        for used in factory.blobs() {
            (0..left_out).for_each(|_| self.release_blob(used.id));
        }
        for id in self.spools.remove(&cluster).iter().flat_map(|spool| spool.blobs()).collect::<Vec<_>>() {
            self.release_blob(id);
        }
        let remove = ClusterRemove {
            materialized: factory.next.into(),
            items: 0,
            completion: if left_out == 0 { Completion::Complete } else { Completion::Incomplete },
        };
        self.log_cluster(now, no, cluster, factory.log.as_ref(), Kind::ClusterRemove(remove));
    }

    /// During recovery: those of which nothing is left are gone. A job whose outputs were in doubt leaves behind others that
    /// left later than it: the cluster ends with the last of them all.
    pub(in crate::master) fn close_recovered(&mut self, at: Timestamp, no: RecordNo) {
        let due = std::mem::take(&mut self.factories.due);
        let Some(recovery) = &mut self.recovery else { return };
        for cluster in &due {
            let last = recovery.last_left.entry(*cluster).or_insert((no, at));
            *last = (no, at).max(*last);
        }
        if !recovery.in_checkpoint {
            due.into_iter().for_each(|cluster| self.close_if_left(cluster));
        }
    }

    /// All jobs of a checkpoint are known.
    pub(in crate::master) fn close_restored(&mut self) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.in_checkpoint = false;
        let clusters: Vec<u32> = recovery.last_left.keys().copied().collect();
        clusters.into_iter().for_each(|cluster| self.close_if_left(cluster));
    }

    fn close_if_left(&mut self, cluster: u32) {
        let Some((no, at)) = self.recovery.as_ref().and_then(|recovery| recovery.last_left.get(&cluster).copied())
        else {
            return;
        };
        self.close_factory_of(at, no, cluster);
        if !self.factories.by_cluster.contains_key(&cluster)
            && let Some(recovery) = &mut self.recovery
        {
            recovery.last_left.remove(&cluster);
        }
    }
}
