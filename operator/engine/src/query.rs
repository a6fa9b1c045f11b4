//! Method, path and query of one call, encoded by us: names come from people and may hold anything.

use std::collections::BTreeMap;
use std::fmt;
use std::fmt::Write as _;

use hyper::Method;

/// One call: what it is named in errors, and what it asks for.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) method: Method,
    path: String,
    query: String,
}

impl Call {
    /// A call on the path made of these segments, each encoded on its own.
    pub(crate) fn new(method: Method, segments: &[&str]) -> Self {
        let mut path = String::new();
        for segment in segments {
            path.push('/');
            encode_into(&mut path, segment);
        }
        Self {
            method,
            path,
            query: String::new(),
        }
    }

    pub(crate) fn get(segments: &[&str]) -> Self {
        Self::new(Method::GET, segments)
    }

    pub(crate) fn post(segments: &[&str]) -> Self {
        Self::new(Method::POST, segments)
    }

    pub(crate) fn delete(segments: &[&str]) -> Self {
        Self::new(Method::DELETE, segments)
    }

    /// Add a query parameter.
    pub(crate) fn with(mut self, key: &str, value: &str) -> Self {
        self.query
            .push(if self.query.is_empty() { '?' } else { '&' });
        encode_into(&mut self.query, key);
        self.query.push('=');
        encode_into(&mut self.query, value);
        self
    }

    /// Add the engine's `filters` parameter: `{"label":["k=v"]}`.
    pub(crate) fn filter(self, filters: &[(&str, &str)]) -> Self {
        let mut map: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        for (key, value) in filters {
            map.entry(key).or_default().push(value);
        }
        if map.is_empty() {
            return self;
        }
        let json = serde_json::json!(map).to_string();
        self.with("filters", &json)
    }

    /// Path and query under an API version.
    pub(crate) fn uri(&self, version: &str) -> String {
        format!("/v{version}{}{}", self.path, self.query)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.method, self.path)
    }
}

fn encode_into(out: &mut String, text: &str) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn call_should_encode_what_people_write() {
        let call = Call::get(&["volumes", "a/../b c"]).filter(&[("label", "k=v"), ("label", "x")]);
        assert_eq!(
            call.uri("1.41"),
            "/v1.41/volumes/a%2F..%2Fb%20c?filters=%7B%22label%22%3A%5B%22k%3Dv%22%2C%22x%22%5D%7D"
        );
    }
}
