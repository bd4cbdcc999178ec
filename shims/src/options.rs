//! Option tables of the condor programs and the walk over a command line.
//!
//! HTCondor's rules: a single dash allows any prefix of the name from its own minimum length on, a double dash
//! wants the whole word; some options carry qualifiers behind a colon (`-af:lng`). The first entry of a table that
//! fits wins, as in HTCondor, so the order within a table matters where short prefixes overlap. Case is ignored.
//! Every known option is *supported*, *accepted* without effect or *refused* with its reason; what is in no table
//! is unknown and the program says so.

/// How many of the following words belong to an option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// Exactly so many.
    Words(usize),
    /// All up to the next word that begins with a dash.
    UntilOption,
    /// All up to the end of the command line.
    Rest,
}

/// What we do with a known option.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing<K> {
    /// The program acts on it.
    Supported(K),
    /// It is read, with its words, and has no effect.
    Accepted,
    /// The program ends with this sentence (put behind the program's and the option's name).
    Refused(&'static str),
}

/// One option.
#[derive(Debug, Clone, Copy)]
pub struct Entry<K: 'static> {
    /// Names without dashes, each with the least number of letters that mean it.
    pub names: &'static [(&'static str, usize)],
    /// Whether `:qualifiers` may follow the name.
    pub colon: bool,
    /// Words that belong to it.
    pub takes: Takes,
    /// What we do with it.
    pub standing: Standing<K>,
}

/// Shorthand for tables: an option that the program acts on.
pub const fn on<K>(names: &'static [(&'static str, usize)], takes: Takes, key: K) -> Entry<K> {
    Entry { names, colon: false, takes, standing: Standing::Supported(key) }
}

/// As [`on`], with qualifiers behind a colon.
pub const fn on_colon<K>(names: &'static [(&'static str, usize)], takes: Takes, key: K) -> Entry<K> {
    Entry { names, colon: true, takes, standing: Standing::Supported(key) }
}

/// Shorthand for tables: an option without effect here. Qualifiers are read over as well.
pub const fn accept<K>(names: &'static [(&'static str, usize)], takes: Takes) -> Entry<K> {
    Entry { names, colon: true, takes, standing: Standing::Accepted }
}

/// Shorthand for tables: an option that we do not serve.
pub const fn refuse<K>(names: &'static [(&'static str, usize)], takes: Takes, why: &'static str) -> Entry<K> {
    Entry { names, colon: true, takes, standing: Standing::Refused(why) }
}

/// One step of the walk.
#[derive(Debug, PartialEq, Eq)]
pub enum Step<'a, K> {
    /// A word that is no option. A lone `-` is such a word.
    Word(&'a str),
    /// A supported option with its qualifiers and words.
    Option {
        /// From the table.
        key: K,
        /// What stood behind the colon.
        colon: Option<&'a str>,
        /// As many as the table says.
        words: &'a [String],
    },
    /// The words of an option are missing.
    Missing {
        /// The option's key, `None` if it is one without effect.
        key: Option<K>,
        /// As typed.
        typed: &'a str,
    },
    /// An option that we do not serve.
    Refused {
        /// As typed.
        typed: &'a str,
        /// From the table.
        why: &'static str,
    },
    /// In no table.
    Unknown(&'a str),
}

/// Walks over a command line; options without effect are passed over silently.
#[derive(Debug)]
pub struct Walk<'a, K: 'static> {
    table: &'static [Entry<K>],
    rest: &'a [String],
}

impl<'a, K: Copy> Walk<'a, K> {
    /// The arguments behind the program's name.
    pub fn new(table: &'static [Entry<K>], arguments: &'a [String]) -> Walk<'a, K> {
        Walk { table, rest: arguments }
    }

    /// What has not been looked at yet.
    pub fn rest(&self) -> &'a [String] {
        self.rest
    }
}

impl<'a, K: Copy> Iterator for Walk<'a, K> {
    type Item = Step<'a, K>;

    fn next(&mut self) -> Option<Step<'a, K>> {
        loop {
            let (typed, rest) = self.rest.split_first()?;
            self.rest = rest;
            if !typed.starts_with('-') || typed.len() == 1 {
                return Some(Step::Word(typed));
            }
            let Some((entry, colon)) = find(self.table, typed) else {
                return Some(Step::Unknown(typed));
            };
            let count = match entry.takes {
                Takes::Nothing => 0,
                Takes::Words(count) => count,
                Takes::UntilOption => rest.iter().take_while(|word| !word.starts_with('-')).count(),
                Takes::Rest => rest.len(),
            };
            if count > rest.len() {
                let key = match entry.standing {
                    Standing::Supported(key) => Some(key),
                    _ => None,
                };
                return Some(Step::Missing { key, typed });
            }
            let (words, rest) = rest.split_at(count);
            self.rest = rest;
            match entry.standing {
                Standing::Supported(key) => return Some(Step::Option { key, colon, words }),
                Standing::Accepted => {}
                Standing::Refused(why) => return Some(Step::Refused { typed, why }),
            }
        }
    }
}

/// The entry that `typed` means, with what stands behind a colon.
fn find<'a, K>(table: &'static [Entry<K>], typed: &'a str) -> Option<(&'static Entry<K>, Option<&'a str>)> {
    let (bare, whole) = match typed.strip_prefix("--") {
        Some(bare) => (bare, true),
        None => (&typed[1..], false),
    };
    table.iter().find_map(|entry| {
        let (word, colon) = match bare.split_once(':') {
            Some((word, colon)) if entry.colon => (word, Some(colon)),
            _ => (bare, None),
        };
        let fits = entry
            .names
            .iter()
            .any(|&(name, least)| if whole { name.eq_ignore_ascii_case(word) } else { is_prefix(word, name, least) });
        fits.then_some((entry, colon))
    })
}

fn is_prefix(word: &str, name: &str, least: usize) -> bool {
    word.len() >= least && name.get(..word.len()).is_some_and(|head| head.eq_ignore_ascii_case(word))
}

/// Names that no command line can reach because an earlier entry takes them; for the tables' tests.
#[cfg(test)]
pub(crate) fn unreachable_names<K>(table: &'static [Entry<K>]) -> Vec<&'static str> {
    let mut lost = Vec::new();
    for (index, entry) in table.iter().enumerate() {
        for &(name, least) in entry.names {
            assert!(least >= 1 && least <= name.len(), "{name}: minimum {least}");
            let typed = format!("-{name}");
            let (found, _) = find(table, &typed).expect("every name finds something");
            if !std::ptr::eq(found, &table[index]) {
                lost.push(name);
            }
        }
    }
    lost
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Key {
        Constraint,
        Format,
        Auto,
        Queue,
        Terse,
    }

    const TABLE: &[Entry<Key>] = &[
        on(&[("constraint", 1)], Takes::Words(1), Key::Constraint),
        on(&[("format", 1)], Takes::Words(2), Key::Format),
        on_colon(&[("autoformat", 5), ("af", 2)], Takes::UntilOption, Key::Auto),
        on(&[("queue", 1)], Takes::Rest, Key::Queue),
        on(&[("terse", 3)], Takes::Nothing, Key::Terse),
        accept(&[("name", 1)], Takes::Words(1)),
        refuse(&[("interactive", 1)], Takes::Nothing, "there are no interactive jobs"),
    ];

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    fn check(line: &str, expected: &str) {
        let line = words(line);
        let got: Vec<String> = Walk::new(TABLE, &line)
            .map(|step| match step {
                Step::Word(word) => format!("'{word}'"),
                Step::Option { key, colon, words } => format!("{key:?}{}{words:?}", colon.unwrap_or("")),
                Step::Missing { key, typed } => format!("missing {key:?} {typed}"),
                Step::Refused { typed, why } => format!("refused {typed}: {why}"),
                Step::Unknown(typed) => format!("unknown {typed}"),
            })
            .collect();
        assert_eq!(got.join(" "), expected);
    }

    #[test]
    fn prefixes_from_the_minimum_on() {
        check("-c x -const y -constraint z", "Constraint[\"x\"] Constraint[\"y\"] Constraint[\"z\"]");
        check("-te -ter -TERSE -tersely", "unknown -te Terse[] Terse[] unknown -tersely");
        check("-autof a", "Auto[\"a\"]");
        check("-auto a", "unknown -auto 'a'");
    }

    #[test]
    fn two_dashes_want_the_whole_word() {
        check("--terse --ters", "Terse[] unknown --ters");
    }

    #[test]
    fn words_of_options() {
        check("1.0 -af:lng A B -f %d X -", "'1.0' Autolng[\"A\", \"B\"] Format[\"%d\", \"X\"] '-'");
        check("-q 2 -terse", "Queue[\"2\", \"-terse\"]");
        check("-f %d", "missing Some(Format) -f '%d'");
        check("-name", "missing None -name");
        check("-name x y", "'y'");
        check("-i", "refused -i: there are no interactive jobs");
        check("-terse:x", "unknown -terse:x");
    }

    #[test]
    fn shadowed_names_are_found() {
        assert!(unreachable_names(TABLE).is_empty());
    }

    proptest::proptest! {
        #[test]
        fn every_word_of_a_command_line_is_accounted_for(line in proptest::collection::vec("-{0,2}[a-z:]{0,7}", 0..8)) {
            let mut words = 0;
            for step in Walk::new(TABLE, &line) {
                words += match step {
                    Step::Option { words, .. } => 1 + words.len(),
                    Step::Word(_) | Step::Missing { .. } | Step::Refused { .. } | Step::Unknown(_) => 1,
                };
            }
            // Only `-name X` is passed over, two words each.
            proptest::prop_assert!(words <= line.len() && (line.len() - words) % 2 == 0);
        }
    }
}
