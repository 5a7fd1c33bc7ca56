//! The artifact's own bytes → a running Python.
//!
//! Finds the payload at the end of its own file, makes sure that the tree is in a cache that can be trusted
//! ([`root`], [`tree`], [`unpack`]), sorts the environment ([`environ`]) and becomes the interpreter ([`exec`]). All
//! arguments are the application's; `PACKPROOF=…` in the environment asks for something else ([`command`]).
//! No process of its own stays behind. What the tree's start-up code does with `PACKPROOF_START` is not its
//! business, nor is damage to its own code.

mod command;
mod environ;
mod error;
mod exec;
mod glibc;
mod image;
mod mark;
mod retire;
mod root;
mod tree;
mod unpack;

use std::env;
use std::ffi::OsString;
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;

pub use environ::{RULES, Rule};

use command::Command;
use environ::Environment;
use error::Error;
use exec::Call;
use image::Image;
use mark::Lease;
use tree::{Found, Tree};

/// Runs the artifact. Comes back with an exit code only where no interpreter was started.
pub fn main() -> u8 {
    match run() {
        Ok(()) => 0,
        Err(error) => {
            // Where not even an error can be written, the exit code still says what it was.
            let _ = writeln!(io::stderr(), "packproof: {error}");
            error.exit_code()
        }
    }
}

fn run() -> Result<(), Error> {
    // Before anything else: this environment and cache may be those of somebody with fewer rights.
    if exec::privileged() {
        return Err(Error::Privileged);
    }
    let mut arguments = env::args_os();
    let invoked = exec::full_name(arguments.next().unwrap_or_default());
    let arguments: Vec<OsString> = arguments.collect();
    let environment = Environment::sort(env::vars_os());
    let command = Command::parse(environment.command.as_deref())?;
    let image = Image::open(&invoked)?;
    match command {
        Command::Start => start(&image, &environment, &invoked, &arguments),
        Command::Python if !image.artifact.manifest.interpreter => Err(Error::NoInterpreterMode),
        Command::Python => start_call(&image, &environment, &Call::Interpreter, &arguments),
        Command::Extract => command::extract(&image, &arguments),
        Command::Info => command::info(&image, &arguments),
        Command::Check => command::check(&image, &environment, &arguments),
        Command::Clean => command::clean(&image, &environment, &arguments),
    }
}

fn start(
    image: &Image,
    environment: &Environment,
    invoked: &std::ffi::OsStr,
    arguments: &[OsString],
) -> Result<(), Error> {
    start_call(image, environment, &Call::Application { invoked: invoked.as_bytes() }, arguments)
}

/// Twice at most: a cleaner may take the tree between the look and `execve`.
fn start_call(image: &Image, environment: &Environment, call: &Call<'_>, arguments: &[OsString]) -> Result<(), Error> {
    let manifest = &image.artifact.manifest;
    if let Some(path) = image.tree_beside()? {
        return Err(exec::execute(Tree { path, lease: Lease::none() }, manifest, environment, call, arguments));
    }
    let found = tree::find_or_make(image, environment, Found::AsMarked)?;
    let path = found.path.clone();
    let error = exec::execute(found, manifest, environment, call, arguments);
    if !error.is_missing_interpreter(&path, manifest) {
        return Err(error);
    }
    let made = tree::find_or_make(image, environment, Found::Anew)?;
    Err(exec::execute(made, manifest, environment, call, arguments))
}
