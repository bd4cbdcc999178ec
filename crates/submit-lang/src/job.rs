//! One job at a time: the steps that make its ad, and which of them the next job needs again.

use std::collections::HashMap;

use crate::ad::{Ad, Assigned};
use crate::expand::expand;
use crate::macros::{Causes, Macros, Numbers};
use crate::options::Options;
use crate::refusal::Refusal;
use crate::steps::{self, Step, Universe};
use crate::submission::{CLUSTER_MARK, PROCESS_MARK};
use crate::values;

/// Normal forms kept at once.
const NORMAL_FORMS_MAX: usize = 64;

/// What a step depended on when it last ran.
#[derive(Debug, Default)]
struct Needs {
    causes: Causes,
    reads: Vec<usize>,
}

/// The maker of ads.
pub(crate) struct Job<'a, 'w> {
    pub(crate) macros: Macros<'w>,
    pub(crate) options: &'a Options,
    pub(crate) ad: Ad,
    pub(crate) universe: Universe,
    /// The present job is the first of its cluster.
    pub(crate) first: bool,
    /// Line of the present `queue` statement.
    pub(crate) queue_line: u32,
    /// Warnings in the order they arose, without `WARNING: ` and with their line ends, if they have one.
    pub(crate) warnings: Vec<String>,
    /// Texts that the real program prints at once.
    pub(crate) printed: Vec<String>,
    /// Warnings that are given once.
    pub(crate) warned: Vec<&'static str>,
    /// File checks only warn.
    pub(crate) checks_warn: bool,
    steps: Vec<Step>,
    needs: Vec<Needs>,
    /// Normal forms of long expressions.
    normal_forms: HashMap<String, String>,
}

impl<'a, 'w> Job<'a, 'w> {
    pub(crate) fn new(macros: Macros<'w>, options: &'a Options) -> Job<'a, 'w> {
        Job {
            macros,
            options,
            ad: Ad::default(),
            universe: Universe::default(),
            first: true,
            queue_line: 0,
            warnings: Vec::new(),
            printed: Vec::new(),
            warned: Vec::new(),
            checks_warn: false,
            steps: Vec::new(),
            needs: Vec::new(),
            normal_forms: HashMap::new(),
        }
    }

    /// Makes the ad of the present job with every step.
    pub(crate) fn make(&mut self) -> Result<(), Refusal> {
        self.ad.restart();
        self.steps = steps::plan(&self.macros);
        self.needs.clear();
        self.needs.resize_with(self.steps.len(), Needs::default);
        for index in 0..self.steps.len() {
            self.run(index)?;
        }
        Ok(())
    }

    /// Makes the ad of the next job: only steps that depend on what `changed`, or on attributes that then differ.
    pub(crate) fn remake(&mut self, changed: Causes) -> Result<(), Refusal> {
        self.ad.settle();
        for index in 0..self.steps.len() {
            let needs = &self.needs[index];
            if needs.causes.meets(changed) || self.ad.any_changed(&needs.reads) {
                self.run(index)?;
            }
        }
        Ok(())
    }

    /// Some step depends on one of these.
    pub(crate) fn depends_on(&self, causes: Causes) -> bool {
        self.needs.iter().any(|needs| needs.causes.meets(causes))
    }

    fn run(&mut self, index: usize) -> Result<(), Refusal> {
        self.macros.take_causes();
        self.ad.begin(index);
        let step = self.steps[index].clone();
        let result = step.run(self);
        let reads = self.ad.end();
        self.needs[index] = Needs { causes: self.macros.take_causes(), reads };
        result
    }

    /// A warning that is collected.
    pub(crate) fn warn(&mut self, text: impl Into<String>) {
        self.warnings.push(text.into());
    }

    /// The raw value of a key or of its other name, and the name that was found.
    fn find<'k>(&self, key: &'k str, other: Option<&'k str>, numbers: Numbers) -> Option<(&'k str, String)> {
        [Some(key), other].into_iter().flatten().find_map(|name| {
            let raw = self.macros.lookup(&name.to_ascii_lowercase(), numbers)?;
            Some((name, raw.into_owned()))
        })
    }

    /// The value of a key (or, when the key is not set, of its other name), expanded; `None` when empty.
    fn value(&self, key: &str, other: Option<&str>, numbers: Numbers) -> Result<Option<String>, Refusal> {
        let Some((name, raw)) = self.find(key, other, numbers) else { return Ok(None) };
        let value = self.expanded(name, &raw, numbers)?;
        Ok(Some(value).filter(|value| !value.is_empty()))
    }

    /// Expands a raw value; a complaint of a macro function says where it stood.
    pub(crate) fn expanded(&self, name: &str, raw: &str, numbers: Numbers) -> Result<String, Refusal> {
        expand(raw, &self.macros, numbers).map_err(|refusal| match refusal {
            Refusal::Macro { problem } => Refusal::MacroIn {
                problem,
                line: self.queue_line,
                step: self.macros.place.step,
                item: self.macros.place.row,
                key: name.to_owned(),
                raw: raw.to_owned(),
            },
            other => other,
        })
    }

    /// A value that is computed with.
    pub(crate) fn param(&self, key: &str, other: impl Into<Option<&'static str>>) -> Result<Option<String>, Refusal> {
        self.value(key, other.into(), Numbers::Digits)
    }

    /// A value that is only carried along: it may hold marks.
    pub(crate) fn plain(&self, key: &str, other: impl Into<Option<&'static str>>) -> Result<Option<String>, Refusal> {
        self.value(key, other.into(), Numbers::Marks)
    }

    /// A truth value.
    pub(crate) fn bool_param(
        &self,
        key: &str,
        other: impl Into<Option<&'static str>>,
    ) -> Result<Option<bool>, Refusal> {
        let Some(value) = self.param(key, other)? else { return Ok(None) };
        match values::boolean(&value) {
            Some(truth) => Ok(Some(truth)),
            None => Err(Refusal::NotBoolean { key: key.to_owned(), value }),
        }
    }

    /// An integer.
    pub(crate) fn int_param(&self, key: &str, other: impl Into<Option<&'static str>>) -> Result<Option<i64>, Refusal> {
        let Some(value) = self.param(key, other)? else { return Ok(None) };
        match values::integer(&value) {
            Some(number) => Ok(Some(number)),
            None => Err(Refusal::NotInteger { key: key.to_owned(), value }),
        }
    }

    /// Assigns the expression that a key holds. Marks stay where they stand inside string literals; elsewhere the
    /// numbers themselves are needed for the text to be an expression.
    pub(crate) fn expr_param(
        &mut self,
        key: &str,
        other: impl Into<Option<&'static str>>,
        attribute: &str,
    ) -> Result<bool, Refusal> {
        let other = other.into();
        let Some((name, raw)) = self.find(key, other, Numbers::Marks) else { return Ok(false) };
        self.expr_text(name, &raw, attribute)
    }

    /// As [`Job::expr_param`], for a raw value; `false` when it is empty.
    pub(crate) fn expr_text(&mut self, name: &str, raw: &str, attribute: &str) -> Result<bool, Refusal> {
        let mut value = self.expanded(name, raw, Numbers::Marks)?;
        let marked = value.contains([CLUSTER_MARK, PROCESS_MARK]);
        if marked && (!value.contains('"') || values::normalised(&value).is_none()) {
            value = self.expanded(name, raw, Numbers::Digits)?;
        }
        if value.is_empty() {
            return Ok(false);
        }
        self.set_expr(attribute, &value)?;
        Ok(true)
    }

    /// Assigns an expression text.
    pub(crate) fn set_expr(&mut self, attribute: &str, text: &str) -> Result<(), Refusal> {
        // Long expressions are mostly the same from job to job, and parsing them is what costs.
        let long = text.len() > 100;
        let known = if long { self.normal_forms.get(text).cloned() } else { None };
        let normal = known.or_else(|| values::normalised(text));
        if long
            && self.normal_forms.len() < NORMAL_FORMS_MAX
            && let Some(normal) = &normal
            && !self.normal_forms.contains_key(text)
        {
            self.normal_forms.insert(text.to_owned(), normal.clone());
        }
        match normal {
            Some(text) => {
                self.ad.set(attribute, Assigned::Expr(text));
                Ok(())
            }
            None => Err(Refusal::Expression { attribute: attribute.to_owned(), text: text.to_owned() }),
        }
    }

    /// Assigns a string.
    pub(crate) fn set_text(&mut self, attribute: &str, text: impl Into<String>) {
        self.ad.set(attribute, Assigned::Text(text.into()));
    }

    /// Assigns an integer.
    pub(crate) fn set_int(&mut self, attribute: &str, number: i64) {
        self.ad.set(attribute, Assigned::Int(number));
    }

    /// Assigns a truth value.
    pub(crate) fn set_bool(&mut self, attribute: &str, truth: bool) {
        self.ad.set(attribute, Assigned::Bool(truth));
    }

    /// The job's directory.
    pub(crate) fn iwd(&mut self) -> String {
        self.ad.string("Iwd").expect("the directory is assigned before any step asks for it")
    }

    /// A file name as an absolute path against the job's directory.
    pub(crate) fn full_path(&mut self, name: &str) -> String {
        if name.starts_with('/') { values::full_path(name, "/") } else { values::full_path(name, &self.iwd()) }
    }

    /// Size of a file or directory in KiB, rounded up; 0 if there is none or it is a URL.
    pub(crate) fn size_kb(&mut self, name: &str) -> i64 {
        if values::url_method(name).is_some() {
            return 0;
        }
        let path = self.full_path(name);
        i64::try_from(self.macros.world.size(&path).div_ceil(1024)).unwrap_or(i64::MAX)
    }

    /// The job was spooled or sent elsewhere.
    pub(crate) fn remote(&self) -> bool {
        self.options.spool || self.options.remote
    }
}
