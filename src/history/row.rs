//! Ads in few bytes: what one ad has in common with another one is not written again.
//!
//! Jobs of a site are much alike, those of one submission more so. An ad is therefore kept as its difference to a
//! *base*, an ad that stands in the file once. A difference is a list of entries: 0, name and text of an attribute that the
//! base lacks; 2i + 1 and the text of the base's attribute i; 2i + 2, the base's attribute i is not there. Numbers are
//! LEB128, texts have their length in front.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;

use classad::{Expr, Scope};

/// An ad to which others are written as differences.
#[derive(Debug)]
pub(super) struct Base {
    attributes: Vec<(String, String)>,
    /// Lower-case names.
    index: HashMap<String, usize>,
    /// Expressions of the texts, as they are asked for.
    parsed: Vec<OnceCell<Option<Expr>>>,
}

impl Base {
    pub(super) fn new(attributes: Vec<(String, String)>) -> Base {
        let index = attributes.iter().enumerate().map(|(at, (name, _))| (name.to_ascii_lowercase(), at)).collect();
        let parsed = attributes.iter().map(|_| OnceCell::new()).collect();
        Base { attributes, index, parsed }
    }

    /// The bytes of the base itself.
    pub(super) fn write(&self) -> Vec<u8> {
        let mut out = Vec::new();
        for (name, text) in &self.attributes {
            put_text(&mut out, name);
            put_text(&mut out, text);
        }
        out
    }

    /// Reads what [`Base::write`] wrote; `None` if it is damaged.
    pub(super) fn read(mut bytes: &[u8]) -> Option<Base> {
        let mut attributes = Vec::new();
        while !bytes.is_empty() {
            attributes.push((take_text(&mut bytes)?.to_owned(), take_text(&mut bytes)?.to_owned()));
        }
        Some(Base::new(attributes))
    }

    /// The difference that makes `ad` of this base.
    pub(super) fn difference(&self, ad: &[(String, String)]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut seen = vec![false; self.attributes.len()];
        for (name, text) in ad {
            match self.index.get(&name.to_ascii_lowercase()) {
                Some(&at) => {
                    seen[at] = true;
                    if self.attributes[at].1 != *text {
                        put_number(&mut out, 2 * at + 1);
                        put_text(&mut out, text);
                    }
                }
                None => {
                    put_number(&mut out, 0);
                    put_text(&mut out, name);
                    put_text(&mut out, text);
                }
            }
        }
        for (at, _) in seen.iter().enumerate().filter(|(_, seen)| !**seen) {
            put_number(&mut out, 2 * at + 2);
        }
        out
    }

    /// The ad of which this is the difference; `None` if it is damaged.
    pub(super) fn apply<'a>(&'a self, mut difference: &'a [u8]) -> Option<RowAd<'a>> {
        let mut row = RowAd { base: self, texts: vec![Text::Base; self.attributes.len()], more: Vec::new() };
        while !difference.is_empty() {
            let key = take_number(&mut difference)?;
            if key == 0 {
                row.more.push((take_text(&mut difference)?, take_text(&mut difference)?));
                continue;
            }
            let text = match key % 2 {
                1 => Text::Own(take_text(&mut difference)?),
                _ => Text::Absent,
            };
            *row.texts.get_mut((key - 1) / 2)? = text;
        }
        Some(row)
    }
}

#[derive(Debug, Clone, Copy)]
enum Text<'a> {
    /// As in the base.
    Base,
    Own(&'a str),
    Absent,
}

/// An ad of the history as it is read.
#[derive(Debug)]
pub(super) struct RowAd<'a> {
    base: &'a Base,
    texts: Vec<Text<'a>>,
    more: Vec<(&'a str, &'a str)>,
}

impl<'a> RowAd<'a> {
    /// Names and texts of all attributes.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> + '_ {
        let own = self.base.attributes.iter().zip(&self.texts).filter_map(|((name, text), own)| match own {
            Text::Base => Some((name.as_str(), text.as_str())),
            Text::Own(text) => Some((name.as_str(), *text)),
            Text::Absent => None,
        });
        own.chain(self.more.iter().copied())
    }

    /// Name as it is spelt and text of one attribute, asked for in lower case.
    pub(super) fn entry(&self, folded: &str) -> Option<(&'a str, &'a str)> {
        let Some(&at) = self.base.index.get(folded) else {
            return self.more.iter().copied().find(|(name, _)| name.eq_ignore_ascii_case(folded));
        };
        let (name, text) = &self.base.attributes[at];
        match self.texts[at] {
            Text::Base => Some((name, text)),
            Text::Own(text) => Some((name, text)),
            Text::Absent => None,
        }
    }
}

impl Scope for RowAd<'_> {
    fn lookup(&self, name: &str) -> Option<Cow<'_, Expr>> {
        let folded = name.to_ascii_lowercase();
        if let Some(&at) = self.base.index.get(&folded)
            && let Text::Base = self.texts[at]
        {
            let text = &self.base.attributes[at].1;
            return self.base.parsed[at].get_or_init(|| classad::parse_expr(text).ok()).as_ref().map(Cow::Borrowed);
        }
        let (_, text) = self.entry(&folded)?;
        classad::parse_expr(text).ok().map(Cow::Owned)
    }
}

fn put_number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

fn take_number(rest: &mut &[u8]) -> Option<usize> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = take_number(rest)?;
    let (text, tail) = rest.split_at_checked(length)?;
    *rest = tail;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    type Ad = BTreeMap<String, String>;

    fn list(ad: &Ad) -> Vec<(String, String)> {
        ad.iter().map(|(name, text)| (name.clone(), text.clone())).collect()
    }

    fn ads() -> impl Strategy<Value = Ad> {
        prop::collection::btree_map("[A-D]{1,2}", ".{0,12}", 0..8)
    }

    proptest! {
        #[test]
        fn an_ad_comes_back_from_its_difference(base in ads(), ad in ads()) {
            let base = Base::read(&Base::new(list(&base)).write()).unwrap();
            let difference = base.difference(&list(&ad));
            let row = base.apply(&difference).unwrap();
            let back: Ad = row.iter().map(|(name, text)| (name.to_owned(), text.to_owned())).collect();
            prop_assert_eq!(&back, &ad);
            for (name, text) in &ad {
                prop_assert_eq!(row.entry(&name.to_ascii_lowercase()), Some((name.as_str(), text.as_str())));
            }
        }

        #[test]
        fn damage_is_no_panic(base in ads(), bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let base = Base::new(list(&base));
            if let Some(row) = base.apply(&bytes) {
                row.iter().count();
            }
            let _ = Base::read(&bytes);
        }
    }

    #[test]
    fn alike_ads_take_little_room_and_are_read_as_expressions() {
        let ad = |n: i64| -> Vec<(String, String)> {
            let text = [("ClusterId", n.to_string()), ("Requirements", "TARGET.Memory >= 128".repeat(20))];
            text.into_iter().map(|(name, text)| (name.to_owned(), text)).collect()
        };
        let base = Base::new(ad(1));
        let difference = base.difference(&ad(2));
        assert_eq!(difference, [1, 1, b'2']);
        let row = base.apply(&difference).unwrap();
        assert_eq!(row.lookup("CLUSTERID").unwrap().to_string(), "2");
        assert!(row.lookup("Requirements").is_none(), "a text that is no expression");
    }
}
