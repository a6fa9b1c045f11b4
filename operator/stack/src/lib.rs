//! Compose files to a Swarm stack, to Engine JSON, to the difference from what runs.
