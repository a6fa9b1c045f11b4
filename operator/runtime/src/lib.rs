//! The store, the queue and the loop, generic over kinds.
