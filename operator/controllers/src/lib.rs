//! The seeding, and one controller per resource.
