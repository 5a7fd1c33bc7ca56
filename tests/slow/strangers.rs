//! Two applications that packproof was not written for, broken in every way that makes sense for them: each proof must be
//! red and name the cause. The dated result stands in `docs/proof.md`.

use std::path::Path;

use fs_err as fs;
use packproof::layout::Source;
use packproof::verify::{Kind, Verdict};

use crate::applications::{Application, DJANGO, MATPLOTLIB};
use crate::broken::{Cause, Target, Whole, missed};
use crate::turn;

/// What is done, how, and what must be named.
type Break = (&'static str, fn(Target<'_>), Cause);

const OF_DJANGO: &[Break] = &[
    (
        "a module is missing",
        |mut it| it.drop("django/utils/html.py"),
        (Kind::Import, "django.utils.html", "No module named 'django.utils.html'"),
    ),
    ("a package is missing", |mut it| it.drop("site-packages/asgiref/"), (Kind::Import, "asgiref", "No module named")),
    (
        "a module of the standard library is missing, which nothing imports here",
        |mut it| it.drop("wsgiref/simple_server.py"),
        (Kind::File, "wsgiref/simple_server.py", "is missing"),
    ),
    (
        "one of the application's modules is missing",
        |mut it| it.drop("app/site_app.py"),
        (Kind::Import, "site_app", "No module named 'site_app'"),
    ),
    (
        "a template that is read at run time is missing",
        |mut it| it.drop("django/views/templates/technical_500.html"),
        (Kind::Record, "django", "technical_500.html is missing"),
    ),
    (
        "a dist-info is missing",
        |mut it| it.drop("sqlparse-0.6.1.dist-info/"),
        (Kind::Distribution, "sqlparse", "not installed"),
    ),
    (
        "the entry points are missing",
        |mut it| it.drop("gunicorn-23.0.0.dist-info/entry_points.txt"),
        (Kind::EntryPoints, "gunicorn", "nothing"),
    ),
    (
        "a constant is another one",
        |mut it| it.change("django/utils/html.py", "MAX_STRIP_TAGS_DEPTH = 50", "MAX_STRIP_TAGS_DEPTH = 51"),
        (Kind::Code, "django.utils.html", "digest"),
    ),
    (
        "the bytecode is an older source's",
        |mut it| it.stale_bytecode("django/utils/html.py", "MAX_STRIP_TAGS_DEPTH = 49", "MAX_STRIP_TAGS_DEPTH = 50"),
        (Kind::Code, "django.utils.html", "digest"),
    ),
    (
        "a module is a package",
        |mut it| it.module_to_package("gunicorn/util.py"),
        (Kind::Record, "gunicorn", "gunicorn/util.py is missing"),
    ),
    (
        "a distribution is another version",
        |mut it| it.change("django-5.2.8.dist-info/METADATA", "Version: 5.2.8", "Version: 5.2.7"),
        (Kind::Distribution, "django", "version 5.2.7"),
    ),
    (
        "the environment is on sys.path",
        |mut it| {
            let text = format!("{}\n", it.venv.join("lib").display());
            it.path_file(&text);
        },
        (Kind::Escape, "/lib", "outside the artifact's tree"),
    ),
    (
        "the server ends early, with 0",
        |mut it| it.main("sys.exit(0)\n"),
        (Kind::Start, "start", "ended (exit status 0) before it answered"),
    ),
];

const OF_MATPLOTLIB: &[Break] = &[
    (
        "a module is missing",
        |mut it| it.drop("matplotlib/scale.py"),
        (Kind::Import, "matplotlib", "cannot import name 'scale'"),
    ),
    (
        "an extension module is missing",
        |mut it| it.drop("matplotlib/_path."),
        (Kind::Import, "matplotlib._path", "_path"),
    ),
    (
        "the libraries that a wheel brings are missing",
        |mut it| it.drop("numpy.libs/"),
        (Kind::Import, "numpy", "libscipy_openblas64_"),
    ),
    (
        "a run path leads to the environment",
        |mut it| {
            let folder = it.venv.join("lib/python3.11/site-packages/numpy.libs");
            run_path(&mut it, "numpy/_core/_multiarray_umath", &folder);
        },
        (Kind::Import, "numpy", "libscipy_openblas64_"),
    ),
    (
        "an extension module is no library",
        |mut it| {
            let path =
                it.layout.entries.keys().find(|path| path.as_str().contains("kiwisolver/_cext.")).unwrap().clone();
            it.generate(path, b"not an ELF file".to_vec());
        },
        (Kind::Import, "kiwisolver", "_cext"),
    ),
    (
        "a data file that is read at import is missing",
        |mut it| it.drop("mpl-data/matplotlibrc"),
        (Kind::Import, "matplotlib", "matplotlibrc"),
    ),
    (
        "a font is missing",
        |mut it| it.drop("fonts/ttf/DejaVuSans.ttf"),
        (Kind::Record, "matplotlib", "DejaVuSans.ttf is missing"),
    ),
    (
        "a font has another content",
        |mut it| it.replace("fonts/ttf/DejaVuSans.ttf", "no font"),
        (Kind::Record, "matplotlib", "DejaVuSans.ttf has another content"),
    ),
    (
        "a dist-info is missing",
        |mut it| it.drop("cycler-0.12.1.dist-info/"),
        (Kind::Distribution, "cycler", "not installed"),
    ),
    (
        "an entry point leads elsewhere",
        |mut it| {
            it.replace("fonttools-4.68.0.dist-info/entry_points.txt", "[console_scripts]\nttx = fontTools.ttx:other\n");
        },
        (Kind::EntryPoints, "fonttools", "fontTools.ttx:other"),
    ),
    (
        "a constant is another one",
        |mut it| it.change("matplotlib/colors.py", "_BIVAR_REPR_PNG_SIZE = 256", "_BIVAR_REPR_PNG_SIZE = 255"),
        (Kind::Code, "matplotlib.colors", "digest"),
    ),
    (
        "the bytecode is an older source's",
        |mut it| it.stale_bytecode("matplotlib/colors.py", "_BIVAR_REPR_PNG_SIZE = 254", "_BIVAR_REPR_PNG_SIZE = 256"),
        (Kind::Code, "matplotlib.colors", "digest"),
    ),
    (
        "a module is a package",
        |mut it| it.module_to_package("matplotlib/scale.py"),
        (Kind::Origin, "matplotlib.scale", "package `matplotlib/scale/__init__.py`"),
    ),
    (
        "a distribution is another version",
        |mut it| it.change("pillow-13.0.0.dist-info/METADATA", "Version: 13.0.0", "Version: 12.0.0"),
        (Kind::Distribution, "pillow", "version 12.0.0"),
    ),
];

/// By way of a link that is short enough to take the place of what stands there.
fn run_path(target: &mut Target<'_>, what: &str, folder: &Path) {
    let path = target.layout.entries.keys().find(|path| path.as_str().contains(what)).unwrap().clone();
    let mut bytes = match &target.layout.entries[&path].source {
        Source::File(file) => fs::read(file).unwrap(),
        source @ (Source::Patched { .. } | Source::Relocated { .. } | Source::Generated(_)) => {
            source.content().unwrap().unwrap().into_owned()
        }
        other => panic!("{other:?}"),
    };
    let link = target.root.join("l");
    let _ = fs::remove_file(&link);
    fs::os::unix::fs::symlink(folder, &link).unwrap();
    let at = bytes.windows(8).position(|window| window == b"$ORIGIN/").unwrap();
    let length = bytes[at..].iter().position(|byte| *byte == 0).unwrap();
    let mut new = link.to_str().unwrap().as_bytes().to_vec();
    assert!(new.len() <= length, "{}", link.display());
    new.resize(length, 0);
    bytes[at..at + length].copy_from_slice(&new);
    target.generate(path, bytes);
}

#[expect(clippy::print_stderr, reason = "a sweep's result is read in its log")]
fn catch(sweep: &str, environment: &str, application: &Application, breaks: &[Break]) {
    if !turn(sweep) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let project = folder.path().canonicalize().unwrap().join("project");
    let python = application.write(environment, &project);
    let whole = Whole::open(folder, &project, python.parent().unwrap().parent().unwrap(), &[]);
    let prove = |(_, breaks, cause): &Break, number| {
        whole.prove(number, *breaks, |wanted| {
            // Half of the time, and no other cause.
            if cause.0 != Kind::Start {
                wanted.starts.clear();
            }
        })
    };
    let untouched = prove(&("nothing", |_| {}, (Kind::Start, "", "")), breaks.len());
    assert_eq!(untouched.verdict, Verdict::Proved, "{}", packproof::report::proof::render(&untouched));
    let missed = missed(breaks, prove, |(what, _, cause)| (*what, *cause));
    eprintln!("{}: caught {} of {}", application.name, breaks.len() - missed.len(), breaks.len());
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

#[test]
fn a_broken_django_is_caught() {
    catch("strangers-1", "django", &DJANGO, OF_DJANGO);
}

#[test]
fn a_broken_matplotlib_is_caught() {
    catch("strangers-2", "matplotlib", &MATPLOTLIB, OF_MATPLOTLIB);
}
