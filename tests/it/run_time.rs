//! What only the run decides: `sys.modules`, `sys.path` and finders that modules change. The audit keeps silent, or says so.

use fs_err as fs;
use packproof::audit::Report;

use crate::audit::told;
use crate::site::Site;

/// An editable project of meson-python's is found by such a finder, and nobody can read its table.
#[test]
fn a_finder_that_stands_there_from_the_start_may_find_it() {
    let site = Site::new().with(
        "eggs",
        "1.0",
        "",
        &[
            ("eggs/__init__.py", ""),
            ("_loader.py", "class Finder:\n    def find_spec(self, name, path=None, target=None): ...\n"),
        ],
    );
    let app = [("app.py", "import built\nimport eggs.absent\n")];
    let found = |report: &Report| {
        let mut found = told(report);
        found.sort();
        found
    };
    assert_eq!(found(&site.audit(&app)), ["error missing-module built", "error missing-module eggs.absent"]);
    let line = "import sys, _loader; sys.meta_path.insert(0, _loader.Finder())\n";
    fs::write(site.site_packages().join("built-editable.pth"), line).unwrap();
    let report = site.audit(&app);
    assert_eq!(found(&report), ["error missing-module eggs.absent", "warning missing-module built"]);
    let built = report.findings.iter().find(|finding| finding.subject == "built").unwrap();
    assert!(built.evidence.iter().any(|evidence| evidence.text.contains("`_loader.Finder` is on `sys.meta_path`")));
}

#[test]
fn a_folder_that_a_distribution_puts_on_the_path_is_its_own() {
    let init = "import os, sys\nsys.path.append(os.path.join(os.path.dirname(__file__), '_vendor'))\nimport ham.inner\nimport absent\n";
    let files = [("eggs/__init__.py", init), ("eggs/_vendor/ham/inner.py", "")];
    let site = Site::new().with("eggs", "1.0", "", &files);
    assert_eq!(told(&site.audit(&[("app.py", "import eggs\n")])), ["error missing-module absent"]);
    assert_eq!(told(&site.audit(&[("app.py", "import eggs, ham\n")])).len(), 2, "the application is not eggs");
}

/// awscli does so for the botocore inside it.
#[test]
fn a_finder_that_finds_in_its_distributions_own_folders_is_believed() {
    let init = "\
import sys
class Finder:
    @classmethod
    def add(cls, finders):
        finders.insert(0, cls())
Finder.add(sys.meta_path)
";
    let files = [
        ("eggs/__init__.py", init),
        ("eggs/ham/__init__.py", ""),
        ("eggs/run.py", "import ham.inner, absent\nprint(len(ham.__path__))\n"),
    ];
    let site = Site::new().with("eggs", "1.0", "", &files);
    assert_eq!(told(&site.audit(&[("app.py", "import eggs.run\n")])), ["error missing-module absent"]);
}

/// toolz does so for `tlz`: a finder makes the submodules, and the package's own names are copied into it.
#[test]
fn a_package_that_its_own_finder_makes_is_not_judged() {
    let build = "\
import sys, types
class Finder:
    def find_spec(self, name, path, target=None): ...
sys.meta_path.append(Finder())
vars(sys.modules['eggs']).update(fry=1)
";
    let files = [("eggs/__init__.py", "from . import build\n"), ("eggs/build.py", build)];
    let site = Site::new().with("eggs", "1.0", "", &files).with("ham", "1.0", "", &[("ham.py", "")]);
    let app = "import ham\nfrom eggs import fry\nimport eggs.poached\nfrom ham import gone\nimport ham.gone\n";
    let report = site.audit(&[("app.py", app)]);
    assert_eq!(told(&report), ["error missing-name ham", "error missing-module ham.gone"]);
}

/// twisted does so with its reactor.
#[test]
fn a_module_that_another_one_puts_something_in_the_place_of() {
    let files = [
        ("eggs/__init__.py", ""),
        ("eggs/reactor.py", "from eggs import main\nmain.install()\n"),
        ("eggs/main.py", "import sys\ndef install():\n    sys.modules['eggs.reactor'] = object()\n"),
    ];
    let site = Site::new().with("eggs", "1.0", "", &files);
    assert_eq!(told(&site.audit(&[("app.py", "from eggs.reactor import run\n")])), [""; 0]);
    assert_eq!(told(&site.audit(&[("app.py", "from eggs.main import run\n")])), ["error missing-name eggs.main"]);
}

/// pyqtgraph fills modules of its own with the names of whichever Qt is there.
#[test]
fn a_module_that_another_one_fills_with_names_that_are_computed() {
    let init = "\
import math
def copy(source, target):
    for name in dir(source):
        if not hasattr(target, name):
            setattr(target, name, getattr(source, name))
def describe(target):
    target.kind = 'filled'
from . import filled, named, left
copy(math, filled)
for name in ('a', 'b'):
    setattr(named, name, name)
setattr(named, 'c', 1)
def other(named):
    setattr(named, str(named), 1)
describe(left)
";
    let empty = ["eggs/filled.py", "eggs/named.py", "eggs/left.py"].map(|file| (file, ""));
    let files: Vec<_> = [("eggs/__init__.py", init)].into_iter().chain(empty).collect();
    let site = Site::new().with("eggs", "1.0", "", &files);
    let imports = "from eggs.filled import sin\nfrom eggs.named import a, c\n";
    assert_eq!(told(&site.audit(&[("app.py", imports)])), [""; 0]);
    assert_eq!(told(&site.audit(&[("app.py", "from eggs.left import sin\n")])), ["error missing-name eggs.left"]);
}

/// Helpers that find out by the frame who calls them (atpublic for ibis, `find_current_module` of astropy), and one that goes
/// through `sys.modules` by a table (AccessControl): no statement of the module that gets the names tells of them.
#[test]
fn names_that_statements_do_not_tell_are_asked_for_before_they_are_called_missing() {
    let helper = "\
import math, sys
def public(**names):
    sys._getframe(1).f_globals.update(names)
def fill(names, module):
    for name in names:
        setattr(module, name, getattr(math, name))
def caller():
    return sys.modules[sys._getframe(1).f_globals['__name__']]
for name, names in {'eggs.planted': ['cos']}.items():
    __import__(name)
    module = sys.modules[name]
    for each in names:
        setattr(module, each, getattr(math, each))
";
    let files = [
        ("eggs/__init__.py", "from . import helper\n"),
        ("eggs/helper.py", helper),
        ("eggs/framed.py", "from eggs.helper import public\npublic(spam=1)\n"),
        ("eggs/constants.py", "from . import helper\nhelper.fill(['sin'], helper.caller())\n"),
        ("eggs/planted.py", ""),
        ("eggs/broken.py", "raise RuntimeError\n"),
    ];
    let site = Site::new().with("eggs", "1.0", "", &files);
    let found = "from eggs.framed import spam\nfrom eggs.constants import sin\nfrom eggs.planted import cos\n";
    assert_eq!(told(&site.audit(&[("app.py", found)])), [""; 0]);
    let lacking = "from eggs.framed import ham\nfrom eggs.constants import tan\nfrom eggs.broken import any\n";
    let alarms = ["eggs.broken", "eggs.constants", "eggs.framed"].map(|module| format!("error missing-name {module}"));
    assert_eq!(told(&site.audit(&[("app.py", lacking)])), alarms);
}

/// langchain-core does so for its prompts: what type checkers are shown is what `__getattr__` imports.
#[test]
fn a_name_that_is_imported_when_it_is_asked_for() {
    let init = "\
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from eggs.fried import Fried
    from eggs.boiled import Boiled
def __getattr__(name):
    from importlib import import_module
    return getattr(import_module('.' + name.lower(), __name__), name)
";
    let files = [
        ("eggs/__init__.py", init),
        ("eggs/fried.py", "import absent\nclass Fried: pass\n"),
        ("eggs/boiled.py", "import also_absent\nclass Boiled: pass\n"),
    ];
    let site = Site::new().with("eggs", "1.0", "", &files);
    assert_eq!(told(&site.audit(&[("app.py", "from eggs import Fried\n")])), ["error missing-module absent"]);
    let caught = "try:\n    from eggs import Fried, Boiled\nexcept ImportError:\n    pass\n";
    assert_eq!(told(&site.audit(&[("app.py", caught)])), [""; 0]);
    assert_eq!(told(&site.audit(&[("app.py", "import eggs\n")])), [""; 0]);
}

/// `importlib` and, before 3.13, `typing` write to `sys.modules`; that is about modules of their own.
#[test]
fn a_module_that_gives_its_name_to_others() {
    let standard = "import logging\nfrom importlib import import_module\nfrom typing import Any\n\
                    log: Any = logging.getLogger(__name__)\ncodecs = import_module('codecs', __name__)\n";
    let helper = "import sys\ndef replace(name):\n    sys.modules[name] = object()\n";
    let files =
        [("eggs.py", standard), ("spam.py", "from helper import replace\nreplace(__name__)\n"), ("helper.py", helper)];
    let site = Site::new().with("eggs", "1.0", "", &files);
    let app = "from eggs import log, fried\nfrom spam import anything\n";
    assert_eq!(told(&site.audit(&[("app.py", app)])), ["error missing-name eggs"]);
}

#[test]
fn what_a_line_of_a_path_file_puts_into_sys_modules() {
    let site = Site::new().with("eggs", "1.0", "", &[("eggs.py", "fried = 1\n")]);
    let line = "import sys, types; made = types.ModuleType('made'); made.a = 1; sys.modules['made'] = made; \
                other = types.ModuleType('eggs'); other.boiled = 1; sys.modules['eggs'] = other\n";
    let app = [("app.py", "import made, absent\nfrom made import a\nfrom eggs import boiled, fried\n")];
    let mut before = told(&site.audit(&app));
    before.sort();
    assert_eq!(before, ["error missing-module absent", "error missing-module made", "error missing-name eggs"]);
    fs::write(site.site_packages().join("made.pth"), line).unwrap();
    assert_eq!(told(&site.audit(&app)), ["error missing-module absent"]);
}
