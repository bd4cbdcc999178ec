//! Interned ads: what jobs have in common is kept once, what they differ in is a packed delta (decision D54).
//!
//! Two ads with the same attribute names share a template whose texts are those of the first one seen. A job's
//! delta holds, for each attribute whose text differs, how much of the template's text stands in front and behind
//! and the bytes between. A log path with another number in it costs a handful of bytes, whatever its length.

use std::cell::OnceCell;
use std::collections::HashMap;

use classad::Expr;

/// Index of a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TemplateId(u32);

/// How many templates with the same attribute names are tried before another is made.
const VARIANTS_TRIED: usize = 4;

/// A delta longer than this share of its template's text makes a new template worth its memory …
const DELTA_SHARE: usize = 8;

/// … but not below this many bytes: a template costs kilobytes.
const DELTA_SMALL: usize = 160;

/// An ad with the texts of the first job that had these attributes.
#[derive(Debug)]
struct Template {
    /// Sorted by lower-case name.
    attributes: Vec<Attribute>,
    /// Bytes of all texts.
    size: usize,
    /// Jobs that use it; at 0 the slot is free.
    users: u32,
    key: u64,
}

#[derive(Debug)]
struct Attribute {
    name: Box<str>,
    /// Lower-case name, for look-ups; empty when equal to `name`.
    folded: Box<str>,
    text: Box<str>,
    parsed: OnceCell<Option<Expr>>,
}

impl Attribute {
    fn key(&self) -> &str {
        if self.folded.is_empty() { &self.name } else { &self.folded }
    }
}

/// All templates.
#[derive(Debug, Default)]
pub struct Templates {
    slots: Vec<Option<Template>>,
    free: Vec<u32>,
    /// From a hash of owner and names to the templates that have them, newest last. Never iterated.
    by_names: HashMap<u64, Vec<TemplateId>>,
}

/// An ad on its way into the table: names sorted, texts beside.
#[derive(Debug, Clone)]
pub struct SortedAd {
    entries: Vec<(String, String, String)>,
}

impl SortedAd {
    /// Sorts by lower-case name; of a name that comes twice the last text counts.
    pub fn new(ad: &[(String, String)]) -> SortedAd {
        let mut entries: Vec<(String, String, String)> =
            ad.iter().map(|(name, text)| (name.to_ascii_lowercase(), name.clone(), text.clone())).collect();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        entries.dedup_by(|later, earlier| {
            let same = later.0 == earlier.0;
            if same {
                std::mem::swap(later, earlier);
            }
            same
        });
        SortedAd { entries }
    }

    /// Text of an attribute; `name` in lower case.
    pub fn get(&self, folded: &str) -> Option<&str> {
        self.position(folded).map(|at| self.entries[at].2.as_str())
    }

    /// Index of an attribute; `name` in lower case.
    pub fn position(&self, folded: &str) -> Option<usize> {
        self.entries.binary_search_by(|(key, _, _)| key.as_str().cmp(folded)).ok()
    }

    /// Replaces a text.
    pub fn set(&mut self, at: usize, text: &str) {
        self.entries[at].2.clear();
        self.entries[at].2.push_str(text);
    }

    /// Names as spelt and texts, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.entries.iter().map(|(_, name, text)| (name.as_str(), text.as_str()))
    }

    /// Adds or replaces an attribute.
    pub fn insert(&mut self, name: &str, text: &str) {
        let folded = name.to_ascii_lowercase();
        match self.entries.binary_search_by(|(key, _, _)| key.as_str().cmp(&folded)) {
            Ok(at) => self.entries[at].2 = text.to_owned(),
            Err(at) => self.entries.insert(at, (folded, name.to_owned(), text.to_owned())),
        }
    }

    /// Name and text of each attribute, as [`SortedAd::new`] takes them.
    pub fn pairs(&self) -> Vec<(String, String)> {
        self.entries.iter().map(|(_, name, text)| (name.clone(), text.clone())).collect()
    }

    fn names_hash(&self) -> u64 {
        // FNV-1a: only names the bucket, equality is checked afterwards.
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        for (key, _, _) in &self.entries {
            for byte in key.bytes().chain([0]) {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
            }
        }
        hash
    }
}

impl Templates {
    /// Finds or makes the template for an ad and returns the ad's delta against it. Counts one user.
    pub fn intern(&mut self, ad: &SortedAd) -> (TemplateId, Vec<u8>) {
        let key = ad.names_hash();
        let mut best: Option<(TemplateId, Vec<u8>)> = None;
        if let Some(variants) = self.by_names.get(&key) {
            for id in variants.iter().rev().take(VARIANTS_TRIED) {
                let template = self.slots[id.0 as usize].as_ref().expect("listed templates exist");
                if !same_names(template, ad) {
                    continue;
                }
                let delta = delta(template, ad);
                let good = delta.len() <= (template.size / DELTA_SHARE).max(DELTA_SMALL);
                if good && best.as_ref().is_none_or(|(_, b)| delta.len() < b.len()) {
                    let done = delta.len() <= DELTA_SMALL;
                    best = Some((*id, delta));
                    if done {
                        break;
                    }
                }
            }
        }
        if let Some((id, delta)) = best {
            self.slots[id.0 as usize].as_mut().expect("just seen").users += 1;
            return (id, delta);
        }
        (self.add(ad, key), Vec::new())
    }

    fn add(&mut self, ad: &SortedAd, key: u64) -> TemplateId {
        let attributes = ad
            .entries
            .iter()
            .map(|(folded, name, text)| Attribute {
                folded: if folded == name { "".into() } else { folded.as_str().into() },
                name: name.as_str().into(),
                text: text.as_str().into(),
                parsed: OnceCell::new(),
            })
            .collect();
        let size = ad.entries.iter().map(|(_, _, text)| text.len()).sum();
        let template = Template { attributes, size, users: 1, key };
        let id = match self.free.pop() {
            Some(slot) => {
                self.slots[slot as usize] = Some(template);
                TemplateId(slot)
            }
            None => {
                self.slots.push(Some(template));
                TemplateId(self.slots.len() as u32 - 1)
            }
        };
        self.by_names.entry(key).or_default().push(id);
        id
    }

    /// The delta of another ad with the same names, for the further procs of a cluster. Counts one user.
    pub fn delta_for(&mut self, id: TemplateId, ad: &SortedAd) -> Vec<u8> {
        let template = self.slots[id.0 as usize].as_mut().expect("a job's template exists");
        template.users += 1;
        delta(template, ad)
    }

    /// Counts `more` users whose delta is known already.
    pub fn add_users(&mut self, id: TemplateId, more: u32) {
        self.slots[id.0 as usize].as_mut().expect("a job's template exists").users += more;
    }

    /// A job is gone; the last one takes its template along.
    pub fn release(&mut self, id: TemplateId) {
        let slot = &mut self.slots[id.0 as usize];
        let template = slot.as_mut().expect("a job's template exists");
        template.users -= 1;
        if template.users == 0 {
            let key = template.key;
            *slot = None;
            self.free.push(id.0);
            if let Some(variants) = self.by_names.get_mut(&key) {
                variants.retain(|other| *other != id);
                if variants.is_empty() {
                    self.by_names.remove(&key);
                }
            }
        }
    }

    /// Number of templates in use.
    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// No template in use.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Sum of all users, for invariants.
    pub fn users(&self) -> u64 {
        self.slots.iter().flatten().map(|t| u64::from(t.users)).sum()
    }

    /// Number of attributes of a template.
    pub fn width(&self, id: TemplateId) -> usize {
        self.template(id).attributes.len()
    }

    /// Index of an attribute by lower-case name.
    pub fn position(&self, id: TemplateId, folded: &str) -> Option<usize> {
        self.template(id).attributes.binary_search_by(|a| a.key().cmp(folded)).ok()
    }

    /// Name as first spelt.
    pub fn name(&self, id: TemplateId, at: usize) -> &str {
        &self.template(id).attributes[at].name
    }

    /// Text of one attribute of a job.
    pub fn text<'a>(&'a self, id: TemplateId, delta: &'a [u8], at: usize) -> Text<'a> {
        let text = &*self.template(id).attributes[at].text;
        match find(delta, at) {
            None => Text { front: text, middle: "", back: "", shared: true },
            Some(change) => Text {
                front: &text[..change.front],
                middle: change.middle,
                back: &text[text.len() - change.back..],
                shared: false,
            },
        }
    }

    /// The parsed expression of an attribute whose text is the template's own; `None` where the job's differs,
    /// has a placeholder for its number in it, or does not parse.
    pub fn shared_expr(&self, id: TemplateId, delta: &[u8], at: usize) -> Option<&Expr> {
        if find(delta, at).is_some() {
            return None;
        }
        let attribute = &self.template(id).attributes[at];
        attribute
            .parsed
            .get_or_init(|| {
                if attribute.text.contains(['\u{1}', '\u{2}']) {
                    return None;
                }
                classad::parse_expr(&attribute.text).ok()
            })
            .as_ref()
    }

    fn template(&self, id: TemplateId) -> &Template {
        self.slots[id.0 as usize].as_ref().expect("a job's template exists")
    }
}

/// A text in its three pieces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Text<'a> {
    front: &'a str,
    middle: &'a str,
    back: &'a str,
    shared: bool,
}

impl Text<'_> {
    /// It is the template's own.
    pub fn is_shared(&self) -> bool {
        self.shared
    }

    /// The whole text with its placeholders.
    pub fn raw(&self) -> String {
        [self.front, self.middle, self.back].concat()
    }

    /// The whole text with the job's number in place of the placeholders U+0001 and U+0002.
    pub fn fill_in(&self, cluster: u32, proc: u32) -> String {
        let mut out = String::with_capacity(self.front.len() + self.middle.len() + self.back.len() + 8);
        self.fill_into(cluster, proc, &mut out);
        out
    }

    /// The same, behind what stands in `out`.
    pub fn fill_into(&self, cluster: u32, proc: u32, out: &mut String) {
        for piece in [self.front, self.middle, self.back] {
            let mut rest = piece;
            while let Some(at) = rest.find(['\u{1}', '\u{2}']) {
                out.push_str(&rest[..at]);
                let number = if rest.as_bytes()[at] == 1 { cluster } else { proc };
                out.push_str(&number.to_string());
                rest = &rest[at + 1..];
            }
            out.push_str(rest);
        }
    }
}

struct Change<'a> {
    front: usize,
    back: usize,
    middle: &'a str,
}

fn same_names(template: &Template, ad: &SortedAd) -> bool {
    template.attributes.len() == ad.entries.len()
        && template
            .attributes
            .iter()
            .zip(&ad.entries)
            .all(|(a, (folded, name, _))| a.key() == folded && *a.name == **name)
}

fn delta(template: &Template, ad: &SortedAd) -> Vec<u8> {
    let mut out = Vec::new();
    for (at, (attribute, (_, _, text))) in template.attributes.iter().zip(&ad.entries).enumerate() {
        if *attribute.text != **text {
            put_change(&mut out, at, &attribute.text, text);
        }
    }
    out
}

fn put_change(out: &mut Vec<u8>, at: usize, old: &str, new: &str) {
    let mut front = old.bytes().zip(new.bytes()).take_while(|(a, b)| a == b).count();
    while !old.is_char_boundary(front) || !new.is_char_boundary(front) {
        front -= 1;
    }
    let limit = old.len().min(new.len()) - front;
    let mut back = old.bytes().rev().zip(new.bytes().rev()).take(limit).take_while(|(a, b)| a == b).count();
    while !old.is_char_boundary(old.len() - back) || !new.is_char_boundary(new.len() - back) {
        back -= 1;
    }
    let middle = &new[front..new.len() - back];
    for number in [at, front, back, middle.len()] {
        put_number(out, number);
    }
    out.extend_from_slice(middle.as_bytes());
}

/// The attributes in which a delta differs from its template, ascending.
pub(super) fn changed(delta: &[u8]) -> impl Iterator<Item = usize> {
    let mut rest = delta;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let at = take_number(&mut rest);
        let (_, _, length) = (take_number(&mut rest), take_number(&mut rest), take_number(&mut rest));
        rest = &rest[length..];
        Some(at)
    })
}

fn find(delta: &[u8], wanted: usize) -> Option<Change<'_>> {
    let mut rest = delta;
    while !rest.is_empty() {
        let at = take_number(&mut rest);
        let (front, back, length) = (take_number(&mut rest), take_number(&mut rest), take_number(&mut rest));
        let (middle, tail) = rest.split_at(length);
        rest = tail;
        if at == wanted {
            let middle = std::str::from_utf8(middle).expect("deltas are cut at characters");
            return Some(Change { front, back, middle });
        }
        // Entries stand in the order of the attributes.
        if at > wanted {
            return None;
        }
    }
    None
}

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn take_number(rest: &mut &[u8]) -> usize {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, tail) = rest.split_first().expect("deltas are made by this module");
        *rest = tail;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ad(entries: &[(&str, &str)]) -> SortedAd {
        SortedAd::new(&entries.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect::<Vec<_>>())
    }

    fn texts(templates: &Templates, id: TemplateId, delta: &[u8]) -> Vec<String> {
        (0..templates.width(id)).map(|at| templates.text(id, delta, at).fill_in(7, 3)).collect()
    }

    #[test]
    fn equal_ads_share_everything_and_a_log_path_costs_a_few_bytes() {
        let mut t = Templates::default();
        let (a, d1) = t.intern(&ad(&[("UserLog", "\"/home/u/jobagent_1_1.log\""), ("Cmd", "\"/bin/sh\"")]));
        let (b, d2) = t.intern(&ad(&[("UserLog", "\"/home/u/jobagent_1_2.log\""), ("Cmd", "\"/bin/sh\"")]));
        assert_eq!((a, d1.len(), t.len()), (b, 0, 1));
        assert!(d2.len() <= 5, "{d2:?}");
        assert_eq!(texts(&t, b, &d2), ["\"/bin/sh\"", "\"/home/u/jobagent_1_2.log\""]);
        assert_eq!(texts(&t, a, &d1), ["\"/bin/sh\"", "\"/home/u/jobagent_1_1.log\""]);
        t.release(a);
        t.release(b);
        assert!(t.is_empty());
    }

    #[test]
    fn the_last_of_a_repeated_name_counts_and_placeholders_are_filled() {
        let mut t = Templates::default();
        let (id, delta) = t.intern(&ad(&[("A", "1"), ("a", "\"\u{1}.\u{2}\"")]));
        assert_eq!(texts(&t, id, &delta), ["\"7.3\""]);
        assert!(t.shared_expr(id, &delta, 0).is_none(), "a text with placeholders differs from job to job");
    }

    proptest! {
        #[test]
        fn any_ad_comes_back_as_it_went_in(ads in prop::collection::vec(prop::collection::vec(".{0,20}", 3), 1..12)) {
            let mut t = Templates::default();
            let names = ["X", "Beta", "c"];
            let mut kept = Vec::new();
            for values in &ads {
                let entries: Vec<_> = names.iter().zip(values).map(|(n, v)| ((*n).to_owned(), v.replace(['\u{1}', '\u{2}'], ""))).collect();
                let sorted = SortedAd::new(&entries);
                let (id, delta) = t.intern(&sorted);
                kept.push((id, delta, sorted));
            }
            prop_assert_eq!(t.users(), ads.len() as u64);
            for (id, delta, sorted) in &kept {
                let want: Vec<String> = sorted.entries.iter().map(|e| e.2.clone()).collect();
                prop_assert_eq!(texts(&t, *id, delta), want);
            }
            for (id, _, _) in kept {
                t.release(id);
            }
            prop_assert!(t.is_empty());
        }
    }
}
