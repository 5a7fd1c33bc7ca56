//! What a module binds.

use super::super::syntax::Opaque;
use super::{bound, read, read_for};

#[test]
fn every_way_to_bind_a_name() {
    let text = "\
a = b = 1
(c, [d, *e]) = x
f += 1
g: int = 1
h: int
for i in x: j = 1
while (k := x): pass
with x as l, y as (m, n): pass
try: o = 1
except E as p: q = 1
import r.s, t as u
from v import w as w1
def fn(arg): local = 1
class Cls: attribute = 1
match x:
    case {'k': aa, **bb}: pass
    case [cc, *dd]: pass
    case Point(x=ee) as ff: pass
def outer():
    global gg
    gg = 1
[hh := y for ii in z]
kk.ll = 1
globals()['mm'] = 1
";
    let wanted = "Cls a aa b bb c cc d dd e ee f ff fn g gg hh i j k l m mm n o outer q r u w1";
    assert_eq!(bound(text).join(" "), wanted);
    assert_eq!(read_for([3, 12, 0], "type jj = int").unwrap().symbols.bound[..], ["jj".into()]);
}

#[test]
fn names_that_are_taken_back_or_never_bound() {
    assert_eq!(bound("a = 1\nb = 2\ndel a"), ["b"]);
    assert_eq!(bound("a = 1\nif x:\n    del a"), ["a"]);
    assert_eq!(bound("if TYPE_CHECKING:\n    from x import a\nif sys.version_info < (3,):\n    b = 1"), [""; 0]);
}

#[test]
fn modules_whose_names_cannot_be_told() {
    let opaque = |text: &str| read(text).symbols.opaque;
    for (text, cause) in [
        ("def __getattr__(name): ...", Opaque::ModuleGetattr),
        ("__getattr__, __dir__, __all__ = lazy.attach(__name__, ['a'])", Opaque::ModuleGetattr),
        ("sys.modules[__name__] = Lazy()", Opaque::ReplacesItself),
        ("import sys as _s\n_s.modules[__name__].__class__ = X", Opaque::ReplacesItself),
        ("exec(code)", Opaque::Exec),
        ("globals().update(x)", Opaque::GlobalsChanged),
        ("for n in x:\n    globals()[n] = 1", Opaque::GlobalsChanged),
        ("def f(): fill(globals())", Opaque::GlobalsChanged),
    ] {
        assert_eq!(opaque(text), Some(cause), "{text}");
    }
    for text in ["x = globals()['a']", "if 'a' in globals(): pass", "globals().get('a')", "def f(): exec(code, {})"] {
        assert_eq!(opaque(text), None, "{text}");
    }
}

#[test]
fn what_all_lists() {
    let all = |text: &str| {
        let all = read(text).symbols.all.unwrap();
        (all.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "), all.open)
    };
    assert_eq!(all("__all__ = ['a']\n__all__ += ['b']\n__all__.extend(('c',))\n__all__.append('d')").0, "a b c d");
    assert_eq!(all("__all__ = ['a'] + ['b']"), ("a b".to_owned(), false));
    assert_eq!(all("__all__ = ['a'] + other.__all__"), ("a".to_owned(), true));
    assert_eq!(all("__all__ = ['a']\n__all__.insert(0, 'b')"), ("a b".to_owned(), false));
    // What it was before is another module's to say.
    assert_eq!(all("from .core import __all__\n__all__ += ['a']"), ("a".to_owned(), true));
    assert_eq!(all("from .core import __all__\n__all__.insert(0, 'a')"), ("a".to_owned(), true));
    assert_eq!(read("a = 1").symbols.all, None);
}
