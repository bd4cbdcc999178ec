//! What analyses of jobs and of machines have in common: wrapped expressions, referenced attributes, tables of conditions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use classad::analysis::{Analysis, Condition, Matched, foreign_names};
use classad::{ClassAd, Env, Expr, eval};

use super::Detail;

/// An expression of several lines, broken behind `&&` and `||` once a line has reached `width`, and indented by two
/// columns more within parentheses. The first line begins at column `indent`, which whoever prints it has seen to.
pub(super) fn wrapped(expr: &Expr, indent: usize, width: usize) -> String {
    let mut lines: Vec<String> = Vec::new();
    // The line so far, where it can be broken, and how deep the rest would then begin.
    let mut line = " ".repeat(indent);
    let (mut depth, mut place): (usize, Option<(usize, usize)>) = (indent, None);
    let (mut columns, mut before, mut behind_and) = (indent, '\0', false);
    for c in expr.to_new_string().chars() {
        let and = matches!(c, '&' | '|') && before == c;
        match c {
            '(' if !and => depth += 2,
            ')' => depth = depth.saturating_sub(2),
            _ => {}
        }
        if columns >= width
            && let Some((at, deep)) = place.take()
        {
            let rest = line.split_off(at);
            lines.push(std::mem::take(&mut line));
            // The blank at which it is broken goes.
            line = " ".repeat(deep) + rest.strip_prefix(' ').unwrap_or(&rest);
            columns = line.chars().count();
        }
        if behind_and {
            place = Some((line.len(), depth));
        }
        line.push(c);
        columns += 1;
        (before, behind_and) = (c, and);
    }
    lines.push(line);
    lines.join("\n")[indent..].to_owned()
}

/// `[0]    : HasX is true`, one line a clause.
pub(super) fn numbered(analysis: &Analysis<'_>) -> String {
    let line = |(at, text)| format!("    {:<6} : {text}\n", format!("[{at}]"));
    analysis.clauses().enumerate().map(line).collect()
}

/// The ad's own attributes that an expression depends on, as written, but for those in `hidden` (lower case).
pub(super) fn own_attributes(expr: &Expr, ad: &ClassAd, hidden: &[&str]) -> String {
    let mut found: BTreeMap<Arc<str>, &Expr> = BTreeMap::new();
    let mut open = vec![expr];
    while let Some(expr) = open.pop() {
        let references = expr.references();
        for name in references.unscoped.into_iter().chain(references.my) {
            if let Some(inner) = ad.get(&name)
                && found.insert(name, inner).is_none()
            {
                open.push(inner);
            }
        }
    }
    let mut out = String::new();
    for (name, expr) in found.iter().filter(|(name, _)| !hidden.contains(&&***name)) {
        let unit = match &**name {
            "requestdisk" => " (kb)",
            "requestmemory" => " (mb)",
            _ => "",
        };
        out.push_str(&format!("    {} = {expr}{unit}\n", ad.spelling(name).unwrap_or(name)));
    }
    out
}

/// The values of what an expression asks of the other ad, if that has any of it.
pub(super) fn target_attributes(expr: &Expr, ad: &ClassAd, target: &ClassAd, env: &Env) -> String {
    let mut out = String::new();
    for name in foreign_names(expr, ad).unwrap_or_default() {
        let Some(inner) = target.get(&name) else { continue };
        let unit = match &*name {
            "disk" => " (kb)",
            "memory" => " (mb)",
            _ => "",
        };
        let value = eval(inner, target, Some(ad), env);
        out.push_str(&format!("    TARGET.{} = {value}{unit}\n", target.spelling(&name).unwrap_or(&name)));
    }
    out
}

/// The table of conditions, with `Slots` or `Clusters` above the counts.
pub(super) fn conditions(conditions: &[Condition], of: &str, detail: Detail) -> String {
    let margin = if detail.all_clauses { "   " } else { "" };
    let mut out = format!("{margin}       {of:>5}s\n");
    out += &format!("{margin}Step   Matched  Condition\n{margin}----- --------- ---------\n");
    for condition in conditions {
        let matched = match condition.matched {
            Matched::Targets(count) => count.to_string(),
            Matched::Constant { holds: true, now: false } => "always".to_owned(),
            Matched::Constant { holds: false, now: false } => "never".to_owned(),
            Matched::Constant { holds: true, now: true } => "now".to_owned(),
            Matched::Constant { holds: false, now: true } => "not now".to_owned(),
        };
        let mark = match (detail.all_clauses, condition.decides) {
            (false, _) => "",
            (true, true) => " * ",
            (true, false) => "   ",
        };
        let step = format!("[{}]", condition.step);
        out += &format!("{mark}{step:<5} {matched:>9}  {}\n", condition.label);
    }
    out
}

/// Ads that are alike in all that an expression asks of them, with their number: equal machines are tried once.
pub(super) fn alike<'t>(expr: &Expr, ad: &ClassAd, targets: &[&'t ClassAd]) -> Vec<(&'t ClassAd, u64)> {
    let names: Option<BTreeSet<Arc<str>>> = foreign_names(expr, ad);
    let plain = |target: &&ClassAd| {
        let of = |name: &Arc<str>| target.get(name).is_none_or(|inner| inner.literal().is_some());
        names.as_ref().is_some_and(|names| names.iter().all(of))
    };
    if !targets.iter().all(plain) {
        return targets.iter().map(|target| (*target, 1)).collect();
    }
    let names = names.unwrap_or_default();
    let mut kinds: BTreeMap<Vec<Option<String>>, usize> = BTreeMap::new();
    let mut counted: Vec<(&ClassAd, u64)> = Vec::new();
    for target in targets {
        let kind = names.iter().map(|name| target.get(name).map(Expr::to_string)).collect();
        let at = *kinds.entry(kind).or_insert(counted.len());
        match counted.get_mut(at) {
            Some((_, count)) => *count += 1,
            None => counted.push((target, 1)),
        }
    }
    counted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Expr {
        classad::parse_expr(text).unwrap()
    }

    #[test]
    fn lines_are_broken_behind_what_joins_clauses() {
        let text = "(A =?= true) && (TARGET.LongName > 1 || TARGET.Other < 2) && C";
        assert_eq!(wrapped(&parse(text), 4, 200), "(A is true) && (TARGET.LongName > 1 || TARGET.Other < 2) && C");
        assert_eq!(
            wrapped(&parse(text), 4, 40),
            "(A is true) &&\n    (TARGET.LongName > 1 ||\n      TARGET.Other < 2) && C"
        );
        assert_eq!(wrapped(&parse("strcat(\")))\") == x"), 0, 1), "strcat(\")))\") == x");
    }

    #[test]
    fn equal_machines_are_tried_once() {
        let ad = |text: &str| ClassAd::from_old_text(text).unwrap();
        let machines = [ad("Cpus = 4\nName = \"a\"\n"), ad("Cpus = 4\nName = \"b\"\n"), ad("Cpus = 1\n")];
        let targets: Vec<&ClassAd> = machines.iter().collect();
        let counts = |text: &str| {
            alike(&parse(text), &ClassAd::new(), &targets).iter().map(|(_, count)| *count).collect::<Vec<_>>()
        };
        assert_eq!(counts("TARGET.Cpus > 1"), [2, 1]);
        assert_eq!(counts("TARGET.Name == \"a\""), [1, 1, 1]);
        assert_eq!(counts("eval(\"Cpus\") > 1"), [1, 1, 1]);
    }
}
