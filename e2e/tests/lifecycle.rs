//! The life of a WarmApp.
#![allow(clippy::unwrap_used, missing_docs)]
