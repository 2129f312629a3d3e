//! Notes which commit last changed what this is built from, for `sower doctor`. Without git nothing is noted. A commit of
//! anything else builds nothing anew.

use std::process::Command;

/// What the binary is made of, from here.
const CODE: &[&str] = &[
    "../../Cargo.lock",
    "../../crds/src",
    "../controllers/src",
    "../core/src",
    "../server/src",
    "../source/src",
    "../store/migrations",
    "../store/src",
    "src",
];

fn main() {
    println!("cargo:rerun-if-env-changed=SOWER_COMMIT");
    for path in CODE {
        println!("cargo:rerun-if-changed={path}");
    }
    let log = ["log", "-1", "--format=%h %cs", "--abbrev=7", "--"];
    let noted = std::env::var("SOWER_COMMIT").ok().or_else(|| git(&[&log[..], CODE].concat()));
    println!("cargo:rustc-env=SOWER_BUILT_FROM={}", noted.unwrap_or_default());
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
