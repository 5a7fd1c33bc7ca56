//! Every packed library in turn is taken out of the layout: the audit says so, and the proof fails, although this machine has
//! a library of that name.

use std::path::Path;
use std::process::Command;

use packproof::config::Overrides;
use packproof::pack::{self, Compression};
use packproof::pipeline::{self, Choices, Project};
use packproof::progress::Silent;
use packproof::verify::{self, Kind, Verdict};

use crate::context::TestContext;
use crate::{support, turn};

#[test]
#[expect(clippy::print_stderr, reason = "the table is the result")]
fn no_library_can_be_left_out() {
    if !turn("libraries") {
        return;
    }
    let context = TestContext::new();
    context.write("project/main.py", include_str!("../it/libraries.py"));
    let venv = context.at("venv");
    let python = &support::python().executable;
    assert!(Command::new(python).args(["-m", "venv", "--without-pip"]).arg(&venv).status().unwrap().success());
    let overrides = Overrides { python: Some(venv.join("bin/python")), ..Overrides::default() };
    let mut project = Project::open(&context.at("project/main.py"), &overrides, &Silent).unwrap();
    project.ask();
    let mut plan = project.plan().unwrap();
    let whole = plan.planned.layout.clone();
    let packed = plan.planned.native.closure.packed.clone();
    let tool = Path::new(env!("CARGO_BIN_EXE_packproof"));
    let artifact = context.at("main");
    let wanted = pipeline::proof_plan(&project, &plan.planned, &artifact, tool);
    let expected = verify::expect(&wanted, &Silent).unwrap();
    let proved = |layout: &packproof::layout::Layout, plan: &pipeline::Plan| {
        let choices = Choices { compression: Compression::Fast, threads: None };
        let spec = pipeline::pack_spec(&project, plan, choices).unwrap();
        pack::pack(layout, &spec, &artifact, &Silent).unwrap();
        verify::prove_against(&wanted, &expected, &Silent).unwrap()
    };
    let proof = proved(&whole, &plan);
    assert!(proof.is_proved(), "{}", packproof::report::proof::render(&proof));
    let mut left_out = Vec::new();
    for (name, library) in &packed {
        let file = library.file.file_name().unwrap().to_str().unwrap();
        plan.planned.layout = whole.clone();
        let gone = [format!("lib/{name}"), format!("lib/{file}")];
        plan.planned.layout.entries.retain(|path, _| !gone.iter().any(|gone| path.as_str() == gone));
        let proof = proved(&plan.planned.layout, &plan);
        let text = packproof::report::proof::render(&proof);
        assert_eq!(proof.verdict, Verdict::NotProved, "{name}: {text}");
        let seen = proof.differences.iter().any(|it| {
            it.kind == Kind::Escape && [name.as_str(), file].contains(&it.subject.as_str())
                || it.artifact.contains(name.as_str())
        });
        assert!(seen, "{name}: {text}");
        left_out.push((name.clone(), plan.planned.layout.clone()));
    }
    for (name, layout) in left_out {
        plan.planned.layout = layout;
        let report = project.audit(Some(&plan));
        let found = report.findings.iter().any(|it| it.code == "missing-library" && it.subject == name);
        assert!(found, "{name}: {:#?}", report.findings);
        eprintln!("{name:24} missed by the audit and by the proof");
    }
}
