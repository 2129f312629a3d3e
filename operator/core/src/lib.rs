//! Manifest, validation, selection, resolution and diff: Sower's pure core.
