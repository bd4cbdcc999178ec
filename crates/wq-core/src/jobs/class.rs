//! Requirements classes: jobs that ask the same of a machine are matched together (decision D44).
//!
//! Of a job's `Requirements` only those clauses stay that tell one machine from another; the job's own attributes in
//! them are read once. Jobs whose clauses, these values and `Rank` are equal form one class. What a job asks in cores,
//! memory, disk and GPUs is its shape's affair, and what all our machines have alike is settled here.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use classad::{ClassAd, Env, Expr, References};

pub use super::reads::JobScope;
use super::reads::{Borrowed, Reading, asks_for_the_time};

/// Number of a class; never used again. 0 asks for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ClassId(pub u32);

/// Clauses of condor_submit that a shape answers: what was not asked for reserves nothing (decision D26).
const OF_THE_SHAPE: [&str; 5] = [
    "TARGET.Cpus >= RequestCpus",
    "TARGET.Memory >= RequestMemory",
    "TARGET.Disk >= RequestDisk",
    "TARGET.GPUs >= RequestGPUs",
    "countMatches(MY.RequireGPUs,TARGET.AvailableGPUs) >= RequestGPUs",
];

/// A clause that speaks of these is settled by a timer of ours (decision D46).
const OF_A_TIMER: &str = "deferraltime";

/// Classes that hold a whole ad, some ten kilobytes: one for each job whose requirements may look at any attribute.
const WHOLES_MAX: usize = 1_000;

/// Expressions whose analysis is remembered.
const ANALYSES_MAX: usize = 1_000;

/// What jobs of one class ask of a machine.
#[derive(Debug)]
pub struct Class {
    /// All must be true.
    clauses: Vec<Expr>,
    /// Among several machines the one with the most is taken.
    rank: Option<Expr>,
    /// The jobs' attributes that these read.
    my: ClassAd,
    /// Their values change in a job's life, so that it may change its class.
    pub volatile: bool,
    /// The answer may change as time goes by.
    pub timed: bool,
    /// `my` is the whole ad.
    whole: bool,
    queues: u32,
}

impl Class {
    /// Whether the machine will do.
    pub fn accepts(&self, machine: &ClassAd, now_s: i64) -> bool {
        self.clauses.iter().all(|clause| self.holds(clause, machine, now_s))
    }

    fn holds(&self, clause: &Expr, machine: &ClassAd, now_s: i64) -> bool {
        classad::eval(clause, &self.my, Some(machine), &at(now_s)).truth() == Some(true)
    }

    /// Each clause as text, and whether the machine fulfils it.
    pub fn verdicts(&self, machine: &ClassAd, now_s: i64) -> Vec<(String, bool)> {
        self.clauses.iter().map(|clause| (clause.to_string(), self.holds(clause, machine, now_s))).collect()
    }

    /// How much the class wants the machine; `None`: one is as good as another.
    pub fn rank(&self, machine: &ClassAd, now_s: i64) -> Option<f64> {
        let rank = self.rank.as_ref()?;
        Some(classad::eval(rank, &self.my, Some(machine), &at(now_s)).as_real().unwrap_or(0.0))
    }

    /// Whether machines differ in rank.
    pub fn is_choosy(&self) -> bool {
        self.rank.is_some()
    }
}

fn at(now_s: i64) -> Env {
    Env { now_s: Some(now_s), ..Env::default() }
}

/// A part of an expression, and what it reads.
#[derive(Debug)]
struct Clause {
    expr: Expr,
    text: String,
    reads: References,
    /// More facts about the machine cannot turn a true answer into another: nothing asks whether one is known.
    steady: bool,
    timed: bool,
}

impl Clause {
    fn new(expr: Expr) -> Clause {
        let (text, reads) = (expr.to_string(), expr.references());
        let folded = text.to_ascii_lowercase();
        let asks = ["=?=", "=!=", "isundefined", "iserror", "ifthenelse", "?:"];
        Clause {
            steady: !asks.iter().any(|word| folded.contains(word)),
            timed: asks_for_the_time(&text),
            expr,
            text,
            reads,
        }
    }
}

#[derive(Debug)]
struct Analysis {
    clauses: Vec<Clause>,
    rank: Option<Clause>,
}

/// All classes with jobs.
#[derive(Debug, Default)]
pub struct Classes {
    by_key: HashMap<String, ClassId>,
    classes: BTreeMap<ClassId, (Class, String)>,
    last: u32,
    /// How many of them hold a whole ad.
    wholes: usize,
    /// What all our machines have alike.
    common: ClassAd,
    analyses: HashMap<(String, String), Arc<Analysis>>,
    /// `Requirements` and `Rank` mean nothing here.
    switched_off: bool,
}

/// A job's class, and which attributes of the job decided it, in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Classified {
    /// The class.
    pub class: ClassId,
    /// Names.
    pub reads: Vec<String>,
}

impl Classes {
    /// Classes for machines that have this in common.
    pub fn new(common: ClassAd, switched_off: bool) -> Classes {
        Classes { common, switched_off, ..Classes::default() }
    }

    /// The class of a job with these expressions. `changing` says which of its attributes the queue changes.
    pub fn classify(
        &mut self,
        (requirements, rank): (&str, &str),
        job: &dyn JobScope,
        now_s: i64,
        changing: impl Fn(&str) -> bool,
    ) -> Classified {
        if self.switched_off {
            return Classified { class: ClassId::default(), reads: Vec::new() };
        }
        let analysis = self.analyse(requirements, rank);
        let mut class = Class {
            clauses: Vec::new(),
            rank: None,
            my: ClassAd::new(),
            volatile: false,
            timed: false,
            whole: false,
            queues: 0,
        };
        let (mut key, mut all_reads) = (String::new(), Vec::new());
        let settled = |clause: &Clause| {
            OF_THE_SHAPE.contains(&clause.text.trim_matches(['(', ')']))
                || OF_THE_SHAPE.contains(&clause.text.as_str())
                || clause.reads.unscoped.contains(OF_A_TIMER)
                || clause.reads.my.contains(OF_A_TIMER)
                || clause.steady
                    && !clause.timed
                    && !clause.reads.dynamic
                    && classad::eval(&clause.expr, &Borrowed(job), Some(&self.common), &at(now_s)).truth() == Some(true)
        };
        let room = self.wholes < WHOLES_MAX;
        let mut take = |clause: &Clause, settled: bool, class: &mut Class| {
            let mut reading = Reading::new(&clause.reads, job, now_s);
            if reading.whole && !room {
                // Beyond the limit it sees what is named.
                let named = References { whole: false, evaluated: Vec::new(), ..clause.reads.clone() };
                reading = Reading::new(&named, job, now_s);
            }
            class.volatile |= clause.reads.my.iter().chain(&clause.reads.unscoped).any(|name| changing(name));
            class.volatile |= reading.attributes.keys().any(|name| changing(name));
            all_reads.extend(reading.attributes.keys().map(|name| name.to_string()));
            if settled {
                return false;
            }
            class.timed |= clause.timed || reading.timed;
            class.whole |= reading.whole;
            key.push_str(&clause.text);
            for (name, value) in reading.attributes {
                key.push_str(&format!("\n{name}={value}"));
                class.my.insert(&name, value);
            }
            key.push('\n');
            true
        };
        for clause in &analysis.clauses {
            if take(clause, settled(clause), &mut class) {
                class.clauses.push(clause.expr.clone());
            }
        }
        if let Some(rank) = &analysis.rank {
            take(rank, false, &mut class);
            class.rank = Some(rank.expr.clone());
        }
        let class = if class.clauses.is_empty() && class.rank.is_none() {
            ClassId::default()
        } else {
            // Jobs that change their class must be told from those that do not.
            key.push(if class.volatile { 'v' } else { '-' });
            self.intern(key, class)
        };
        Classified { class, reads: all_reads }
    }

    fn intern(&mut self, key: String, class: Class) -> ClassId {
        if let Some(id) = self.by_key.get(&key) {
            return *id;
        }
        self.last += 1;
        self.wholes += usize::from(class.whole);
        let id = ClassId(self.last);
        self.by_key.insert(key.clone(), id);
        self.classes.insert(id, (class, key));
        id
    }

    fn analyse(&mut self, requirements: &str, rank: &str) -> Arc<Analysis> {
        let key = (requirements.to_owned(), rank.to_owned());
        if let Some(known) = self.analyses.get(&key) {
            return Arc::clone(known);
        }
        let parse = |text: &str| classad::parse_expr(text).ok();
        let analysis = Arc::new(Analysis {
            clauses: parse(requirements)
                .map(|expr| expr.conjuncts())
                .unwrap_or_default()
                .into_iter()
                .map(Clause::new)
                .collect(),
            // A number is the same for every machine.
            rank: parse(rank).filter(|expr| expr.literal().is_none()).map(Clause::new),
        });
        if self.analyses.len() >= ANALYSES_MAX {
            self.analyses.clear();
        }
        self.analyses.insert(key, Arc::clone(&analysis));
        analysis
    }

    /// What all our machines have alike.
    pub fn common(&self) -> &ClassAd {
        &self.common
    }

    /// The class, if it asks for anything.
    pub fn get(&self, id: ClassId) -> Option<&Class> {
        self.classes.get(&id).map(|(class, _)| class)
    }

    /// A queue of jobs of this class is made.
    pub(super) fn join(&mut self, id: ClassId) {
        if let Some((class, _)) = self.classes.get_mut(&id) {
            class.queues += 1;
        }
    }

    /// The queue has gone; the last one takes the class along.
    pub(super) fn leave(&mut self, id: ClassId) {
        let Some((class, _)) = self.classes.get_mut(&id) else { return };
        class.queues -= 1;
        if class.queues == 0
            && let Some((class, key)) = self.classes.remove(&id)
        {
            self.wholes -= usize::from(class.whole);
            self.by_key.remove(&key);
        }
    }

    /// Number of classes.
    pub fn len(&self) -> usize {
        self.classes.len()
    }

    /// No job asks anything of a machine.
    pub fn is_empty(&self) -> bool {
        self.classes.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ad(entries: &[(&str, &str)]) -> ClassAd {
        let mut ad = ClassAd::new();
        for (name, text) in entries {
            ad.insert(name, classad::parse_expr(text).unwrap());
        }
        ad
    }

    fn classes() -> Classes {
        let common = [
            ("HasFileTransfer", "true"),
            ("FileSystemDomain", "\"d\""),
            ("CondorVersion", "\"$CondorVersion: 25.13.2 2026-08-20 $\""),
        ];
        Classes::new(ad(&common), false)
    }

    const DEFAULT: &str = "(TARGET.Arch == \"X86_64\") && (TARGET.OpSys == \"LINUX\") && \
         (versionGE(split(TARGET.CondorVersion)[1],\"25.12.0\") || (TARGET.Disk >= RequestDisk)) && \
         (TARGET.Memory >= RequestMemory) && ((TARGET.FileSystemDomain == MY.FileSystemDomain) || (TARGET.HasFileTransfer))";

    fn machine(arch: &str, memory: &str) -> ClassAd {
        ad(&[("Arch", arch), ("OpSys", "\"LINUX\""), ("Memory", memory), ("Machine", "\"node7\"")])
    }

    fn classify(classes: &mut Classes, requirements: &str, rank: &str, job: &ClassAd) -> Classified {
        classes.classify((requirements, rank), job, 1000, |name| name == "numjobstarts")
    }

    #[test]
    fn default_requirements_ask_only_for_the_kind_of_machine() {
        let mut classes = classes();
        let job = |disk: &str| ad(&[("RequestDisk", disk), ("RequestMemory", "128"), ("FileSystemDomain", "\"d\"")]);
        let first = classify(&mut classes, DEFAULT, "0.0", &job("1"));
        let second = classify(&mut classes, DEFAULT, "0.0", &job("77777"));
        assert_eq!(first.class, second.class, "the size of an executable makes no class");
        let class = classes.get(first.class).unwrap();
        assert!(class.accepts(&machine("\"X86_64\"", "1"), 0));
        assert!(!class.accepts(&machine("\"aarch64\"", "99999"), 0));
        let verdicts = class.verdicts(&machine("\"aarch64\"", "1"), 0);
        assert_eq!(verdicts.iter().map(|(_, holds)| *holds).collect::<Vec<_>>(), [false, true]);
        assert!(!class.is_choosy() && !class.volatile && !class.timed);
    }

    #[test]
    fn what_a_job_asks_with_its_own_attributes_is_read_once() {
        let mut classes = classes();
        let text = "TARGET.Memory > MY.Need && Machine != \"node8\"";
        let small = classify(&mut classes, text, "", &ad(&[("Need", "10")]));
        let large = classify(&mut classes, text, "", &ad(&[("Need", "5 * 1000")]));
        assert_ne!(small.class, large.class);
        assert_eq!(large.reads, ["need"]);
        let class = classes.get(large.class).unwrap();
        assert!(class.accepts(&machine("\"X86_64\"", "5001"), 0));
        assert!(!class.accepts(&machine("\"X86_64\"", "5000"), 0));
    }

    #[test]
    fn what_nobody_knows_matches_nothing_and_what_says_nothing_matches_all() {
        let mut classes = classes();
        let unknown = classify(&mut classes, "TARGET.HasFoo", "", &ClassAd::new());
        assert!(!classes.get(unknown.class).unwrap().accepts(&machine("\"X86_64\"", "1"), 0));
        let never = classify(&mut classes, "false", "", &ClassAd::new());
        assert!(!classes.get(never.class).unwrap().accepts(&machine("\"X86_64\"", "1"), 0));
        for anything in ["true", "", "TARGET.HasFileTransfer", "not an expression ("] {
            assert_eq!(classify(&mut classes, anything, "0.0", &ClassAd::new()).class, ClassId(0), "{anything}");
        }
        let asks = classify(&mut classes, "TARGET.Gone =?= undefined", "", &ClassAd::new());
        assert_ne!(asks.class, ClassId(0), "only the machine itself can tell");
        assert!(classes.get(asks.class).unwrap().accepts(&machine("\"X86_64\"", "1"), 0));
    }

    #[test]
    fn a_job_that_looks_at_its_own_story_may_change_its_class() {
        let mut classes = classes();
        let first = classify(&mut classes, "NumJobStarts == 0", "", &ad(&[("NumJobStarts", "0")]));
        let later = classify(&mut classes, "NumJobStarts == 0", "", &ad(&[("NumJobStarts", "1")]));
        assert_eq!(first.reads, ["numjobstarts"]);
        assert!(!classes.get(later.class).unwrap().accepts(&ClassAd::new(), 0));
        assert!(classes.get(later.class).unwrap().volatile);
    }

    #[test]
    fn rank_orders_machines_and_time_is_the_asker_s() {
        let mut classes = classes();
        let choosy = classify(&mut classes, "", "TARGET.Memory * Weight", &ad(&[("Weight", "2")]));
        let class = classes.get(choosy.class).unwrap();
        assert_eq!(class.rank(&machine("\"X86_64\"", "21"), 0), Some(42.0));
        let timed = classify(&mut classes, "time() > 500 && TARGET.Memory > 0", "", &ClassAd::new());
        let class = classes.get(timed.class).unwrap();
        assert!(class.timed);
        let machine = machine("\"X86_64\"", "1");
        assert_eq!([class.accepts(&machine, 500), class.accepts(&machine, 501)], [false, true]);
    }

    #[test]
    fn what_is_evaluated_sees_the_whole_ad() {
        let mut classes = classes();
        let machine = machine("\"X86_64\"", "100");
        let job = |need: &str| ad(&[("Wish", "\"TARGET.Memory > Need\""), ("Need", need), ("Other", "7")]);
        for (text, small, large) in [
            // A text of the job's names what it needs.
            ("eval(MY.Wish)", true, false),
            ("eval(strcat(\"Memory > \",\"Need\"))", true, false),
            ("eval(\"Need < Memory\")", true, false),
            // The machine decides what is looked at.
            ("eval(TARGET.Question)", true, false),
            ("MY[TARGET.Name] < TARGET.Memory", true, false),
            ("size(my) == 3", true, true),
            ("eval(\"1 +\")", false, false),
            ("eval(eval(\"Wish\"))", true, false),
        ] {
            let mut machine = machine.clone();
            machine.insert("Question", "Need < 50");
            machine.insert("Name", "Need");
            for (need, wanted) in [("10", small), ("1000", large)] {
                let found = classify(&mut classes, text, "", &job(need));
                assert!(found.class != ClassId(0), "{text}");
                assert_eq!(classes.get(found.class).unwrap().accepts(&machine, 0), wanted, "{text} {need}");
            }
        }
        let one = classify(&mut classes, "eval(MY.Wish)", "", &job("10"));
        let mut other = job("10");
        other.insert("Other", 8);
        assert_eq!(one.reads, ["need", "wish"]);
        assert_eq!(classify(&mut classes, "eval(MY.Wish)", "", &other).class, one.class, "it is not looked at");
        let any = |classes: &mut Classes, job: &ClassAd| classify(classes, "eval(TARGET.Question)", "", job).class;
        assert_ne!(any(&mut classes, &job("10")), any(&mut classes, &other), "it may be looked at");
    }

    #[test]
    fn whole_ads_are_held_for_so_many_jobs_and_no_more() {
        let mut classes = classes();
        let job = |number: usize| ad(&[("Number", &number.to_string()), ("Need", "1")]);
        let text = "eval(TARGET.Question) && MY.Need == 1";
        let found: Vec<ClassId> =
            (0..WHOLES_MAX + 2).map(|number| classify(&mut classes, text, "", &job(number)).class).collect();
        assert_eq!(classes.wholes, WHOLES_MAX);
        assert_eq!(found[WHOLES_MAX], found[WHOLES_MAX + 1], "what is named is the same");
        for class in found.iter().take(10) {
            classes.join(*class);
            classes.leave(*class);
        }
        assert_eq!(classes.wholes, WHOLES_MAX - 10);
    }

    #[test]
    fn an_attribute_of_the_job_may_speak_of_the_machine() {
        let mut classes = classes();
        let job = ad(&[
            ("Wish", "TARGET.Memory > Least"),
            ("Least", "Half * 2"),
            ("Half", "50"),
            ("Young", "Cycle && time() < 100"),
            ("Cycle", "Wish || Cycle"),
        ]);
        let class = |classes: &mut Classes, text: &str| classify(classes, text, "", &job).class;
        let wish = class(&mut classes, "MY.Wish");
        let accepts = |classes: &Classes, memory: &str, now_s: i64| {
            classes.get(wish).unwrap().accepts(&machine("\"X86_64\"", memory), now_s)
        };
        assert!(accepts(&classes, "101", 0) && !accepts(&classes, "100", 0));
        let young = class(&mut classes, "Young");
        let young = classes.get(young).unwrap();
        assert!(young.timed);
        assert!(young.accepts(&machine("\"X86_64\"", "101"), 99) && !young.accepts(&machine("\"X86_64\"", "101"), 100));
    }

    #[test]
    fn classes_go_with_their_last_queue_and_numbers_do_not_come_back() {
        let mut classes = classes();
        let first = classify(&mut classes, "TARGET.A", "", &ClassAd::new()).class;
        classes.join(first);
        classes.join(first);
        classes.leave(first);
        assert_eq!(classify(&mut classes, "TARGET.A", "", &ClassAd::new()).class, first);
        classes.leave(first);
        assert!(classes.is_empty());
        assert_ne!(classify(&mut classes, "TARGET.A", "", &ClassAd::new()).class, first);
    }

    #[test]
    fn a_switch_turns_it_all_off() {
        let mut classes = Classes::new(ClassAd::new(), true);
        assert_eq!(classify(&mut classes, "false", "TARGET.Memory", &ClassAd::new()).class, ClassId(0));
    }
}
