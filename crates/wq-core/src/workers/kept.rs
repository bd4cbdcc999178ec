//! What a peer keeps in its cache for more than one task (decision D29).

use std::collections::{BTreeMap, BTreeSet};

use crate::ids::BlobId;

/// Contents in a peer's cache, each under a name that means it for ever. Most peers keep nothing: that costs a pointer.
#[derive(Debug, Default)]
pub struct Kept(Option<Box<Contents>>);

#[derive(Debug, Default)]
struct Contents {
    contents: BTreeMap<BlobId, Content>,
    /// Those that no task needs, longest unneeded first.
    idle: BTreeSet<(u64, BlobId)>,
    bytes: u64,
    /// Counts how often something became unneeded.
    turn: u64,
}

#[derive(Debug)]
struct Content {
    size: u64,
    /// Tasks on the peer that name it.
    users: u32,
    /// Its place among the idle ones.
    idle_since: u64,
}

impl Kept {
    /// Whether the peer has it.
    pub fn has(&self, id: BlobId) -> bool {
        self.0.as_ref().is_some_and(|kept| kept.contents.contains_key(&id))
    }

    /// A task on its way to the peer needs it: it is sent with the first such task.
    pub fn take(&mut self, id: BlobId, size: u64) {
        let kept = self.0.get_or_insert_default();
        let content = kept.contents.entry(id).or_insert_with(|| {
            kept.bytes += size;
            Content { size, users: 0, idle_since: 0 }
        });
        kept.idle.remove(&(content.idle_since, id));
        content.users += 1;
    }

    /// All that is kept, with its bytes: what no task needs first, the longest unneeded at the head.
    pub fn contents(&self) -> Vec<(BlobId, u64)> {
        let Some(kept) = &self.0 else { return Vec::new() };
        let needed = kept.contents.iter().filter(|(_, content)| content.users > 0).map(|(id, _)| *id);
        let all = kept.idle.iter().map(|(_, id)| *id).chain(needed);
        all.map(|id| (id, kept.contents[&id].size)).collect()
    }

    /// A task that needed it is gone.
    pub fn leave(&mut self, id: BlobId) {
        let kept = self.0.as_mut().expect("something was taken");
        let content = kept.contents.get_mut(&id).expect("only what was taken is left");
        content.users -= 1;
        if content.users == 0 {
            kept.turn += 1;
            content.idle_since = kept.turn;
            kept.idle.insert((kept.turn, id));
        }
    }

    /// Gives up what no task needs, longest unneeded first, until all that is kept has at most `limit` bytes.
    pub fn give_up(&mut self, limit: u64) -> Vec<BlobId> {
        let mut given_up = Vec::new();
        let Some(kept) = &mut self.0 else { return given_up };
        while kept.bytes > limit
            && let Some((_, id)) = kept.idle.pop_first()
        {
            kept.bytes -= kept.contents.remove(&id).expect("idle ones are kept").size;
            given_up.push(id);
        }
        given_up
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> BlobId {
        BlobId([n; 32])
    }

    #[test]
    fn the_longest_unneeded_goes_first_and_what_is_needed_stays() {
        let mut kept = Kept::default();
        for n in 1..=4 {
            kept.take(id(n), 10);
        }
        kept.take(id(1), 10);
        for n in [3, 1, 2] {
            kept.leave(id(n));
        }
        assert_eq!(kept.give_up(40), []);
        assert_eq!(kept.give_up(25), [id(3), id(2)], "1 is still needed once, 4 too");
        assert_eq!(kept.give_up(0), []);
        kept.leave(id(1));
        kept.take(id(1), 10);
        assert_eq!(kept.give_up(0), [], "needed again");
        kept.leave(id(1));
        kept.leave(id(4));
        assert_eq!(kept.give_up(0), [id(1), id(4)]);
        assert!(!kept.has(id(1)));
        assert_eq!(kept.0.unwrap().bytes, 0);
    }
}
