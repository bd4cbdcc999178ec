//! What is simulated: faults by name, and how long.

use crate::mistakes::Mistake;

/// A table of faults: variant, name on the command line, what it does.
macro_rules! faults {
    ($($variant:ident $name:literal $about:literal,)*) => {
        /// Something that goes wrong.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Fault { $(#[doc = $about] $variant,)* }

        impl Fault {
            /// All of them, in the order of the table.
            pub const ALL: &'static [Fault] = &[$(Fault::$variant,)*];

            /// Its name for `--faults`.
            pub fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name,)* }
            }

            /// One sentence for the help.
            pub fn about(self) -> &'static str {
                match self { $(Fault::$variant => $about,)* }
            }
        }
    };
}

faults! {
    Delay "delay" "Bytes take up to seconds instead of a millisecond.",
    Stall "stall" "Nothing moves on a connection for minutes, then everything does.",
    Cut "cut" "A connection breaks, in the middle of a line or body as it comes.",
    HalfOpen "half-open" "A connection carries nothing any more and neither side hears of it.",
    Storm "storm" "All peers lose their connections at once and come back.",
    Lies "lies" "Some workers report wrong tasks, names and sizes, or results nobody asked for.",
    Slow "slow" "Some workers read and write byte by byte.",
    Foremen "foremen" "Foremen lose workers: tasks start again there, or come back undone.",
    Leaving "leaving" "Workers announce that they leave, or are told to stop.",
    FullDisk "full-disk" "The disk of the journal is full for a while.",
    WriteErrors "write-errors" "Writes to the journal fail half done for a while.",
    SyncErrors "sync-errors" "A sync of the journal fails; the master must be started again.",
    OutputErrors "output-errors" "Outputs cannot be put in place for a while.",
    InputErrors "input-errors" "Inputs of jobs cannot be read for a while.",
    SlowDisk "slow-disk" "Writing journal, event logs and history takes up to seconds.",
    Clock "clock" "The wall clock is set forwards and backwards.",
    Crash "crash" "The master is killed between any two effects, or within a write to the journal.",
    PowerCut "power-cut" "The machine loses its power: what was not synced is kept, torn, reordered or lost.",
    Stop "stop" "The master is stopped in good order and started again.",
    Drain "drain" "The file drain comes and goes.",
    ClientKill "client-kill" "Clients are killed before they hear the answer.",
}

/// A set of faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Faults(u32);

impl Faults {
    /// None.
    pub const NONE: Faults = Faults(0);

    /// All.
    pub fn all() -> Faults {
        Fault::ALL.iter().fold(Faults::NONE, |set, fault| set.with(*fault))
    }

    /// These and one more.
    #[must_use]
    pub fn with(self, fault: Fault) -> Faults {
        Faults(self.0 | 1 << fault as u32)
    }

    /// These without one.
    #[must_use]
    pub fn without(self, fault: Fault) -> Faults {
        Faults(self.0 & !(1 << fault as u32))
    }

    /// Whether it is among them.
    pub fn has(self, fault: Fault) -> bool {
        self.0 & 1 << fault as u32 != 0
    }

    /// Reads `all`, `none`, `cut,crash` or `all,-lies`.
    ///
    /// # Errors
    /// A sentence that names the word that is no fault, and all that are.
    pub fn parse(text: &str) -> Result<Faults, String> {
        let mut set = Faults::NONE;
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            let (name, off) = word.strip_prefix('-').map_or((word, false), |name| (name, true));
            let meant = match name {
                "all" => Faults::all(),
                "none" => Faults::NONE,
                name => match Fault::ALL.iter().find(|fault| fault.name() == name) {
                    Some(fault) => Faults::NONE.with(*fault),
                    None => {
                        let names: Vec<&str> = Fault::ALL.iter().map(|fault| fault.name()).collect();
                        return Err(format!("{name} is no fault; there are: all, none, {}", names.join(", ")));
                    }
                },
            };
            set = if off { Faults(set.0 & !meant.0) } else { Faults(set.0 | meant.0) };
        }
        Ok(set)
    }
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Faults::all() {
            return f.write_str("all");
        }
        let names: Vec<&str> = Fault::ALL.iter().filter(|fault| self.has(**fault)).map(|fault| fault.name()).collect();
        f.write_str(if names.is_empty() { "none".to_owned() } else { names.join(",") }.as_str())
    }
}

/// One simulated history.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// What may go wrong.
    pub faults: Faults,
    /// Events of the phase with faults.
    pub steps: u64,
    /// Print what happens.
    pub verbose: bool,
    /// A deliberate mistake of the master or of the wiring.
    pub mistake: Option<Mistake>,
}

impl Default for Options {
    fn default() -> Options {
        Options { faults: Faults::all(), steps: 1_500, verbose: false, mistake: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_chosen_by_name() {
        let cut_and_crash = Faults::NONE.with(Fault::Cut).with(Fault::Crash);
        assert_eq!(Faults::parse("cut, crash"), Ok(cut_and_crash));
        assert_eq!(Faults::parse("all,-lies"), Ok(Faults::all().without(Fault::Lies)));
        assert_eq!(Faults::parse("none"), Ok(Faults::NONE));
        assert!(Faults::parse("cat").unwrap_err().starts_with("cat is no fault; there are: all, none, delay, "));
        for set in [Faults::NONE, cut_and_crash, Faults::all()] {
            assert_eq!(Faults::parse(&set.to_string()), Ok(set));
        }
    }
}
