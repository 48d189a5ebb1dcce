//! Protobuf pages: reading never panics, equal keys are equal labels, and what is told does not depend on which
//! kinds of histograms are asked for.

use std::collections::HashMap;

use nave_model::label::Labels;
use nave_wire::exposition::protobuf::{Error, Family, Histograms, Measured, Sample, Visit, read};

/// Longer pages are only read, without remembering their keys.
const REMEMBERED_SAMPLES: usize = 256;

#[derive(Default)]
struct Told {
    families: usize,
    floats: usize,
    keys: HashMap<Vec<u8>, Result<Labels, String>>,
}

impl Visit for Told {
    type Error = Error;

    fn family(&mut self, family: &Family<'_>) -> Result<(), Error> {
        assert!(!family.name.is_empty());
        self.families += 1;
        Ok(())
    }

    fn sample(&mut self, sample: &Sample<'_>) -> Result<(), Error> {
        match sample.value {
            Measured::Float(value) => {
                assert!(!nave_model::sample::is_stale(value));
                self.floats += 1;
            }
            Measured::Native(native) => {
                if let Ok(histogram) = native.decode() {
                    histogram.check().expect("what is decoded is meaningful");
                    let mut coarse = histogram.clone();
                    coarse.reduce_resolution(-4);
                    coarse.check().expect("coarser histograms are as meaningful");
                }
            }
        }
        let _ = (sample.exemplars(), sample.whole_labels());
        if self.keys.len() < REMEMBERED_SAMPLES {
            let labels = sample.labels();
            if let Some(known) = self.keys.get(sample.key) {
                assert_eq!(*known, labels);
            } else {
                self.keys.insert(sample.key.to_vec(), labels);
            }
        }
        Ok(())
    }
}

/// Checks one page.
pub fn protobuf_exposition(page: &[u8]) {
    let tell = |native, classic_too| {
        let mut told = Told::default();
        let result = read(page, Histograms { native, classic_too }, &mut told);
        (told, result)
    };
    let (classic, classic_result) = tell(false, false);
    let (native, native_result) = tell(true, false);
    let (both, _) = tell(true, true);
    assert!(both.families >= native.families.min(classic.families));
    if classic_result.is_ok() && native_result.is_ok() {
        assert_eq!(classic.families, native.families);
        assert!(both.floats >= native.floats);
    }
}
