//! Faults, made on purpose: a lost lease, a frozen leader, kill -9 at any instant.

mod faults {
    mod approving;
    mod e2e_09_kill;
    mod e2e_09_leases;
    mod killing;
    mod namespace;
    mod outages;
    mod pruning;
    mod rolling_back;
    mod rolling_out;
}
