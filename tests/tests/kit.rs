//! The kit itself: each server answers, and refuses what it should.

mod kit {
    mod control_plane;
    mod git;
    mod postgres;
    mod processes;
}
