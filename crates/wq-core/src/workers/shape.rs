//! What a job needs and what a worker has: cores, memory, disk, GPUs.

/// Needs of a job, as far as its submitter named them (decision D26); the unit of matching.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shape {
    /// `request_cpus`, at least 1; 0 = [`Shape::LOCAL`].
    pub cores: u32,
    /// `request_gpus`.
    pub gpus: u32,
    /// `request_memory` in MB; 0 = not named.
    pub memory_mb: u64,
    /// `request_disk` in MB, rounded up; 0 = not named.
    pub disk_mb: u64,
}

impl Shape {
    /// That of all jobs that run on the submit host, whatever they ask for: universes local and scheduler.
    pub const LOCAL: Shape = Shape { cores: 0, gpus: 0, memory_mb: 0, disk_mb: 0 };

    /// Whether its jobs run on the submit host, and on no worker.
    pub fn is_local(self) -> bool {
        self == Shape::LOCAL
    }
}

impl Default for Shape {
    fn default() -> Shape {
        Shape { cores: 1, gpus: 0, memory_mb: 0, disk_mb: 0 }
    }
}

/// An amount of each resource: what a peer has in all, or what is booked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Cores.
    pub cores: u32,
    /// GPUs.
    pub gpus: u32,
    /// MB.
    pub memory_mb: u64,
    /// MB.
    pub disk_mb: u64,
}

impl Amount {
    /// Whether a job of this shape fits.
    pub fn holds(&self, shape: Shape) -> bool {
        !shape.is_local()
            && self.cores >= shape.cores
            && self.gpus >= shape.gpus
            && self.memory_mb >= shape.memory_mb
            && self.disk_mb >= shape.disk_mb
    }

    /// What is left of it.
    pub fn less(&self, used: Amount) -> Amount {
        Amount {
            cores: self.cores.saturating_sub(used.cores),
            gpus: self.gpus.saturating_sub(used.gpus),
            memory_mb: self.memory_mb.saturating_sub(used.memory_mb),
            disk_mb: self.disk_mb.saturating_sub(used.disk_mb),
        }
    }

    /// Books a job.
    pub fn add(&mut self, shape: Shape) {
        self.cores += shape.cores;
        self.gpus += shape.gpus;
        self.memory_mb += shape.memory_mb;
        self.disk_mb += shape.disk_mb;
    }

    /// Gives a job's share back.
    pub fn sub(&mut self, shape: Shape) {
        self.cores -= shape.cores;
        self.gpus -= shape.gpus;
        self.memory_mb -= shape.memory_mb;
        self.disk_mb -= shape.disk_mb;
    }
}

impl From<Shape> for Amount {
    fn from(shape: Shape) -> Amount {
        Amount { cores: shape.cores, gpus: shape.gpus, memory_mb: shape.memory_mb, disk_mb: shape.disk_mb }
    }
}

/// Sums over many jobs or peers: wide enough that no claim of theirs, however often made, leaves the range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sum {
    /// Cores.
    pub cores: u128,
    /// GPUs.
    pub gpus: u128,
    /// MB.
    pub memory_mb: u128,
    /// MB.
    pub disk_mb: u128,
}

impl Sum {
    /// Counts an amount in.
    pub fn add(&mut self, amount: Amount) {
        self.cores += u128::from(amount.cores);
        self.gpus += u128::from(amount.gpus);
        self.memory_mb += u128::from(amount.memory_mb);
        self.disk_mb += u128::from(amount.disk_mb);
    }

    /// Takes out what was counted in before.
    pub fn sub(&mut self, amount: Amount) {
        self.cores -= u128::from(amount.cores);
        self.gpus -= u128::from(amount.gpus);
        self.memory_mb -= u128::from(amount.memory_mb);
        self.disk_mb -= u128::from(amount.disk_mb);
    }

    /// Both together.
    pub fn plus(self, other: Sum) -> Sum {
        Sum {
            cores: self.cores + other.cores,
            gpus: self.gpus + other.gpus,
            memory_mb: self.memory_mb + other.memory_mb,
            disk_mb: self.disk_mb + other.disk_mb,
        }
    }
}
