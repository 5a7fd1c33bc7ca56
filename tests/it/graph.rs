//! What imports what, and by which way something gets in.

use packproof::hooks::Hooks;
use packproof::report::graph::{Level, View};
use packproof::report::why::Asker;

use crate::audit::told;
use crate::site::{Asking, Site};

/// eggs imports ham and, perhaps, spam; ham requires salt, which nothing imports; nothing needs pepper.
fn breakfast() -> Site {
    let eggs = "from ham.core import cook\ntry:\n    import spam\nexcept ImportError:\n    pass\n";
    Site::new()
        .with("eggs", "1.0", "Requires-Dist: ham[hot]", &[("eggs/__init__.py", eggs)])
        .with(
            "ham",
            "2.0",
            "Requires-Dist: salt\nRequires-Dist: mustard; extra == 'hot'\nProvides-Extra: hot",
            &[("ham/__init__.py", ""), ("ham/core.py", "def cook():\n    from ham import late\n"), ("ham/late.py", "")],
        )
        .with("mustard", "1.0", "", &[("mustard.py", "")])
        .with("pepper", "1.0", "", &[("pepper.py", "")])
        .with("salt", "1.0", "", &[("salt.py", "")])
        .with("spam", "1.0", "", &[("spam.py", "import ham\n")])
}

const APP: &[(&str, &str)] = &[("app.py", "import json\nimport eggs\ndef late():\n    import ham\n")];

#[test]
fn a_tree_by_distribution_and_by_module() {
    let (environment, graph) = breakfast().graph(Asking::Static, APP, &Hooks::default());
    let view = View::of("app", &environment, &graph);
    insta::assert_snapshot!(view.text(Level::Distributions, usize::MAX), @r"
    app
    ├── eggs 1.0  unconditional import, app.py:2
    │   ├── ham 2.0  unconditional import, eggs/__init__.py:1; required
    │   └── spam 1.0  guarded import, eggs/__init__.py:3
    │       └── ham 2.0  unconditional import, spam.py:1
    └── ham 2.0  deferred import, app.py:4
    ");
    insta::assert_snapshot!(view.text(Level::Modules, 2), @r"
    app.py
    ├── json  unconditional, line 1
    │   ├── json.decoder  unconditional, line 106
    │   ├── json.encoder  unconditional, line 107
    │   └── codecs  unconditional, line 108
    ├── eggs  unconditional, line 2
    │   ├── ham.core  unconditional, line 1
    │   └── spam  guarded, line 3
    └── ham  deferred, line 4
    ");
    insta::assert_snapshot!(view.dot(Level::Distributions), @r#"
    digraph "app" {
      rankdir=LR;
      node [shape=box];
      "app" -> "eggs 1.0" [style=solid];
      "app" -> "ham 2.0" [style=solid];
      "eggs 1.0" -> "ham 2.0" [style=solid];
      "eggs 1.0" -> "spam 1.0" [style=dotted];
      "spam 1.0" -> "ham 2.0" [style=dotted];
    }
    "#);
}

#[test]
fn the_graph_as_json_has_a_schema() {
    let app = [("app.py", "from eggs import a\nfrom eggs import gone\nimport absent\n__import__(a)\n")];
    let site = Site::new().with("eggs", "1.0", "", &[("eggs.py", "a = 1\n")]);
    let (environment, graph) = site.graph(Asking::Static, &app, &Hooks::default());
    let json = View::of("app", &environment, &graph).json();
    let version = environment.facts.version_string();
    insta::assert_snapshot!(json.replace(&version, "[PYTHON]"), @r#"
    {
      "crates": [],
      "data": [],
      "distributions": [
        {
          "name": "eggs",
          "version": "1.0"
        }
      ],
      "imports": [
        {
          "importer": 0,
          "kind": "unconditional",
          "line": 1,
          "module": "eggs",
          "names": [
            "a"
          ],
          "submodules": [],
          "target": 1
        },
        {
          "importer": 0,
          "kind": "unconditional",
          "line": 2,
          "module": "eggs",
          "names": [
            "gone"
          ],
          "submodules": [],
          "target": 1
        },
        {
          "importer": 0,
          "kind": "unconditional",
          "line": 3,
          "module": "absent",
          "names": null,
          "submodules": [],
          "target": "missing"
        }
      ],
      "links": [
        {
          "from": "application",
          "imports": 2,
          "place": "app.py:1",
          "required": false,
          "surest": {
            "kind": "unconditional",
            "reach": "sure"
          },
          "to": "eggs"
        }
      ],
      "modules": [
        {
          "distance": 0,
          "dynamic": [
            {
              "line": 4,
              "what": "import"
            }
          ],
          "file": "app.py",
          "kind": "single-file",
          "name": "__main__",
          "origin": "application",
          "reach": "sure"
        },
        {
          "distance": 1,
          "file": "eggs.py",
          "kind": "single-file",
          "name": "eggs",
          "origin": "eggs",
          "reach": "sure"
        }
      ],
      "name": "app",
      "python": "[PYTHON]",
      "schema": 1
    }
    "#);
}

/// Entry points, settings and data lead on as imports do.
#[test]
fn what_is_found_when_it_runs() {
    let host = "from importlib.metadata import entry_points\nfor point in entry_points(group='host.plugins'):\n    point.load()\n";
    let site = Site::new()
        .with("host", "1.0", "", &[("host.py", host)])
        .with("plugin", "1.0", "", &[("plugin.py", "import spice\nHot = 1\n")])
        .with("spice", "1.0", "", &[("spice.py", "")])
        .with("other", "1.0", "", &[("other.py", "")]);
    let info = site.site_packages().join("plugin-1.0.dist-info/entry_points.txt");
    Site::write(&info, "[host.plugins]\nhot = plugin:Hot\n[console_scripts]\nhot = other:main\n");
    let app = [
        (
            "app.py",
            "import host, sys\nfrom pathlib import Path\nAPPS = ['blog']\nPath(__file__).with_name('menu.txt')\nsys.modules['made'] = 1\n",
        ),
        ("blog/__init__.py", "from . import late\n"),
        ("blog/late.py", "import pkgutil\npkgutil.get_data('blog', 'gone.txt')\n"),
        ("menu.txt", ""),
    ];
    let (environment, graph) = site.graph(Asking::Static, &app, &Hooks::default());
    let view = View::of("app", &environment, &graph);
    insta::assert_snapshot!(view.dynamic(), @r"
    found when it runs
      app.py:3: names `blog`: `blog`
      host.py:2: loads the entry points of `host.plugins`: `hot = plugin`

    changes what is found from then on
      app.py:5: puts `made` into `sys.modules`
    ");
    let asker = Asker::of(&environment, &graph);
    let said: Vec<_> =
        ["spice", "blog.late", "menu.txt", "blog/gone.txt", "other"].map(|name| asker.why(name).text).into();
    insta::assert_snapshot!(said.join("\n"), @r"
    the module `spice` (a single file, of spice 1.0) gets in, by guarded or dynamic imports alone

      app.py:1: unconditional import of `host`
      host.py:2: dynamic import of `plugin`
      plugin.py:1: unconditional import of `spice`

    the distribution spice 1.0 gets in, by guarded or dynamic imports alone

    the module `blog.late` (a single file, of the application) gets in, by guarded or dynamic imports alone

      app.py:3: dynamic import of `blog`
      blog/__init__.py:1: unconditional import of `blog.late`

    `menu.txt` is named by modules that get in

      app.py:4: names the file

    `blog/gone.txt` is named, and is not there

      app.py:3: dynamic import of `blog`
      blog/__init__.py:1: unconditional import of `blog.late`
      blog/late.py:2: names the file

    no import that is reached needs the distribution other 1.0
    ");
    insta::assert_snapshot!(asker.why("spice").json(), @r#"
    {
      "answers": [
        {
          "chains": [
            [
              {
                "imports": "host",
                "kind": "unconditional",
                "place": "app.py:1"
              },
              {
                "imports": "plugin",
                "kind": "dynamic",
                "place": "host.py:2"
              },
              {
                "imports": "spice",
                "kind": "unconditional",
                "place": "plugin.py:1"
              }
            ]
          ],
          "gets_in": true,
          "kind": "module",
          "name": "spice",
          "reach": "guarded"
        },
        {
          "chains": [],
          "gets_in": true,
          "kind": "distribution",
          "name": "spice",
          "reach": "guarded"
        }
      ],
      "gets_in": true,
      "schema": 1
    }
    "#);
    // A setting's import may be guarded; the application's own is not.
    assert_eq!(told(&site.audit(&app)), [""; 0]);
    let sure = [("app.py", "import blog\n")];
    assert_eq!(told(&site.audit(&sure)), ["warning missing-data blog/gone.txt"]);
}

#[test]
fn by_which_way_something_gets_in() {
    let (environment, graph) = breakfast().graph(Asking::Static, APP, &Hooks::default());
    let asker = Asker::of(&environment, &graph);
    let said: Vec<String> = ["ham.late", "spam", "ham.core:cook", "mustard", "pepper", "absent", "__main__"]
        .into_iter()
        .map(|name| {
            let why = asker.why(name);
            format!("## {name}: {}\n{}", if why.gets_in { "in" } else { "out" }, why.text)
        })
        .collect();
    insta::assert_snapshot!(said.join("\n"), @r"
    ## ham.late: in
    the module `ham.late` (a single file, of ham 2.0) gets in, when some function of a distribution is called

      app.py:2: unconditional import of `eggs`
      eggs/__init__.py:1: unconditional import of `ham.core`
      ham/core.py:2: deferred import of `ham.late`

    ## spam: in
    the module `spam` (a single file, of spam 1.0) gets in, by guarded or dynamic imports alone

      app.py:2: unconditional import of `eggs`
      eggs/__init__.py:3: guarded import of `spam`

    the distribution spam 1.0 gets in, by guarded or dynamic imports alone

    ## ham.core:cook: in
    `cook` of `ham.core`, which has it

      app.py:2: unconditional import of `eggs`
      eggs/__init__.py:1: unconditional import of `ham.core`

    ## mustard: out
    no import that is reached needs the distribution mustard 1.0
      required: ham → mustard

    ## pepper: out
    no import that is reached needs the distribution pepper 1.0

    ## absent: out
    `absent` does not get in: no import that is reached asks for it, and no distribution that is installed is called so

    ## __main__: in
    the module `__main__` (a single file, of the application) gets in, surely
      it is where the application starts
    ");
}
