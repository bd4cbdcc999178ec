//! The master as a state machine without input or output.
