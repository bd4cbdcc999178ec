//! Requests and replies between the condor programs and the master.
