//! Regular expressions: PCRE2 on bytes, with limits.
//!
//! Options: `i` ignore case, `m` `^` and `$` at lines, `s` `.` takes newlines, `x` blanks in the pattern are ignored,
//! `g` all occurrences, `f` the whole text with the occurrence replaced. Others are ignored.

use std::sync::{Arc, OnceLock};

use pcre2::bytes::{CaptureLocations, Regex, RegexBuilder};

use super::call::{Args, Function};
use super::stringlists;
use crate::eval::{Machine, TEXT_MAX, Val};

pub(super) const TABLE: &[Function] = &[
    Function { name: "regexp", args_min: 2, args_max: 3, run: regexp },
    Function { name: "regexps", args_min: 3, args_max: 4, run: |args| replaced(args, "") },
    Function { name: "replace", args_min: 3, args_max: 4, run: |args| replaced(args, "f") },
    Function { name: "replaceall", args_min: 3, args_max: 4, run: |args| replaced(args, "fg") },
    Function { name: "regexpmember", args_min: 2, args_max: 3, run: member },
    Function { name: "stringlist_regexpmember", args_min: 2, args_max: 4, run: string_list_member },
];

/// Longest pattern, bytes.
const PATTERN_MAX: usize = 10_000;

/// Steps of the evaluation a compilation is charged with, besides the length of the pattern.
const COMPILE_STEPS: usize = 1000;

/// How much one match may do. Limits stand in the pattern, where PCRE2 lets nobody raise them.
struct Effort {
    /// Backtracking steps, memory (KiB) and nesting of one match.
    limits: &'static str,
    /// Steps of the evaluation a match is charged with, besides the length of the text.
    steps: usize,
}

/// Enough for nearly all matches, and cheap enough to be charged little.
const QUICK: Effort = Effort { limits: "(*LIMIT_MATCH=500)(*LIMIT_HEAP=4096)(*LIMIT_DEPTH=500)", steps: 50 };

/// For the matches that need more: few of them use up the budget.
const THOROUGH: Effort = Effort { limits: "(*LIMIT_MATCH=500000)(*LIMIT_HEAP=4096)(*LIMIT_DEPTH=5000)", steps: 30_000 };

/// A compiled pattern.
pub(crate) struct Pattern {
    text: Arc<str>,
    options: Arc<str>,
    quick: Regex,
    thorough: OnceLock<Option<Regex>>,
}

impl Pattern {
    /// `None` if it does not compile or is too long.
    pub(super) fn new(text: &Arc<str>, options: &Arc<str>) -> Option<Pattern> {
        let quick = compile(text, options, &QUICK)?;
        Some(Pattern { text: Arc::clone(text), options: Arc::clone(options), quick, thorough: OnceLock::new() })
    }

    /// The groups of the first occurrence at or after an offset, `Some(false)` if there is none. `None` when a limit
    /// is hit.
    fn find(&self, machine: &mut Machine<'_>, subject: &str, at: usize, groups: &mut Groups) -> Option<bool> {
        let bytes = subject.as_bytes();
        let searched = (bytes.len() - at) / 16;
        let quick = if machine.charge(QUICK.steps + searched) {
            groups.search(&self.quick, bytes, at)
        } else {
            return None;
        };
        if quick.is_some() || !machine.charge(THOROUGH.steps + searched) {
            return quick;
        }
        let thorough = self.thorough.get_or_init(|| compile(&self.text, &self.options, &THOROUGH));
        groups.search(thorough.as_ref()?, bytes, at)
    }

    /// Whether there is an occurrence. `None` when a limit is hit.
    pub(super) fn occurs(&self, machine: &mut Machine<'_>, subject: &str) -> Option<bool> {
        self.find(machine, subject, 0, &mut Groups(None))
    }

    fn groups(&self) -> Groups {
        Groups(Some(self.quick.capture_locations()))
    }
}

/// Where the groups of an occurrence are; `None` inside if nobody asks.
struct Groups(Option<CaptureLocations>);

impl Groups {
    fn search(&mut self, regex: &Regex, subject: &[u8], at: usize) -> Option<bool> {
        match &mut self.0 {
            Some(groups) => regex.captures_read_at(groups, subject, at).ok().map(|found| found.is_some()),
            None => regex.is_match_at(subject, at).ok(),
        }
    }

    fn get(&self, index: usize) -> Option<(usize, usize)> {
        self.0.as_ref().and_then(|groups| groups.get(index))
    }

    fn len(&self) -> usize {
        self.0.as_ref().map_or(0, CaptureLocations::len)
    }
}

fn compile(pattern: &str, options: &str, effort: &Effort) -> Option<Regex> {
    if pattern.len() > PATTERN_MAX {
        return None;
    }
    let mut builder = RegexBuilder::new();
    builder
        .caseless(options.contains('i'))
        .multi_line(options.contains('m'))
        .dotall(options.contains('s'))
        .extended(options.contains('x'));
    builder.build(&format!("{}{pattern}", effort.limits)).ok()
}

/// The pattern's compiled form. What is written literally is compiled once for all evaluations of the call.
fn compiled(
    args: &mut Args<'_, '_, '_>,
    pattern: &Arc<str>,
    options: &Arc<str>,
    options_at: usize,
) -> Option<Arc<Pattern>> {
    let literal = |index| index >= args.len() || args.expr(index).literal().is_some();
    if literal(0) && literal(options_at) {
        return args.pattern_cache().get_or_init(|| Pattern::new(pattern, options).map(Arc::new)).clone();
    }
    let affordable = args.machine.charge(COMPILE_STEPS + 8 * pattern.len());
    if affordable { Pattern::new(pattern, options).map(Arc::new) } else { None }
}

/// Texts of all arguments, the last one optional. Undefined arguments give undefined, other types an error.
fn texts(args: &mut Args<'_, '_, '_>, wanted: usize) -> Result<Vec<Arc<str>>, Val> {
    let vals = args.vals();
    if vals.iter().any(|val| matches!(val, Val::Error)) {
        return Err(Val::Error);
    }
    if vals.iter().any(|val| matches!(val, Val::Undefined)) {
        return Err(Val::Undefined);
    }
    let mut texts = Vec::with_capacity(wanted);
    for val in vals {
        match val {
            Val::Str(text) => texts.push(text),
            _ => return Err(Val::Error),
        }
    }
    texts.resize(wanted, "".into());
    Ok(texts)
}

/// `regexp(pattern, text[, options])`
fn regexp(args: &mut Args<'_, '_, '_>) -> Val {
    let texts = match texts(args, 3) {
        Ok(texts) => texts,
        Err(failed) => return failed,
    };
    match compiled(args, &texts[0], &texts[2], 2) {
        Some(regex) => regex.occurs(args.machine, &texts[1]).map_or(Val::Error, Val::Bool),
        None => Val::Error,
    }
}

/// `regexps(pattern, text, replacement[, options])` and its kin, which imply options.
fn replaced(args: &mut Args<'_, '_, '_>, implied: &str) -> Val {
    let texts = match texts(args, 4) {
        Ok(texts) => texts,
        Err(failed) => return failed,
    };
    let Some(regex) = compiled(args, &texts[0], &texts[3], 3) else { return Val::Error };
    let has = |option| texts[3].contains(option) || implied.contains(option);
    let job = Replacement { pattern: &regex, subject: &texts[1], with: &texts[2], all: has('g'), whole: has('f') };
    match job.run(args) {
        Some(text) => args.machine.text(&text),
        None => Val::Error,
    }
}

struct Replacement<'a> {
    pattern: &'a Pattern,
    subject: &'a str,
    with: &'a str,
    all: bool,
    /// The text around the occurrences is kept.
    whole: bool,
}

impl Replacement<'_> {
    /// `None` is an error: a limit, a group that took no part, or, with `all`, an empty occurrence at the very end
    /// (HTCondor looks behind it and fails).
    fn run(&self, args: &mut Args<'_, '_, '_>) -> Option<String> {
        let subject = self.subject.as_bytes();
        let mut out = Vec::new();
        let mut groups = self.pattern.groups();
        let mut at = 0;
        // Where the text not yet copied begins.
        let mut kept = 0;
        loop {
            if !self.pattern.find(args.machine, self.subject, at, &mut groups)? {
                break;
            }
            let (start, end) = groups.get(0)?;
            if self.whole {
                out.extend_from_slice(&subject[kept..start]);
            }
            self.insert(&mut out, &groups)?;
            kept = end;
            if out.len() > TEXT_MAX {
                return None;
            }
            if !self.all {
                break;
            }
            at = if end > start { end } else { end + 1 };
            if at > subject.len() {
                return None;
            }
        }
        if self.whole {
            out.extend_from_slice(&subject[kept..]);
        }
        Some(String::from_utf8_lossy(&out).into_owned())
    }

    /// The replacement with `\0` … `\9` filled in. A group after the last one that took part is an error, one before
    /// it is empty.
    fn insert(&self, out: &mut Vec<u8>, groups: &Groups) -> Option<()> {
        let last = (0..groups.len()).rev().find(|index| groups.get(*index).is_some())?;
        let mut rest = self.with.bytes().peekable();
        while let Some(byte) = rest.next() {
            match rest.peek() {
                Some(digit @ b'0'..=b'9') if byte == b'\\' => {
                    let group = usize::from(digit - b'0');
                    rest.next();
                    if group > last {
                        return None;
                    }
                    if let Some((start, end)) = groups.get(group) {
                        out.extend_from_slice(&self.subject.as_bytes()[start..end]);
                    }
                }
                _ => out.push(byte),
            }
        }
        Some(())
    }
}

/// `regexpMember(pattern, list[, options])`. A pattern that does not compile is in no list.
fn member(args: &mut Args<'_, '_, '_>) -> Val {
    let (pattern, list) = (args.val(0), args.val(1));
    let options = if args.len() > 2 { args.val(2) } else { Val::str("") };
    if [&pattern, &list, &options].iter().any(|val| matches!(val, Val::Error)) {
        return Val::Error;
    }
    if [&pattern, &list, &options].iter().any(|val| matches!(val, Val::Undefined)) {
        return Val::Undefined;
    }
    let (Val::Str(pattern), Val::List(items, _), Val::Str(options)) = (pattern, list, options) else {
        return Val::Error;
    };
    let regex = compiled(args, &pattern, &options, 2);
    let mut unknown = false;
    for item in items.iter() {
        match args.element(item) {
            Val::Str(text) => match regex.as_ref().map(|regex| regex.occurs(args.machine, &text)) {
                Some(Some(true)) => return Val::Bool(true),
                Some(None) => return Val::Error,
                Some(Some(false)) | None => {}
            },
            Val::Undefined => unknown = true,
            _ => return Val::Error,
        }
    }
    if unknown { Val::Undefined } else { Val::Bool(false) }
}

/// `stringList_regexpMember(pattern, text[, delimiters[, options]])`
fn string_list_member(args: &mut Args<'_, '_, '_>) -> Val {
    let (Val::Str(pattern), Val::Str(list)) = (args.val(0), args.val(1)) else { return Val::Error };
    let Some(delimiters) = stringlists::delimiters(args, 2) else { return Val::Error };
    let options = match args.len() {
        4 => match args.val(3) {
            Val::Str(options) => options,
            _ => return Val::Error,
        },
        _ => "".into(),
    };
    let Some(regex) = compiled(args, &pattern, &options, 3) else { return Val::Error };
    let mut empty = true;
    for item in stringlists::items(&list, &delimiters) {
        empty = false;
        match regex.occurs(args.machine, item) {
            Some(true) => return Val::Bool(true),
            Some(false) => {}
            None => return Val::Error,
        }
    }
    if empty { Val::Undefined } else { Val::Bool(false) }
}
