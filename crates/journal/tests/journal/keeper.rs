//! The keeper of records over a disk that fails.

use journal::keeper::{Compaction, Keeper, Order, Told};
use journal::powercut::Disk;
use journal::{BlobHash, JobId, Record, Removed, Writer, replay};

fn promise(cluster: u32) -> Order {
    let record = Removed { job: JobId { cluster, proc_: 0 }, at_s: 5, reason: "test".into() };
    Order::Record { no: Some(u64::from(cluster)), record: Box::new(record.into()), promise: true }
}

fn clusters(disk: &Disk) -> Vec<u32> {
    let mut clusters = Vec::new();
    replay(disk, |entry| match entry.record {
        Record::Removed(removed) => clusters.push(removed.job.cluster),
        other => panic!("{other:?}"),
    })
    .expect("a sound journal");
    clusters
}

#[test]
fn what_a_failed_sync_has_left_is_not_found_again() {
    for rotate_at in [64, 1 << 20] {
        let mut told = Vec::new();
        let writer = Writer::create([1; 16]).with_rotation_at(rotate_at);
        let contents = |_: &BlobHash| None;
        let mut keeper = Keeper::new(writer, Disk::new(), Compaction::new(u64::MAX, 0), contents, |one| told.push(one));
        keeper.take(vec![promise(1)]);
        keeper.storage_mut().set_sync_fails(true);
        keeper.take(vec![promise(2)]);
        let mut disk = keeper.into_storage();
        assert!(matches!(&told[..], [Told::Written(1), Told::Stored(1), .., Told::Failed(_)]), "{told:?}");
        disk.set_sync_fails(false);
        assert_eq!(clusters(&disk), [1], "who waited for the second was refused");
    }
}

#[test]
fn what_was_read_back_survives_the_power_once_it_is_settled() {
    for seed in 0..20 {
        let mut disk = Disk::new();
        let mut writer = Writer::create([1; 16]);
        let Order::Record { record, .. } = promise(1) else { unreachable!() };
        writer.append(&record).unwrap();
        // Written and not synced, when the process dies.
        writer.take_batch().unwrap().carry_out(&mut disk).unwrap();
        let recovery = replay(&disk, |_| ()).unwrap();
        recovery.settle(&mut disk).unwrap();
        disk.cut(seed);
        assert_eq!(clusters(&disk), [1]);
    }
}
