//! Variables in the texts of a probe.

/// Why a text with variables could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ExpandError {
    /// The environment has no such variable.
    #[error(
        "`${{{0}}}` is not set in the app's environment; set it under `env`, or write the value"
    )]
    Unset(String),
    /// `${` without its `}`.
    #[error("`${{` is never closed; write `${{NAME}}`, or `$$` for a plain `$`")]
    Unclosed,
    /// What stands between the braces is not the name of a variable.
    #[error(
        "`${{{0}}}` is not a variable; a name is letters, digits and `_`, and no default can be given here"
    )]
    BadName(String),
}

/// Fills in `${NAME}` from `lookup`; `$$` becomes a plain `$`, and a `$` before anything else stays as it is.
///
/// Values are put in as they are: a `${…}` inside of a value is not filled in again.
pub fn expand(
    text: &str,
    mut lookup: impl FnMut(&str) -> Option<String>,
) -> Result<String, ExpandError> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(inside) = rest.strip_prefix('{') {
            let (name, after) = inside.split_once('}').ok_or(ExpandError::Unclosed)?;
            let well_formed = !name.starts_with(|c: char| c.is_ascii_digit())
                && !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !well_formed {
                return Err(ExpandError::BadName(name.to_owned()));
            }
            out.push_str(&lookup(name).ok_or_else(|| ExpandError::Unset(name.to_owned()))?);
            rest = after;
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}
