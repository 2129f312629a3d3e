use super::*;
use crate::manifest::Limits;

/// The fields that an example leaves out because they do not matter to it.
const REST: [&str; 7] = [
    "id: acme\n",
    "name: Acme Tasks\n",
    "version: 1.0.0\n",
    "description: Tasks and projects.\n",
    "author: Acme Inc.\n",
    "license: Apache-2.0\n",
    "category: [productivity]\n",
];

/// An example as a whole file.
fn whole(example: &str) -> String {
    if example.starts_with("apiVersion") || example.starts_with("type:") {
        return example.to_owned();
    }
    let keys: Vec<&str> = example.lines().filter_map(|l| l.split_once(':')).map(|(k, _)| k).collect();
    let rest: String = REST.into_iter().filter(|l| !keys.contains(&l.split_once(':').unwrap().0)).collect();
    format!("{rest}{example}")
}

fn codes(example: &str) -> Vec<Code> {
    use crate::snapshot::{FileEntry, ReadError, Tree};
    struct One(Vec<FileEntry>, Vec<u8>);
    impl Tree for One {
        fn files(&self) -> &[FileEntry] {
            &self.0
        }
        fn entry(&self, path: &str) -> Result<Option<FileEntry>, ReadError> {
            Ok(self.0.iter().find(|f| f.path == path).cloned())
        }
        fn read(&self, _: &str) -> Result<Vec<u8>, ReadError> {
            Ok(self.1.clone())
        }
    }
    let bytes = whole(example).into_bytes();
    let entry = FileEntry { path: "integration.yaml".into(), blob: String::new(), size: bytes.len() as u64 };
    let found = crate::manifest::load("test", &One(vec![entry], bytes), Limits::FILES, &|_| None);
    let found = found.expect("all can be read");
    found.iter().flat_map(|f| &f.problems).map(|p| p.code).collect()
}

#[test]
fn each_example_shows_what_it_says() {
    for code in Code::ALL.iter().copied() {
        let Rule { summary, meaning, remedy, wrong, right } = rule(code);
        for text in [summary, meaning, remedy, wrong, right] {
            assert!(
                !text.is_empty() && !text.contains("  ") || text == wrong || text == right,
                "{code}: {text}"
            );
        }
        assert!(!summary.ends_with('.') && meaning.ends_with('.') && remedy.ends_with('.'), "{code}");
        if !matches!(code, Code::TooLarge | Code::DuplicateManifest) {
            assert!(codes(wrong).contains(&code), "{code}: {:?}\n{}", codes(wrong), whole(wrong));
        }
        assert!(!codes(right).contains(&code), "{code}: {:?}\n{}", codes(right), whole(right));
    }
}

#[test]
fn what_is_right_has_no_error_at_all() {
    for code in Code::ALL.iter().copied() {
        let errors: Vec<Code> =
            codes(rule(code).right).into_iter().filter(|c| c.severity() == Severity::Error).collect();
        assert_eq!(errors, [], "{code}:\n{}", whole(rule(code).right));
    }
}

#[test]
fn the_page_has_every_code() {
    let page = problems_reference();
    for code in Code::ALL {
        assert!(page.contains(&format!("\n### {code}\n")), "{code}");
    }
}
