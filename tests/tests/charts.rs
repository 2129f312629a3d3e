//! The charts on a real API server.

mod charts {
    mod alerts;
    mod e2e_10_catalog;
    pub(crate) mod e2e_10_install;
    mod e2e_10_rbac;
    mod e2e_10_rendered;
}
