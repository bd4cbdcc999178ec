//! `if`, `elif`, `else`, `endif` and what may stand behind them.

use crate::expand::expand;
use crate::lines::is_space;
use crate::macros::{Macros, Numbers};
use crate::refusal::Refusal;

/// Nested deeper is refused.
const DEPTH_MAX: usize = 62;

/// One open `if`.
#[derive(Debug, Clone, Copy)]
struct Level {
    /// The lines of the present branch count.
    on: bool,
    /// Some branch counted, or none can since an outer `if` is off.
    decided: bool,
    seen_else: bool,
}

/// All open `if`s of one file.
#[derive(Debug, Default)]
pub(crate) struct Conditions {
    levels: Vec<Level>,
}

impl Conditions {
    /// Lines count here.
    pub(crate) fn enabled(&self) -> bool {
        self.levels.iter().all(|level| level.on)
    }

    /// Some `if` is open.
    pub(crate) fn inside(&self) -> bool {
        !self.levels.is_empty()
    }

    /// Takes the line if it is one of the four; `Ok(false)` if not. The inner error is the detail for the user.
    pub(crate) fn take(&mut self, line: &str, macros: &Macros<'_>) -> Result<Result<bool, String>, Refusal> {
        let end = line.find(is_space).unwrap_or(line.len());
        let (word, rest) = (line[..end].to_ascii_lowercase(), line[end..].trim_start_matches(is_space));
        let done = match word.as_str() {
            "if" => {
                let mut on = self.enabled();
                if on {
                    match test(rest, macros)? {
                        Ok(truth) => on = truth,
                        Err(reason) => return Ok(Err(not_valid(rest, "if", reason))),
                    }
                }
                if self.levels.len() >= DEPTH_MAX {
                    return Ok(Err("if nesting too deep!".to_owned()));
                }
                let decided = on || !self.enabled();
                self.levels.push(Level { on, decided, seen_else: false });
                Ok(true)
            }
            "elif" => match self.levels.last().copied() {
                None => Err("elif without matching if".to_owned()),
                Some(level) => {
                    let mut on = false;
                    if !level.decided {
                        match test(rest, macros)? {
                            Ok(truth) => on = truth,
                            Err(reason) => return Ok(Err(not_valid(rest, "elif", reason))),
                        }
                    }
                    if level.seen_else {
                        Err("elif is not allowed after else".to_owned())
                    } else {
                        self.set_last(Level { on, decided: level.decided || on, seen_else: false });
                        Ok(true)
                    }
                }
            },
            "else" => match self.levels.last().copied() {
                None => Err("else without matching if".to_owned()),
                Some(Level { seen_else: true, .. }) => Err("else is not allowed after else".to_owned()),
                Some(level) => {
                    self.set_last(Level { on: !level.decided, decided: true, seen_else: true });
                    Ok(true)
                }
            },
            "endif" => match self.levels.pop() {
                None => Err("endif without matching if".to_owned()),
                Some(_) => Ok(true),
            },
            _ => Ok(false),
        };
        Ok(done)
    }

    fn set_last(&mut self, level: Level) {
        if let Some(last) = self.levels.last_mut() {
            *last = level;
        }
    }
}

fn not_valid(condition: &str, word: &str, reason: String) -> String {
    format!("{condition} is not a valid {word} condition because {reason}")
}

/// The truth of a condition; the inner error is the reason why it is none.
fn test(condition: &str, macros: &Macros<'_>) -> Result<Result<bool, String>, Refusal> {
    let expanded = condition.contains('$');
    let text = if expanded { expand(condition, macros, Numbers::Digits)? } else { condition.to_owned() };
    let text = text.trim_matches(is_space);
    let (inverted, text) = match text.strip_prefix('!') {
        Some(rest) => (true, rest.trim_start_matches(is_space)),
        None => (false, text),
    };
    if expanded && text.is_empty() {
        return Ok(Ok(inverted));
    }
    Ok(evaluate(text, macros).map(|truth| truth != inverted))
}

/// `true` and its like.
fn truth_word(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "t" => Some(true),
        "false" | "no" | "f" => Some(false),
        _ => None,
    }
}

fn plain_number(text: &str) -> Option<f64> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let fits = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.chars().all(|c| c.is_ascii_digit() || ".eE".contains(c));
    fits.then(|| text.parse().ok()).flatten()
}

fn is_identifier(text: &str) -> bool {
    text.contains(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_./".contains(c))
}

fn evaluate(text: &str, macros: &Macros<'_>) -> Result<bool, String> {
    if let Some(number) = plain_number(text) {
        return Ok(number != 0.0);
    }
    if let Some(truth) = truth_word(text) {
        return Ok(truth);
    }
    let end = text.find(|c: char| !c.is_ascii_alphanumeric()).unwrap_or(text.len());
    let rest = text[end..].trim_start_matches(is_space);
    let complex = "complex conditionals are not supported";
    match text[..end].to_ascii_lowercase().as_str() {
        // An operator must follow.
        "version" if !rest.starts_with(['<', '=', '>', '!']) => Err(complex.to_owned()),
        "version" => version(rest, &macros.world.host().condor_version),
        "defined" => defined(rest, macros),
        _ if is_identifier(text) || text.is_empty() => Err("expression is not a conditional".to_owned()),
        _ => Err(complex.to_owned()),
    }
}

fn defined(name: &str, macros: &Macros<'_>) -> Result<bool, String> {
    if name.is_empty() {
        return Ok(false);
    }
    if plain_number(name).is_some() || ["true", "false"].contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(true);
    }
    if is_identifier(name) {
        return Ok(match macros.lookup(&name.to_ascii_lowercase(), Numbers::Digits) {
            Some(value) => !value.is_empty(),
            None => truth_word(name).is_some(),
        });
    }
    // Templates of the configuration: there are none.
    match name.get(..4).filter(|word| word.eq_ignore_ascii_case("use ")) {
        Some(_) if !name[4..].trim_matches(is_space).contains(is_space) => Ok(false),
        Some(_) => Err("defined use meta argument with internal spaces will never match".to_owned()),
        None => Err("defined argument must be param name, boolean, or number".to_owned()),
    }
}

/// `OP a.b.c` against `$CondorVersion: a.b.c … $`.
fn version(comparison: &str, ours: &str) -> Result<bool, String> {
    let (negated, mut rest) = comparison.strip_prefix('!').map_or((false, comparison), |rest| (true, rest));
    let mut wanted = None;
    for (sign, order) in [('<', std::cmp::Ordering::Less), ('>', std::cmp::Ordering::Greater)] {
        if let Some(after) = rest.strip_prefix(sign) {
            (wanted, rest) = (Some(order), after);
        }
    }
    let mut or_equal = false;
    while let Some(after) = rest.strip_prefix('=') {
        (or_equal, rest) = (true, after);
    }
    let theirs = rest.trim_matches(is_space).trim_start_matches(['v', 'V']);
    let invalid = || "the version literal is invalid".to_owned();
    let numbers = |text: &str| -> Option<Vec<u32>> { text.split('.').map(|part| part.parse().ok()).collect() };
    let own = ours.split_whitespace().nth(1).and_then(numbers).unwrap_or_default();
    let other = numbers(theirs).filter(|parts| (2..=3).contains(&parts.len()) && parts[0] >= 6).ok_or_else(invalid)?;
    // A version without its last number stands for all of them.
    let order = own.iter().take(other.len()).cmp(other.iter());
    let truth = Some(order) == wanted || ((or_equal || wanted.is_none()) && order.is_eq());
    Ok(truth != negated)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn versions_compare_by_number() {
        let ours = "$CondorVersion: 25.13.2 2026-08-20 BuildID: x $";
        for (comparison, want) in [
            (">= 8.1.6", true),
            ("< 8.1.6", false),
            ("== 25.13.2", true),
            ("!= 25.13.2", false),
            ("> 25.9.0", true),
            ("<= 25.13", true),
            ("> 25.13", false),
        ] {
            assert_eq!(version(comparison, ours), Ok(want), "{comparison}");
        }
        assert!(version(">= abc", ours).is_err());
    }
}
