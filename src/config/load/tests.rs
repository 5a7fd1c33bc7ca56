use super::*;
use crate::config::{EnvironmentSource, PythonVersion, Ready};

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let path = folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

fn load(files: &[(&str, &str)]) -> Result<Config, String> {
    let folder = project(files);
    Config::load(folder.path(), &Overrides::default()).map_err(|error| error.to_string())
}

#[test]
fn a_whole_configuration() {
    let text = r#"
        [runner]
        name = "agent"
        entry = "main.py"
        path = ["src"]
        include = ["templates/**"]
        [environment]
        lock = "requirements.lock"
        python-version = "3.11"
        [smoke]
        imports = ["a.b:C, D", "e"]
        [start]
        env = { MODE = "local" }
        with = ["python peer.py"]
        ready = "up"
    "#;
    let config =
        load(&[("packproof.toml", text), ("main.py", ""), ("requirements.lock", ""), ("src/x.py", "")]).unwrap();
    assert_eq!(config.runner.name, "agent");
    assert_eq!(config.runner.entry, Entry::Script(config.root.join("main.py")));
    assert_eq!(config.runner.path, [config.root.join("src")]);
    assert!(
        config.runner.include.matches(Path::new("templates/a/b.txt")) && !config.runner.include.matches(Path::new("x"))
    );
    let EnvironmentSource::Lock(lock) = &config.environment else { panic!("a lock is wanted") };
    let wanted = PythonVersion { version: "3.11".into(), asked_by: "`python-version`" };
    assert_eq!(lock.python_version, Some(wanted));
    assert_eq!(config.smoke.imports[0].names, ["C", "D"]);
    let [start] = config.starts.as_slice() else { panic!("{:?}", config.starts) };
    assert_eq!((start.name.as_str(), start.ready.clone()), ("start", Some(Ready::Text("up".into()))));
    assert_eq!((start.stop.as_str(), start.exit_code, start.timeout), ("SIGTERM", 0, 60));
}

#[test]
fn entries() {
    let entry = |text: &str| {
        let toml = format!("[runner]\nentry = \"{text}\"\n[environment]\npython = \"x\"\n");
        load(&[("packproof.toml", &toml), ("main.py", "")]).map(|config| config.runner.entry)
    };
    let module = |name: &str| ModuleName::new(name).unwrap();
    assert!(matches!(entry("main.py"), Ok(Entry::Script(path)) if path.ends_with("main.py")));
    assert_eq!(entry("pkg"), Ok(Entry::Module(module("pkg"))));
    assert_eq!(entry("a.b:c.d"), Ok(Entry::Function { module: module("a.b"), function: "c.d".to_owned() }));
    assert!(entry("other.py").unwrap_err().contains("packproof.toml`, line 2"));
    assert!(entry("a-b").unwrap_err().contains("is not a module name"));
    assert!(entry("a:b c").unwrap_err().contains("is not a function's name"));
}

#[test]
fn errors_name_the_line() {
    let cases = [
        ("[runner]\nnam = 'x'\n", "unknown field `nam`"),
        ("[runner\n", "line 1"),
        ("[startup]\ngc='lazy'\n", "expected `default` or `relaxed`"),
        ("[runner]\nstrip='some'\n", "line 2"),
        ("[runner]\nname='a b'\nentry='m'\n", "line 2"),
        ("[runner]\nentry='m'\nhooks=['none']\n", "line 3"),
        ("[runner]\nentry='m'\n[environment]\nlock='l'\npython='p'\n", "exclude each other"),
        ("[runner]\nentry='m'\n[start]\nstop='SIGFOO'\n[environment]\npython='p'\n", "SIGTERM"),
        ("[runner]\nentry='m'\n[environment]\npython='p'\n[licenses]\nallow=['GPLish']\n", "line 6"),
        ("[runner]\nentry='m'\n[python]\ndistribution='d'\n[environment]\npython='p'\n", "`[environment] lock`"),
        ("[runner]\nentry='m'\n[environment]\npython='p'\n[[crate]]\npath='none'\n", "line 6"),
        ("[runner]\nentry='m'\n[environment]\nindexes=[]\npython='p'\n", "line 4"),
        ("[runner]\nentry='m'\n[environment]\npython='p'\nfind-links=['w']\n", "`find-links` is about making"),
        ("[runner]\nentry='m'\n[audit]\nallow=[{code='a',subject='b',reason=' '}]\n", "line 4"),
    ];
    for (text, wanted) in cases {
        let error = load(&[("packproof.toml", text)]).unwrap_err();
        assert!(error.contains(wanted), "{text}\n{error}");
    }
}

#[test]
fn what_others_say_of_the_version() {
    let version = |file: &str, more: &str| {
        let toml = format!("[runner]\nentry = \"m\"\n[environment]\nlock = \"l\"\n{more}");
        let config = load(&[("packproof.toml", &toml), ("l", ""), (".python-version", file)]).unwrap();
        let EnvironmentSource::Lock(lock) = config.environment else { panic!("a lock is wanted") };
        lock.python_version.map(|wanted| (wanted.version, wanted.asked_by))
    };
    let says = |version: &str, file| Some((version.to_owned(), file));
    assert_eq!(version("3.12.1\n3.11\n", ""), says("3.12.1", "`.python-version`"));
    assert_eq!(version("# pinned\n\ncpython-3.13\n", ""), says("3.13", "`.python-version`"));
    assert_eq!(version("3.12\n", "python-version = \"3.11\"\n"), says("3.11", "`python-version`"));
    assert_eq!([version("pypy3.10-7.3\n", ""), version("my-venv\n", ""), version("", "")], [None, None, None]);
}

#[test]
fn pyproject_and_scripts() {
    let text = "[project]\nname='own'\ndependencies=['a']\n[project.optional-dependencies]\nx=['b>1']\ny=['c']\n\
                [tool.packproof.runner]\nentry='m'\n[tool.packproof.environment]\npython='p'\n";
    let audit = load(&[("pyproject.toml", text)]).unwrap().audit;
    assert_eq!(
        (audit.declared, audit.optional),
        (vec!["a".to_owned()], ["b>1", "c", "own"].map(str::to_owned).to_vec())
    );

    let text = "[project]\nname='x'\n[tool.packproof.runner]\nentry='m:f'\n[tool.packproof.environment]\npython='p'\n";
    assert_eq!(load(&[("pyproject.toml", text)]).unwrap().runner.name, "m");

    let folder = project(&[("app.py", "")]);
    let overrides = Overrides { python: Some(PathBuf::from("/python")), ..Overrides::default() };
    let config = Config::load(&folder.path().join("app.py"), &overrides).unwrap();
    assert_eq!((config.runner.name.as_str(), config.starts), ("app", Vec::new()));
    let error = Config::load(folder.path(), &overrides).unwrap_err();
    assert!(matches!(error, Error::NoEntry { .. }));

    let folder = project(&[("tool/__main__.py", ""), ("app.pyz", "")]);
    let runner = Config::load(&folder.path().join("tool"), &overrides).unwrap().runner;
    assert_eq!(runner.name, "tool");
    assert!(matches!(runner.entry, Entry::Script(script) if script.ends_with("tool/__main__.py")));
    let archive = folder.path().join("app.pyz");
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("__main__.py", zip::write::SimpleFileOptions::default()).unwrap();
    let bytes = zip.finish().unwrap().into_inner();
    fs::write(&archive, [b"#!/usr/bin/env python3\n", &bytes[..]].concat()).unwrap();
    let error = Config::load(&archive, &overrides).unwrap_err().to_string();
    assert!(error.contains("is a zip archive") && error.contains("name the folder"), "{error}");
}

#[test]
fn the_command_that_a_project_installs_is_its_entry() {
    let load = |files: &[(&str, &str)]| {
        let folder = project(files);
        let overrides = Overrides { python: Some(PathBuf::from("/python")), ..Overrides::default() };
        let root = fs::canonicalize(folder.path()).unwrap();
        let runner = Config::load(folder.path(), &overrides).map_err(|error| error.to_string())?.runner;
        let Entry::Function { module, function } = runner.entry else { panic!("{:?}", runner.entry) };
        let path: Vec<_> = runner.path.iter().map(|folder| folder.strip_prefix(&root).unwrap().to_owned()).collect();
        Ok::<_, String>((runner.name, format!("{module}:{function}"), path))
    };
    let one = "[project]\nname='shop-tools'\n[project.scripts]\nshop='shop.cli:app.run'\n";
    let is = |name: &str, entry: &str, path: &[&str]| {
        Ok((name.into(), entry.into(), path.iter().map(PathBuf::from).collect()))
    };
    assert_eq!(load(&[("pyproject.toml", one), ("shop/cli.py", "")]), is("shop", "shop.cli:app.run", &[]));
    let in_source = [("pyproject.toml", one), ("src/shop/cli.py", "")];
    assert_eq!(load(&in_source), is("shop", "shop.cli:app.run", &["src"]));

    let several = format!("{one}admin='shop.admin:main [x]'\n[project.gui-scripts]\nshop-tools='shop.gui:main'\n");
    assert_eq!(load(&[("pyproject.toml", &several)]), is("shop-tools", "shop.gui:main", &[]));
    let admin = ("packproof.toml", "[runner]\nname='admin'\n");
    assert_eq!(load(&[("pyproject.toml", &several), admin]), is("admin", "shop.admin:main", &[]));
    // It would stand in code that packproof writes.
    let hostile = one.replace("app.run", "run();evil");
    assert!(load(&[("pyproject.toml", &hostile)]).unwrap_err().ends_with("in packproof.toml"));
    let unclear = load(&[("pyproject.toml", &several.replace("'shop-tools'", "'other'"))]).unwrap_err();
    assert!(
        unclear.ends_with(
            "packproof.toml\n  entry = \"shop.admin:main\"  # `admin` of `[project.scripts]`\n  \
        entry = \"shop.cli:app.run\"  # `shop` of `[project.scripts]`\n  \
        entry = \"shop.gui:main\"  # `shop-tools` of `[project.scripts]`"
        ),
        "{unclear}"
    );
}
