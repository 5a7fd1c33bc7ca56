//! The same bytes from the same lock: in another folder, by another user, on another host, at another time, with another
//! number of threads, with and without what earlier builds kept; and nothing in them that tells where they were made.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::context::TestContext;
use crate::support::skipped;

/// No word of a dictionary, so that it stands nowhere by accident.
const WORDS: [&str; 3] = ["zaphodbuilder", "quuxhost", "frobnicated"];

/// One machine, as far as a test can make one.
struct Site {
    context: TestContext,
    project: PathBuf,
}

impl Site {
    fn new(folder: &str) -> Self {
        let context = TestContext::new();
        let project = context.at(folder);
        fs::create_dir_all(project.parent().unwrap()).unwrap();
        fs::rename(context.fixture("rescued"), &project).unwrap();
        Self { context, project }
    }

    /// Through `wrapper`, in an environment that names `WORDS`. What the unpackaged application showed is part of it.
    fn build(&self, wrapper: &[&str], change: impl Fn(&mut Command)) -> Vec<u8> {
        self.build_with(&["build", "--quiet"], wrapper, change)
    }

    fn build_with(&self, arguments: &[&str], wrapper: &[&str], change: impl Fn(&mut Command)) -> Vec<u8> {
        let tool = self.context.command(arguments);
        let mut command = match wrapper {
            [] => Command::new(tool.get_program()),
            [first, rest @ ..] => {
                let mut command = Command::new(first);
                command.args(rest).arg(tool.get_program());
                command
            }
        };
        command.args(tool.get_args()).arg(&self.project).env_clear().current_dir(self.context.at("."));
        command.envs(tool.get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("USER", WORDS[0]).env("LOGNAME", WORDS[0]).env("HOSTNAME", WORDS[1]);
        command.env("PACKPROOF_TOOL_CACHE", self.context.at(&format!("{}-cache", WORDS[2])));
        change(&mut command);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        fs::read(self.artifact()).unwrap()
    }

    fn artifact(&self) -> PathBuf {
        self.project.join("dist/rescued")
    }
}

/// Whether `wrapper` may do here what it does.
fn works(wrapper: &[&str]) -> bool {
    Command::new(wrapper[0]).args(&wrapper[1..]).arg("true").status().is_ok_and(|status| status.success())
}

#[test]
fn two_builds_give_the_same_bytes() {
    let one = Site::new("one/zaphodbuilder/project");
    let host = ["unshare", "--uts", "sh", "-c", "hostname quuxhost && exec \"$0\" \"$@\""];
    let wrapper: &[&str] = if works(&host) { &host } else { &[] };
    if wrapper.is_empty() {
        skipped("the right to change a host's name");
    }
    let first = one.build(wrapper, |_| {});
    assert_eq!(one.build(&[], |_| {}), first, "with what the first build kept");

    // One processor, another time zone, another umask, another order of hashes.
    let other = Site::new("another/and longer/place");
    let single = ["taskset", "-c", "0", "sh", "-c", "umask 077; exec \"$0\" \"$@\""];
    let wrapper: &[&str] = if works(&single) { &single } else { &[] };
    let second = other.build(wrapper, |command| {
        command.env("TZ", "Asia/Kathmandu").env("LC_ALL", "C").env("PYTHONHASHSEED", "7");
        command.env("SOURCE_DATE_EPOCH", "1000000000");
    });
    assert_same(&first, &second, &one, &other);

    secrets(&one, &first);
}

/// Reading another user's files makes another file of none.
#[test]
fn another_user_builds_the_same_bytes() {
    const NOBODY: u32 = 65534;
    if !rustix::process::geteuid().is_root() {
        return skipped("root, to build as another user");
    }
    // The fixture's version, where no user's home is in the way.
    let reachable = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).uid(NOBODY).gid(NOBODY).stderr(std::process::Stdio::null());
        command.output().is_ok_and(|output| output.status.success())
    };
    if !reachable("/usr/bin/python3.11", &["-m", "ensurepip", "--version"])
        || !reachable(env!("CARGO_BIN_EXE_packproof"), &["--version"])
    {
        return skipped("the tool, and a Python 3.11 with venv in /usr/bin, where other users can reach them");
    }
    let (one, other) = (Site::new("mine"), Site::new("theirs"));
    let owned = Command::new("chown").args(["-R", "65534:65534"]).arg(other.context.at(".")).status().unwrap();
    assert!(owned.success());
    let unproved = ["build", "--quiet", "--no-proof"];
    let first = one.build_with(&unproved, &[], |command| _ = command.env("PATH", "/usr/bin:/bin"));
    let second =
        other.build_with(&unproved, &[], |command| _ = command.env("PATH", "/usr/bin:/bin").uid(NOBODY).gid(NOBODY));
    assert_same(&first, &second, &one, &other);
}

/// Names the entries that differ.
#[track_caller]
fn assert_same(first: &[u8], second: &[u8], one: &Site, other: &Site) {
    if first != second {
        let list = |site: &Site| {
            let index = packproof::format::Artifact::open(&site.artifact()).unwrap().index().unwrap();
            index.files.into_iter().map(|file| (file.path.to_string(), file.digest)).collect::<Vec<_>>()
        };
        let (one, other) = (list(one), list(other));
        let differing: Vec<_> = one.iter().filter(|file| !other.contains(file)).map(|(path, _)| path).collect();
        panic!("{} and {} bytes; {differing:#?}", first.len(), second.len());
    }
}

/// Greps the container and the unpacked tree.
fn secrets(site: &Site, container: &[u8]) {
    let tree = site.context.at("tree");
    let extracted = Command::new(site.artifact()).arg(&tree).env_clear().env("PACKPROOF", "extract").output().unwrap();
    assert!(extracted.status.success(), "{}", String::from_utf8_lossy(&extracted.stderr));
    let root = site.context.at(".");
    let mut words: Vec<&[u8]> = WORDS.iter().map(|word| word.as_bytes()).collect();
    words.push(root.to_str().unwrap().trim_end_matches(['/', '.']).as_bytes());
    words.push(env!("CARGO_MANIFEST_DIR").as_bytes());
    let base = crate::support::python().executable.parent().unwrap().parent().unwrap();
    if base != Path::new("/usr") && base != Path::new("/usr/local") {
        words.push(base.to_str().unwrap().as_bytes());
    }
    let look = |what: &str, bytes: &[u8]| {
        for word in &words {
            let found = memchr::memmem::find(bytes, word);
            assert!(found.is_none(), "`{}` stands in {what}", String::from_utf8_lossy(word));
        }
    };
    look("the container", container);
    let mut files = 0;
    for entry in walkdir::WalkDir::new(&tree) {
        let entry = entry.unwrap();
        let name = entry.path().strip_prefix(&tree).unwrap().to_str().unwrap().to_owned();
        if entry.file_type().is_file() {
            look(&name, &fs::read(entry.path()).unwrap());
            files += 1;
        } else if entry.file_type().is_symlink() {
            look(&name, fs::read_link(entry.path()).unwrap().as_os_str().as_encoded_bytes());
        }
    }
    assert!(files > 1000, "{files}");
}
