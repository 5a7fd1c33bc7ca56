//! ELF files → where each library that they need comes from. The decisions are made here; only the loader's search
//! looks at the disk.
//!
//! Loading is simulated: a file is loaded with what it needs, breadth first, and a name that has been loaded in the
//! same go, or by the interpreter before, is not searched for again. That is how the loader finds a library that only
//! an earlier one's run path leads to.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::{Path, PathBuf};

use fs_err as fs;

use super::elf::HOST_MACHINE;
use super::policy::Take;
use super::{ElfFile, GlibcVersion, Loader, Policy};

/// One file of the artifact's tree, or one that is about to become one.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its path in the tree.
    pub place: String,
    /// Where it lies on the build machine, links followed.
    pub disk: PathBuf,
    /// As it is on the disk, before any change.
    pub elf: ElfFile,
}

/// What the decisions rest on beside the files.
pub struct Rules<'a> {
    /// A file's facts; nothing where it cannot be read, or is no ELF file.
    pub read: &'a dyn Fn(&Path) -> Option<ElfFile>,
    pub policy: &'a Policy,
    /// Modules that the application imports, for libraries that are packed for one of them alone.
    pub imported: &'a dyn Fn(&str) -> bool,
    /// The licence for which a library, by name and file, must not be packed.
    pub refused: &'a dyn Fn(&str, &Path) -> Option<String>,
    /// `[audit] max-glibc`
    pub max_glibc: Option<GlibcVersion>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Closure {
    /// By the name that is asked for.
    pub packed: BTreeMap<String, Packed>,
    /// What has to be there where the artifact runs, the C library's own files left out.
    pub from_system: BTreeMap<String, Left>,
    /// Found neither in the tree nor on the build machine → the files that need it.
    pub missing: BTreeMap<String, BTreeSet<String>>,
    /// Names that two needs resolve to different files of the build machine → places of files that need the one, and of those
    /// that need another.
    pub conflicts: BTreeMap<String, BTreeSet<String>>,
    /// Places of the files that need a packed library themselves.
    pub need_packed: BTreeSet<String>,
    /// Places of programs that are not the interpreter, and of libraries in the tree that they need, where these search for
    /// something by themselves.
    pub programs: BTreeSet<String>,
    /// Place → the places of the libraries that it needs, packed ones among them.
    pub edges: BTreeMap<String, BTreeSet<String>>,
}

impl Closure {
    /// `roots` and everything that is loaded with them.
    pub fn with_libraries(&self, roots: impl IntoIterator<Item = String>) -> BTreeSet<String> {
        let mut open: Vec<String> = roots.into_iter().collect();
        let mut found = BTreeSet::new();
        while let Some(place) = open.pop() {
            if found.insert(place.clone()) {
                open.extend(self.edges.get(&place).into_iter().flatten().cloned());
            }
        }
        found
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// Links followed.
    pub file: PathBuf,
    pub elf: ElfFile,
    pub needed_by: BTreeSet<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Left {
    pub why: Why,
    pub needed_by: BTreeSet<String>,
}

/// Why a library is not packed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// The table's reason.
    Policy(String),
    /// Its licence, which `[licenses] allow` does not name.
    License(String),
    /// Nothing imports the module that it is for.
    NotImported(String),
    /// The artifact needs drivers of the system, which may need a newer one.
    Drivers,
    /// The build machine's needs a newer glibc than `[audit] max-glibc`; every system has one that fits its own.
    Floor,
    /// Only programs need it that are not the interpreter, and they search for themselves.
    Program,
}

/// The folder of the tree that packed libraries go to.
pub const LIB: &str = "lib";

enum Outcome {
    Found,
    Left(Why),
    Missing,
}

/// `objects[0]` is the interpreter.
pub fn close(objects: Vec<Object>, loader: &Loader, rules: &Rules<'_>) -> Closure {
    let first = Linker::new(objects.clone(), loader, rules, false).run();
    let drivers = first.from_system.iter().any(|(name, left)| left.why != Why::Program && rules.policy.is_driver(name));
    if drivers { Linker::new(objects, loader, rules, true).run() } else { first }
}

fn needs_newer(elf: &ElfFile, max: &GlibcVersion) -> bool {
    elf.glibc().is_some_and(|(version, _)| version > *max)
}

struct Linker<'a> {
    objects: Vec<Object>,
    /// How many of them lay in the tree from the start.
    own: usize,
    by_disk: BTreeMap<PathBuf, usize>,
    loader: &'a Loader,
    rules: &'a Rules<'a>,
    drivers: bool,
    /// Place and name → what came of it; found once is found.
    outcomes: BTreeMap<(usize, String), Outcome>,
    visited: BTreeSet<usize>,
    closure: Closure,
}

impl<'a> Linker<'a> {
    fn new(objects: Vec<Object>, loader: &'a Loader, rules: &'a Rules<'a>, drivers: bool) -> Self {
        let by_disk = objects.iter().enumerate().rev().map(|(at, object)| (object.disk.clone(), at)).collect();
        Self {
            own: objects.len(),
            objects,
            by_disk,
            loader,
            rules,
            drivers,
            outcomes: BTreeMap::new(),
            visited: BTreeSet::new(),
            closure: Closure::default(),
        }
    }

    fn run(mut self) -> Closure {
        let with_interpreter = self.load(0, Vec::new(), &BTreeSet::new());
        let names: BTreeSet<String> = self.objects.iter().flat_map(|object| object.elf.needed.clone()).collect();
        let needed = |object: &Object| {
            let file_name = object.place.rsplit('/').next().unwrap_or_default();
            names.contains(file_name) || object.elf.soname.as_ref().is_some_and(|soname| names.contains(soname))
        };
        // What others need is loaded by them; what is left after that is loaded by itself.
        let (libraries, roots): (Vec<usize>, Vec<usize>) = (1..self.own).partition(|at| needed(&self.objects[*at]));
        for at in roots.into_iter().chain(libraries) {
            if self.visited.contains(&at) || self.objects[at].elf.machine != HOST_MACHINE {
                continue;
            }
            if self.objects[at].elf.interpreter.is_some() {
                self.load(at, Vec::new(), &BTreeSet::new());
            } else {
                self.load(at, vec![0], &with_interpreter);
            }
        }
        self.finish()
    }

    /// Loads one file with all that it needs. Gives the names that are then there.
    fn load(&mut self, root: usize, chain: Vec<usize>, before: &BTreeSet<String>) -> BTreeSet<String> {
        let mut loaded = before.clone();
        let program = root != 0 && chain.is_empty();
        // A program finds nothing that is packed for the interpreter, which has the run path.
        let mut by_itself: BTreeMap<String, Why> = BTreeMap::new();
        let mut queue = VecDeque::from([(root, chain)]);
        while let Some((at, mut chain)) = queue.pop_front() {
            self.visited.insert(at);
            chain.push(at);
            for name in self.objects[at].elf.needed.clone() {
                if !loaded.insert(name.clone()) {
                    if let Some(why) = by_itself.get(&name) {
                        self.note(at, &name, Outcome::Left(why.clone()));
                    } else {
                        self.note(at, &name, Outcome::Found);
                        self.satisfied(at, &name);
                    }
                    continue;
                }
                if self.rules.policy.is_c_library(&name) {
                    continue;
                }
                match self.search(&name, &chain) {
                    None => self.note(at, &name, Outcome::Missing),
                    Some(file) => {
                        match self.by_disk.get(&file).copied().filter(|found| !program || *found < self.own) {
                            Some(found) => {
                                loaded.extend(self.objects[found].elf.soname.clone());
                                self.note(at, &name, Outcome::Found);
                                self.edge(at, found);
                                queue.push_back((found, chain.clone()));
                                if found >= self.own {
                                    self.pack(at, &name, file);
                                }
                            }
                            None => match self.left(&name, &file, program) {
                                Some(why) => {
                                    if program {
                                        by_itself.insert(name.clone(), why.clone());
                                    }
                                    self.note(at, &name, Outcome::Left(why));
                                }
                                None => {
                                    if let Some(new) = self.pack(at, &name, file) {
                                        self.edge(at, new);
                                        loaded.extend(self.objects[new].elf.soname.clone());
                                        queue.push_back((new, chain.clone()));
                                    }
                                }
                            },
                        }
                    }
                }
            }
        }
        loaded
    }

    /// Something has loaded `name` before; where it is a packed library, this file needs it as well.
    fn satisfied(&mut self, at: usize, name: &str) {
        let Some(packed) = self.closure.packed.get_mut(name) else { return };
        let place = self.objects[at].place.clone();
        packed.needed_by.insert(place.clone());
        let found = self.by_disk.get(&packed.file).copied();
        self.closure.need_packed.insert(place);
        if let Some(found) = found {
            self.edge(at, found);
        }
    }

    fn edge(&mut self, from: usize, to: usize) {
        let to = self.objects[to].place.clone();
        self.closure.edges.entry(self.objects[from].place.clone()).or_default().insert(to);
    }

    fn search(&self, name: &str, chain: &[usize]) -> Option<PathBuf> {
        let chain: Vec<_> = chain.iter().map(|at| (&*self.objects[*at].disk, &self.objects[*at].elf)).collect();
        fs::canonicalize(self.loader.find(name, &chain)?).ok()
    }

    fn note(&mut self, at: usize, name: &str, outcome: Outcome) {
        let noted = self.outcomes.entry((at, name.to_owned())).or_insert(Outcome::Missing);
        if !matches!(noted, Outcome::Found) {
            *noted = outcome;
        }
    }

    fn left(&self, name: &str, file: &Path, program: bool) -> Option<Why> {
        let Rules { read, policy, imported, refused, max_glibc } = self.rules;
        if let Some(reason) = policy.left_to_system(name) {
            return Some(Why::Policy(reason.to_owned()));
        }
        if program {
            return Some(Why::Program);
        }
        match policy.take(name) {
            Take::UnlessDrivers if self.drivers => return Some(Why::Drivers),
            Take::UnlessDrivers
                if max_glibc.as_ref().is_some_and(|max| read(file).is_some_and(|elf| needs_newer(&elf, max))) =>
            {
                return Some(Why::Floor);
            }
            Take::With(module) if !imported(module) => return Some(Why::NotImported(module.clone())),
            Take::Always | Take::UnlessDrivers | Take::With(_) => {}
        }
        refused(name, file).map(Why::License)
    }

    /// Gives the new object where the name is new.
    fn pack(&mut self, needed_by: usize, name: &str, file: PathBuf) -> Option<usize> {
        self.note(needed_by, name, Outcome::Found);
        let place = self.objects[needed_by].place.clone();
        self.closure.need_packed.insert(place.clone());
        if let Some(packed) = self.closure.packed.get_mut(name) {
            if packed.file != file {
                let first = packed.needed_by.iter().next().cloned();
                self.closure
                    .conflicts
                    .entry(name.to_owned())
                    .or_default()
                    .extend(first.into_iter().chain([place.clone()]));
            }
            packed.needed_by.insert(place);
            return None;
        }
        // It may have been packed under another name.
        let at = if let Some(at) = self.by_disk.get(&file) {
            *at
        } else {
            let elf = (self.rules.read)(&file)?;
            // As the layout will have it: under its own file name, with a link for the name that is asked for.
            let own = file.file_name().unwrap_or_default().to_string_lossy();
            self.objects.push(Object { place: format!("{LIB}/{own}"), disk: file.clone(), elf });
            self.by_disk.insert(file.clone(), self.objects.len() - 1);
            self.objects.len() - 1
        };
        let elf = self.objects[at].elf.clone();
        self.closure.packed.insert(name.to_owned(), Packed { file, elf, needed_by: BTreeSet::from([place]) });
        Some(at)
    }

    fn finish(self) -> Closure {
        let Self { objects, outcomes, mut closure, rules, .. } = self;
        let known: BTreeSet<&str> = objects
            .iter()
            .flat_map(|object| [object.elf.soname.as_deref(), object.place.rsplit('/').next()])
            .flatten()
            .collect();
        for ((at, name), outcome) in outcomes {
            let place = objects[at].place.clone();
            let outcome = match outcome {
                // That this machine has no such driver says nothing of the one where it will run.
                Outcome::Missing if !known.contains(&*name) => rules
                    .policy
                    .left_to_system(&name)
                    .map_or(Outcome::Missing, |reason| Outcome::Left(Why::Policy(reason.to_owned()))),
                found => found,
            };
            match outcome {
                Outcome::Found => {}
                Outcome::Left(why) => {
                    if why == Why::Program {
                        closure.programs.insert(place.clone());
                    }
                    let left = closure
                        .from_system
                        .entry(name)
                        .or_insert_with(|| Left { why: why.clone(), needed_by: BTreeSet::new() });
                    // A library that more than a program needs.
                    left.why = left.why.clone().min(why);
                    left.needed_by.insert(place);
                }
                // It is in the tree, where no run path leads: its own package loads it first, as with
                // `ctypes.CDLL(path, RTLD_GLOBAL)`.
                Outcome::Missing if known.contains(&*name) => {}
                Outcome::Missing => _ = closure.missing.entry(name).or_default().insert(place),
            }
        }
        closure
    }
}
