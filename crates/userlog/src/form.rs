//! The forms that a log can have.

/// How an event looks: the choices of `DEFAULT_USERLOG_FORMAT_OPTIONS`, `EVENT_LOG_FORMAT_OPTIONS` and `log_xml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Form {
    /// The frame around the event.
    pub layout: Layout,
    /// How the date is written in the classic layout; the others always write ISO.
    pub date: DateForm,
    /// Whether times are UTC, marked `Z`, instead of local.
    pub utc: bool,
    /// Whether times have milliseconds.
    pub sub_second: bool,
}

/// The frame around an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layout {
    /// Header line, body lines, a line `...`.
    Classic,
    /// One XML ClassAd an event.
    Xml,
    /// One JSON object an event.
    Json,
}

/// How a date is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DateForm {
    /// `2026-11-21 19:42:08`
    Iso,
    /// `11/21 19:42:08`, without a year; the only form before HTCondor 9.
    Legacy,
}

impl Form {
    /// The default: classic, ISO dates, local time.
    pub const ISO: Form = Form { layout: Layout::Classic, date: DateForm::Iso, utc: false, sub_second: false };
    /// Classic with the dates of old.
    pub const LEGACY: Form = Form { date: DateForm::Legacy, ..Form::ISO };
    /// Classic in UTC with milliseconds.
    pub const UTC_SUB_SECOND: Form = Form { utc: true, sub_second: true, ..Form::ISO };
    /// What `log_xml = true` gives.
    pub const XML: Form = Form { layout: Layout::Xml, sub_second: true, ..Form::ISO };
    /// What `EVENT_LOG_FORMAT_OPTIONS = JSON` gives.
    pub const JSON: Form = Form { layout: Layout::Json, sub_second: true, ..Form::ISO };

    /// This form changed by a list of HTCondor's option words, separated by commas or blanks, in any case: `XML`,
    /// `JSON`, `CLASSIC`, `ISO_DATE`, `LEGACY`, `UTC`, `LOCAL`, `SUB_SECOND`. Words that it does not know are left out,
    /// as HTCondor does.
    #[must_use]
    pub fn with_options(mut self, options: &str) -> Form {
        for word in options.split([',', ' ', '\t']) {
            match word.to_ascii_uppercase().as_str() {
                "XML" => self.layout = Layout::Xml,
                "JSON" => self.layout = Layout::Json,
                "CLASSIC" => self.layout = Layout::Classic,
                "ISO_DATE" => self.date = DateForm::Iso,
                "LEGACY" => self.date = DateForm::Legacy,
                "UTC" => self.utc = true,
                "LOCAL" => self.utc = false,
                "SUB_SECOND" => self.sub_second = true,
                _ => {}
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_words_change_the_form() {
        assert_eq!(Form::ISO.with_options("utc, SUB_SECOND"), Form::UTC_SUB_SECOND);
        assert_eq!(Form::ISO.with_options("LEGACY nonsense"), Form::LEGACY);
        assert_eq!(Form::XML.with_options("json"), Form::JSON);
    }
}
