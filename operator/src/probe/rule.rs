//! The hosts in a Traefik routing rule.

/// The host names that a rule routes: the arguments of `Host`, `HostHeader` and `HostSNI` that are not negated.
///
/// Patterns (`HostRegexp`, `HostSNIRegexp`, `*`) name no host, and a rule that cannot be read ends where it stops making sense:
/// a host that is not found makes the gate ask for a word in the manifest, while one wrongly found would let it wait for ever.
pub(super) fn hosts(rule: &str) -> Vec<String> {
    let mut scanner = Scanner { rest: rule };
    let mut found = Vec::new();
    // Whether each open parenthesis stands under a negation.
    let mut groups = vec![Sign::Plain];
    let mut pending = Sign::Plain;
    while let Some(token) = scanner.next() {
        let around = *groups.last().unwrap_or(&Sign::Plain);
        match token {
            Token::Not => {
                pending = pending.flip();
                continue;
            }
            Token::Open => groups.push(around.under(pending)),
            Token::Close => {
                groups.pop();
            }
            Token::Word(name) => {
                let Some(arguments) = scanner.arguments() else {
                    return found;
                };
                let names_hosts = ["host", "hostheader", "hostsni"]
                    .iter()
                    .any(|known| name.eq_ignore_ascii_case(known));
                if names_hosts && around.under(pending) == Sign::Plain {
                    found.extend(arguments.into_iter().filter(|host| host != "*"));
                }
            }
            Token::Operator => {}
            Token::Unknown => return found,
        }
        pending = Sign::Plain;
    }
    found
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Sign {
    Plain,
    Negated,
}

impl Sign {
    fn flip(self) -> Self {
        match self {
            Self::Plain => Self::Negated,
            Self::Negated => Self::Plain,
        }
    }

    fn under(self, other: Self) -> Self {
        if other == Self::Negated {
            self.flip()
        } else {
            self
        }
    }
}

enum Token<'a> {
    Word(&'a str),
    Not,
    Open,
    Close,
    /// `&&`, `||`, and the comma and semicolon of old rules.
    Operator,
    Unknown,
}

struct Scanner<'a> {
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    fn next(&mut self) -> Option<Token<'a>> {
        self.rest = self.rest.trim_start();
        let first = self.rest.chars().next()?;
        let (token, length) = match first {
            '!' => (Token::Not, 1),
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '&' | '|' | ',' | ';' => (Token::Operator, 1),
            c if c.is_ascii_alphabetic() => {
                let end = self.rest.find(|c: char| !c.is_ascii_alphanumeric());
                let end = end.unwrap_or(self.rest.len());
                (Token::Word(&self.rest[..end]), end)
            }
            c => (Token::Unknown, c.len_utf8()),
        };
        self.rest = &self.rest[length..];
        Some(token)
    }

    /// The quoted arguments of a matcher, up to its closing parenthesis.
    fn arguments(&mut self) -> Option<Vec<String>> {
        self.rest = self.rest.trim_start().strip_prefix('(')?;
        let mut arguments = Vec::new();
        loop {
            self.rest = self
                .rest
                .trim_start_matches(|c: char| c.is_whitespace() || c == ',');
            if let Some(after) = self.rest.strip_prefix(')') {
                self.rest = after;
                return Some(arguments);
            }
            let quote = self
                .rest
                .chars()
                .next()
                .filter(|c| matches!(c, '`' | '"' | '\''))?;
            let (argument, after) = self.rest[1..].split_once(quote)?;
            arguments.push(argument.to_owned());
            self.rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn finds_the_hosts_of_real_rules() {
        let none: [&str; 0] = [];
        for (rule, expected) in [
            ("Host(`a.org`)", &["a.org"][..]),
            (
                "Host(`a.org`,`b.org`)||Host(`c.org`)",
                &["a.org", "b.org", "c.org"],
            ),
            (
                "Host(`a.org`, `www.a.org`) && PathPrefix(`/api`)",
                &["a.org", "www.a.org"],
            ),
            ("Host(\"a.org\")", &["a.org"]),
            (
                "(Host(`a.org`) || Host(`b.org`)) && !Host(`c.org`)",
                &["a.org", "b.org"],
            ),
            ("!(Host(`a.org`) || !Host(`b.org`))", &["b.org"]),
            ("PathPrefix(`/Host(x)`) && host(`a.org`)", &["a.org"]),
            ("HostSNI(`a.org`)", &["a.org"]),
            ("HostSNI(`*`)", &none),
            ("HostRegexp(`{sub:.+}.a.org`)", &none),
            ("PathPrefix(`/`)", &none),
            ("Header(`Host`, `a.org`)", &none),
            ("Host(`a.org`) && Host(`b.org", &["a.org"]),
            ("Host", &none),
            ("", &none),
            ("))Host(`a.org`)", &["a.org"]),
        ] {
            assert_eq!(hosts(rule), expected, "{rule}");
        }
    }

    proptest! {
        #[test]
        fn no_rule_panics(rule in "[Hosta-c(!)`,|&é\" ]{0,30}") {
            hosts(&rule);
        }
    }
}
