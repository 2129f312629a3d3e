//! Which of the live versions a consumer gets: the same one each time it asks.
//!
//! PostgreSQL's `sower_resolve` (migration 7) gives the same answers; a test holds the two against each other.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Variant, WHOLE};

/// Bytes of the longest key that is taken from outside.
pub const LONGEST_KEY: usize = 4096;
/// Most labels of a consumer that are taken from outside.
pub const MOST_LABELS: usize = 64;

/// What stands between salt and key (US, the unit separator), so that no two pairs are one text.
const SEPARATOR: [u8; 1] = [0x1f];

/// The bucket of a consumer, below [`WHOLE`]: the first four bytes, big endian, of sha256(salt U+001F key), modulo
/// [`WHOLE`]. With another salt the consumers fall anew.
#[must_use]
pub fn bucket(salt: &str, key: &str) -> u32 {
    fall(Sha256::new_with_prefix(salt).chain_update(SEPARATOR), key)
}

fn fall(salted: Sha256, key: &str) -> u32 {
    let [a, b, c, d, ..] = <[u8; 32]>::from(salted.chain_update(key).finalize());
    u32::from_be_bytes([a, b, c, d]) % WHOLE
}

/// Why a consumer gets a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Why {
    /// Its key or its labels are named.
    Override,
    /// Its bucket is one of that version's.
    Bucket,
    /// Nothing says otherwise.
    Stable,
}

/// What a consumer gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Resolved<'a> {
    /// The version.
    pub version: &'a str,
    /// Why that one.
    pub why: Why,
    /// Its bucket, where that was asked for.
    pub bucket: Option<u32>,
}

/// The versions of an integration that are live in an environment, and whose they are.
#[derive(Debug, Clone)]
pub struct Live {
    stable: String,
    rollout: Option<Shares>,
}

/// A rollout, made ready for many questions.
#[derive(Debug, Clone)]
struct Shares {
    /// What is hashed before the key.
    salted: Sha256,
    variants: Vec<Variant>,
    /// The first variant that names a key.
    named: HashMap<String, usize>,
    /// Where the range of each variant ends; ranges follow each other from 0.
    ends: Vec<u32>,
}

impl Live {
    /// One version alone: everybody has it.
    #[must_use]
    pub fn stable(version: impl Into<String>) -> Self {
        Self { stable: version.into(), rollout: None }
    }

    /// A rollout: the stable version, and those beside it in their order.
    #[must_use]
    pub fn rolling(stable: impl Into<String>, salt: &str, variants: Vec<Variant>) -> Self {
        let (mut named, mut ends, mut end) = (HashMap::new(), Vec::new(), 0_u32);
        for (index, variant) in variants.iter().enumerate() {
            for key in &variant.keys {
                named.entry(key.clone()).or_insert(index);
            }
            end = end.saturating_add(variant.weight);
            ends.push(end);
        }
        let salted = Sha256::new_with_prefix(salt).chain_update(SEPARATOR);
        Self { stable: stable.into(), rollout: Some(Shares { salted, variants, named, ends }) }
    }

    /// The version that everybody else has.
    #[must_use]
    pub fn stable_version(&self) -> &str {
        &self.stable
    }

    /// The versions beside it, in their order; empty without a rollout.
    #[must_use]
    pub fn variants(&self) -> &[Variant] {
        self.rollout.as_ref().map_or(&[], |shares| &shares.variants)
    }

    /// What a consumer gets: the first variant that names its key, or all of whose labels it has; else the one in whose
    /// range its bucket falls; else the stable version.
    #[must_use]
    pub fn resolve(&self, key: &str, labels: &BTreeMap<String, String>) -> Resolved<'_> {
        let stable = Resolved { version: &self.stable, why: Why::Stable, bucket: None };
        let Some(Shares { salted, variants, named, ends }) = &self.rollout else { return stable };
        let labelled = variants.iter().position(|variant| has_all(labels, &variant.labels));
        let first = named.get(key).copied().into_iter().chain(labelled).min();
        if let Some(variant) = first.and_then(|index| variants.get(index)) {
            return Resolved { version: &variant.version, why: Why::Override, bucket: None };
        }
        let bucket = fall(salted.clone(), key);
        let within = ends.iter().position(|end| bucket < *end).and_then(|index| variants.get(index));
        match within {
            Some(variant) => Resolved { version: &variant.version, why: Why::Bucket, bucket: Some(bucket) },
            None => Resolved { bucket: Some(bucket), ..stable },
        }
    }
}

/// Whether a consumer has all of these labels, of which there are some.
fn has_all(labels: &BTreeMap<String, String>, wanted: &BTreeMap<String, String>) -> bool {
    !wanted.is_empty() && wanted.iter().all(|(name, value)| labels.get(name) == Some(value))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variant(version: &str, weight: u32) -> Variant {
        Variant { version: version.into(), weight, ..Variant::default() }
    }

    fn labels(of: &[(&str, &str)]) -> BTreeMap<String, String> {
        of.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn buckets_are_those_of_the_contract() {
        // Counted with Python's hashlib.
        for (salt, key, expected) in [("", "", 4523), ("salt", "key", 194), ("salt", "Grüße, 世界", 3189)]
        {
            assert_eq!(bucket(salt, key), expected, "{salt} {key}");
        }
    }

    #[test]
    fn shares_are_within_one_point_of_the_weight() {
        for salt in ["0198c3e0", "another", ""] {
            for weight in [0, 100, 1000, 2500, 5000, 9900, WHOLE] {
                let live = Live::rolling("1.0.0", salt, vec![variant("1.1.0", weight)]);
                let keys = (0..100_000).map(|n| format!("customer-{n}"));
                let have = keys.filter(|key| live.resolve(key, &BTreeMap::new()).version == "1.1.0").count();
                let share = have as f64 / 100_000.0;
                let wanted = f64::from(weight) / f64::from(WHOLE);
                assert!((share - wanted).abs() < 0.01, "{salt} {weight}: {share}");
                // None is none, and all are all.
                assert!((weight != 0 || have == 0) && (weight != WHOLE || have == 100_000));
            }
        }
    }

    #[test]
    fn salts_are_independent() {
        // Of those whose bucket is low with one salt, a tenth has a low one with another.
        let low = |salt: &str, key: &str| bucket(salt, key) < 1000;
        let keys: Vec<String> =
            (0..100_000).map(|n| format!("customer-{n}")).filter(|key| low("a", key)).collect();
        let both = keys.iter().filter(|key| low("b", key)).count();
        let share = both as f64 / keys.len() as f64;
        assert!((share - 0.1).abs() < 0.01, "{share}");
    }

    #[test]
    fn the_first_variant_that_names_a_consumer_wins_over_every_bucket() {
        let live = Live::rolling(
            "1.0.0",
            "salt",
            vec![
                Variant { keys: vec!["acme".into(), "".into()], ..variant("2.0.0", 0) },
                Variant {
                    keys: vec!["acme".into(), "globex".into()],
                    labels: labels(&[("tier", "gold"), ("region", "eu")]),
                    ..variant("1.0.0", WHOLE)
                },
                variant("3.0.0", WHOLE),
            ],
        );
        let got = |key: &str, of: &[(&str, &str)]| {
            let Resolved { version, why, bucket } = live.resolve(key, &labels(of));
            (version.to_owned(), why, bucket.is_some())
        };
        let gold = [("tier", "gold"), ("region", "eu"), ("more", "")];
        for (key, of, version, why) in [
            ("acme", &[][..], "2.0.0", Why::Override),
            ("", &[], "2.0.0", Why::Override),
            ("acme", &gold, "2.0.0", Why::Override),
            ("globex", &[], "1.0.0", Why::Override),
            ("initech", &gold, "1.0.0", Why::Override),
            ("initech", &gold[..1], "1.0.0", Why::Bucket),
            ("ACME", &[], "1.0.0", Why::Bucket),
        ] {
            assert_eq!(got(key, of), (version.to_owned(), why, why == Why::Bucket), "{key} {of:?}");
        }
        let alone = Live::stable("1.0.0");
        let expected = Resolved { version: "1.0.0", why: Why::Stable, bucket: None };
        assert_eq!(alone.resolve("acme", &labels(&gold)), expected);
    }

    #[test]
    fn ranges_follow_each_other() {
        let live =
            Live::rolling("1.0.0", "salt", vec![variant("a", 2500), variant("b", 0), variant("c", 5000)]);
        for n in 0..10_000 {
            let key = format!("k{n}");
            let Resolved { version, why, bucket } = live.resolve(&key, &BTreeMap::new());
            let expected = match bucket {
                Some(0..2500) => ("a", Why::Bucket),
                Some(2500..7500) => ("c", Why::Bucket),
                Some(_) | None => ("1.0.0", Why::Stable),
            };
            assert_eq!((version, why), expected);
            assert_eq!(bucket, Some(super::bucket("salt", &key)));
        }
    }

    proptest! {
        #[test]
        fn who_has_the_new_version_keeps_it_as_the_weight_grows(
            salt in ".{0,16}", key in ".{0,32}", from in 0..=WHOLE, more in 0..=WHOLE,
        ) {
            let has = |weight| {
                let live = Live::rolling("1.0.0", &salt, vec![variant("1.1.0", weight)]);
                live.resolve(&key, &BTreeMap::new()).version == "1.1.0"
            };
            prop_assert!(!has(from) || has(from.saturating_add(more)));
            prop_assert!(!has(0) && has(WHOLE));
        }
    }
}
