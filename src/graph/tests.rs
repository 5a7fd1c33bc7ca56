//! Source text in, imports and names out; no disk.

use std::sync::Arc;

use super::condition::Target;
use super::source::Uninspectable;
use super::syntax::{self, Asked, Names, Syntax};

mod data;
mod names;

fn read(text: &str) -> Syntax {
    read_for([3, 11, 7], text).unwrap()
}

fn read_for(version: [u32; 3], text: &str) -> Result<Syntax, Uninspectable> {
    let target =
        Target { version, platform: "linux".to_owned(), os_name: "posix".to_owned(), system: "Linux".to_owned() };
    syntax::read(text, &Arc::new(target), false)
}

/// `line kind module [names]`, one for each import.
fn imports(text: &str) -> Vec<String> {
    let shown = |import: &syntax::RawImport| {
        let module = match &import.module {
            Asked::Absolute(name) => name.to_string(),
            Asked::Relative { level, rest } => format!("{}{rest}", ".".repeat(*level as usize)),
            Asked::OwnName(rest) => format!("__name__{rest}"),
        };
        let names = match &import.names {
            Names::Module => String::new(),
            Names::Star => " *".to_owned(),
            Names::Listed(names) => format!(" {}", names.join(",")),
        };
        format!("{} {:?} {module}{names}", import.line, import.kind)
    };
    read(text).imports.iter().map(shown).collect()
}

fn bound(text: &str) -> Vec<String> {
    read(text).symbols.bound.iter().map(ToString::to_string).collect()
}

/// What is kept of a module is found again only while the code that read it is the same.
#[test]
fn all_that_reads_a_module_is_named_where_it_is_kept() {
    let kept = include_str!("read.rs");
    for entry in fs_err::read_dir(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/graph")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        if fs_err::read_to_string(&path).unwrap().contains("impl<'a> Collector<'a>") && !path.ends_with("tests.rs") {
            let name = path.file_name().unwrap().to_str().unwrap();
            assert!(kept.contains(&format!("include_str!(\"{name}\")")), "{name}");
        }
    }
}

/// Whether the function exists at all, nobody can tell here; of one in a `try` its calls are not guarded by that.
#[test]
fn functions_in_branches() {
    let text = "\
if HAS_HANDLES:
    def f():
        import a
elif sys.platform == 'win32':
    def f():
        import b
try:
    def g():
        import c
except ImportError:
    pass
if sys.version_info >= (3,):
    def h():
        import d
try:
    import z
except ImportError:
    def i():
        import e
else:
    def i():
        import f
";
    let wanted = ["3 Guarded a", "9 Deferred c", "14 Deferred d", "16 Guarded z", "19 Guarded e", "22 Guarded f"];
    assert_eq!(imports(text), wanted);
}

/// Each as CPython 3.15 carries it out.
#[test]
fn lazy_imports() {
    let text = "\
__lazy_modules__ = ['b', 'c.d', 'e']
import b
from c.d import x
from c import d
import a
class C:
    import e
try:
    import e
except ImportError:
    pass
";
    let found = |text, minor| {
        let syntax = read_for([3, minor, 0], text).unwrap();
        syntax.imports.iter().map(|import| format!("{} {:?}", import.line, import.kind)).collect::<Vec<_>>()
    };
    let wanted = ["2 Deferred", "3 Deferred", "4 Unconditional", "5 Unconditional", "7 Unconditional", "9 Guarded"];
    assert_eq!(found(text, 15), wanted);
    assert!(found(text, 14).iter().all(|found| !found.ends_with("Deferred")));
    assert_eq!(found("lazy import a\nlazy from .b import c", 15), ["1 Deferred", "2 Deferred"]);
}

#[test]
fn places_that_no_import_statement_shows() {
    let text = "\
import pkgutil, importlib, sys, os
from importlib.metadata import entry_points
entry_points(group='a.b')
entry_points().get('c', [])
entry_points()['d']
for point in pkg_resources.iter_entry_points('e'): point.load()
for _, name, _ in pkgutil.iter_modules(__path__): importlib.import_module(f'{x}.{name}')
__getattr__, __dir__, __all__ = lazy_loader.attach(__name__, ['g'])
INSTALLED_APPS = ['blog', 'django.contrib.admin', 'not a module', *more]
os.environ.setdefault('SETTINGS', 'site.settings')
os.environ['OTHER'] = 'site.other'
sys.modules['h'] = h
sys.modules[__name__] = h
__path__.append('i')
sys.meta_path.insert(0, finder)
sys.path.append('j')
";
    let found: Vec<String> = read(text).sites.iter().map(|site| format!("{} {:?}", site.line, site.what)).collect();
    insta::assert_snapshot!(found.join("\n"), @r#"
    3 EntryPoints(Some("a.b"))
    4 EntryPoints(Some("c"))
    5 EntryPoints(Some("d"))
    6 EntryPoints(Some("e"))
    7 Walk { own: true }
    7 Import
    8 Lazy
    9 Dotted("blog")
    9 Dotted("django.contrib.admin")
    10 Dotted("site.settings")
    11 Dotted("site.other")
    12 Registers(Some("h"))
    13 ReplacesItself
    14 ExtendsPath
    15 Finder
    16 SearchPath
    "#);
}

#[test]
fn imports_with_their_kind() {
    let text = "\
import a.b, c as d
from e import f, g as h
from . import i
from ..j import *
def late():
    import k
    try:
        import l
    except ImportError:
        l = None
if TYPE_CHECKING:
    import m
else:
    import n
with contextlib.suppress(ModuleNotFoundError):
    import o
";
    assert_eq!(
        imports(text),
        [
            "1 Unconditional a.b",
            "1 Unconditional c",
            "2 Unconditional e f,g",
            "3 Unconditional . i",
            "4 Unconditional ..j *",
            "6 Deferred k",
            "8 Guarded l",
            "12 TypeChecking m",
            "14 Unconditional n",
            "16 Guarded o",
        ]
    );
}

#[test]
fn what_guards_an_import_and_what_does_not() {
    let guarded = |handler: &str| imports(&format!("try:\n    import a\n{handler}\n"))[0].contains("Guarded");
    for handler in [
        "except ImportError:\n    pass",
        "except (ValueError, ModuleNotFoundError):\n    pass",
        "except Exception as e:\n    log(e)",
        "except:\n    pass",
        "except OPTIONAL:\n    pass",
        "except ImportError:\n    parser.exit()",
        "except ImportError:\n    if not required:\n        return None\n    raise",
    ] {
        assert!(guarded(handler), "{handler}");
    }
    for handler in [
        "except ValueError:\n    pass",
        "except ImportError as e:\n    raise RuntimeError('a') from e",
        "except ImportError:\n    print('pip install a')\n    sys.exit(1)",
        "except ImportError:\n    os._exit(1)",
        "except ImportError:\n    for x in y:\n        if x:\n            break\n    raise",
        "finally:\n    pass",
    ] {
        assert!(!guarded(handler), "{handler}");
    }
    let guarded = |context: &str| imports(&format!("with {context}:\n    import a\n"))[0].contains("Guarded");
    for context in [
        "contextlib.suppress(ImportError)",
        "suppress(ValueError, ModuleNotFoundError)",
        "pytest.raises(ImportError)",
        "try_import() as _imports",
        "LazyImport('pip install a') as a_import",
        "lock, optional_import_block()",
    ] {
        assert!(guarded(context), "{context}");
    }
    for context in ["suppress(ValueError)", "open(x)", "lock", "warnings.catch_warnings()"] {
        assert!(!guarded(context), "{context}");
    }
}

#[test]
fn branches_of_other_targets_have_no_edges() {
    let text = "\
if sys.version_info >= (3, 12):
    import new
elif sys.platform == 'win32':
    import msvcrt
else:
    import old
if unknown:
    import perhaps
if __name__ == '__main__':
    import never
if sys.platform != 'win32':
    raise ImportError
import after
";
    assert_eq!(imports(text), ["6 Unconditional old", "8 Guarded perhaps"]);
}

#[test]
fn imports_by_call() {
    let text = "\
importlib.import_module('a.b')
import_module('.c', package=__name__)
import_module(f'{__name__}.d')
import_module(__package__ + '.e')
__import__('f')
import_module(name)
import_module(f'x.{y}')
";
    assert_eq!(imports(text), ["1 Dynamic a.b", "2 Dynamic .c", "3 Dynamic __name__.d", "4 Dynamic .e", "5 Dynamic f"]);
    assert_eq!(read(text).sites.iter().map(|site| site.line).collect::<Vec<_>>(), [6, 7]);
}

/// A statement in other words, where it is importlib's own function, and nothing stands between.
#[test]
fn a_call_that_is_an_import_statement() {
    let text = "\
import importlib, importlib as lib
from importlib import import_module as load
a = importlib.import_module('a').x
load('b')
lib.import_module('c')
try: load('d')
except ImportError: pass
if e: load('e')
f = f and load('f')
def g(): load('g')
h = lambda: load('h')
loader.import_module('i')
load('.j', package='k')
import_module('l')
";
    let found: Vec<_> = imports(text).into_iter().skip(3).collect();
    assert_eq!(
        found,
        [
            "3 Unconditional a",
            "4 Unconditional b",
            "5 Unconditional c",
            "6 Dynamic d",
            "8 Dynamic e",
            "9 Dynamic f",
            "10 Dynamic g",
            "11 Dynamic h",
            "12 Dynamic i",
            "13 Dynamic .j",
            "14 Dynamic l",
        ]
    );
}

/// Written on a newer Python than the target's.
#[test]
fn syntax_that_the_target_does_not_have() {
    for (minor, text) in [
        (9, "match x:\n    case 1: pass"),
        (10, "try: pass\nexcept* E: pass"),
        (11, "type X = int"),
        (11, "def f[T](x: T): pass"),
        (11, "s = f\"{d[\"a\"]}\""),
        (12, "def f[T = int](x: T): pass"),
        (13, "t = t\"{x}\""),
        (13, "try: pass\nexcept A, B: pass"),
        (14, "lazy import x"),
    ] {
        let why = read_for([3, minor, 0], text).unwrap_err();
        assert!(why.line > 0 && why.message.contains("Python 3."), "{text}: {why:?}");
        assert!(read_for([3, minor + 1, 0], text).is_ok(), "{text}");
    }
    // Not in the grammar's documentation, and taken all the same.
    assert!(read_for([3, 9, 0], "with (open(a) as b, open(c) as d): pass").is_ok());
}

#[test]
fn searches_of_the_path() {
    let probe = |text: &str| read(text).probe;
    let by_listing = "\
import os, sys
def look():
    for folder in sys.path:
        if 'x.py' in os.listdir(folder):
            return os.path.join(folder, 'x.py')
spec = importlib.util.spec_from_file_location('x', look())
sys.modules['x'] = importlib.util.module_from_spec(spec)
";
    let found = probe(by_listing).unwrap();
    assert_eq!((found.line, found.loads, found.replaces), (3, true, true));
    assert!(found.may_find("x") && !found.may_find("y"));
    let by_exists =
        "from sys import path\nfor p in path:\n    if exists(p + '/' + __name__ + '.py'): exec(open(p).read())\n";
    assert!(probe(by_exists).is_some_and(|probe| probe.loads && probe.may_find("anything")));
    for silent in [
        "sys.path.insert(0, os.path.dirname(__file__))",
        "if x in sys.path: os.listdir(x)",
        "for p in sys.path: print(p)",
    ] {
        assert_eq!(probe(silent), None, "{silent}");
    }
}

#[test]
fn changes_of_the_path() {
    let line = |text: &str| read(text).symbols.changes_path;
    for text in [
        "import sys\nsys.path.insert(0, x)",
        "import sys\nsys.path[:0] = [x]",
        "import site\nsite.addsitedir(x)",
        "from site import addsitedir\naddsitedir(x)",
    ] {
        assert_eq!(line(text), Some(2), "{text}");
    }
    assert_eq!(line("import sys\nprint(sys.path)"), None);
}

#[test]
fn hostile_sources_end_in_a_result() {
    let target = Arc::new(Target {
        version: [3, 11, 7],
        platform: String::new(),
        os_name: String::new(),
        system: String::new(),
    });
    let deep = [
        format!("{}1{}", "(".repeat(10_000), ")".repeat(10_000)),
        format!("x = {}1{}", "[".repeat(10_000), "]".repeat(10_000)),
        format!("x = {}1", "-".repeat(100_000)),
        format!("x = {}1", "1+".repeat(100_000)),
        format!("x = a{}", ".b".repeat(100_000)),
        format!("import a{}", ".b".repeat(100_000)),
        format!("import_module('a{}')", ".b".repeat(100_000)),
        format!("x = {}1", "lambda: ".repeat(20_000)),
        (0..2_000).fold(String::new(), |text, depth| text + &" ".repeat(depth) + "if x:\n")
            + &" ".repeat(2_000)
            + "pass\n",
        format!("x = '{}'", "a".repeat(10_000_000)),
        "(".repeat(50_000),
    ];
    for text in deep {
        // Parsed or refused, but without a panic and in bounded time.
        let _ = syntax::read(&text, &target, false);
    }
    let error = syntax::read("x = 1\ny = (\n", &target, false).unwrap_err();
    assert!(error.line >= 2, "{error:?}");
}

/// A source that uses most of the grammar, with bytes changed, cut out and doubled at random: some result, each time.
#[test]
fn mutated_sources_end_in_a_result() {
    let source = "import a.b as c\nfrom ..d import (e, f as g)\n__all__ = ['x'] + e.__all__\nif sys.version_info >= (3, 8):\n    def h(i: int = 1, *j, k=lambda: 0, **l) -> 'm':\n        global n\n        n = [o for p in q if (r := p)]\nelse:\n    class S(T, metaclass=U):\n        v: int\n        w = f'{x!r:>{y}}'\ntry:\n    import z\nexcept* (A, B) as error:\n    raise C from error\nmatch D:\n    case {'e': [F, *G], **H} if I: pass\nsys.modules[__name__] = J\nasync def K():\n    async with L as M, N: await O\n    yield\nimport_module(f'{__name__}.p', package=__package__)\n@decorator\ndef __getattr__(name): ...\n";
    let target = Arc::new(Target {
        version: [3, 12, 1],
        platform: "linux".to_owned(),
        os_name: "posix".to_owned(),
        system: "Linux".to_owned(),
    });
    assert!(syntax::read(source, &target, false).is_ok());
    // A xorshift generator: the same mutations in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below as u64) as usize
    };
    let alphabet = b"()[]{}:=,.*'\"\\\n\t #@!%&|~^<>0aif_\xc3\xa4\0";
    let mut parsed = 0;
    for _ in 0..4_000 {
        let mut bytes = source.as_bytes().to_vec();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = alphabet[random(alphabet.len())],
                1 => drop(bytes.drain(at..(at + random(20)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + random(40)).min(bytes.len())].to_vec();
                    let to = random(bytes.len());
                    drop(bytes.splice(to..to, piece));
                }
            }
        }
        let Ok(text) = super::source::decode(bytes) else { continue };
        parsed += u32::from(syntax::read(&text, &target, false).is_ok());
    }
    assert!(parsed > 100, "{parsed} of the mutations were still Python");
}
