//! `foreign-hook` and `unused-hook`: hooks in the project's folders that do nothing.

use super::super::{Context, Evidence, FAR, Finding, Severity, Sink};

pub(in crate::audit) fn check(context: &Context<'_>, sink: &mut Sink) {
    for file in &context.hooks.foreign {
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        sink.push(
            FAR,
            Finding {
                code: "foreign-hook",
                severity: Severity::Info,
                subject: name.clone(),
                message: format!("`{name}` is a PyInstaller hook, and is not used"),
                evidence: vec![Evidence {
                    path: None,
                    file: None,
                    line: None,
                    text: "whole distributions are packed, so that most of what such hooks do has no place here"
                        .to_owned(),
                }],
                cure: Some(crate::hooks::foreign::translation(file)),
            },
        );
    }
    for hook in context.hooks.hooks.iter().filter(|hook| !hook.built_in && !hook.matches(context.environment)) {
        let name = hook.file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        sink.push(
            FAR,
            Finding {
                code: "unused-hook",
                severity: Severity::Info,
                subject: name.clone(),
                message: format!("the hook `{name}` matches no distribution that is installed"),
                evidence: vec![Evidence {
                    path: None,
                    file: None,
                    line: None,
                    text: format!("it is for {}", hook.distribution),
                }],
                cure: Some("remove it, or mend its `distribution` and `versions`".to_owned()),
            },
        );
    }
}
