//! Expansion of `$(name)` and of the macro functions.
//!
//! What a macro leads to is expanded in place until nothing is left, `$(DOLLAR)` last. `$$(…)` stays for the master.
//! Everything is bounded: the length of the result, the number of steps, and no macro may lead back to itself.

use std::borrow::Cow;

use crate::functions;
use crate::macros::{Causes, Macros, Numbers};
use crate::refusal::Refusal;
use crate::submission::{CLUSTER_MARK, PROCESS_MARK};

/// Longest value after expansion, bytes.
pub(crate) const VALUE_MAX: usize = 16 * 1024 * 1024;
/// Most replacements for one value, and a bound on the bytes that are moved for it.
const STEPS_MAX: usize = 200_000;
const WORK_MAX: usize = 256 * 1024 * 1024;
/// Functions whose arguments are macros with functions, and so on.
const DEPTH_MAX: u32 = 32;

/// One reference found in a text; all positions are byte offsets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// Of the dollar sign.
    pub(crate) start: usize,
    /// Behind the closing parenthesis.
    pub(crate) end: usize,
    /// What stands between `$` and `(`.
    pub(crate) function: &'a str,
    /// What stands in the parentheses before a default.
    pub(crate) name: &'a str,
    /// What stands behind the colon.
    pub(crate) default: Option<&'a str>,
    /// Where an earlier `$(` stands that cannot be read yet because of this one inside it: `$(A$(B))`.
    around: Option<usize>,
}

/// How much freedom the text between the parentheses has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Body {
    Name,
    Anything,
}

fn body_of(function: &str) -> Option<Body> {
    match function {
        "" | "ENV" => Some(Body::Name),
        "RANDOM_CHOICE" | "RANDOM_INTEGER" | "CHOICE" | "SUBSTR" | "INT" | "REAL" | "STRING" | "EVAL" | "BASENAME"
        | "DIRNAME" => Some(Body::Anything),
        _ => is_file_function(function).then_some(Body::Anything),
    }
}

/// `F` and letters that choose parts of a file name.
pub(crate) fn is_file_function(function: &str) -> bool {
    function.strip_prefix('F').is_some_and(|parts| parts.chars().all(|c| "pnxdqabfwu".contains(c.to_ascii_lowercase())))
}

fn is_name_char(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"_./".contains(&c)
}

/// Finds the next reference at or after `from` for which `wanted` holds.
pub(crate) fn next_reference(
    text: &str,
    mut from: usize,
    wanted: impl Fn(&Reference<'_>) -> bool,
) -> Option<Reference<'_>> {
    let bytes = text.as_bytes();
    let mut around = None;
    loop {
        let start = from + text[from..].find('$')?;
        let mut at = start + 1;
        let double = bytes.get(at) == Some(&b'$');
        at += usize::from(double);
        let word = at;
        while bytes.get(at).is_some_and(|c| c.is_ascii_alphanumeric() || *c == b'_') {
            at += 1;
        }
        let body = if bytes.get(at) == Some(&b'(') && !double { body_of(&text[word..at]) } else { None };
        let Some(body) = body else {
            from = at;
            continue;
        };
        let open = at + 1;
        let close = match body {
            Body::Anything => text[open..].find(')').map(|length| (open + length, None)),
            Body::Name => close_of_name(bytes, open),
        };
        let Some((close, colon)) = close else {
            around = around.or(Some(start));
            from = open;
            continue;
        };
        let found = Reference {
            start,
            end: close + 1,
            function: &text[word..at],
            name: &text[open..colon.unwrap_or(close)],
            default: colon.map(|colon| &text[colon + 1..close]),
            around,
        };
        if wanted(&found) {
            return Some(found);
        }
        from = close;
    }
}

/// The closing parenthesis of `name` or `name:default`, and the colon.
fn close_of_name(bytes: &[u8], open: usize) -> Option<(usize, Option<usize>)> {
    let mut colon = None;
    let mut at = open;
    loop {
        let c = *bytes.get(at)?;
        match c {
            b')' => return Some((at, colon)),
            b':' if colon.is_none() => colon = Some(at),
            // A reference inside a default: its own parenthesis does not end the outer one.
            b'(' if colon.is_some() => match bytes[at..].iter().position(|c| *c == b')') {
                Some(length) => at += length,
                None => return None,
            },
            b'$' | b' ' | b',' | b'\\' | b':' if colon.is_some() => {}
            c if is_name_char(c) => {}
            _ => return None,
        }
        at += 1;
    }
}

/// A macro whose text is being expanded: its name, and how many bytes were left behind it.
struct Open {
    name: String,
    behind: usize,
}

/// Marks may only come from this crate: a text from outside that holds one is refused.
pub(crate) fn check_marks(text: &str) -> Result<(), Refusal> {
    match text.chars().find(|c| [CLUSTER_MARK, PROCESS_MARK].contains(c)) {
        Some(mark) => Err(Refusal::ControlCharacter { code: mark as u8 }),
        None => Ok(()),
    }
}

/// Expands a value for an attribute.
pub(crate) fn expand(text: &str, macros: &Macros<'_>, numbers: Numbers) -> Result<String, Refusal> {
    macros.steps.set(STEPS_MAX);
    let expanded = expand_inner(text, macros, numbers, 0)?;
    Ok(if expanded.contains("$(") { dollars(&expanded) } else { expanded })
}

/// Expands all but `$(DOLLAR)`: what functions do with their arguments.
pub(crate) fn expand_inner(text: &str, macros: &Macros<'_>, numbers: Numbers, depth: u32) -> Result<String, Refusal> {
    if !text.contains('$') {
        return Ok(text.to_owned());
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = Cow::Borrowed(text);
    let mut at = 0;
    let mut open: Vec<Open> = Vec::new();
    let mut work = 0;
    while let Some(left) = macros.steps.get().checked_sub(1) {
        macros.steps.set(left);
        let wanted = |found: &Reference<'_>| !(found.function.is_empty() && found.name.eq_ignore_ascii_case("DOLLAR"));
        let Some(found) = next_reference(&rest, at, wanted) else {
            out.push_str(&rest[at..]);
            return if out.len() > VALUE_MAX { Err(Refusal::TooLong { limit: VALUE_MAX }) } else { Ok(out) };
        };
        // A macro ends where a reference reaches beyond its text.
        let behind = rest.len() - found.end;
        open.retain(|macro_| behind >= macro_.behind);
        let name = found.name.to_ascii_lowercase();
        if found.function.is_empty() && open.iter().any(|macro_| macro_.name == name) {
            return Err(Refusal::Recursion { name: found.name.to_owned() });
        }
        // A long argument is looked through at each level of a nest.
        macros.steps.set(macros.steps.get().saturating_sub(found.name.len() / 8));
        let replacement = replace(&found, &name, macros, numbers, depth)?;
        let (start, end) = (found.start, found.end);
        let around = found.around.unwrap_or(start);
        out.push_str(&rest[at..around]);
        work += replacement.len();
        if around < start || replacement.contains('$') {
            // The replacement is read again, and so is what stands around it and may be a reference now.
            let (head, tail) = (&rest[around..start], &rest[end..]);
            if replacement.contains('$') {
                open.push(Open { name, behind: tail.len() });
            }
            work += head.len() + tail.len();
            rest = Cow::Owned(format!("{head}{replacement}{tail}"));
            at = 0;
        } else {
            out.push_str(&replacement);
            at = end;
        }
        if out.len() > VALUE_MAX || work > WORK_MAX {
            break;
        }
    }
    Err(Refusal::TooLong { limit: VALUE_MAX })
}

fn replace(
    found: &Reference<'_>,
    name: &str,
    macros: &Macros<'_>,
    numbers: Numbers,
    depth: u32,
) -> Result<String, Refusal> {
    let or_default = |value: Option<Cow<'_, str>>| match value {
        Some(value) if !value.is_empty() => value.into_owned(),
        _ => found.default.unwrap_or_default().to_owned(),
    };
    match found.function {
        "" => Ok(or_default(macros.lookup(name, numbers))),
        "ENV" => {
            let value = macros.world.env(found.name);
            check_marks(value.as_deref().unwrap_or_default())?;
            Ok(match (value, found.default) {
                (None, None) => "UNDEFINED".to_owned(),
                (value, _) => or_default(value.map(Cow::Owned)),
            })
        }
        function => {
            if function.starts_with("RANDOM") {
                macros.note(Causes::CHANCE);
            }
            if depth >= DEPTH_MAX {
                return Err(Refusal::Recursion { name: found.name.to_owned() });
            }
            functions::call(function, found.name, macros, depth + 1)
        }
    }
}

fn dollars(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let is_dollar = |found: &Reference<'_>| found.function.is_empty() && found.name.eq_ignore_ascii_case("DOLLAR");
    while let Some(found) = next_reference(text, at, is_dollar) {
        out.push_str(&text[at..found.start]);
        out.push('$');
        at = found.end;
        // Directly behind it another one reads as `$$(DOLLAR)`, which is left to the master.
        if let Some(next) = next_reference(text, at, is_dollar).filter(|next| next.start == at) {
            out.push_str(&text[at..next.end]);
            at = next.end;
        }
    }
    out.push_str(&text[at..]);
    out
}

/// Replaces references of a new value to the macro itself by the value it had: `A = $(A) more`.
pub(crate) fn expand_self(text: &str, key: &str, macros: &Macros<'_>) -> Result<String, Refusal> {
    macros.steps.set(STEPS_MAX);
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    let is_self = |found: &Reference<'_>| {
        (found.function.is_empty() || is_file_function(found.function)) && found.name.eq_ignore_ascii_case(key)
    };
    // Earlier values hold no reference to themselves, so one pass is enough; a default may.
    while let Some(found) = next_reference(text, at, is_self) {
        out.push_str(&text[at..found.start]);
        let lower = key.to_ascii_lowercase();
        if found.function.is_empty() {
            match macros.lookup(&lower, Numbers::Marks).filter(|value| !value.is_empty()) {
                Some(value) => out.push_str(&value),
                None => {
                    let default = found.default.unwrap_or_default();
                    let depth_left = next_reference(default, 0, is_self).is_none();
                    if !depth_left {
                        return Err(Refusal::Recursion { name: key.to_owned() });
                    }
                    out.push_str(default);
                }
            }
        } else {
            out.push_str(&functions::call(found.function, found.name, macros, 1)?);
        }
        if out.len() > VALUE_MAX {
            return Err(Refusal::TooLong { limit: VALUE_MAX });
        }
        at = found.end;
    }
    out.push_str(&text[at..]);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_found_in_the_order_they_can_be_read() {
        let names = |text: &str| {
            let mut found = Vec::new();
            let mut at = 0;
            while let Some(reference) = next_reference(text, at, |_| true) {
                found.push(format!("{}({}){:?}", reference.function, reference.name, reference.default));
                at = reference.end;
            }
            found
        };
        assert_eq!(names("$(A) $(B:c) $$(C) ${D} $E"), ["(A)None", "(B)Some(\"c\")"]);
        assert_eq!(names("$(A$(B))"), ["(B)None"]);
        assert_eq!(names("$(A:$(B))"), ["(A)Some(\"$(B)\")"]);
        assert_eq!(names("$(A:x-y) $( A ) $()"), ["()None"]);
        assert_eq!(
            names("$INT(a b,%d) $Fpn(x) $Fz(x) $ENV(N:d) $nosuch(x)"),
            ["INT(a b,%d)None", "Fpn(x)None", "ENV(N)Some(\"d\")",]
        );
    }
}
