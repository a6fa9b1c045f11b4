//! An operator that keeps Co-op Cloud apps warm on Docker Swarm.

pub mod recipe;
