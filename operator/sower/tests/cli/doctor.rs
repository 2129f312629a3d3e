//! What the doctor looks at, and what it finds wrong.

use crate::kit::Checkout;

#[test]
fn the_doctor_looks_into_the_sources_of_every_environment() {
    let checkout = Checkout::new();
    checkout.write("sower.toml", "");
    let of = |name: &str, folder: &str| {
        checkout.write(
            &format!("environments/{name}.yaml"),
            &format!(
                "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: {{ name: {name} }}\nspec:\n  \
                 sources: [{{ name: catalog, folder: {folder}, path: integrations }}]\n"
            ),
        );
    };
    for (name, folder) in [("development", "."), ("production", "."), ("staging", ".")] {
        of(name, folder);
    }
    checkout.commit("One folder");
    let ran = checkout.sower("doctor");
    assert_eq!(ran.code, 0, "{}", ran.out);
    assert_eq!(ran.out.matches(" source ").count(), 1, "{}", ran.out);

    of("production", "gone");
    of("staging", "empty");
    checkout.write("empty/README.md", "Nothing yet\n");
    let ran = checkout.sower("doctor");
    assert_eq!(ran.code, 1, "{}", ran.out);
    let sources: Vec<&str> = ran.out.lines().filter(|line| line.contains("  source ")).collect();
    assert_eq!(sources.len(), 3, "{}", ran.out);
    assert!(
        sources[0].starts_with("ok ") && sources[0].ends_with(" spec.sources   (development)"),
        "{}",
        sources[0]
    );
    assert!(sources[1].starts_with("failed  source         gone "), "{}", sources[1]);
    assert!(sources[2].starts_with("failed  source         empty at "), "{}", sources[2]);
    let told = "no manifest in `empty/integrations`: the `path` of a source names their folder";
    assert!(ran.out.contains(told), "{}", ran.out);
}

#[test]
fn the_doctor_says_what_sower_toml_gives_to_one_alone() {
    let checkout = Checkout::new();
    checkout.write("elsewhere/README.md", "Nothing yet\n");
    checkout.write("sower.toml", "source = \".#HEAD\"\n[environment.staging]\nsource = \"elsewhere\"\n");
    let ran = checkout.sower("doctor");
    assert_eq!(ran.code, 1, "{}", ran.out);
    assert!(ran.out.contains("failed  source         .#HEAD at main@"), "{}", ran.out);
    assert!(ran.out.contains("staging: elsewhere: no manifest in `elsewhere/integrations`: "), "{}", ran.out);
}

#[test]
fn the_doctor_names_who_makes_the_tables_where_no_seeding_may() {
    let checkout = Checkout::new();
    let environment = "apiVersion: sower.dev/v1alpha1\nkind: Environment\nmetadata: { name: development }\nspec:\n  \
                       database: { migrate: Never }\n";
    std::fs::remove_dir_all(checkout.path().join("environments")).expect("removed");
    checkout.write("environments/development.yaml", environment);
    let hint = "run the output of `sower generate migrations` there";
    for there in [false, true] {
        if there {
            checkout.write(".sower/sower.db", "");
        }
        let ran = checkout.sower("doctor");
        assert_eq!(ran.code, 1, "{}", ran.out);
        let told = "failed  database       sqlite://.sower/sower.db ";
        assert!(ran.out.contains(told) && ran.out.contains(hint), "{}", ran.out);
        assert!(!ran.out.contains("first seeding"), "{}", ran.out);
        let ran = checkout.sower("seed -e development");
        assert!(ran.code == 1 && ran.err.contains(hint), "{}", ran.err);
    }
    checkout.write(
        "environments/other.yaml",
        &environment.replace("development", "other").replace("Never", "Auto"),
    );
    assert_eq!(checkout.sower("doctor").code, 0);
}
