//! Ads: attribute names with expressions.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use crate::expr::Node;
use crate::name::Name;
use crate::parse::split_assignment;
use crate::{AbsTime, Expr, ParseError, Value, parse_expr};

/// Where an evaluation finds attributes: an ad, or something that makes an ad's attributes as they are asked for.
pub trait Scope {
    /// The expression of an attribute, `None` if there is none. The name is matched ignoring ASCII case;
    /// [`eval`](crate::eval) always asks in lower case.
    fn lookup(&self, name: &str) -> Option<Cow<'_, Expr>>;

    /// The whole ad, for the few expressions that use it as a value (`my`, `size(MY)`). A scope that cannot list
    /// its attributes keeps this default; such an expression is then undefined.
    fn whole(&self) -> Option<Arc<ClassAd>> {
        None
    }
}

/// One attribute: the name as first written and its expression.
#[derive(Debug, Clone, PartialEq)]
struct Attribute {
    name: Arc<str>,
    expr: Expr,
}

/// An ad. Names are unique ignoring ASCII case and keep the spelling of their first insertion.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClassAd {
    /// By lower-case name, which is also the order of `-long`.
    attributes: BTreeMap<Arc<str>, Attribute>,
}

/// An attribute's name, made once for many ads that have it.
#[derive(Debug, Clone)]
pub struct AttributeName(Name);

impl AttributeName {
    /// As it is to be spelt.
    pub fn new(name: &str) -> AttributeName {
        AttributeName(Name::new(name))
    }

    /// As it was spelt.
    pub fn spelling(&self) -> &str {
        self.0.text()
    }
}

/// A line of an ad that is not `Name = expression`.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum AdError {
    /// There is no `=`, or what stands before it is not a name.
    #[error("line {line}: not of the form Name = expression")]
    NoName {
        /// Counted from 1.
        line: usize,
    },
    /// What follows the `=` does not parse.
    #[error("line {line}: {attribute}")]
    BadExpr {
        /// Counted from 1.
        line: usize,
        /// The attribute of that line.
        attribute: String,
        /// Why.
        #[source]
        source: ParseError,
    },
}

impl ClassAd {
    /// An empty ad.
    pub fn new() -> ClassAd {
        ClassAd::default()
    }

    /// Reads the old syntax, one `Name = expression` a line, empty lines skipped: what `condor_q -long` prints. As in
    /// HTCondor, where ads travel in this form, a time that is an attribute's whole value forgets how it was written:
    /// a span becomes a number of seconds, a date is told in UTC.
    pub fn from_old_text(text: &str) -> Result<ClassAd, AdError> {
        let mut ad = ClassAd::new();
        for (index, line) in text.lines().enumerate() {
            let line_no = index + 1;
            if line.trim().is_empty() {
                continue;
            }
            let (name, expr) = split_assignment(line).ok_or(AdError::NoName { line: line_no })?;
            let expr = parse_expr(expr).map_err(|source| AdError::BadExpr {
                line: line_no,
                attribute: name.clone(),
                source,
            })?;
            ad.insert(&name, stored(expr));
        }
        Ok(ad)
    }

    /// The expression of an attribute, the name in any case.
    pub fn get(&self, name: &str) -> Option<&Expr> {
        self.attributes.get(fold(name).as_ref()).map(|attribute| &attribute.expr)
    }

    /// The name as first written.
    pub fn spelling(&self, name: &str) -> Option<&str> {
        self.attributes.get(fold(name).as_ref()).map(|attribute| &*attribute.name)
    }

    /// Sets an attribute and returns what it was. An existing name keeps its spelling.
    pub fn insert(&mut self, name: &str, expr: impl Into<Expr>) -> Option<Expr> {
        let expr = expr.into();
        if let Some(attribute) = self.attributes.get_mut(fold(name).as_ref()) {
            return Some(std::mem::replace(&mut attribute.expr, expr));
        }
        self.insert_as(&AttributeName::new(name), expr)
    }

    /// The same with a name that many ads have.
    pub fn insert_as(&mut self, name: &AttributeName, expr: impl Into<Expr>) -> Option<Expr> {
        let AttributeName(name) = name;
        let expr = expr.into();
        match self.attributes.entry(Arc::clone(name.lower())) {
            Entry::Occupied(mut known) => Some(std::mem::replace(&mut known.get_mut().expr, expr)),
            Entry::Vacant(free) => {
                free.insert(Attribute { name: Arc::clone(name.shared()), expr });
                None
            }
        }
    }

    /// Removes an attribute and returns what it was.
    pub fn remove(&mut self, name: &str) -> Option<Expr> {
        self.attributes.remove(fold(name).as_ref()).map(|attribute| attribute.expr)
    }

    /// Number of attributes.
    pub fn len(&self) -> usize {
        self.attributes.len()
    }

    /// Whether there is no attribute.
    pub fn is_empty(&self) -> bool {
        self.attributes.is_empty()
    }

    /// Names and expressions sorted by name ignoring case: the order of `-long`, `-json` and `-xml`.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Expr)> {
        self.attributes.values().map(|attribute| (&*attribute.name, &attribute.expr))
    }

    /// Names and expressions by length of the name, then by name ignoring case: the order in which HTCondor 25
    /// prints nested ads and the events of XML and JSON logs.
    pub fn iter_by_length(&self) -> impl Iterator<Item = (&str, &Expr)> {
        let mut attributes: Vec<_> = self.iter().collect();
        attributes.sort_by_key(|(name, _)| name.len());
        attributes.into_iter()
    }
}

/// A literal as an ad keeps it that was read in the old syntax.
fn stored(expr: Expr) -> Expr {
    match &expr.0 {
        Node::Literal(Value::RelTime(secs)) => Expr::from(*secs),
        Node::Literal(Value::AbsTime(time)) => Value::AbsTime(AbsTime { secs: time.secs, offset_s: 0 }).into(),
        Node::List(items) => Expr(Node::List(items.iter().cloned().map(stored).collect())),
        _ => expr,
    }
}

impl Scope for ClassAd {
    fn lookup(&self, name: &str) -> Option<Cow<'_, Expr>> {
        self.get(name).map(Cow::Borrowed)
    }

    fn whole(&self) -> Option<Arc<ClassAd>> {
        Some(Arc::new(self.clone()))
    }
}

impl FromIterator<(String, Expr)> for ClassAd {
    fn from_iter<I: IntoIterator<Item = (String, Expr)>>(attributes: I) -> ClassAd {
        let mut ad = ClassAd::new();
        ad.extend(attributes);
        ad
    }
}

impl Extend<(String, Expr)> for ClassAd {
    fn extend<I: IntoIterator<Item = (String, Expr)>>(&mut self, attributes: I) {
        for (name, expr) in attributes {
            self.insert(&name, expr);
        }
    }
}

/// The lower-case form; borrowed when the name has no capitals, as all names the evaluator asks for.
fn fold(name: &str) -> Cow<'_, str> {
    if name.bytes().any(|b| b.is_ascii_uppercase()) {
        Cow::Owned(name.to_ascii_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_ignore_case_and_keep_the_first_spelling() {
        let mut ad = ClassAd::from_old_text("JobStatus = 1\n\nOwner = \"a\"\n").expect("a good ad");
        assert_eq!(ad.insert("JOBSTATUS", Expr::from(2)), Some(Expr::from(1)));
        assert_eq!(ad.spelling("jobstatus"), Some("JobStatus"));
        assert_eq!(ad.get("jobSTATUS"), Some(&Expr::from(2)));
        assert_eq!(ad.remove("owner"), Some(Expr::from("a")));
        assert_eq!((ad.len(), ad.is_empty()), (1, false));
    }

    #[test]
    fn bad_lines_are_named() {
        assert_eq!(ClassAd::from_old_text("A = 1\nB"), Err(AdError::NoName { line: 2 }));
        assert_eq!(ClassAd::from_old_text("1 = 2"), Err(AdError::NoName { line: 1 }));
        assert_eq!(ClassAd::from_old_text("A == 2"), Err(AdError::NoName { line: 1 }));
        assert!(matches!(
            ClassAd::from_old_text("\nA = 1 +"),
            Err(AdError::BadExpr { line: 2, attribute, .. }) if attribute == "A"
        ));
    }

    #[test]
    fn names_may_be_quoted() {
        let ad = ClassAd::from_old_text("'a=b' = 1\n'it\\'s'=2\n  Error =3").expect("a good ad");
        assert_eq!(ad.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["a=b", "Error", "it's"]);
        assert_eq!(ClassAd::from_old_text(&crate::ad_to_long(&ad)).as_ref(), Ok(&ad));
    }

    #[test]
    fn two_orders() {
        let ad = ClassAd::from_old_text("Zz = 1\naaa = 2\nB_x = 3\nBa = 4").expect("a good ad");
        let names = |pairs: Vec<(&str, &Expr)>| pairs.iter().map(|(n, _)| (*n).to_owned()).collect::<Vec<_>>();
        assert_eq!(names(ad.iter().collect()), ["aaa", "B_x", "Ba", "Zz"]);
        assert_eq!(names(ad.iter_by_length().collect()), ["Ba", "Zz", "aaa", "B_x"]);
    }
}
