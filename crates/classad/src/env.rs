//! What an evaluation may know of the world.

use std::fmt;
use std::sync::Arc;

/// Local time: the offset east of Greenwich at a time, seconds.
pub type OffsetAt = Arc<dyn Fn(i64) -> i32 + Send + Sync>;

/// Name of local time at a time, `CET`.
pub type ZoneNameAt = Arc<dyn Fn(i64) -> String + Send + Sync>;

/// Home directory of a user, `None` if there is no such user.
pub type HomeOf = Arc<dyn Fn(&str) -> Option<String> + Send + Sync>;

/// What an evaluation may know of the world. Default: nothing; functions that need what is not known give undefined.
#[derive(Clone, Default)]
pub struct Env {
    /// The time of `time()` and `CurrentTime`, seconds since the epoch. One value for the whole evaluation.
    pub now_s: Option<i64>,
    /// Local time, for `formatTime`, `absTime` without offset, `timeZoneOffset`, `dayTime`.
    pub offset_at: Option<OffsetAt>,
    /// Name of local time, for `%Z` of `formatTime`; without it the offset is shown.
    pub zone_name_at: Option<ZoneNameAt>,
    /// Seed of `random()`. Equal seeds give equal numbers; within one evaluation each call gets another one.
    pub random_seed: Option<u64>,
    /// For `userHome`.
    pub home_of: Option<HomeOf>,
}

impl Env {
    /// The given time, in UTC; all else unknown.
    pub fn at_utc(now_s: i64) -> Env {
        Env { now_s: Some(now_s), offset_at: Some(Arc::new(|_| 0)), ..Env::default() }
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("now_s", &self.now_s)
            .field("offset_at", &self.offset_at.is_some())
            .field("zone_name_at", &self.zone_name_at.is_some())
            .field("random_seed", &self.random_seed)
            .field("home_of", &self.home_of.is_some())
            .finish()
    }
}
