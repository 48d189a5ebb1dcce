//! The series that a registry names, by number.

use std::collections::HashMap;
use std::path::Path;

use nave_base::disk::SharedDisk;
use nave_model::append::Tenant;
use nave_model::label::Labels;
use parking_lot::Mutex;

use crate::catalog::RegistryLength;
use crate::error::Error;
use crate::registry::{self, Frames};

/// Labels of all series by number.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<u32, Labels>>);

impl Known {
    /// Reads the registry that `length` names. The second is what is damaged in it.
    pub(super) fn load(
        disk: &SharedDisk,
        dir: &Path,
        length: RegistryLength,
    ) -> Result<(HashMap<u32, Labels>, Vec<String>), Error> {
        let known = Self::default();
        let found = registry::load(disk, dir, length, 1, &known)?;
        Ok((known.0.into_inner(), found.damages))
    }
}

impl Frames for Known {
    fn expect(&self, _: usize) {}

    fn series(&self, _: &Tenant, id: u32, labels: Labels) {
        self.0.lock().insert(id, labels);
    }

    fn key(&self, _: u128, _: u32) {}

    fn metadata(&self, payload: &[u8]) -> bool {
        !payload.is_empty()
    }

    fn exemplars(&self, payload: &[u8]) -> bool {
        !payload.is_empty()
    }
}
