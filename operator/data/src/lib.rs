//! Volumes copied, sealed, verified and restored.
