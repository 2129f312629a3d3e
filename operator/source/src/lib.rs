//! Git repositories and folders as snapshots.
