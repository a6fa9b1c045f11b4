//! Keeping known secrets out of texts that people and relays read.

use ci_warm_api_types::alert::Alert;

/// What stands where a secret stood.
const MARK: &str = "[redacted]";
/// A line of a secret of several lines (a key in PEM form) is looked for by itself from this length on.
const MIN_LINE: usize = 8;

/// Takes known secret values out of texts.
///
/// It finds a value as it is, without the white space around it, and the lines of a value of several lines. A value that was
/// encoded (base64, percent signs) before it got into the text is not found: what might hold one is better not quoted at all.
#[derive(Clone, Default)]
pub struct Redactor {
    /// Longest first, so that a value that holds another one goes as a whole.
    values: Vec<String>,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redactor")
            .field("values", &self.values.len())
            .finish()
    }
}

impl Redactor {
    /// A redactor of these values. Empty ones are passed over; a short one is not, even if it makes texts hard to read.
    pub fn new<I>(secrets: I) -> Self
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let mut values = Vec::new();
        for secret in secrets {
            let whole = secret.as_ref().trim();
            let lines = whole
                .lines()
                .map(str::trim)
                .filter(|line| line.len() >= MIN_LINE && !line.starts_with("-----"));
            values.extend(lines.map(str::to_owned));
            values.push(whole.to_owned());
        }
        values.retain(|value| !value.is_empty());
        values.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        values.dedup();
        Self { values }
    }

    /// The text with `[redacted]` in place of every known value.
    pub fn text(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        // One pass over the text, so that a short value is not found again inside of the mark.
        while let Some(first) = rest.chars().next() {
            if let Some(value) = self
                .values
                .iter()
                .find(|value| rest.starts_with(value.as_str()))
            {
                out.push_str(MARK);
                rest = &rest[value.len()..];
            } else {
                out.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
        out
    }

    /// The alert with its free texts redacted. Names, versions and ids stay as they are: they come from public tags and from us.
    #[must_use]
    pub fn alert(&self, alert: &Alert) -> Alert {
        Alert {
            release_notes: alert.release_notes.as_deref().map(|text| self.text(text)),
            message: alert.message.as_deref().map(|text| self.text(text)),
            ..alert.clone()
        }
    }
}
