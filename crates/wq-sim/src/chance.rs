//! The one source of chance: everything that is not decided by the master is decided by the seed.

use journal::powercut::Dice;

use crate::queue::Micros;

/// The generator.
#[derive(Debug)]
pub(crate) struct Chance(Dice);

impl Chance {
    pub(crate) fn new(seed: u64) -> Chance {
        let mut dice = Dice::new(seed);
        dice.roll();
        Chance(dice)
    }

    pub(crate) fn number(&mut self) -> u64 {
        self.0.roll()
    }

    /// Below `limit`, which is at least 1.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0.below(limit)
    }

    /// Both ends included.
    pub(crate) fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    /// True once in so many times.
    pub(crate) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// A time whose size is as likely small as large: seldom of the order of `most`, often far below.
    pub(crate) fn skewed(&mut self, most: Micros) -> Micros {
        let bits = 64 - most.leading_zeros();
        let cut = self.below(u64::from(bits) + 1);
        self.below((most >> cut) + 1)
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len() as u64) as usize) }
    }
}
