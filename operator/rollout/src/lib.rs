//! What to do next with one instance: a pure planner and the model that explores it.
