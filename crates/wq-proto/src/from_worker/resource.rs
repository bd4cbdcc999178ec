//! `resource KIND TOTAL SMALLEST LARGEST`: what a peer has.

use super::message::put;
use crate::amount::Amount;
use crate::line::{Fields, LineError};
use bytes::BytesMut;

/// One line of a resource block. Disk and memory are megabytes, everything else is a count.
///
/// The three figures of a plain worker are equal. For a foreman TOTAL is the sum over its workers (its own disk, for
/// disk), LARGEST the biggest single worker and SMALLEST always 0.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Which resource.
    pub kind: ResourceKind,
    /// TOTAL.
    pub total: Amount,
    /// SMALLEST; of no use.
    pub smallest: Amount,
    /// LARGEST: what one task can have at most.
    pub largest: Amount,
}

/// Names of resources.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// `cores`.
    Cores,
    /// `memory`, MB.
    Memory,
    /// `disk`, MB.
    Disk,
    /// `gpus`.
    Gpus,
    /// `workers`: 1 for a worker, the number of workers below for a foreman.
    Workers,
    /// `unlabeled` (6): always 0.
    Unlabeled,
    /// `coprocess_cores` (11).
    CoprocessCores,
    /// `coprocess_memory` (11), MB.
    CoprocessMemory,
    /// `coprocess_disk` (11), MB.
    CoprocessDisk,
    /// `coprocess_gpus` (11).
    CoprocessGpus,
    /// A name we do not know; to be ignored.
    Unknown(Box<str>),
}

impl ResourceKind {
    /// The name on the wire.
    pub fn name(&self) -> &str {
        match self {
            Self::Cores => "cores",
            Self::Memory => "memory",
            Self::Disk => "disk",
            Self::Gpus => "gpus",
            Self::Workers => "workers",
            Self::Unlabeled => "unlabeled",
            Self::CoprocessCores => "coprocess_cores",
            Self::CoprocessMemory => "coprocess_memory",
            Self::CoprocessDisk => "coprocess_disk",
            Self::CoprocessGpus => "coprocess_gpus",
            Self::Unknown(name) => name,
        }
    }

    fn from_name(name: &[u8]) -> Self {
        match name {
            b"cores" => Self::Cores,
            b"memory" => Self::Memory,
            b"disk" => Self::Disk,
            b"gpus" => Self::Gpus,
            b"workers" => Self::Workers,
            b"unlabeled" => Self::Unlabeled,
            b"coprocess_cores" => Self::CoprocessCores,
            b"coprocess_memory" => Self::CoprocessMemory,
            b"coprocess_disk" => Self::CoprocessDisk,
            b"coprocess_gpus" => Self::CoprocessGpus,
            other => Self::Unknown(String::from_utf8_lossy(other).into()),
        }
    }
}

impl Resource {
    pub(crate) fn parse(kind: &[u8], mut fields: Fields<'_>) -> Result<Self, LineError> {
        let resource = Self {
            kind: ResourceKind::from_name(kind),
            total: fields.amount("total")?,
            smallest: fields.amount("smallest")?,
            largest: fields.amount("largest")?,
        };
        fields.end()?;
        Ok(resource)
    }

    pub(crate) fn print_fields(&self, out: &mut BytesMut) {
        let Self { kind, total, smallest, largest } = self;
        put(out, format_args!(" {} {total} {smallest} {largest}", kind.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_name() {
        for name in [
            "cores",
            "memory",
            "disk",
            "gpus",
            "workers",
            "unlabeled",
            "coprocess_cores",
            "coprocess_memory",
            "coprocess_disk",
            "coprocess_gpus",
            "fpgas",
        ] {
            let kind = ResourceKind::from_name(name.as_bytes());
            assert_eq!(kind.name(), name);
            assert_eq!(matches!(kind, ResourceKind::Unknown(_)), name == "fpgas");
        }
    }

    #[test]
    fn decimals_and_negative_figures_are_figures() {
        let read = |text: &'static str| Resource::parse(b"disk", Fields::new("resource", Some(text.as_bytes())));
        let resource = read("77227.500000 0 -3").unwrap();
        assert_eq!((resource.total.floor(), resource.largest.floor()), (77227, 0));
        assert!(read("1 2").is_err());
        assert!(read("1 2 3 4").is_err());
        assert!(read("1 2 x").is_err());
    }
}
