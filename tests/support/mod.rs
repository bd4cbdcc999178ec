//! What more than one of the test programs needs.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) mod dice;
pub(crate) mod journal;
pub(crate) mod request;
pub(crate) mod sim;
pub(crate) mod tls;
