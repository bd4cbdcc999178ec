//! The ads of an answer, with the questions that tables ask of them.

use classad::{AttributeName, ClassAd, Env, Expr, Value, eval, parse_expr};
use control_proto::client::Answer;
use control_proto::listing::{self, ListingError};

/// One ad, with what its expressions may know of the world.
#[derive(Debug)]
pub struct Job {
    ad: ClassAd,
}

/// The ads of an answer in their order, read frame by frame: a long listing is never held as ads all at once.
///
/// Ends early at damage, so [`Jobs::check`] must be asked before anything of it is shown.
#[derive(Debug)]
pub struct Jobs<'a> {
    frames: std::slice::Iter<'a, Vec<u8>>,
    ready: std::vec::IntoIter<Job>,
    /// Names of the last row: the next one most often has the same.
    names: Vec<AttributeName>,
    seen: u64,
    damage: Option<ListingError>,
}

/// Why a listing must not be shown.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ListingFault {
    /// A frame cannot be read.
    #[error(transparent)]
    Damaged(#[from] ListingError),
    /// Jobs are missing.
    #[error("the listing has {seen} of {sent} jobs")]
    Short {
        /// Read.
        seen: u64,
        /// Announced at the end of the answer.
        sent: u64,
    },
}

impl<'a> Jobs<'a> {
    /// The rows of an answer.
    pub fn new(answer: &'a Answer) -> Jobs<'a> {
        Jobs { frames: answer.rows.iter(), ready: Vec::new().into_iter(), names: Vec::new(), seen: 0, damage: None }
    }

    /// Whether all ads that were sent have been read.
    pub fn check(self, sent: u64) -> Result<(), ListingFault> {
        match self.damage {
            Some(damage) => Err(damage.into()),
            None if self.seen == sent => Ok(()),
            None => Err(ListingFault::Short { seen: self.seen, sent }),
        }
    }
}

impl Iterator for Jobs<'_> {
    type Item = Job;

    fn next(&mut self) -> Option<Job> {
        loop {
            if let Some(job) = self.ready.next() {
                self.seen += 1;
                return Some(job);
            }
            if self.damage.is_some() {
                return None;
            }
            let frame = self.frames.next()?;
            let mut jobs = Vec::new();
            let names = &mut self.names;
            self.damage = listing::read(frame, |row| jobs.push(Job::with_names(row, names))).err();
            self.ready = jobs.into_iter();
        }
    }
}

impl Job {
    /// From the attributes of a row: names and expression texts. A text that is no expression becomes `error`, so
    /// one damaged attribute does not hide a job.
    pub fn from_row(row: &[(&str, &str)]) -> Job {
        Job::with_names(row, &mut Vec::new())
    }

    /// The same; `names` are those of the row before, and then of this one.
    pub(crate) fn with_names(row: &[(&str, &str)], names: &mut Vec<AttributeName>) -> Job {
        let mut ad = ClassAd::new();
        for (at, (name, text)) in row.iter().enumerate() {
            if names.get(at).is_none_or(|known| known.spelling() != *name) {
                names.truncate(at);
                names.push(AttributeName::new(name));
            }
            ad.insert_as(&names[at], parse_expr(text).unwrap_or_else(|_| Expr::from(Value::Error)));
        }
        Job { ad }
    }

    /// All attributes.
    pub fn ad(&self) -> &ClassAd {
        &self.ad
    }

    /// The ad by itself.
    pub fn into_ad(self) -> ClassAd {
        self.ad
    }

    /// Only the named attributes, in any case; those that are not there are left out.
    pub fn only(&self, names: &[String]) -> ClassAd {
        let mut ad = ClassAd::new();
        for name in names {
            if let (Some(spelling), Some(expr)) = (self.ad.spelling(name), self.ad.get(name)) {
                ad.insert(spelling, expr.clone());
            }
        }
        ad
    }

    /// An attribute as it is written.
    pub fn expr(&self, name: &str) -> Option<&Expr> {
        self.ad.get(name)
    }

    /// The value of any expression, this ad being `MY`.
    pub fn eval(&self, expr: &Expr, env: &Env) -> Value {
        match expr.literal() {
            Some(value) => value.clone(),
            None => eval(expr, &self.ad, None, env),
        }
    }

    /// The value of an attribute; undefined if it is missing.
    pub fn value(&self, name: &str, env: &Env) -> Value {
        self.expr(name).map_or(Value::Undefined, |expr| self.eval(expr, env))
    }

    /// An attribute that is a whole number or a boolean; reals are cut.
    pub fn int(&self, name: &str, env: &Env) -> Option<i64> {
        match self.value(name, env) {
            Value::Real(real) => Some(real as i64),
            other => other.as_int(),
        }
    }

    /// An attribute that is a number.
    pub fn real(&self, name: &str, env: &Env) -> Option<f64> {
        self.value(name, env).as_real()
    }

    /// An attribute that is a string.
    pub fn text(&self, name: &str, env: &Env) -> Option<String> {
        self.value(name, env).as_str().map(str::to_owned)
    }

    /// Cluster and proc, 0 where they are missing.
    pub fn id(&self, env: &Env) -> (i64, i64) {
        (self.int("clusterid", env).unwrap_or(0), self.int("procid", env).unwrap_or(0))
    }
}

impl From<ClassAd> for Job {
    fn from(ad: ClassAd) -> Job {
        Job { ad }
    }
}

#[cfg(test)]
mod tests {
    use control_proto::{Reply, Site};

    use super::*;

    fn answer(rows: Vec<Vec<u8>>) -> Answer {
        Answer { site: Site::default(), reply: Reply::Listing, rows, end: None }
    }

    fn frame(ads: &[&[(&str, &str)]]) -> Vec<u8> {
        let mut writer = listing::Writer::default();
        for ad in ads {
            writer.push(ad.iter().copied());
        }
        writer.take()
    }

    #[test]
    fn frames_are_one_listing_and_a_short_one_is_noticed() {
        let answer = answer(vec![
            frame(&[&[("ClusterId", "1"), ("ProcId", "0")], &[("ClusterId", "1"), ("ProcId", "1")]]),
            frame(&[]),
            frame(&[&[("ClusterId", "2"), ("ProcId", "0"), ("Odd", "1 +")]]),
        ]);
        let env = Env::default();
        let mut jobs = Jobs::new(&answer);
        let ids: Vec<_> = jobs.by_ref().map(|job| (job.id(&env), job.value("odd", &env))).collect();
        assert_eq!(ids.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [(1, 0), (1, 1), (2, 0)]);
        assert_eq!(ids[2].1, Value::Error);
        assert_eq!(jobs.check(4), Err(ListingFault::Short { seen: 3, sent: 4 }));
    }

    #[test]
    fn damage_ends_the_listing_as_a_fault() {
        let answer = answer(vec![frame(&[&[("ClusterId", "1")]]), vec![200, 1], frame(&[&[("ClusterId", "2")]])]);
        let mut jobs = Jobs::new(&answer);
        assert_eq!(jobs.by_ref().count(), 1);
        assert!(matches!(jobs.check(2), Err(ListingFault::Damaged(_))));
    }
}
