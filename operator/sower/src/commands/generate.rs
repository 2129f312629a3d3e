//! `sower generate`: what is made from the types, the migrations and the words of the command line.

use std::path::Path;

use clap::CommandFactory as _;

use crate::cli::{Cli, Engine, GenerateArgs, Generated, every};
use crate::commands::Context;
use crate::failure::{Exit, Failure};
use crate::output::pages;
use crate::output::style::Style;

/// A generated file: its name and its text.
type File = (String, String);

/// Runs it.
///
/// # Errors
/// Where a file cannot be written.
pub fn run(args: &GenerateArgs, context: &Context) -> Result<Exit, Failure> {
    let (files, between) = made(args)?;
    match &args.dir {
        Some(dir) => write_all(dir, &files, &context.style)?,
        None => {
            let texts: Vec<&str> = files.iter().map(|(_, text)| text.as_str()).collect();
            context.style.raw(&texts.join(between));
        }
    }
    Ok(Exit::Done)
}

/// The files, and what stands between them where they become one stream.
fn made(args: &GenerateArgs) -> Result<(Vec<File>, &'static str), Failure> {
    Ok(match args.what {
        Generated::Crds => {
            let files = sower_crds::crd_files().into_iter().map(|(name, text)| (name.to_owned(), text));
            (files.collect(), "---\n")
        }
        Generated::Schema => (vec![("sower.schema.json".to_owned(), sower_crds::editor_schema())], ""),
        Generated::Migrations => {
            let (engine, name) = match args.engine {
                Engine::Postgres => (sower_store::Engine::Postgres, "postgres.sql"),
                Engine::Sqlite => (sower_store::Engine::Sqlite, "sqlite.sql"),
            };
            (vec![(name.to_owned(), sower_store::migrations_sql(engine))], "")
        }
        Generated::Man => (manual_pages()?, ""),
        Generated::Docs => (pages::all(), "\n"),
    })
}

/// `sower.1` and a page for each command.
fn manual_pages() -> Result<Vec<File>, Failure> {
    let mut cli = Cli::command().override_help("");
    cli.build();
    let mut files = vec![page(&cli, "sower")?];
    for (name, command) in every(&cli) {
        files.push(page(command, &name.replace(' ', "-"))?);
    }
    Ok(files)
}

fn page(command: &clap::Command, name: &str) -> Result<File, Failure> {
    let mut bytes = Vec::new();
    let version = env!("CARGO_PKG_VERSION");
    clap_mangen::Man::new(command.clone())
        .title(name)
        .source(format!("sower {version}"))
        .manual("Sower")
        .render(&mut bytes)
        .map_err(|error| Failure::failed(format!("{name}.1: {error}")))?;
    Ok((format!("{name}.1"), String::from_utf8_lossy(&bytes).into_owned()))
}

fn write_all(dir: &Path, files: &[File], style: &Style) -> Result<(), Failure> {
    let failed = |path: &Path, error: std::io::Error| Failure::failed(format!("{}: {error}", path.display()));
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::write(&path, text).map_err(|error| failed(&path, error))?;
        style.hint(&format!("wrote {}", path.display()));
    }
    Ok(())
}
