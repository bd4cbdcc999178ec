//! The journal as its users see it: what is written comes back, what was promised survives, damage is named.

mod checkpoint;
mod compat;
mod damage;
mod document;
mod full_disk;
mod keeper;
mod power_cut;
mod records;
mod round_trip;
mod salvage;
