//! The Docker Engine API over one transport seam.
