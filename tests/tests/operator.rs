//! The operator on a real control plane, PostgreSQL and git server: what it writes, and what it leaves alone.

mod operator {
    mod approving;
    mod asking;
    mod between;
    mod changing;
    mod conduct;
    mod conflicts;
    mod drifting;
    mod e2e_01_rows;
    mod e2e_02_change;
    mod e2e_03_nothing;
    mod e2e_04_cluster;
    mod e2e_05_broken;
    mod e2e_06_sources;
    mod e2e_07_refused;
    mod e2e_08_environments;
    mod freezing;
    mod keeping;
    mod notifying;
    mod planning;
    mod promoting;
    mod pruning;
    mod resolving;
    mod rolling_back;
    mod rolling_out;
    mod transports;
}
