//! The ad of the current job while it is put together.
//!
//! Several steps may write one attribute; the latest step wins, and a step sees only what earlier ones wrote. Jobs after
//! the first of a cluster fall back on the first one's attributes, as HTCondor's do. When a step runs again for
//! the next job its old values are taken back first, and every attribute that then differs is known as changed.

use std::collections::HashMap;

use crate::values::constant;

/// A value as assigned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Assigned {
    /// A normalised expression text.
    Expr(String),
    /// A string without its quotes.
    Text(String),
    Int(i64),
    Bool(bool),
}

impl Assigned {
    /// The expression text.
    pub(crate) fn to_text(&self) -> String {
        match self {
            Assigned::Expr(text) => text.clone(),
            Assigned::Text(text) => classad::quote_old(text),
            Assigned::Int(number) => number.to_string(),
            Assigned::Bool(truth) => truth.to_string(),
        }
    }
}

#[derive(Debug)]
struct Slot {
    /// As first written.
    name: String,
    /// The first job's value, for the later ones.
    base: Option<Assigned>,
    /// By step, in order.
    writes: Vec<(usize, Assigned)>,
    changed: bool,
}

/// All attributes.
#[derive(Debug, Default)]
pub(crate) struct Ad {
    slots: Vec<Slot>,
    by_name: HashMap<String, usize>,
    /// Slots that each step wrote in its last run.
    written: Vec<Vec<usize>>,
    step: usize,
    /// What the running step wrote before.
    old: Vec<(usize, Assigned)>,
    reads: Vec<usize>,
    changed: Vec<usize>,
}

impl Ad {
    fn slot(&mut self, name: &str) -> usize {
        if let Some(slot) = self.by_name.get(name) {
            return *slot;
        }
        let lower = name.to_ascii_lowercase();
        let next = self.slots.len();
        let slot = *self.by_name.entry(lower).or_insert(next);
        if slot == next {
            self.slots.push(Slot { name: name.to_owned(), base: None, writes: Vec::new(), changed: false });
        }
        // The usual spellings are found without folding next time.
        self.by_name.insert(name.to_owned(), slot);
        slot
    }

    /// Begins a new cluster: nothing is left.
    pub(crate) fn clear(&mut self) {
        *self = Ad::default();
    }

    /// Begins a job that is computed from scratch, upon the first job's attributes.
    pub(crate) fn restart(&mut self) {
        for slot in &mut self.slots {
            slot.writes.clear();
        }
        self.written.clear();
    }

    /// Makes the present attributes those that later jobs fall back on.
    pub(crate) fn make_base(&mut self) {
        for slot in &mut self.slots {
            if let Some((_, value)) = slot.writes.pop() {
                slot.base = Some(value);
            }
            slot.writes.clear();
        }
        self.written.clear();
    }

    /// Forgets which attributes changed: the next job begins.
    pub(crate) fn settle(&mut self) {
        for slot in self.changed.drain(..) {
            self.slots[slot].changed = false;
        }
    }

    /// Begins a step.
    pub(crate) fn begin(&mut self, step: usize) {
        self.step = step;
        self.reads.clear();
        if self.written.len() <= step {
            self.written.resize_with(step + 1, Vec::new);
        }
        for slot in std::mem::take(&mut self.written[step]) {
            let writes = &mut self.slots[slot].writes;
            if let Some(at) = writes.iter().position(|(by, _)| *by == step) {
                self.old.push((slot, writes.remove(at).1));
            }
        }
    }

    /// Ends a step; returns the slots it read.
    pub(crate) fn end(&mut self) -> Vec<usize> {
        let step = self.step;
        let mut changed = Vec::new();
        for slot in &self.written[step] {
            let new = self.slots[*slot].writes.iter().find(|(by, _)| *by == step).map(|(_, value)| value);
            let old = self.old.iter().find(|(other, _)| other == slot).map(|(_, value)| value);
            if new != old {
                changed.push(*slot);
            }
        }
        for (slot, _) in self.old.drain(..) {
            if !self.written[step].contains(&slot) {
                changed.push(slot);
            }
        }
        for slot in changed {
            if !std::mem::replace(&mut self.slots[slot].changed, true) {
                self.changed.push(slot);
            }
        }
        self.reads.sort_unstable();
        self.reads.dedup();
        std::mem::take(&mut self.reads)
    }

    /// Some of these slots changed for the present job.
    pub(crate) fn any_changed(&self, slots: &[usize]) -> bool {
        !self.changed.is_empty() && slots.iter().any(|slot| self.slots[*slot].changed)
    }

    /// Slots that changed for the present job.
    pub(crate) fn changed(&self) -> &[usize] {
        &self.changed
    }

    /// Assigns in the running step.
    pub(crate) fn set(&mut self, name: &str, value: Assigned) {
        let slot = self.slot(name);
        let step = self.step;
        let writes = &mut self.slots[slot].writes;
        match writes.iter().position(|(by, _)| *by >= step) {
            Some(at) if writes[at].0 == step => writes[at].1 = value,
            Some(at) => writes.insert(at, (step, value)),
            None => writes.push((step, value)),
        }
        if !self.written[step].contains(&slot) {
            self.written[step].push(slot);
        }
    }

    /// What the running step sees.
    pub(crate) fn get(&mut self, name: &str) -> Option<&Assigned> {
        let slot = self.slot(name);
        self.reads.push(slot);
        self.peek(slot, self.step)
    }

    fn peek(&self, slot: usize, step: usize) -> Option<&Assigned> {
        let slot = &self.slots[slot];
        slot.writes.iter().rev().find(|(by, _)| *by <= step).map(|(_, value)| value).or(slot.base.as_ref())
    }

    /// There is such an attribute.
    pub(crate) fn has(&mut self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// The value of a string.
    pub(crate) fn string(&mut self, name: &str) -> Option<String> {
        match self.get(name)? {
            Assigned::Text(text) => Some(text.clone()),
            Assigned::Expr(text) => constant(text)?.as_str().map(str::to_owned),
            _ => None,
        }
    }

    /// The value of a boolean or number as a truth value.
    pub(crate) fn truth(&mut self, name: &str) -> Option<bool> {
        match self.get(name)? {
            Assigned::Bool(truth) => Some(*truth),
            Assigned::Int(number) => Some(*number != 0),
            Assigned::Expr(text) => constant(text)?.truth(),
            Assigned::Text(_) => None,
        }
    }

    /// The value of an integer.
    pub(crate) fn int(&mut self, name: &str) -> Option<i64> {
        match self.get(name)? {
            Assigned::Int(number) => Some(*number),
            Assigned::Expr(text) => constant(text)?.as_int(),
            _ => None,
        }
    }

    /// The literal number that the attribute is, if it is one; a boolean counts as 0 or 1.
    pub(crate) fn literal_number(&mut self, name: &str) -> Option<f64> {
        match self.get(name)? {
            Assigned::Int(number) => Some(*number as f64),
            Assigned::Expr(text) if text == "true" => Some(1.0),
            Assigned::Expr(text) if text == "false" => Some(0.0),
            // In its normal form a literal number is nothing but digits, a point and an exponent.
            Assigned::Expr(text) => {
                let digits = text.strip_prefix('-').unwrap_or(text);
                digits.starts_with(|c: char| c.is_ascii_digit()).then(|| text.parse().ok())?
            }
            _ => None,
        }
    }

    /// The value of an expression that may name attributes, not those that their expressions name in turn.
    pub(crate) fn evaluate(&mut self, text: &str) -> Option<classad::Value> {
        let expr = classad::parse_expr(text).ok()?;
        let mut around = classad::ClassAd::new();
        let references = expr.references();
        for name in references.unscoped.iter().chain(&references.my) {
            if let Some(value) = self.get(name).map(Assigned::to_text)
                && let Ok(value) = classad::parse_expr(&value)
            {
                around.insert(name, value);
            }
        }
        Some(classad::eval(&expr, &around, None, &classad::Env::default()))
    }

    /// Names that begin with `prefix`, sorted ignoring case, of attributes that the running step sees.
    pub(crate) fn names_with(&mut self, prefix: &str) -> Vec<String> {
        let mut found = Vec::new();
        for slot in 0..self.slots.len() {
            let name = &self.slots[slot].name;
            if name.get(..prefix.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(prefix)) {
                self.reads.push(slot);
                if self.peek(slot, self.step).is_some() {
                    found.push(self.slots[slot].name.clone());
                }
            }
        }
        found.sort_by_cached_key(|name| name.to_ascii_lowercase());
        found
    }

    /// The final text of a slot.
    pub(crate) fn text(&self, slot: usize) -> Option<String> {
        self.peek(slot, usize::MAX).map(Assigned::to_text)
    }

    /// The name of a slot.
    pub(crate) fn name(&self, slot: usize) -> &str {
        &self.slots[slot].name
    }

    /// Number of slots, used or not.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
    }
}
