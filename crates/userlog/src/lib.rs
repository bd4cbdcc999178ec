//! The job event log of HTCondor: events to text and back.
