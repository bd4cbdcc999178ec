//! How large the things are that there are many of. Resident memory is measured on the real process (`tests/`).

use crate::jobs::Job;
use crate::workers::Peer;

#[test]
fn many_small_things_stay_small() {
    assert!(size_of::<Job>() <= 64, "{}", size_of::<Job>());
    assert!(size_of::<Peer>() <= 512, "{}", size_of::<Peer>());
}
