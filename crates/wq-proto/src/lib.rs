//! The Work Queue wire protocol, versions 6 to 11, as a pure library.
