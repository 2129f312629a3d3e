//! The kit (control plane, PostgreSQL, git server), the end-to-end suites and the benches.
