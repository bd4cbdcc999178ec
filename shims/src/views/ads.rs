//! Whole ads: `-long`, `-json`, `-xml`, `-long:new`.

use classad::{ClassAd, ad_to_json, ad_to_long, ad_to_new, ad_to_xml};

const XML_HEAD: &str = "<?xml version=\"1.0\"?>\n<!DOCTYPE classads SYSTEM \"classads.dtd\">\n<classads>\n";

/// How whole ads are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdForm {
    /// `Name = expression` lines.
    Long,
    /// A JSON array; nothing at all when there is no ad.
    Json,
    /// An XML document, also when there is no ad.
    Xml,
    /// New ClassAd syntax, one ad a line; nothing when there is no ad.
    New,
}

impl AdForm {
    /// The form behind the colon of `-long:FORM`; `None` for a word that is none.
    pub fn named(name: &str) -> Option<AdForm> {
        Some(match name {
            "" | "long" | "auto" => AdForm::Long,
            "json" => AdForm::Json,
            "xml" => AdForm::Xml,
            "new" => AdForm::New,
            _ => return None,
        })
    }
}

/// The ads in their order.
pub fn print_ads(form: AdForm, ads: impl Iterator<Item = ClassAd>) -> String {
    let mut out = String::new();
    match form {
        AdForm::Long => {
            for ad in ads {
                out.push_str(&ad_to_long(&ad));
                out.push('\n');
            }
        }
        AdForm::Json => bracketed(&mut out, ads.map(|ad| ad_to_json(&ad)), "[\n", "]\n"),
        AdForm::New => bracketed(&mut out, ads.map(|ad| ad_to_new(&ad)), "{\n", "}\n"),
        AdForm::Xml => {
            out.push_str(XML_HEAD);
            for ad in ads {
                out.push_str(&ad_to_xml(&ad));
                out.push('\n');
            }
            out.push_str("</classads>\n");
        }
    }
    out
}

/// The ads in their order, as `condor_history` frames them: the frame of JSON and of new syntax is there without an ad, and
/// XML has empty lines.
pub fn print_past_ads(form: AdForm, ads: impl Iterator<Item = ClassAd>) -> String {
    let mut ads = ads.peekable();
    match form {
        AdForm::Json if ads.peek().is_none() => "[\n]\n".into(),
        AdForm::New if ads.peek().is_none() => "{\n}\n".into(),
        AdForm::Xml => {
            let mut out = XML_HEAD.to_owned() + "\n";
            for ad in ads {
                out.push_str(&ad_to_xml(&ad));
                out.push_str("\n\n");
            }
            out + "</classads>\n\n"
        }
        AdForm::Json | AdForm::New | AdForm::Long => print_ads(form, ads),
    }
}

/// Items on lines of their own with a comma's line between them; nothing for no item.
fn bracketed(out: &mut String, items: impl Iterator<Item = String>, open: &str, close: &str) {
    let mut any = false;
    for item in items {
        out.push_str(if any { ",\n" } else { open });
        any = true;
        out.push_str(&item);
        out.push('\n');
    }
    if any {
        out.push_str(close);
    }
}
