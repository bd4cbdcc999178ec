//! What a clause of a job's requirements reads of the job's own ad: names it writes, names that their expressions
//! lead to, and what the texts given to `eval()` name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use classad::{ClassAd, Env, Expr, References, Scope, Value};

/// A job's ad as requirements see it.
pub trait JobScope: Scope {
    /// All attributes, for the few clauses that may look at any.
    fn all(&self) -> ClassAd;

    /// Whether the attribute's value is another one for each job of a cluster though its text is the same; the name in
    /// lower case.
    fn is_numbered(&self, _folded: &str) -> bool {
        false
    }
}

/// Names followed before the whole ad is taken instead.
const NAMES_MAX: usize = 200;

/// The job's side of a clause.
#[derive(Debug, Default)]
pub(super) struct Reading {
    /// By name in lower case: a value where the job alone decides it, an expression where the machine or the time does.
    pub(super) attributes: BTreeMap<Arc<str>, Expr>,
    /// No list of names would do.
    pub(super) whole: bool,
    /// One of the expressions asks for the time.
    pub(super) timed: bool,
}

impl Reading {
    pub(super) fn new(reads: &References, job: &dyn JobScope, now_s: i64) -> Reading {
        let env = Env { now_s: Some(now_s), ..Env::default() };
        let mut search = Search { job, env, found: BTreeMap::new(), whole: false };
        search.follow(reads);
        search.settle()
    }
}

/// The search for all that is read.
struct Search<'a> {
    job: &'a dyn JobScope,
    env: Env,
    /// Expressions with what they read; `None` for a literal and for what the job has not.
    found: BTreeMap<Arc<str>, (Expr, Option<References>)>,
    whole: bool,
}

impl Search<'_> {
    fn follow(&mut self, reads: &References) {
        self.whole |= reads.whole;
        for name in reads.my.iter() {
            self.read(name);
        }
        for name in reads.unscoped.iter().filter(|name| self.job.lookup(name).is_some()) {
            self.read(name);
        }
        for text in &reads.evaluated {
            let needs = text.references();
            self.follow(&needs);
            let value = classad::eval(text, &Borrowed(self.job), None, &self.env);
            match value.as_str().map(classad::parse_expr) {
                Some(Ok(expr)) if self.found.len() < NAMES_MAX => self.follow_once(&expr),
                // What the machine says decides what is looked at.
                _ => self.whole |= self.asks_the_machine(&needs),
            }
        }
    }

    /// A text that evaluates itself leads nowhere.
    fn follow_once(&mut self, expr: &Expr) {
        let mut reads = expr.references();
        self.whole |= !reads.evaluated.is_empty();
        reads.evaluated.clear();
        self.follow(&reads);
    }

    fn read(&mut self, name: &Arc<str>) {
        if self.whole || self.found.contains_key(name) {
            return;
        }
        if self.found.len() >= NAMES_MAX {
            self.whole = true;
            return;
        }
        let expr = self.job.lookup(name).map(|expr| expr.into_owned());
        match expr {
            Some(expr) if expr.literal().is_none() => {
                let reads = expr.references();
                self.found.insert(Arc::clone(name), (expr, Some(reads.clone())));
                self.follow(&reads);
            }
            known => {
                let value = known.unwrap_or_else(|| Expr::from(Value::Undefined));
                self.found.insert(Arc::clone(name), (value, None));
            }
        }
    }

    /// The expression itself, not what it leads to.
    fn asks_the_machine(&self, reads: &References) -> bool {
        reads.dynamic || !reads.target.is_empty() || reads.unscoped.iter().any(|name| self.job.lookup(name).is_none())
    }

    fn settle(self) -> Reading {
        if self.whole {
            let all = self.job.all();
            let attributes = all.iter().map(|(name, expr)| (name.to_ascii_lowercase().into(), expr.clone()));
            return Reading { attributes: attributes.collect(), whole: true, timed: true };
        }
        let mut open: BTreeSet<&Arc<str>> = BTreeSet::new();
        let mut timed = false;
        for (name, (expr, reads)) in &self.found {
            let Some(reads) = reads else { continue };
            let is_timed = asks_for_the_time(&expr.to_string());
            timed |= is_timed;
            if is_timed || self.asks_the_machine(reads) {
                open.insert(name);
            }
        }
        // What reads such an attribute is no more settled than that is.
        loop {
            let before = open.len();
            for (name, (_, reads)) in &self.found {
                let Some(reads) = reads else { continue };
                if reads.my.iter().chain(&reads.unscoped).any(|read| open.contains(read)) {
                    open.insert(name);
                }
            }
            if open.len() == before {
                break;
            }
        }
        let attributes = self.found.iter().map(|(name, (expr, reads))| {
            let settled = match reads {
                Some(_) if !open.contains(name) => {
                    Expr::from(classad::eval(expr, &Borrowed(self.job), None, &self.env))
                }
                _ => expr.clone(),
            };
            (Arc::clone(name), settled)
        });
        Reading { attributes: attributes.collect(), whole: false, timed }
    }
}

/// Whether the text of an expression asks for the time.
pub(super) fn asks_for_the_time(text: &str) -> bool {
    let folded = text.to_ascii_lowercase();
    folded.contains("time(") || folded.contains("currenttime")
}

/// A scope behind a reference.
pub(super) struct Borrowed<'a>(pub(super) &'a dyn JobScope);

impl Scope for Borrowed<'_> {
    fn lookup(&self, name: &str) -> Option<std::borrow::Cow<'_, Expr>> {
        self.0.lookup(name)
    }
}

impl JobScope for ClassAd {
    fn all(&self) -> ClassAd {
        self.clone()
    }
}
