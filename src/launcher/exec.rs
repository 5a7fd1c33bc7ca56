//! Becoming the interpreter.

use std::ffi::{CStr, CString, OsStr, OsString, c_char};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;
use std::ptr;

use rustix::io::{Errno, FdFlags, fcntl_dupfd_cloexec, fcntl_setfd};
use rustix::process::{Resource, getrlimit};

use super::environ::Environment;
use super::error::Error;
use super::tree::Tree;
use crate::format::{Manifest, StartEntry};

/// The lowest number that a descriptor of the lease gets, unless fewer are allowed.
const LEASE_NUMBER: i32 = 250;

/// What is executed.
#[derive(Debug)]
pub(super) enum Call<'a> {
    /// The application. `invoked` is the artifact's `argv[0]`.
    Application { invoked: &'a [u8] },
    /// The interpreter alone.
    Interpreter,
}

/// Replaces this process by the interpreter of `tree`, an absolute path. Comes back only with an error.
pub(super) fn execute(
    tree: Tree,
    manifest: &Manifest,
    environment: &Environment,
    call: &Call<'_>,
    arguments: &[OsString],
) -> Error {
    let Tree { path: tree, lease } = tree;
    let start = &manifest.start;
    let interpreter = tree.join(start.interpreter.as_str());
    // CPython computes its prefix from argv[0]: with any other value it silently takes the one it was compiled with.
    let mut argv = vec![interpreter.clone().into_os_string().into_vec()];
    argv.extend(start.options.iter().map(|option| option.clone().into_bytes()));
    let invoked = match call {
        Call::Application { invoked } => {
            match &start.entry {
                StartEntry::Script(script) => argv.push(tree.join(script.as_str()).into_os_string().into_vec()),
                StartEntry::Module(module) => argv.extend([b"-m".to_vec(), module.clone().into_bytes()]),
            }
            *invoked
        }
        Call::Interpreter => b"",
    };
    argv.extend(arguments.iter().map(|argument| argument.as_bytes().to_vec()));
    let bare = matches!(call, Call::Interpreter) && is_without_site(arguments);
    // Nobody would take the lease out of children's sight, nor the variable: `/proc/PID/exe` alone speaks for the tree.
    let held = if bare { Vec::new() } else { lease.into_files() };
    let held: Vec<_> = held.iter().filter_map(|file| inheritable(file).ok()).collect();
    let numbers: Vec<_> = held.iter().map(AsRawFd::as_raw_fd).collect();
    let variables = if bare { environment.without_start() } else { environment.for_interpreter(&numbers, invoked) };
    let source = replace_process(argv, variables);
    Error::Exec { path: interpreter, source }
}

/// Whether Python is told to leave `site` out, and with it the tree's start-up code: `-S` among the options, alone or with
/// others behind one dash.
fn is_without_site(arguments: &[OsString]) -> bool {
    let mut arguments = arguments.iter().map(|argument| argument.as_bytes());
    while let Some(argument) = arguments.next() {
        match argument {
            b"--check-hash-based-pycs" => _ = arguments.next(),
            [b'-', b'-', ..] => {}
            [b'-', options @ ..] if !options.is_empty() => {
                for (at, option) in options.iter().enumerate() {
                    match option {
                        b'S' => return true,
                        // What follows is the program.
                        b'c' | b'm' => return false,
                        b'W' | b'X' => {
                            // Its value is the rest, or the next argument.
                            if at + 1 == options.len() {
                                arguments.next();
                            }
                            break;
                        }
                        _ => {}
                    }
                }
            }
            _ => return false,
        }
    }
    false
}

/// A file of the lease as the interpreter gets it: under a number that the application's own first files do not have, so that those
/// are 3, 4 and so on as ever. The tree's start-up code keeps it from the application's children.
fn inheritable(file: &OwnedFd) -> Result<OwnedFd, Errno> {
    let most = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let number = i32::try_from(most / 2).unwrap_or(i32::MAX).min(LEASE_NUMBER);
    let high = fcntl_dupfd_cloexec(file, number)?;
    fcntl_setfd(&high, FdFlags::empty())?;
    Ok(high)
}

/// `execve` of `argv[0]`. The standard library's `exec` would also reset the signal mask and SIGPIPE, which are the
/// caller's to set.
#[expect(unsafe_code, reason = "execve takes arrays of pointers")]
fn replace_process(argv: Vec<Vec<u8>>, variables: Vec<Vec<u8>>) -> io::Error {
    let strings = |list: Vec<Vec<u8>>| list.into_iter().map(CString::new).collect::<Result<Vec<_>, _>>();
    let (argv, variables) = match (strings(argv), strings(variables)) {
        (Ok(argv), Ok(variables)) => (argv, variables),
        (Err(error), _) | (_, Err(error)) => return error.into(),
    };
    let pointers = |list: &[CString]| -> Vec<*const c_char> {
        list.iter().map(|text| text.as_ptr()).chain([ptr::null()]).collect()
    };
    let (argv_pointers, variable_pointers) = (pointers(&argv), pointers(&variables));
    // SAFETY: both arrays end with a null pointer, all others point to strings that end with NUL, and everything
    // outlives the call.
    unsafe { libc::execve(argv[0].as_ptr(), argv_pointers.as_ptr(), variable_pointers.as_ptr()) };
    io::Error::last_os_error()
}

/// Whether the kernel gave this process rights that its caller did not have.
#[expect(unsafe_code, reason = "a C function")]
pub(super) fn privileged() -> bool {
    // SAFETY: it reads a vector that the kernel left on the stack, and takes no pointer.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

/// What `sys.argv[0]` is to be. A bare name, as a shell leaves it that went through PATH, could not be opened again, as
/// programs do that start themselves anew; a script gets the path at which it was found, and so does this.
pub(super) fn full_name(invoked: OsString) -> OsString {
    let is_its = |noted: &&OsStr| {
        !invoked.as_bytes().contains(&b'/')
            && noted.as_bytes().contains(&b'/')
            && Path::new(noted).file_name() == Some(&*invoked)
    };
    noted_path().map(OsStr::from_bytes).filter(is_its).map(OsStr::to_owned).unwrap_or(invoked)
}

/// The path that the kernel was given to execute, `AT_EXECFN`.
#[expect(unsafe_code, reason = "a C function, and a string that it points to")]
pub(super) fn noted_path() -> Option<&'static [u8]> {
    // SAFETY: as above.
    let path = unsafe { libc::getauxval(libc::AT_EXECFN) } as *const c_char;
    if path.is_null() {
        return None;
    }
    // SAFETY: the kernel put the string, with its NUL, on the stack above `main`, where it stays for good.
    Some(unsafe { CStr::from_ptr(path) }.to_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_of_the_interpreter() {
        let is = |line: &str| is_without_site(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        for without in [
            "-S",
            "-bS -c x",
            "-u -S x.py",
            "-X dev -S",
            "-Xdev -S",
            "-W error -IS",
            "--check-hash-based-pycs always -S",
        ] {
            assert!(is(without), "{without}");
        }
        for with in ["", "-", "x.py -S", "-c -S", "-m x -S", "-X S", "-WS -c S", "-bc S", "-Ic -S", "- -S", "-I"] {
            assert!(!is(with), "{with}");
        }
    }
}
