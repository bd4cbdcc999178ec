//! Which clauses of an expression decide how many other ads match it: what `condor_q -better-analyze` counts.
//!
//! [`Analysis::new`] takes an expression apart into numbered clauses, as HTCondor 25.13 numbers them: operands before
//! the clause that joins them. [`Analysis::reduce`] counts the targets for which each holds and leaves out those that
//! change nothing. Nothing is printed here but the clauses themselves.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::expr::{BinaryOp, Chain, Node, UnaryOp};
use crate::{ClassAd, Env, Expr, eval};

/// A chain of more operands stays one clause: each clause holds all operands before it.
const OPERANDS_MAX: usize = 1_000;

/// How a clause is made of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Logic {
    Plain,
    Not,
    Or,
    And,
    If,
}

#[derive(Debug, Clone)]
struct Clause {
    expr: Expr,
    logic: Logic,
    /// Clauses that it joins, or that stand within it.
    parts: [Option<usize>; 3],
    /// Its value depends on the time.
    variable: bool,
    /// What is shown instead of its text.
    label: Option<String>,
    /// Its value, if no target has a say in it.
    constant: Option<bool>,
    /// The clause that it comes down to.
    effective: Option<usize>,
    /// Makes no difference.
    ignored: bool,
    matches: u64,
}

/// An expression of an ad, in clauses.
#[derive(Debug, Clone)]
pub struct Analysis<'a> {
    ad: &'a ClassAd,
    clauses: Vec<Clause>,
}

/// How many targets fulfil a clause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matched {
    /// So many.
    Targets(u64),
    /// No target has a say; `now` if the value changes with the time.
    Constant {
        /// It holds.
        holds: bool,
        /// Only at the moment.
        now: bool,
    },
}

/// A line of the reduced expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Number of the clause.
    pub step: usize,
    /// Targets that fulfil it.
    pub matched: Matched,
    /// Its text, or the numbers that it joins.
    pub label: String,
    /// It decides the result; the others are there when all were asked for.
    pub decides: bool,
}

impl<'a> Analysis<'a> {
    /// Takes `expr` of `ad` apart. Attributes of the ad called as in `inline` (lower case) stand for their own
    /// expressions, one level deep; the branches of `ifThenElse` become clauses if `branches`.
    pub fn new(expr: &Expr, ad: &'a ClassAd, inline: &[&str], branches: bool) -> Analysis<'a> {
        let mut walk = Walk { ad, inline, branches, clauses: Vec::new() };
        walk.clause(expr, true, true);
        Analysis { ad, clauses: walk.clauses }
    }

    /// Every clause by its number.
    pub fn clauses(&self) -> impl Iterator<Item = String> {
        self.clauses.iter().map(|clause| match (clause.joined(), clause.parts[0]) {
            (Some(numbers), _) => numbers,
            (None, Some(within)) => format!("[{within}] {}", clause.expr.to_new_string()),
            (None, None) => clause.expr.to_new_string(),
        })
    }

    /// Counts `targets`, each standing for so many equal ones; gives what decides, or with `all` every clause.
    pub fn reduce(mut self, targets: &[(&ClassAd, u64)], env: &Env, all: bool) -> Vec<Condition> {
        for clause in &mut self.clauses {
            if foreign_names(&clause.expr, self.ad).is_some_and(|names| names.is_empty()) {
                clause.constant = Some(eval(&clause.expr, self.ad, None, env).truth() == Some(true));
            }
        }
        (0..self.clauses.len()).for_each(|at| self.spread_constants(at));
        (0..self.clauses.len()).for_each(|at| self.follow_parts(at));
        for at in 0..self.clauses.len() {
            if self.decides(at) && self.clauses[at].constant.is_none() {
                self.count(at, targets, env);
            }
        }
        let shown = (0..self.clauses.len()).filter(|at| all || self.decides(*at));
        shown.map(|at| self.condition(at)).collect()
    }

    fn decides(&self, at: usize) -> bool {
        self.clauses[at].effective.is_none() && !self.clauses[at].ignored
    }

    fn condition(&self, at: usize) -> Condition {
        let clause = &self.clauses[at];
        let label = clause.label.clone().or_else(|| clause.joined());
        Condition {
            step: at,
            matched: match clause.constant {
                Some(holds) => Matched::Constant { holds, now: clause.variable },
                None => Matched::Targets(clause.matches),
            },
            label: label.unwrap_or_else(|| clause.expr.to_new_string()),
            decides: self.decides(at),
        }
    }

    /// What constants make of a clause that joins them.
    fn spread_constants(&mut self, at: usize) {
        let Clause { logic, parts, .. } = self.clauses[at];
        let [left, right, other] = parts;
        let part = |part: Option<usize>| {
            let clause = part.map(|part| &self.clauses[part]);
            let constant = clause.and_then(|clause| clause.constant);
            (constant, constant.is_some() && clause.is_some_and(|clause| clause.variable))
        };
        let ((l, l_soft), (r, r_soft), (o, o_soft)) = (part(left), part(right), part(other));
        let mark = |value: Option<bool>, soft: bool| match (value, soft) {
            (None, _) => "",
            (Some(false), false) => "F",
            (Some(true), false) => "T",
            (Some(false), true) => "f",
            (Some(true), true) => "t",
        };
        let number = |part: Option<usize>| part.map_or(-1, |n| i64::try_from(n).unwrap_or(-1));
        let shown = |n, value, soft| format!("[{}]{}", number(n), mark(value, soft));
        let (lefts, rights) = (shown(left, l, l_soft), shown(right, r, r_soft));
        // The part that it comes down to, the part that is idle then, whether only for now; its own value.
        let (mut effective, mut idle, mut soft, mut constant) = (None, None, false, None);
        let label = match logic {
            Logic::Plain => return,
            Logic::Not => {
                if self.clauses[at].label.is_none() && left.is_some() {
                    self.clauses[at].label = Some(format!(" ! {lefts}"));
                }
                return;
            }
            Logic::Or => {
                match (l, r) {
                    (Some(true), _) => {
                        (effective, idle, constant) = (left, right, Some((true, l_soft && r_soft)));
                        soft = l_soft && (r != Some(false) || r_soft);
                    }
                    (_, Some(true)) => {
                        (effective, idle, constant) = (right, left, Some((true, l_soft && r_soft)));
                        soft = r_soft && (l != Some(false) || l_soft);
                    }
                    (Some(false), Some(false)) => constant = Some((false, l_soft || r_soft)),
                    (Some(false), None) => (effective, idle, soft) = (right, left, l_soft),
                    (None, Some(false)) => (effective, idle, soft) = (left, right, r_soft),
                    (None, None) => {}
                }
                format!("{lefts} || {rights}")
            }
            Logic::And => {
                match (l, r) {
                    (Some(false), _) => {
                        (effective, idle, soft, constant) = (left, right, l_soft, Some((false, l_soft || r_soft)));
                    }
                    (_, Some(false)) => {
                        (effective, idle, soft, constant) = (right, left, r_soft, Some((false, l_soft || r_soft)));
                    }
                    (Some(true), Some(true)) => constant = Some((true, l_soft || r_soft)),
                    (Some(true), None) => (effective, idle, soft) = (right, left, self.clauses[at].variable),
                    (None, Some(true)) => (effective, idle, soft) = (left, right, self.clauses[at].variable),
                    (None, None) => {}
                }
                format!("{lefts} && {rights}")
            }
            Logic::If => {
                if let Some(holds) = l {
                    (effective, idle) = if holds { (right, other) } else { (other, right) };
                    soft = l_soft;
                    constant = effective.and_then(|at| self.clauses[at].constant).map(|value| (value, l_soft));
                }
                format!("ifThenElse({lefts}, {rights}, {})", shown(other, o, o_soft))
            }
        };
        let effective = effective.map(|at| self.end_of(at));
        let clause = &mut self.clauses[at];
        clause.label = Some(label);
        clause.effective = effective;
        if let Some((value, variable)) = constant {
            (clause.constant, clause.variable) = (Some(value), variable);
        }
        if let Some(idle) = idle.filter(|_| !soft) {
            self.ignore(idle);
        }
    }

    /// The clause that a clause comes down to in the end.
    fn end_of(&self, mut at: usize) -> usize {
        while let Some(next) = self.clauses[at].effective {
            at = next;
        }
        at
    }

    fn ignore(&mut self, at: usize) {
        self.clauses[at].ignored = true;
        self.clauses[at].parts.into_iter().flatten().for_each(|part| self.ignore(part));
    }

    /// A clause joins what its parts come down to.
    fn follow_parts(&mut self, at: usize) {
        for part in 0..3 {
            let before = self.clauses[at].parts[part];
            if let Some(end) = before.and_then(|part| self.clauses[part].effective) {
                self.clauses[at].parts[part] = Some(end);
                self.clauses[at].label = None;
            }
        }
    }

    fn count(&mut self, at: usize, targets: &[(&ClassAd, u64)], env: &Env) {
        let all: u64 = targets.iter().map(|(_, count)| count).sum();
        let logic = self.clauses[at].logic;
        let pair = match (logic, self.clauses[at].parts) {
            (Logic::And | Logic::Or | Logic::If, [Some(left), Some(right), _]) => Some((left, right)),
            _ => None,
        };
        if let Some((left, right)) = pair {
            let (l, r) = (self.clauses[left].matches, self.clauses[right].matches);
            let (effective, idle) = match logic {
                Logic::And if l == 0 => (Some(left), None),
                Logic::And if r == 0 => (Some(right), None),
                Logic::Or if l == all => (Some(left), Some(right)),
                Logic::Or if r == all => (Some(right), Some(left)),
                Logic::Or if l == 0 && r != 0 => (Some(right), Some(left)),
                Logic::Or if l != 0 && r == 0 => (Some(left), Some(right)),
                _ => (None, None),
            };
            if let Some(idle) = idle {
                self.ignore(idle);
            }
            self.settle(at, effective);
        }
        let holds = |target: &ClassAd| eval(&self.clauses[at].expr, self.ad, Some(target), env).truth() == Some(true);
        let matches = targets.iter().filter(|(target, _)| holds(target)).map(|(_, count)| count).sum();
        self.clauses[at].matches = matches;
        let Some((left, right)) = pair else { return };
        // One side alone leaves as many as both together: the other one is of no account.
        let (l, r) = (self.clauses[left].matches, self.clauses[right].matches);
        let mut effective = None;
        if logic == Logic::And && l == matches {
            effective = Some(left);
            self.clauses[right].ignored |= r > matches;
        } else if logic == Logic::And && r == matches {
            effective = Some(right);
            self.clauses[left].ignored |= l > matches;
        }
        self.settle(at, effective);
    }

    fn settle(&mut self, at: usize, effective: Option<usize>) {
        match effective {
            Some(effective) => {
                let end = self.end_of(effective);
                self.clauses[at].effective = Some(end);
                self.clauses[at].label = None;
            }
            None => self.follow_parts(at),
        }
    }
}

impl Clause {
    /// `[0] && [1]`
    fn joined(&self) -> Option<String> {
        match (self.logic, self.parts) {
            (Logic::Not, [Some(part), ..]) => Some(format!(" ! [{part}]")),
            (Logic::Or, [Some(left), Some(right), _]) => Some(format!("[{left}] || [{right}]")),
            (Logic::And, [Some(left), Some(right), _]) => Some(format!("[{left}] && [{right}]")),
            (Logic::If, [Some(a), Some(b), Some(c)]) => Some(format!("ifThenElse([{a}],[{b}],[{c}])")),
            _ => None,
        }
    }
}

/// What walking an expression has found so far.
struct Walk<'w> {
    ad: &'w ClassAd,
    inline: &'w [&'w str],
    branches: bool,
    clauses: Vec<Clause>,
}

/// The clause of an expression, if it is one, and whether time decides.
type Found = (Option<usize>, bool);

impl Walk<'_> {
    /// `inline`: names may still stand for their expressions. `store`: it is a clause whatever it is.
    fn clause(&mut self, expr: &Expr, inline: bool, store: bool) -> Found {
        match &expr.0 {
            Node::Literal(_) => self.leaf(expr, store, false, Some(expr.to_new_string())),
            Node::List(_) | Node::Ad(_) => self.leaf(expr, store, false, None),
            Node::Attr(attr) => {
                let time = !attr.absolute && **attr.name.lower() == *"currenttime";
                let named = inline && !attr.absolute && self.inline.contains(&&**attr.name.lower());
                match self.ad.get(attr.name.lower()).filter(|_| named).cloned() {
                    Some(inner) => {
                        let (at, variable) = self.clause(&inner, false, false);
                        self.around(expr, at, variable || time, store)
                    }
                    None => self.leaf(expr, store, time, None),
                }
            }
            Node::Select(select) => {
                let (at, variable) = self.clause(&select.base, inline, false);
                self.around(expr, at, variable, store)
            }
            Node::Paren(inner) => self.clause(inner, inline, true),
            Node::Unary(UnaryOp::Not, inner) => {
                let (at, variable) = self.clause(inner, inline, true);
                // The clause just made is turned round instead of making another.
                let count = self.clauses.len();
                if let Some(last) = self.clauses.last_mut().filter(|_| at.is_some_and(|at| at + 1 == count)) {
                    last.expr = expr.clone();
                    last.logic = Logic::Not;
                    last.label = last.label.take().map(|label| format!("! {label}"));
                }
                (at, variable)
            }
            Node::Unary(_, inner) => {
                let (at, variable) = self.clause(inner, inline, false);
                self.around(expr, at, variable, store)
            }
            Node::Chain(chain) if chain.rest.len() > OPERANDS_MAX => self.leaf(expr, true, false, None),
            Node::Chain(chain) => self.chain(chain, inline, store),
            Node::Conditional(parts) => self.several(expr, &parts[..], inline, store),
            Node::Index(pair) | Node::Elvis(pair) => {
                self.several(expr, &[pair.0.clone(), pair.1.clone()], inline, store)
            }
            Node::Call(call) => {
                let is = |name: &str, args: usize| call.args().len() == args && call.name().eq_ignore_ascii_case(name);
                if self.branches && is("ifthenelse", 3) {
                    let found: Vec<Found> = call.args().iter().map(|arg| self.clause(arg, inline, true)).collect();
                    let variable = found.iter().any(|(_, variable)| *variable);
                    return (self.add(expr, Logic::If, [found[0].0, found[1].0, found[2].0], variable), variable);
                }
                self.leaf(expr, store, is("time", 0), Some(expr.to_new_string()))
            }
        }
    }

    fn add(&mut self, expr: &Expr, logic: Logic, parts: [Option<usize>; 3], variable: bool) -> Option<usize> {
        self.clauses.push(Clause {
            expr: expr.clone(),
            logic,
            parts,
            variable,
            label: None,
            constant: None,
            effective: None,
            ignored: false,
            matches: 0,
        });
        Some(self.clauses.len() - 1)
    }

    fn leaf(&mut self, expr: &Expr, store: bool, variable: bool, label: Option<String>) -> Found {
        let at = if store { self.add(expr, Logic::Plain, [None; 3], variable) } else { None };
        if let Some(at) = at {
            self.clauses[at].label = label;
        }
        (at, variable)
    }

    /// An expression around one other: where that is a clause, both are the same one.
    fn around(&mut self, expr: &Expr, inner: Option<usize>, variable: bool, store: bool) -> Found {
        match inner {
            None if store => (self.add(expr, Logic::Plain, [None; 3], variable), variable),
            inner => (inner, variable),
        }
    }

    fn several(&mut self, expr: &Expr, parts: &[Expr], inline: bool, store: bool) -> Found {
        let found: Vec<Found> = parts.iter().map(|part| self.clause(part, inline, false)).collect();
        let variable = found.iter().any(|(_, variable)| *variable);
        let part = |at: usize| found.get(at).and_then(|(at, _)| *at);
        let parts = [part(0), part(1), part(2)];
        (if store { self.add(expr, Logic::Plain, parts, variable) } else { None }, variable)
    }

    fn chain(&mut self, chain: &Chain, inline: bool, store: bool) -> Found {
        let joins = |op: BinaryOp| matches!(op, BinaryOp::And | BinaryOp::Or);
        let stored = |op: BinaryOp| joins(op) || (5..=6).contains(&op.precedence());
        let operands_are_clauses = chain.rest.first().is_some_and(|(op, _)| joins(*op));
        let (mut left, mut variable) = self.clause(&chain.first, inline, operands_are_clauses);
        for (count, (op, operand)) in chain.rest.iter().enumerate() {
            let (right, changes) = self.clause(operand, inline, operands_are_clauses);
            variable |= changes;
            let last = count + 1 == chain.rest.len();
            let logic = match op {
                BinaryOp::And => Logic::And,
                BinaryOp::Or => Logic::Or,
                _ => Logic::Plain,
            };
            left = if stored(*op) || (last && store) {
                let rest = chain.rest[..=count].to_vec();
                let so_far = Expr(Node::Chain(Arc::new(Chain { first: chain.first.clone(), rest })));
                self.add(&so_far, logic, [left, right, None], variable)
            } else {
                None
            };
        }
        (left, variable)
    }
}

/// Names that an expression of an ad looks for elsewhere, also by way of the ad's own attributes, in lower case.
/// `None` if it may look for any.
pub fn foreign_names(expr: &Expr, ad: &ClassAd) -> Option<BTreeSet<Arc<str>>> {
    let mut foreign = BTreeSet::new();
    let mut known: BTreeSet<Arc<str>> = BTreeSet::new();
    let mut open = vec![expr.references()];
    while let Some(references) = open.pop() {
        if references.dynamic {
            return None;
        }
        foreign.extend(references.target);
        for name in references.unscoped {
            match ad.get(&name) {
                Some(inner) => {
                    if known.insert(name) {
                        open.push(inner.references());
                    }
                }
                None if *name == *"currenttime" => {}
                None => drop(foreign.insert(name)),
            }
        }
        for name in references.my {
            if let Some(inner) = ad.get(&name)
                && known.insert(name)
            {
                open.push(inner.references());
            }
        }
    }
    Some(foreign)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse_expr;

    fn ad(text: &str) -> ClassAd {
        ClassAd::from_old_text(text).unwrap()
    }

    #[track_caller]
    fn clauses(expr: &str, expected: &[&str]) {
        let job = ad("RequestMemory = 128\nStart = Memory > 5 && true\n");
        let expr = parse_expr(expr).unwrap();
        let got: Vec<String> = Analysis::new(&expr, &job, &["start"], true).clauses().collect();
        assert_eq!(got, expected, "{expr}");
    }

    /// `step:matched` of what decides, four machines having 1 to 4 cores, the first two `A`.
    #[track_caller]
    fn reduced(expr: &str, expected: &str) {
        let job = ad("RequestCpus = 2\nYes = true\n");
        let machines: Vec<ClassAd> = (1..=4).map(|n| ad(&format!("Cpus = {n}\nA = {}\n", n <= 2))).collect();
        let targets: Vec<(&ClassAd, u64)> = machines.iter().map(|ad| (ad, 1)).collect();
        let expr = parse_expr(expr).unwrap();
        let conditions = Analysis::new(&expr, &job, &[], false).reduce(&targets, &Env::at_utc(1), false);
        let line = |c: &Condition| match c.matched {
            Matched::Targets(n) => format!("{}:{n} {}", c.step, c.label),
            Matched::Constant { holds, now } => format!("{}:{holds}/{now} {}", c.step, c.label),
        };
        assert_eq!(conditions.iter().map(line).collect::<Vec<_>>().join("; "), expected, "{expr}");
    }

    #[test]
    fn operands_stand_before_what_joins_them() {
        clauses("A && (B || TARGET.C > 1)", &["A", "B", "TARGET.C > 1", "[1] || [2]", "[0] && [3]"]);
        clauses("A && B && C", &["A", "B", "[0] && [1]", "C", "[2] && [3]"]);
        clauses("(a + b) > 3", &["a + b", "[0] (a + b) > 3"]);
        clauses("a + b", &["a + b"]);
        clauses("!A && !isUndefined(B)", &[" !A", " !isUndefined(B)", "[0] && [1]"]);
        clauses("ifThenElse(A, B, C > 2)", &["A", "B", "C > 2", "ifThenElse([0],[1],[2])"]);
        clauses("A ?: B", &["A ?: B"]);
        clauses("Start", &["Memory > 5", "true", "[0] && [1]"]);
        clauses("true", &["true"]);
    }

    #[test]
    fn what_changes_nothing_is_left_out() {
        reduced("TARGET.Cpus >= RequestCpus && TARGET.Cpus > 0", "0:3 TARGET.Cpus >= RequestCpus");
        reduced("TARGET.Cpus >= RequestCpus && A", "0:3 TARGET.Cpus >= RequestCpus; 1:2 A; 2:1 [0] && [1]");
        reduced("Nowhere && A", "0:0 Nowhere");
        reduced("TARGET.Cpus > 0 || A", "0:4 TARGET.Cpus > 0");
        reduced("Nowhere || A", "1:2 A");
        reduced("Yes && A", "1:2 A");
        reduced("Yes", "0:true/false Yes");
        reduced("RequestCpus > 3 && A", "0:false/false RequestCpus > 3");
        reduced("time() > 5 && A", "0:false/true time() > 5; 1:2 A");
        reduced("A && TARGET.Cpus >= 2 && TARGET.Cpus >= 1", "0:2 A; 1:3 TARGET.Cpus >= 2; 2:1 [0] && [1]");
    }

    #[test]
    fn names_of_others_are_found_through_ones_own() {
        let job = ad("RequestDisk = Size * 2\nSize = TARGET.Unit + Loop\nLoop = RequestDisk\n");
        let names = |text: &str| foreign_names(&parse_expr(text).unwrap(), &job).map(|names| names.len());
        assert_eq!(names("RequestDisk > 1"), Some(1));
        assert_eq!(names("MY.Nowhere && CurrentTime"), Some(0));
        assert_eq!(names("eval(\"x\")"), None);
    }
}
