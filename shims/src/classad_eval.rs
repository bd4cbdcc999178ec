//! `classad_eval`: evaluates expressions from the command line. Needs no master.
//!
//! Written after the manual page of HTCondor 25; nothing of it was recorded. An ad is printed with its attributes in
//! the order in which they came.

use std::io::Read;
use std::sync::Arc;

use classad::{ClassAd, Env, Expr, Value, eval, parse_expr_new};

use crate::options::{Entry, Step, Takes, Walk, accept, on};
use crate::version;
use crate::world::{Outcome, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Key {
    Help,
    Version,
    Quiet,
    File,
    TargetFile,
}

const TABLE: &[Entry<Key>] = &[
    on(&[("help", 1)], Takes::Nothing, Key::Help),
    on(&[("version", 1)], Takes::Nothing, Key::Version),
    on(&[("quiet", 1)], Takes::Nothing, Key::Quiet),
    on(&[("file", 1), ("my-file", 1), ("ad-file", 2)], Takes::Words(1), Key::File),
    on(&[("target-file", 1)], Takes::Words(1), Key::TargetFile),
    accept(&[("debug", 1)], Takes::Nothing),
];

const USAGE: &str = include_str!("usage/classad_eval.txt");
/// Of a wrong option; a context that cannot be changed is 1.
const EXIT_OPTION: i32 = 255;

/// `classad_eval [-quiet] <ad | assignment | expression>…`
pub fn run(arguments: &[String], _stdin: &mut dyn Read, world: &World) -> Outcome {
    let mut session = Session::default();
    let clock = world.clock.clone();
    let env = Env {
        now_s: Some(world.now_s),
        offset_at: Some(Arc::new(move |at_s| clock.offset_s(at_s))),
        random_seed: u64::try_from(world.now_s).ok(),
        ..Env::default()
    };
    let mut out = String::new();
    let mut quiet = false;
    for step in Walk::new(TABLE, arguments) {
        let done = match step {
            Step::Word(text) => session.take(text, &env, quiet, &mut out),
            // A signed number or a negation, not an option.
            Step::Unknown(text) if !is_option(text) => session.take(text, &env, quiet, &mut out),
            Step::Option { key: Key::Help, .. } => return Outcome::answer(USAGE),
            Step::Option { key: Key::Version, .. } => return version::answer(),
            Step::Option { key: Key::Quiet, .. } => {
                quiet = true;
                Ok(())
            }
            Step::Option { key: Key::File, words, .. } => read(world, &words[0]).map(|ad| session.replace(ad)),
            Step::Option { key: Key::TargetFile, words, .. } => {
                read(world, &words[0]).map(|ad| session.target = Some(ad))
            }
            Step::Unknown(typed) | Step::Missing { typed, .. } | Step::Refused { typed, .. } => {
                let err = format!("classad_eval: invalid option or missing argument: {typed}\n{USAGE}");
                return Outcome { code: EXIT_OPTION, out: out.into(), err: err.into() };
            }
        };
        if let Err(sentence) = done {
            return Outcome { code: 1, out: out.into(), err: format!("classad_eval: {sentence}\n").into() };
        }
    }
    if arguments.is_empty() {
        return Outcome { code: EXIT_OPTION, out: Vec::new(), err: USAGE.into() };
    }
    Outcome::answer(out)
}

fn is_option(text: &str) -> bool {
    text.trim_start_matches('-').starts_with(|c: char| c.is_ascii_alphabetic())
}

/// The context, and whether it was printed since it changed.
#[derive(Debug, Default)]
struct Session {
    my: ClassAd,
    target: Option<ClassAd>,
    printed: bool,
}

impl Session {
    /// An ad or assignments join the context, anything else is evaluated.
    fn take(&mut self, text: &str, env: &Env, quiet: bool, out: &mut String) -> Result<(), String> {
        let expr = match parse_expr_new(text) {
            Ok(expr) => expr,
            Err(error) => {
                parse_expr_new(&format!("[{text}]")).map_err(|_| format!("cannot parse '{text}': {error}"))?
            }
        };
        if let Some(ad) = expr.ad() {
            for (name, value) in ad.iter() {
                self.my.insert(name, value.clone());
            }
            self.printed = false;
            return Ok(());
        }
        if !quiet && !self.printed {
            *out += &Expr::from(Value::Ad(Arc::new(self.my.clone()))).to_new_string();
            out.push('\n');
            self.printed = true;
        }
        let target = self.target.as_ref().map(|target| target as _);
        *out += &eval(&expr, &self.my, target, env).print_new();
        out.push('\n');
        Ok(())
    }

    fn replace(&mut self, ad: ClassAd) {
        self.my = ad;
        self.printed = false;
    }
}

/// The first ad of a file: `[…]`, or a list of such.
fn read(world: &World, name: &str) -> Result<ClassAd, String> {
    let bytes = std::fs::read(std::path::Path::new(&world.cwd).join(name));
    let bytes = bytes.map_err(|error| format!("cannot read {name}: {error}"))?;
    let expr = parse_expr_new(&String::from_utf8_lossy(&bytes)).map_err(|error| format!("{name}: {error}"))?;
    let first = expr.ad().or_else(|| expr.list()?.first()?.ad());
    first.map(|ad| ClassAd::clone(ad)).ok_or_else(|| {
        format!("{name} holds no ad in the new syntax ([ a = 1; b = 2 ]): write it with condor_q -long:new")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::unreachable_names;

    #[test]
    fn every_name_is_reachable() {
        assert_eq!(unreachable_names(TABLE), Vec::<&str>::new());
    }
}
