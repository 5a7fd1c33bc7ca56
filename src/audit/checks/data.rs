//! `missing-data`: a file that code names beside itself is not there, or stays behind.

use std::path::Path;

use super::super::{Context, Evidence, FAR, Finding, Severity, Sink};
use crate::graph::{DataFile, Origin, Reach, Usage};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    let graph = context.graph;
    for data in graph.data() {
        let module = graph.module(data.module);
        // Opened whenever the application runs: nothing less is certain enough, and it may still be written first. A module inside a zip file has its data there.
        let on_disk = module.file.as_deref().is_some_and(Path::is_file);
        let surely =
            data.usage == Usage::Opened && graph.reach(data.module) == Reach::Sure && module.origin != Origin::Stdlib;
        if !data.found && surely && on_disk {
            let message = format!("`{}` opens `{}`, which is not there", module.name, context.places.file(&data.path));
            push(context, sink, data, Severity::Warning, message, None);
        }
    }
    left_behind(context, sink);
    of_hooks(context, sink);
}

/// What a hook wants packed.
fn of_hooks(context: &Context<'_>, sink: &mut Sink) {
    let prefix = &context.environment.facts.prefix;
    for hook in context.hooks.active(context.environment) {
        for data in hook.data.iter().filter(|data| !prefix.join(data).exists()) {
            let shown = data.display();
            sink.push(
                FAR,
                Finding {
                    code: "missing-data",
                    severity: Severity::Warning,
                    subject: shown.to_string(),
                    message: format!("a hook for {} names the data `{shown}`, which is not there", hook.distribution),
                    evidence: vec![Evidence { path: None, file: None, line: None, text: hook.reason.clone() }],
                    cure: Some(format!("put it below the environment's prefix, `{}`", prefix.display())),
                },
            );
        }
    }
}

/// Data of the application's that no package of it holds, and that nothing includes.
fn left_behind(context: &Context<'_>, sink: &mut Sink) {
    let Some(native) = context.native else { return };
    let of_application = context.graph.data().iter().filter(|data| {
        let module = context.graph.module(data.module);
        // What only tests of the application run is not packed either.
        let is_script = module.name.as_str() == "__main__" && data.module != crate::graph::ModuleId::MAIN;
        data.found && module.origin == Origin::Application && !is_script
    });
    let packed: Vec<&Path> = native.planned.layout.entries.values().filter_map(|entry| entry.source.file()).collect();
    // Bytes tell quicker than parts that nearly all of some ten thousand files lie elsewhere.
    let is_in = |file: &Path, place: &Path| bytes(file).starts_with(bytes(place)) && file.starts_with(place);
    for data in of_application {
        let module = context.graph.module(data.module);
        if packed.iter().any(|file| is_in(file, &data.path)) {
            continue;
        }
        // It may be written, or be looked for in vain.
        let severity = if data.usage == Usage::Named { Severity::Info } else { Severity::Warning };
        let shown = context.places.file(&data.path);
        let message = format!("`{}` names `{shown}`, which is not packed", module.name);
        let pattern = if data.path.is_dir() { format!("{shown}/**") } else { shown };
        push(context, sink, data, severity, message, Some(format!("add `{pattern}` to `[runner] include`")));
    }
}

fn bytes(path: &Path) -> &[u8] {
    path.as_os_str().as_encoded_bytes()
}

fn push(
    context: &Context<'_>,
    sink: &mut Sink,
    data: &DataFile,
    severity: Severity,
    message: String,
    cure: Option<String>,
) {
    let what = match data.usage {
        Usage::Opened => "opens it whenever it is imported",
        Usage::Served => "serves what lies in it",
        Usage::Named => "names it",
    };
    sink.push(
        context.graph.distance(data.module),
        Finding {
            code: "missing-data",
            severity,
            subject: context.places.file(&data.path),
            message,
            evidence: vec![context.places.in_module(data.module, data.line, what)],
            cure,
        },
    );
}
