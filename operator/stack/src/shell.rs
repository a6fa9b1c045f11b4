//! Command lines in one text: split at blanks, with quotes, backslashes and comments, and nothing else of a shell.

/// Why a command line cannot be split.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SplitError {
    #[error("a quote is not closed")]
    Quote,
    #[error("nothing follows the last backslash")]
    Backslash,
}

enum In {
    Blank,
    Word,
    Single,
    Double,
    Comment,
}

/// Splits into words. In double quotes a backslash makes any next character literal; a `#` that starts a word starts
/// a comment to the end of the line; blanks are space, tab, carriage return and line feed.
pub(crate) fn split(text: &str) -> Result<Vec<String>, SplitError> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut state = In::Blank;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        state = match (state, c) {
            (In::Comment, '\n') | (In::Blank, ' ' | '\t' | '\r' | '\n') => In::Blank,
            (In::Comment, _) | (In::Blank, '#') => In::Comment,
            (In::Word, ' ' | '\t' | '\r' | '\n') => {
                words.push(std::mem::take(&mut word));
                In::Blank
            }
            (In::Blank | In::Word, '"') => In::Double,
            (In::Blank | In::Word, '\'') => In::Single,
            (In::Double, '"') | (In::Single, '\'') => In::Word,
            (In::Double, '\\') => {
                word.push(chars.next().ok_or(SplitError::Backslash)?);
                In::Double
            }
            (In::Blank | In::Word, '\\') => {
                word.push(chars.next().ok_or(SplitError::Backslash)?);
                In::Word
            }
            (In::Single, c) => {
                word.push(c);
                In::Single
            }
            (In::Double, c) => {
                word.push(c);
                In::Double
            }
            (In::Blank | In::Word, c) => {
                word.push(c);
                In::Word
            }
        };
    }
    match state {
        In::Word => words.push(word),
        In::Single | In::Double => return Err(SplitError::Quote),
        In::Blank | In::Comment => {}
    }
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn split_should_know_quotes_escapes_and_comments_only() {
        let words = |text| split(text).unwrap().join("|");
        assert_eq!(words("-f -p 80 -h '/www' \"a b\""), "-f|-p|80|-h|/www|a b");
        assert_eq!(words(r"a\\b f\ g"), r"a\b|f g");
        assert_eq!(
            words(r#"sh -c "echo $HOME && x | y; \"z""#),
            r#"sh|-c|echo $HOME && x | y; "z"#
        );
        assert_eq!(words("a #com ment\nb h#i"), "a|b|h#i");
        assert_eq!(split("a ''").unwrap(), ["a", ""]);
        assert_eq!(split(""), Ok(vec![]));
        assert_eq!(split("a 'b"), Err(SplitError::Quote));
        assert_eq!(split("a \\"), Err(SplitError::Backslash));
    }
}
