//! Notes which commit this is built from, for `sower doctor`. Without git nothing is noted.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=SOWER_COMMIT");
    for path in ["HEAD", "refs", "packed-refs"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]) {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    let noted =
        std::env::var("SOWER_COMMIT").ok().or_else(|| git(&["log", "-1", "--format=%h %cs", "--abbrev=7"]));
    println!("cargo:rustc-env=SOWER_BUILT_FROM={}", noted.unwrap_or_default());
}

fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    let text = String::from_utf8(output.stdout).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}
