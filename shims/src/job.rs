//! One ad of an answer, with the questions that tables ask of it.

use classad::{ClassAd, Env, Expr, Value, eval, parse_expr};
use control_proto::client::Answer;
use control_proto::listing::{self, ListingError};

/// One ad, with what its expressions may know of the world.
#[derive(Debug)]
pub struct Job {
    ad: ClassAd,
}

/// The ads of an answer in their order.
///
/// A text that is no expression becomes `error`, so one damaged attribute does not hide a job.
pub fn jobs(answer: &Answer) -> Result<Vec<Job>, ListingError> {
    let mut jobs = Vec::new();
    for payload in &answer.rows {
        listing::read(payload, |row| jobs.push(Job::from_row(row)))?;
    }
    Ok(jobs)
}

impl Job {
    /// From the attributes of a row: names and expression texts.
    pub fn from_row(row: &[(&str, &str)]) -> Job {
        let mut ad = ClassAd::new();
        for (name, text) in row {
            ad.insert(name, parse_expr(text).unwrap_or_else(|_| Expr::from(Value::Error)));
        }
        Job { ad }
    }

    /// All attributes.
    pub fn ad(&self) -> &ClassAd {
        &self.ad
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
